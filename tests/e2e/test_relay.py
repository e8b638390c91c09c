"""Debian's nginx with nginx/mirror-relay.conf: its own mirror, an allow-list and a relay, and neither Envoy nor wasm. And
nginx/relay.conf, as far as it can be tried without ngx_wasm_module.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import fixtures, nginx, replay, wait
from support.clients import Clients
from support.fake_rum import Behaviour, FakeRum
from support.load import Load
from support.primary import Primary

MIB = 1 << 20
AUTHORITY = "rum.example.com"
# The samples' `limit_conn`.
AT_A_TIME = 256
SLOW = 2.0
GOALS = {1: "shop/web@aaaa1111", 2: "shop/api@bbbb2222"}


class Stack(NamedTuple):
    """Everything behind a client."""

    nginx: nginx.Nginx
    primary: Primary
    rum: FakeRum
    directory: Path

    def log(self) -> list[list[str]]:
        """The lines of relay.log: time, status, upstream's status, seconds, bytes, target."""
        return [line.split(" ", 5) for line in (self.directory / "logs" / "relay.log").read_text().splitlines()]


def start(directory: Path, keep: bool = True) -> Iterator[Stack]:
    primary, rum = Primary(keep=keep), FakeRum(AUTHORITY, keep=keep)
    try:
        with nginx.relay(directory, primary.port, rum.port) as running:
            yield Stack(running, primary, rum, directory)
    finally:
        primary.close()
        rum.close()
    assert rum.violations == []


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    yield from start(tmp_path)


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[Stack]:
    """Under load only what comes is counted."""
    yield from start(tmp_path, keep=False)


def copy_path(method: str, target: str) -> str | None:
    """Where the sample sends a request, written a second time."""
    found = re.match(r"/api/0*([1-9]\d*)/envelope/", target)
    if found is None or method != "POST":
        return None
    return f"/rum/sentry/{GOALS.get(int(found[1]), 'everything-else/default@cccc3333')}{target}"


def copies(stack: Stack) -> Counter:
    return Counter((copy.target, copy.sha256) for copy in stack.rum.taken)


def wanted(stack: Stack) -> Counter:
    """The copies of what the primary got."""
    found = ((copy_path(each.method, each.target), each.sha256) for each in stack.primary.requests if each.complete)
    return Counter((path, sha256) for path, sha256 in found if path is not None)


HTTP_1 = [f for f in fixtures.load() if f.framing != "h2-data" and f.wire is None]
# What nginx takes for the route only once it has put slashes together or undone escapes: the recipe's map does not know it.
PLAIN = [f for f in HTTP_1 if re.fullmatch(r"/[\w/@.~-]*(\?.*)?", f.meta["path"]) and "//" not in f.meta["path"]]


def test_the_fixtures(stack: Stack) -> None:
    assert len(PLAIN) > 200
    for fixture in PLAIN:
        replay.replay(fixture, stack.nginx.port)
    expected = wanted(stack)
    assert sum(expected.values()) > 150
    stack.rum.wait(sum(expected.values()), 30)
    assert copies(stack) == expected


def test_what_must_not_leave_stays(stack: Stack) -> None:
    secrets = [("Cookie", "session=s3cret"), ("Authorization", "Bearer s3cret"), ("X-Api-Key", "s3cret")]
    headers = [*secrets, ("User-Agent", "sdk/1"), ("X-Forwarded-For", "203.0.113.9"), ("X-Sentry-Auth", "Sentry k")]
    with replay.Client(stack.nginx.port) as client:
        assert client.request("/api/1/envelope/?a=%20b", b"{}\n", headers).by_primary
        basic = [("Authorization", "Basic czNjcmV0OnMzY3JldA==")]
        assert client.request("/api/1/envelope/", b"basic\n", basic).by_primary
        assert client.request("/api/1/envelope/", b"sentry\n", [("Authorization", "Sentry sentry_key=k")]).by_primary
    stack.rum.wait(3)
    # Copies of requests that came one after the other are on their way at the same time.
    taken = {copy.body: copy for copy in stack.rum.taken}
    first, second, third = taken[b"{}\n"], taken[b"basic\n"], taken[b"sentry\n"]
    assert stack.primary.requests[0].header("cookie") == "session=s3cret"
    assert first.header("x-forwarded-for") == "203.0.113.9, 127.0.0.1"
    assert first.values("user-agent") == ["sdk/1"] and first.values("x-sentry-auth") == ["Sentry k"]
    for copy in (first, second):
        assert b"s3cret" not in copy.head and b"czNjcmV0" not in copy.head
        assert copy.values("cookie") == copy.values("authorization") == []
    assert third.values("authorization") == ["Sentry sentry_key=k"]


