"""The picture with which `make demo` ends says what happened. (The demo itself is a test of everything else.)"""

from support.outage import ARRIVES, WAITING, Copy, Outage, bars, picture


def outage(lost: int | None = None) -> Outage:
    """Four copies a second for six seconds; RUM is away from 1 to 4, and everything arrives by 5."""
    found = Outage(away=1.0, back=4.0)
    for number in range(24):
        sent = number / 4
        arrived = 4.5 if 1.0 <= sent < 4.0 else sent + 0.01
        found.copies.append(Copy(sent, sent + 0.002, None if number == lost else arrived))
    return found


def rows(lines: list[str]) -> dict[str, str]:
    return {line[2:14].strip(): line[15:] for line in lines}


def test_who_waited_and_when_it_arrived() -> None:
    found = rows(picture(outage()))
    assert found["sent at  0 s"].split() == [ARRIVES * 4, "4", "of", "4"]
    # From the second second to the column in which RUM takes them.
    assert found["sent at  1 s"].startswith(" " * 4 + WAITING * 14 + ARRIVES)
    assert found["sent at  3 s"].startswith(" " * 12 + WAITING * 6 + ARRIVES)
    assert found["sent at  5 s"].startswith(" " * 20 + ARRIVES)
    assert found["waiting"].endswith("most 12")
    assert "\u00d7away\u00d7" in found["RUM"] and found["RUM"].startswith("\u2500" * 4 + "\u00d7")
    assert found["primary"].endswith("24 answered, slowest 2 ms")


def test_what_did_not_arrive_is_seen() -> None:
    found = rows(picture(outage(lost=8)))
    assert found["sent at  2 s"].endswith("3 of 4")
    assert found["sent at  2 s"].count(WAITING) > rows(picture(outage()))["sent at  2 s"].count(WAITING)
    assert found["sent at  1 s"].endswith("4 of 4")


def test_bars() -> None:
    assert bars([0, 1, 8]) == " \u2581\u2588"
    assert bars([0, 0]) == "  "
