"""A minute of `make soak`."""

import random
from pathlib import Path

from chaos import soak


def test_a_minute(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    assert soak.soak(tmp_path, 60, seed) == []