def test_what_no_rule_covers_stays(stack: Stack) -> None:
    with replay.Client(stack.nginx.port) as client:
        assert client.request("/api/1/store/", b"{}").by_primary
        assert client.request("/api/0/envelope/", b"{}").by_primary
        assert client.request("/api/1/envelope/", b"", method="GET").by_primary
        # A copy that comes back.
        assert client.request("/api/1/envelope/", b"{}", [("x-sentry-edge-mirror", "1")]).by_primary
        assert client.request("/rum/sentry/shop/web@aaaa1111/api/1/envelope/", b"{}").by_primary
        assert client.request("/api/7/envelope/", b"the last one").by_primary
    stack.rum.wait(1)
    assert [copy.body for copy in stack.rum.taken] == [b"the last one"]
    # nginx writes the line only after RUM's answer.
    wait.until("a line", lambda: len(stack.log()) > 0)
    assert len(stack.log()) == 1


@pytest.mark.parametrize("size", [0, 1, 200_000, 3_000_000])
def test_bodies_of_every_size(size: int, stack: Stack) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with replay.Client(stack.nginx.port) as client:
        assert client.request("/api/2/envelope/", body).by_primary
        assert client.request("/api/2/envelope/", body, chunks=[1000, 70_000]).by_primary
    stack.rum.wait(2)
    assert [copy.body == body for copy in stack.rum.taken] == [True, True]


def test_a_slow_rum_holds_up_nobody(stack: Stack) -> None:
    """The next request on the same connection is answered before RUM has answered: by order of events, not by the clock."""
    stack.rum.behave = Behaviour(seconds=SLOW)
    with replay.Client(stack.nginx.port) as client:
        for number in range(20):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
        assert client.request("/elsewhere", b"next").by_primary
        assert stack.rum.accepted == 0
    stack.rum.wait(20, 30)
    assert copies(stack) == wanted(stack)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [(Behaviour(status=503), ("503", "503")), (Behaviour(reset=True), ("502", "502")), (None, ("502", "502"))],
    ids=["503", "reset", "away"],
)
def test_what_became_of_a_copy_is_in_its_log(trouble: Behaviour | None, said: tuple, stack: Stack) -> None:
    if trouble is None:
        stack.rum.close()
    else:
        stack.rum.behave = trouble
    with replay.Client(stack.nginx.port) as client:
        for _ in range(3):
            assert client.request("/api/1/envelope/", b"{}").by_primary
    wait.until("three lines", lambda: len(stack.log()) == 3)
    assert {(line[1], line[2]) for line in stack.log()} == {said}
    assert stack.rum.accepted == 0


def test_connections_to_rum_are_used_again(stack: Stack) -> None:
    with replay.Client(stack.nginx.port) as client:
        for number in range(50):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
            stack.rum.wait(number + 1)
    assert stack.rum.connections < 5


