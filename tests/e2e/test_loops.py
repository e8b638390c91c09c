"""Copies that come back: counted as `skipped.loop`, and never the beginning of another copy.

Each of these runs for ever when nothing breaks it, so what is asserted is that the traffic is over and how much of it
there was.
"""

import asyncio
import json
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import http1, loop, paths, programs, replay, rules, wait
from support.envoy import Envoy, settled
from support.primary import Primary
from support.shared import Shared

BODY = b'{}\n{"type":"event"}\n{}\n'
REQUESTS = 20


class Hop(loop.Server):
    """An HTTP proxy of somebody else's between the edge and `target`; `rewrite` is what it does to the target."""

    def __init__(self, rewrite: Callable[[str], str]) -> None:
        self.target = 0  # a port, known when the edges are up
        self.passed = 0
        self._rewrite = rewrite
        super().__init__()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (request := await http1.read_request(reader)) is not None and request.complete:
            self.passed += 1
            answer = await asyncio.to_thread(self._pass_on, request)
            writer.write(http1.response(answer.status, b"{}"))
            await writer.drain()

    def _pass_on(self, request: http1.Request) -> replay.Answer:
        own = ("content-length", "transfer-encoding", "host")
        headers = [(name, value) for name, value in request.headers if name.lower() not in own]
        with replay.Client(self.target) as client:
            return client.request(self._rewrite(request.target), request.body, headers=headers)


def as_it_is(target: str) -> str:
    return target


def without_prefix(target: str) -> str:
    """As a location with a prefix does it: the next hop sees the client's own target again."""
    assert target.startswith("/rum/sentry/")
    return "/" + target.split("/", 5)[5]


@pytest.fixture
def hop() -> Iterator[Callable[[Callable[[str], str]], Hop]]:
    hops: list[Hop] = []

    def start(rewrite: Callable[[str], str]) -> Hop:
        hops.append(Hop(rewrite))
        return hops[-1]

    yield start
    for server in hops:
        server.close()


def send(port: int, headers: list[tuple[str, str]] | None = None) -> None:
    with replay.Client(port) as client:
        for number in range(REQUESTS):
            answer = client.request(f"/api/1/envelope/?n={number}", BODY, headers=headers or [])
            assert answer.status == 200 and answer.by_primary


@pytest.mark.parametrize("rewrite", [as_it_is, without_prefix])
def test_a_mirror_that_points_back_at_the_edge(
    rewrite: Callable[[str], str], hop: Callable[..., Hop], tmp_path: Path, primary: Primary
) -> None:
    way_back = hop(rewrite)
    with Shared(tmp_path, primary.port, way_back.port, concurrency=2) as edge:
        way_back.target = edge.port
        send(edge.port)
        counts = {"captured": REQUESTS, "delivered": REQUESTS, "skipped.loop": REQUESTS, "pending": 0}
        settled(edge, **counts)
        # The primary has each request and each copy; the copies of copies would be more.
        assert (way_back.passed, primary.count) == (REQUESTS, 2 * REQUESTS)
        assert settled(edge, **counts)["rum.attempts"] == REQUESTS


def test_two_edges_that_mirror_to_each_other(hop: Callable[..., Hop], tmp_path: Path) -> None:
    hops = [hop(without_prefix), hop(without_prefix)]
    primaries = [Primary(), Primary()]
    with (
        Shared(tmp_path / "one", primaries[0].port, hops[0].port) as one,
        Shared(tmp_path / "two", primaries[1].port, hops[1].port) as two,
    ):
        hops[0].target, hops[1].target = two.port, one.port
        for edge in (one, two):
            send(edge.port)
        for edge in (one, two):
            settled(edge, **{"captured": REQUESTS, "delivered": REQUESTS, "skipped.loop": REQUESTS, "pending": 0})
        assert [server.passed for server in hops] == [REQUESTS, REQUESTS]
        assert [server.count for server in primaries] == [2 * REQUESTS, 2 * REQUESTS]
    for server in primaries:
        server.close()


class Receiver:
    """programs/node_receiver.cjs."""

    def __init__(self, edge: int, project: int, headers: dict[str, str], limit: int) -> None:
        environment = {"PATH": os.environ["PATH"], "NODE_PATH": paths.node_modules()}
        environment |= {"SENTRY_DSN": programs.dsn(project, edge), "HEADERS": json.dumps(headers), "LIMIT": str(limit)}
        self._process = subprocess.Popen(
            [paths.node(), str(paths.E2E / "programs" / "node_receiver.cjs")],
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
        )
        lines: queue.Queue[str] = queue.Queue()
        assert self._process.stdout is not None
        output = self._process.stdout
        threading.Thread(target=lambda: [lines.put(line) for line in output], daemon=True).start()
        self.port = int(lines.get(timeout=30).split()[1])
        self.lines = lines

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    @property
    def reports(self) -> int:
        return self.lines.qsize()


# What ends it, and how it is counted. Project 3 is the SDK's own.
CURES = {
    "the marker among its transport's headers": ({rules.MARKER: "1"}, {}, "skipped.loop"),
    "its project in rum.exclude": ({}, {"rum": {"exclude": ["3"]}}, "skipped.excluded"),
}


@pytest.mark.parametrize("cure", CURES)
def test_an_sdk_inside_the_mirror_path(
    cure: str, hop: Callable[..., Hop], tmp_path: Path, primary: Primary
) -> None:
    headers, configuration, counted = CURES[cure]
    to_receiver = hop(as_it_is)
    with (
        Shared(tmp_path, primary.port, to_receiver.port, configuration=configuration) as edge,
        Receiver(edge.port, 3, headers, 10 * REQUESTS) as receiver,
    ):
        to_receiver.target = receiver.port
        send(edge.port)
        settled(edge, **{"captured": REQUESTS, "delivered": REQUESTS, counted: REQUESTS, "pending": 0})
        assert (receiver.reports, primary.count) == (REQUESTS, 2 * REQUESTS)


def test_an_sdk_inside_the_mirror_path_that_nothing_tells_apart(
    hop: Callable[..., Hop], tmp_path: Path, primary: Primary
) -> None:
    """Why one of the cures is needed, and that the tests above would see a loop: it ends by the receiver's limit only."""
    to_receiver = hop(as_it_is)
    with (
        Shared(tmp_path, primary.port, to_receiver.port) as edge,
        Receiver(edge.port, 3, {}, 3 * REQUESTS) as receiver,
    ):
        to_receiver.target = receiver.port
        send(edge.port)
        wait.until("it goes on", lambda: receiver.reports == 3 * REQUESTS)
        settled(edge, captured=4 * REQUESTS, delivered=4 * REQUESTS, pending=0)
