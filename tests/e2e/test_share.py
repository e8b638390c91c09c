"""Some seconds of `make share`: hostile bodies of one project hold up no log of another."""

from pathlib import Path

import pytest

import hostile
from chaos import share
from hostile import BODIES


@pytest.mark.parametrize("name", ["counts-many", "strings-in-strings", "header-inherited"])
def test_all_logs_of_the_other_project_arrive(name: str, tmp_path: Path) -> None:
    found = share.share(tmp_path / "edge", BODIES[name], 5)
    assert found.problems == [], found


def test_a_harmless_body_is_no_problem_to_the_judge(tmp_path: Path) -> None:
    found = share.share(tmp_path / "edge", hostile.harmless(20_000, 0), 5)
    assert found.problems == [], found
    assert found.sent >= 15
    assert found.missing == 0
