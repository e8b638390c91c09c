"""Three of the faults of `make chaos`, each for a few seconds."""

from pathlib import Path

import pytest

from chaos import run
from chaos.faults import QUICK, Fault


@pytest.mark.parametrize("fault", QUICK, ids=lambda fault: fault.title)
def test_survived(fault: Fault, tmp_path: Path) -> None:
    # A gentle load: other tests run at the same time.
    row = run.run(fault, tmp_path, seconds=4, pause=0.03)
    print(run.table([row]))
    assert row.problems == []
