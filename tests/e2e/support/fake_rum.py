"""The fake RUM receiver: misbehaves on request, and checks every byte that it is sent.

Whatever is not exactly a faithful copy is a violation, and `verify` (called at teardown of every test that uses it)
fails with all of them: a test cannot forget to look.
"""

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from . import http1, loop, rules, wait


@dataclass(frozen=True)
class Behaviour:
    """What the receiver does with a request."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0  # how long it thinks after having read the request
    reset_on_accept: bool = False  # RST instead of reading
    hang_before_reading: bool = False  # leaves the connection unread
    hang: bool = False  # reads the request and never answers
    reset: bool = False  # reads the request and resets the connection


OK = Behaviour()
Script = Callable[[http1.Request], Behaviour]


class FakeRum(loop.Server):
    """An HTTP/1.1 receiver. `arrived` are all whole requests, `taken` those answered 2xx."""

    def __init__(self, authority: str, port: int = 0, keep: bool = True, ssl: object = None) -> None:
        self.authority = authority
        self.arrived: list[http1.Request] = []
        self.taken: list[http1.Request] = []
        self.taken_at: list[float] = []
        self.violations: list[str] = []
        self.received = 0  # whole requests
        self.accepted = 0  # whole requests answered 2xx
        self.connections = 0
        self.behave: Behaviour | Script = OK
        self.forwarded_for = 1  # lines of X-Forwarded-For that every copy has
        self.expected = 0  # copies registered so far
        self._expected: list[rules.Copy] = []
        self._checked = keep  # without the record there is no comparison with expectations, only the static checks
        self._lock = threading.Lock()
        super().__init__(port, ssl)

    # ---- serving

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        behaviour = self.behave if isinstance(self.behave, Behaviour) else OK
        if behaviour.reset_on_accept:
            _reset(writer)
            return
        if behaviour.hang_before_reading:
            await asyncio.Event().wait()
        while True:
            try:
                request = await http1.read_request(reader)
            except http1.Malformed as error:
                self.violations.append(f"malformed: {error}")
                return
            if request is None:
                return
            self._check(request)
            if not request.complete:
                # Given up inside the body: by Envoy's own timeout or shutdown, or in mode `rewrite` by the client.
                return
            behaviour = self.behave if isinstance(self.behave, Behaviour) else self.behave(request)
            taken = 200 <= behaviour.status < 300 and not behaviour.hang and not behaviour.reset
            with self._lock:
                self.received += 1
                if self._checked:
                    self.arrived.append(request)
            if behaviour.hang:
                await asyncio.Event().wait()
            if behaviour.reset:
                _reset(writer)
                return
            if behaviour.seconds:
                await asyncio.sleep(behaviour.seconds)
            with self._lock:
                if taken:
                    self.accepted += 1
                    if self._checked:
                        self.taken.append(request)
                        self.taken_at.append(request.arrived)
            writer.write(http1.response(behaviour.status, b"{}", list(behaviour.headers)))
            await writer.drain()

    def _path_problems(self, request: http1.Request) -> list[str]:
        if not re.match(r"/rum/sentry/[A-Za-z0-9._@-]+/[A-Za-z0-9._@-]+/", request.target):
            return ["path is not /rum/sentry/<workspace>/<service id>/..."]
        return ["a copy of a copy"] if request.target.count("/rum/sentry/") != 1 else []

    def _check(self, request: http1.Request) -> None:
        """What must hold for every request, whatever it is a copy of."""
        problems = self._path_problems(request)
        if request.values("host") != [self.authority]:
            problems.append(f"Host is {request.values('host')}, not exactly one {self.authority!r}")
        if request.values(rules.MARKER) != ["1"]:
            problems.append(f"{rules.MARKER} is {request.values(rules.MARKER)}, not exactly one 1")
        names = {name.lower() for name, _ in request.headers}
        problems += [f"header {name!r} is not on the allow-list" for name in names if not rules.allowed(name)]
        if len(request.values("x-forwarded-for")) != self.forwarded_for:
            problems.append(f"{len(request.values('x-forwarded-for'))} X-Forwarded-For lines, not {self.forwarded_for}")
        if request.method != "OPTIONS" and request.framing == "none" and request.method in ("POST", "PUT", "PATCH"):
            problems.append("no length")
        self.violations += [f"{request}: {problem}" for problem in problems]

    # ---- expectations

    def expect(self, copy: rules.Copy | None) -> None:
        """Registers a copy that has to arrive exactly once; None (not to be mirrored) registers nothing."""
        if copy is not None:
            with self._lock:
                self._expected.append(copy)
                self.expected += 1

    def wait(self, count: int | None = None, seconds: float = 10.0) -> None:
        """Waits until `count` copies were taken; without a count, as many as are expected."""
        wanted = self.expected if count is None else count
        wait.until(f"{wanted} copies taken by RUM", lambda: self.accepted >= wanted, seconds)

    def verify(self) -> None:
        """Fails unless what was taken is exactly what was expected and no request was wrong in any way.

        What was compared is forgotten, so that a test fails for its own copies and not for those of the one before.
        """
        with self._lock:
            taken, expected, problems = self.taken, self._expected, self.violations
            self.taken, self._expected, self.violations = [], [], []
        left = Counter((copy.path, copy.sha256) for copy in expected)
        headers: dict[tuple[str, str], list[tuple]] = {}
        for copy in expected:
            headers.setdefault((copy.path, copy.sha256), []).append(copy.headers)
        for request in taken:
            key = (request.target, request.sha256)
            if left[key] == 0:
                problems.append(f"unexpected, or taken twice: {request}")
                continue
            left[key] -= 1
            got = own_headers(request)
            if got in headers[key]:
                headers[key].remove(got)
            else:
                problems.append(f"{request}: headers {_difference(got, headers[key][0])}")
        problems += [f"never taken: {path[:120]} sha256 {sha[:8]} (x {n})" for (path, sha), n in left.items() if n > 0]
        assert not problems, f"{len(problems)} violations at {type(self).__name__}:\n  " + "\n  ".join(problems[:20])


def own_headers(request: http1.Request) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found: dict[str, list[str]] = {}
    for name, value in request.headers:
        if name.lower() not in rules.OWN:
            found.setdefault(name.lower(), []).append(value)
    return tuple(sorted((name, tuple(values)) for name, values in found.items()))


def _difference(got: tuple, wanted: tuple) -> str:
    extra, missing = dict(set(got) - set(wanted)), dict(set(wanted) - set(got))
    return f"wrong: has {str(extra)[:400]}, should have {str(missing)[:400]}"


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST: what was not read is an error at the other side, not an orderly end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