def rss(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_memory_is_flat_when_rum_hangs(counting: Stack) -> None:
    """So many copies wait as `limit_conn` says; the rest is refused, and the log says so."""
    size = 20_000
    assert (warm := Load(counting.nginx.port, size, seconds=1.0, keep=False).join()).wrong == []
    assert warm.unanswered == 0
    counting.rum.behave = Behaviour(hang=True)
    (worker,) = counting.nginx.workers()
    before = peak = rss(worker)
    load = Load(counting.nginx.port, size, seconds=6.0, keep=False)
    most = 0
    while load.running:
        peak, most = max(peak, rss(worker)), max(most, len(list(Path(f"/proc/{worker}/fd").iterdir())))
        time.sleep(0.05)
    result = load.join()
    assert (result.wrong, result.unanswered) == ([], 0)
    # Twice: in the relay and on the way out. And as much again for connections and what the allocator keeps.
    assert peak - before < 4 * AT_A_TIME * size
    assert result.sent > 2 * AT_A_TIME, "too few to fill it"
    # Four sockets for each that waits, and those of the clients.
    assert 2 * AT_A_TIME < most < 4 * AT_A_TIME + 200
    refused = [line for line in counting.log() if (line[1], line[2]) == ("503", "-")]
    assert len(refused) > result.sent - 3 * AT_A_TIME


class Steady(Clients):
    """Envelopes one after the other, each on a connection of its own, as fast as the pause allows."""

    def __init__(self, port: int) -> None:
        self.wrong: list[str] = []
        self._port = port
        super().__init__(2)

    def _run(self, worker: int) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                with replay.Client(self._port) as client:
                    answer = client.request("/api/1/envelope/", b"%d %d" % (worker, number))
            except OSError as error:
                self.wrong.append(repr(error))
                continue
            if not answer.by_primary:
                self.wrong.append(f"{number}: {answer.status}")
            self._stopping.wait(0.02)


def test_reloads_lose_nothing(stack: Stack) -> None:
    stack.rum.behave = Behaviour(seconds=0.5)
    load = Steady(stack.nginx.port)
    for _ in range(5):
        time.sleep(0.5)
        stack.nginx.reload()
    time.sleep(0.5)
    load.halt()
    assert load.wrong == []
    expected = wanted(stack)
    assert sum(expected.values()) > 50
    stack.rum.wait(sum(expected.values()), 20)
    assert copies(stack) == expected
    wait.until("the old workers have ended", lambda: len(stack.nginx.workers()) == 1, 20)


# ---- relay.conf: the same around the module


def test_without_the_module_nothing_leaves(tmp_path: Path, primary: Primary) -> None:
    """Also what a bad plugin configuration, or a trap, would do."""
    rum = FakeRum(AUTHORITY)
    try:
        with (
            nginx.relay(tmp_path, primary.port, rum.port, name="relay.conf") as running,
            replay.Client(running.port) as client,
        ):
            for _ in range(10):
                assert client.request("/api/1/envelope/", b"{}").by_primary
        assert (rum.received, rum.connections) == (0, 0)
        assert (tmp_path / "logs" / "relay.log").read_text() == ""
    finally:
        rum.close()


def test_the_relay_around_the_module(tmp_path: Path, primary: Primary) -> None:
    """A constant in the place of what the module sets: everything else is the sample."""
    rum = FakeRum(AUTHORITY)
    rum.behave = Behaviour(seconds=SLOW)
    path = "/rum/sentry/shop/web@aaaa1111$request_uri"
    changes = {'set $sentry_edge_mirror "";': f'set $sentry_edge_mirror "{path}";'}
    secrets = [("Cookie", "session=s3cret"), ("Authorization", "Bearer s3cret"), ("X-Forwarded-For", "203.0.113.9")]
    try:
        with (
            nginx.relay(tmp_path, primary.port, rum.port, changes, "relay.conf") as running,
            replay.Client(running.port) as client,
        ):
            for number in range(10):
                assert client.request("/api/1/envelope/?a=%20b", b"%d" % number, secrets).by_primary
            assert rum.accepted == 0, "the client has waited for RUM"
            running.reload()
            rum.wait(10, 30)
            wait.until("the old worker has ended", lambda: len(running.workers()) == 1, 20)
    finally:
        rum.close()
    assert rum.violations == []
    assert {copy.target for copy in rum.taken} == {"/rum/sentry/shop/web@aaaa1111/api/1/envelope/?a=%20b"}
    assert sorted(int(copy.body) for copy in rum.taken) == list(range(10))
    for copy in rum.taken:
        assert b"s3cret" not in copy.head
        assert copy.header("x-forwarded-for") == "203.0.113.9, 127.0.0.1"
