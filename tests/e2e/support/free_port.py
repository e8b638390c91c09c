"""A port for a program that cannot choose one itself, or for a server that closes its port and opens it again."""

import functools
import itertools
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_240
# So many processes may ask at once, of which half are pytest's.
PARTS = 32


def free_port() -> int:
    """A port that was free on loopback a moment ago.

    It is below those that the system chooses by itself, for connections and for servers that ask for any. Each process has
    a part of them, and gives one again as late as it can: so nobody else has it soon, also if it is not in use for a while.
    """
    return next(_ports())


@functools.cache
def _ports() -> Iterator[int]:
    return _free(_own_part())


def _own_part() -> range:
    size = (int(RANGE.read_text().split()[0]) - LOWEST) // PARTS
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    number = int(worker) % (PARTS // 2) if worker else PARTS // 2 + os.getpid() % (PARTS // 2)
    return range(LOWEST + number * size, LOWEST + (number + 1) * size)


def _free(part: range) -> Iterator[int]:
    # Another run of the suite may be using the same part.
    begin = random.randrange(len(part))
    for number in itertools.count(begin):
        port = part[number % len(part)]
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        yield port
