"""What `make matrix` reads and writes; not the run itself."""

from pathlib import Path

import pytest

import matrix
from matrix import Outcome

REPORT = """<testsuites><testsuite>
<testcase classname="tests.e2e.test_a" name="test_one"/>
<testcase classname="tests.e2e.test_a" name="test_two"><failure>no</failure></testcase>
<testcase classname="tests.e2e.test_b" name="test_three"><skipped/></testcase>
<testcase classname="tests.e2e.test_b" name="test_four"><properties/></testcase>
<testcase classname="tests.e2e.test_b" name="test_five"/>
<testcase classname="tests.e2e.test_b" name="test_five"><error>at its teardown</error></testcase>
</testsuite></testsuites>"""


def test_the_document_has_the_versions_that_are_tried() -> None:
    text = matrix.DOCUMENT.read_text(encoding="utf-8")
    shown = text.partition(matrix.BEGIN)[2].partition(matrix.END)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.strip().splitlines()[2:]]
    assert [row[:2] for row in rows] == [[its.number, its.gateways] for its in matrix.versions()]


def test_the_document_has_what_was_kept_of_these_versions() -> None:
    kept = matrix.sections(matrix.RESULTS.read_text(encoding="utf-8")) if matrix.RESULTS.exists() else {}
    assert set(kept) <= {its.number for its in matrix.versions()}
    text = matrix.DOCUMENT.read_text(encoding="utf-8")
    assert matrix.written(text, matrix.table(kept)) == text


def test_a_report_is_read() -> None:
    outcome = matrix.read(REPORT)
    assert outcome == Outcome(2, ["test_a::test_two", "test_b::test_three", "test_b::test_five"])
    assert str(outcome) == "2 passed, 3 failed"


def test_what_a_run_says_replaces_what_was_kept_of_its_version_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"a\n{matrix.BEGIN}\n{matrix.END}\nb\n", encoding="utf-8")
    monkeypatch.setattr(matrix, "DOCUMENT", document)
    monkeypatch.setattr(matrix, "RESULTS", tmp_path / "matrix.md")
    first, second, *others = matrix.versions()
    matrix.keep(first, Outcome(5), "* commit a")
    matrix.keep(second, Outcome(6), "* commit a")
    matrix.keep(first, Outcome(7, ["test_x::test_y"], 90.0), "* commit b")
    kept = matrix.RESULTS.read_text(encoding="utf-8")
    assert f"## Envoy {first.number}\n\n* commit b\n\n7 passed, 1 failed, in 1.5 minutes.\n\n* `test_x::test_y`\n\n" in kept
    assert kept.endswith(f"## Envoy {second.number}\n\n* commit a\n\n6 passed, in 0.0 minutes.\n")
    for text in (kept, document.read_text(encoding="utf-8")):
        assert f"| {first.number} | {first.gateways} | 7 passed, 1 failed |" in text
        assert f"| {second.number} | {second.gateways} | 6 passed |" in text
        assert text.count(matrix.NOT_RUN) == len(others)


def test_only_what_is_between_the_markers_is_written() -> None:
    text = f"a\n{matrix.BEGIN}\nold\n{matrix.END}\nb\n"
    made = matrix.table({})
    once = matrix.written(text, made)
    assert once == matrix.written(once, made)
    assert once.startswith("a\n") and once.endswith(f"{matrix.END}\nb\n") and "old" not in once
    assert once.count(matrix.NOT_RUN) == len(matrix.versions())
    with pytest.raises(ValueError, match="no markers"):
        matrix.written("a", made)


def test_each_version_is_once() -> None:
    numbers = [its.number for its in matrix.versions()]
    assert len(set(numbers)) == len(numbers), numbers
