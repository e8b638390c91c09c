"""Waiting for something to become true, with a deadline. There is no other kind of waiting in this suite."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(what: str, probe: Callable[[], T], seconds: float = 10.0, pause: float = 0.005) -> T:
    """Polls `probe` until it returns something true, and returns that; otherwise fails saying what never happened."""
    deadline = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what} (last seen: {value!r})")
        time.sleep(pause)
