"""Clients as they are in the field, and each of them twice: through the edge with the mirror, and through one without.

Every request has a number of its own, in its query and in its event, by which it is found again at the targets. The
two edges are asked in turn by the same client, so that a slow machine is slow for both.
"""

import gzip
import hashlib
import json
import random
import string
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from h2.exceptions import ProtocolError

from support import sls_traffic
from support.clients import Clients
from support.fixtures import Fixture
from support.replay import NOTHING, Answer, Client, replay

# Sizes of the events' padding: most are small, some are not.
SIZES = (0, 200, 3_000, 800, 10_000, 100, 1_500, 40_000)
# What they are padded with is a piece of this: no compression makes a budget larger than it says.
NOISE = "".join(random.Random(1).choices(string.ascii_letters, k=1 << 20))
# Requests a second, to each of the two edges: less than a machine half as fast as a developer's can do, so that what waits for a
# target that is away is the same everywhere.
RATE = 120.0
CONNECTIONS = 6
FRAMINGS = ("content-length", "chunked", "gzip", "chunked-gzip", "expect", "h2")


@dataclass
class Result:
    """What the clients saw at one edge."""

    sent: int = 0
    answered: set[int] = field(default_factory=set)  # numbers of the requests that the primary answered, rightly
    wrong: list[str] = field(default_factory=list)
    refused: int = 0  # no connection at all
    unanswered: int = 0  # see support/load.py: a listener that is being replaced may do that, with or without us
    seconds: list[float] = field(default_factory=list)

    def percentile(self, part: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class _Edge:
    """A client's view of one edge: its connection, kept alive."""

    def __init__(self, port: int, result: Result) -> None:
        self.port, self.result = port, result
        self.client: Client | None = None

    def drop(self) -> None:
        if self.client:
            self.client.close()
            self.client = None

    def post(self, framing: str, target: str, body: bytes) -> Answer:
        if framing == "h2":
            headers = [(":method", "POST"), (":path", target), (":authority", "edge.example"), (":scheme", "http")]
            meta = {"method": "POST", "path": target, "headers": headers, "body_framing": "h2-data"}
            return replay(Fixture("h2", meta, body, None), self.port)[0]
        self.client = self.client or Client(self.port)
        headers = [("User-Agent", "sentry.chaos/1.0"), ("Content-Type", "application/x-sentry-envelope")]
        if framing.endswith("gzip"):
            headers.append(("Content-Encoding", "gzip"))
        if framing == "expect":
            lines = [f"POST {target} HTTP/1.1", "Host: edge.example", f"Content-Length: {len(body)}"]
            self.client.send(("\r\n".join([*lines, "Expect: 100-continue"]) + "\r\n\r\n").encode())
            self.client.send(body)
            return self.client.answer()
        chunks = [1, 100, 5_000] if framing.startswith("chunked") else None
        return self.client.request(target, body, headers=headers, chunks=chunks)


class Crowd(Clients):
    """Sends until `halt`. `mirrored` and `plain` are what came of it at each edge."""

    def __init__(
        self,
        mirrored: int,
        plain: int,
        rate: float = RATE,
        connections: int = CONNECTIONS,
        sizes: tuple[int, ...] = SIZES,
    ) -> None:
        self.mirrored, self.plain = Result(), Result()
        self._ports = (mirrored, plain)
        self._interval, self._sizes = connections / rate, sizes
        self._numbers = count(1)
        super().__init__(connections)

    def _run(self, worker: int) -> None:
        edges = [_Edge(port, result) for port, result in zip(self._ports, (self.mirrored, self.plain), strict=True)]
        due = time.monotonic()
        for turn in count(worker):
            if self._stopping.is_set():
                break
            number = next(self._numbers)
            framing = FRAMINGS[turn % len(FRAMINGS)]
            start, size = random.randrange(len(NOISE) // 2), self._sizes[turn % len(self._sizes)]
            body = sls_traffic.event(f"number {number} ", padding=NOISE[start : start + size])
            if framing.endswith("gzip"):
                body = gzip.compress(body, 1)
            target = f"/api/{number % 3 + 1}/envelope/?n={number}"
            for edge in edges if turn % 2 else reversed(edges):
                self._one(edge, framing, target, body, number)
            # What a slow moment has cost is not made up for: no burst comes after it.
            due = max(due + self._interval, time.monotonic())
            self._stopping.wait(due - time.monotonic())
        for edge in edges:
            edge.drop()

    def _one(self, edge: _Edge, framing: str, target: str, body: bytes, number: int) -> None:
        began = time.monotonic()
        answer, problem, refused = NOTHING, "", False
        try:
            answer = edge.post(framing, target, body)
        except ConnectionRefusedError:
            refused = True
        except (ConnectionError, ProtocolError):
            pass  # no answer, as far as this client can tell: h2 reads nothing more after a GOAWAY, even a graceful one
        except OSError as error:
            problem = repr(error)
        took = time.monotonic() - began
        if answer.status and not problem:
            right = answer.status == 200 and answer.by_primary and _is_about(answer, body)
            problem = "" if right else f"{framing}: {answer.status} {answer.body[:80]!r}"
        result = edge.result
        with self._lock:
            result.sent += 1
            if refused:
                result.refused += 1
            elif problem:
                result.wrong.append(problem)
            elif answer.status:
                result.answered.add(number)
                result.seconds.append(took)
            else:
                result.unanswered += 1
        if not answer.keeps_connection:
            edge.drop()


def _is_about(answer: Answer, body: bytes) -> bool:
    """The primary answers with the beginning of the body's hash: it got exactly what was sent."""
    try:
        return json.loads(answer.body)["id"] == hashlib.sha256(body).hexdigest()[:32]
    except (ValueError, KeyError):
        return False


def numbers(targets: Iterator[str]) -> Iterator[int]:
    """The requests' numbers out of their targets; other traffic has none."""
    found = (target.rpartition("?n=")[2] for target in targets)
    return (int(number) for number in found if number.isdecimal())
