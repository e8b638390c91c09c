"""Five of the faults of `make chaos`, each for a few seconds; and that its judge sees a primary that is held up."""

import time
from pathlib import Path

import pytest

from chaos import run
from chaos.crowd import RATE, SIZES
from chaos.faults import FAULTS, QUICK, Fault, away
from chaos.world import BUDGET, World

# Other tests run at the same time.
GENTLE = {"rate": 60.0, "busy": True}


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.title)
def test_survived(fault: Fault, tmp_path: Path) -> None:
    row = run.run(fault, tmp_path, seconds=4, **GENTLE)
    print(run.table([row]))
    assert row.problems == []


def test_there_is_room_for_all_while_a_target_is_away() -> None:
    """Whatever the machine: the load is paced, and even one worker alone has room for it. So a drop is a fault of ours."""
    longest = max(fault.seconds or 0 for fault in FAULTS if fault.do is away)
    body = sum(SIZES) / len(SIZES) + 500
    # Some seconds until it flows again, and as much again for what a log is beside its body.
    assert 2 * RATE * (longest + 5) * body <= BUDGET / 2


def hold_up(world: World, _legs: tuple[str, ...], _seconds: float) -> None:
    """What a mirror would do to the clients if they had to wait for a call's end."""
    world.primary.hold()
    time.sleep(2.5)
    world.primary.release()


def test_a_client_that_waits_is_a_problem(tmp_path: Path) -> None:
    row = run.run(Fault("held up", hold_up), tmp_path, seconds=0, **GENTLE)
    assert [text for text in row.problems if "slowest latency" in text], row.problems
