"""Three of the faults of `make chaos`, each for a few seconds; and that its judge sees a primary that is held up."""

import time
from pathlib import Path

import pytest

from chaos import run
from chaos.faults import QUICK, Fault
from chaos.world import World


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.title)
def test_survived(fault: Fault, tmp_path: Path) -> None:
    # A gentle load: other tests run at the same time.
    row = run.run(fault, tmp_path, seconds=4, pause=0.03)
    print(run.table([row]))
    assert row.problems == []


def hold_up(world: World, _legs: tuple[str, ...], _seconds: float) -> None:
    """What a mirror would do to the clients if they had to wait for a call's end."""
    world.primary.hold()
    time.sleep(2.5)
    world.primary.release()


def test_a_client_that_waits_is_a_problem(tmp_path: Path) -> None:
    row = run.run(Fault("held up", hold_up), tmp_path, seconds=0, pause=0.03)
    assert [text for text in row.problems if "slowest latency" in text], row.problems
