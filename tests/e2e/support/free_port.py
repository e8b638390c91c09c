"""A port for a program that cannot choose one itself."""

import random
import socket
from pathlib import Path

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_given: set[int] = set()


def free_port() -> int:
    """A port that was free on loopback a moment ago, and not given before.

    It is below those that the system chooses by itself, for connections and for servers that ask for any: else one of those
    may have it before the program does.
    """
    end = int(RANGE.read_text().split()[0])
    while True:
        port = random.randrange(10_240, end)
        if port in _given:
            continue
        _given.add(port)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
