"""A port for a program that cannot choose one itself."""

import socket


def free_port() -> int:
    """A port that was free on loopback a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]
