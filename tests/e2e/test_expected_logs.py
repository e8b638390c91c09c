"""The expectation that the SLS tests compare with is checked itself: against every parse that the fixtures carry."""

import dataclasses

import pytest

from support import expected_logs, fixtures, relay_envelope, rules
from support.sls_group import Log

# Where the manual's reading of Relay's code decides (sentry, "Envelope grammar"), and not the corpus' own reader.
REFUSED = {"synthetic/115-encoding-unknown-lzma", "synthetic/062-grammar-internal-item-type"}
TAKEN = {"synthetic/111-encoding-zstd-skippable-frame-first"}


def encoding(fixture: fixtures.Fixture) -> str | None:
    return next((value for name, value in fixture.meta["headers"] if name.lower() == "content-encoding"), None)


def read(fixture: fixtures.Fixture) -> relay_envelope.Envelope:
    return relay_envelope.read(relay_envelope.decode(fixture.body, encoding(fixture)))


SYNTHETIC = [f for f in fixtures.load() if f.meta.get("expect", {}).get("parse")]
REAL = [f for f in fixtures.load() if (f.meta.get("decoded") or {}).get("items") is not None]


@pytest.mark.parametrize("fixture", SYNTHETIC, ids=str)
def test_synthetic_envelopes_are_read_as_the_corpus_says(fixture: fixtures.Fixture) -> None:
    parse = fixture.meta["expect"]["parse"]
    if fixture.name in REFUSED or (parse["parse"] != "ok" and fixture.name not in TAKEN):
        with pytest.raises((relay_envelope.Malformed, relay_envelope.Undecodable)):
            read(fixture)
        return
    envelope = read(fixture)
    if fixture.name in TAKEN:
        return
    assert envelope.event_id == parse["event_id"]
    assert [(item.type, len(item.payload)) for item in envelope.items] == [
        (item["type"], item["length"]) for item in parse["items"]
    ]


@pytest.mark.parametrize("fixture", REAL, ids=str)
def test_real_envelopes_are_read_as_the_corpus_says(fixture: fixtures.Fixture) -> None:
    items = fixture.meta["decoded"]["items"]
    assert [(item.type, len(item.payload)) for item in read(fixture).items] == [
        (item["type"], item["length"]) for item in items
    ]


def test_the_corpus_holds_every_kind_of_log() -> None:
    """Guards against a comparison that passes because nothing is expected."""
    logs = []
    for fixture in fixtures.load():
        if rules.mirrored(fixture.meta["method"], fixture.meta["path"]):
            logs += expected_logs.of_body(1, fixture.body, encoding(fixture))
    kinds = expected_logs.by_type(logs)
    print(dict(kinds))
    assert len(SYNTHETIC) > 170
    assert len(REAL) > 100
    assert kinds.keys() >= {*expected_logs.FIELDS, "attachment", "malformed envelope", "undecodable body"}
    assert sum(log.event_id is not None for log in logs) > 200
    assert sum(log.ms is not None for log in logs) > 200
    words = {name for log in logs for name, value in log.says if value is not None}
    assert words == {name for fields in expected_logs.FIELDS.values() for name in fields}


def test_times() -> None:
    read = expected_logs.milliseconds
    assert read(expected_logs.Number("1795232076.7163768")) == 1_795_232_076_716
    assert read(expected_logs.Number("-0.0005")) == -1
    assert read("2026-11-21T03:34:36.146039631Z") == 1_795_232_076_146
    assert read("2026-11-21T04:34:36.14+01:00") == 1_795_232_076_140
    assert read("2026-11-21T03:34:36") == 1_795_232_076_000
    assert read("yesterday") is read(None) is read(True) is None


BODY = b"""{"event_id":"E88B7591-31db-6e32-d8dc-b35f94c662cd"}
{"type":"event"}
{"timestamp":1795232076.5,"message":"it broke","release":"shop@1","exception":{"values":[{"type":"A"},{"type":"B"}]}}
{"type":"attachment","length":3}
abc
"""
EVENT = {
    "sentry.project_id": "42",
    "sentry.item_type": "event",
    "event_id": "e88b759131db6e32d8dcb35f94c662cd",
    "timestamp": "1795232076500",
    "sentry.message": "it broke",
    "app.version": "shop@1",
    "exception.type": "B",
    "payload": BODY.split(b"\n")[2].decode(),
}
FILE = {
    "sentry.project_id": "42",
    "sentry.item_type": "attachment",
    "event_id": "e88b759131db6e32d8dcb35f94c662cd",
    "timestamp": "1795232080000",  # when the request came
}


def log(fields: dict[str, str]) -> Log:
    return Log(1_795_232_076, 0, fields, "sentry", "")


RIGHT = [log(EVENT), log(FILE)]
WRONG = {
    "lost": [log(EVENT)],
    "doubled": [log(EVENT), log(FILE), log(EVENT)],
    "another": [log(EVENT), log(FILE), log({**FILE, "sentry.item_type": "profile"})],
    **{f"other-{name}": [log({**EVENT, name: "7"}), log(FILE)] for name in EVENT},
    "field-missing": [log({**EVENT, "app.version": ""}), log(FILE)],
    "says-error": [log({**EVENT, "sentry.error": "bad"}), log(FILE)],
    "payload-of-an-attachment": [log(EVENT), log({**FILE, "payload": "{}"})],
    "time-before-the-request": [log(EVENT), log({**FILE, "timestamp": "1795232000000"})],
}


def test_equal_logs_have_no_differences() -> None:
    wanted = expected_logs.of_body(42, BODY, None)
    assert expected_logs.differences(wanted, RIGHT, 1_795_232_079.0) == []


@pytest.mark.parametrize("name", WRONG)
def test_every_difference_is_seen(name: str) -> None:
    wanted = expected_logs.of_body(42, BODY, None)
    assert expected_logs.differences(wanted, WRONG[name], 1_795_232_079.0) != []


def test_without_words_only_what_a_scrubber_leaves_is_compared() -> None:
    wanted = expected_logs.of_body(42, BODY, None)
    scrubbed = [dataclasses.replace(RIGHT[0], fields={**EVENT, "sentry.message": "[Filtered]"}), RIGHT[1]]
    assert expected_logs.differences(wanted, scrubbed, 1_795_232_079.0, words=False) == []
    assert expected_logs.differences(wanted, scrubbed, 1_795_232_079.0) != []
