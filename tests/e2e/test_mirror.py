"""Debian's nginx with its own mirror -> real Envoy in mode `rewrite` -> the fake RUM. nginx/mirror.conf and
envoy/mirror-target.yaml are started as they are.

Expected of a copy is what nginx sent to the primary: both subrequests carry the same headers.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from support import fixtures, programs, replay, rules
from support.bugsink import Bugsink
from support.envoy import Envoy, settled
from support.fake_rum import OK, Behaviour, FakeRum
from support.forwarder import Forwarder
from support.nginx import Nginx, mirror
from support.primary import Primary
from support.rewrite_edge import FAST, NAME, PLAIN, copy_of
from support.shared import Shared


class Stack(NamedTuple):
    """Everything behind a client."""

    nginx: Nginx
    envoy: Envoy
    primary: Primary
    rum: FakeRum
    plain: bool


def start(directory: Path, authority: str, configuration: dict) -> Iterator[Stack]:
    primary, rum = Primary(), FakeRum(authority)
    try:
        with (
            Shared(directory / "envoy", 0, rum.port, name=NAME, configuration=configuration) as envoy,
            mirror(directory / "nginx", primary.port, envoy.port) as nginx,
        ):
            yield Stack(nginx, envoy, primary, rum, configuration is PLAIN)
            settled(envoy, pending=0, in_flight=0)
    finally:
        primary.close()
        rum.close()
    rum.verify()


@pytest.fixture(scope="module", params=[FAST, PLAIN], ids=["fast_ack", "plain"])
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Stack]:
    yield from start(tmp_path_factory.mktemp("mirror"), rum_config["authority"], request.param)


@pytest.fixture(params=[FAST, PLAIN], ids=["fast_ack", "plain"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path, rum_config: dict) -> Iterator[Stack]:
    """One of its own, for tests that count: metrics are published a moment later."""
    yield from start(tmp_path, rum_config["authority"], request.param)


@pytest.fixture
def fast(tmp_path: Path, rum_config: dict) -> Iterator[Stack]:
    yield from start(tmp_path, rum_config["authority"], FAST)


@pytest.fixture
def plain(tmp_path: Path, rum_config: dict) -> Iterator[Stack]:
    yield from start(tmp_path, rum_config["authority"], PLAIN)


# nginx speaks HTTP/1 here, and what is not HTTP it refuses itself.
HTTP_1 = [f for f in fixtures.load() if f.framing != "h2-data" and f.wire is None]


def expect(stack: Stack, mark: int, rum_config: dict) -> None:
    """Registers the copies of what the primary got, waits for them and compares."""
    before = stack.rum.expected
    for request in stack.primary.since(mark):
        stack.rum.expect(copy_of(request, rum_config, stack.plain))
    if stack.rum.expected > before:
        stack.rum.wait()
    stack.rum.verify()


@pytest.mark.parametrize("fixture", HTTP_1, ids=str)
def test_the_fixtures(fixture: fixtures.Fixture, stack: Stack, rum_config: dict) -> None:
    mark = stack.primary.mark()
    answers = replay.replay(fixture, stack.nginx.port)
    got = stack.primary.since(mark)
    assert len(got) == len([answer for answer in answers if answer.by_primary])
    for request in got:
        assert (request.target, request.body) == (fixture.meta["path"], fixture.body)
    expect(stack, mark, rum_config)


def test_most_of_the_fixtures_are_mirrored() -> None:
    """Guards against a suite that passes because it selects nothing."""
    assert len([f for f in HTTP_1 if rules.mirrored(f.meta["method"], f.meta["path"])]) > 200


SECRETS = [("Cookie", "session=s3cret"), ("Authorization", "Bearer s3cret"), ("X-Api-Key", "s3cret")]


def test_what_must_not_leave_stays(stack: Stack, rum_config: dict) -> None:
    mark = stack.primary.mark()
    headers = [*SECRETS, ("User-Agent", "sdk/1"), ("X-Forwarded-For", "203.0.113.9")]
    with replay.Client(stack.nginx.port) as client:
        assert client.request("/api/1/envelope/?a=%20b", b"{}\n", headers=headers).by_primary
    (request,) = stack.primary.since(mark)
    assert request.header("cookie") == "session=s3cret"
    assert request.header("x-forwarded-for") == "203.0.113.9, 127.0.0.1"
    expect(stack, mark, rum_config)


def test_what_no_rule_covers_is_answered_and_counted(fresh: Stack) -> None:
    with replay.Client(fresh.nginx.port) as client:
        for target in ("/api/1/store/", "/api/1/minidump/"):
            assert client.request(target, b"{}", headers=SECRETS).by_primary
    # Our own copy that comes back.
    with replay.Client(fresh.envoy.port) as client:
        answer = client.request("/rum/sentry/ws/svc/api/1/envelope/", b"{}", headers=SECRETS)
        assert (answer.status, answer.body) == (204, b"")
    settled(fresh.envoy, captured=0, **{"skipped.route": 2, "skipped.loop": 1})
    assert fresh.rum.received == 0


def test_the_answer_is_204_also_to_what_envoy_takes_for_grpc(fresh: Stack) -> None:
    """Envoy itself would make a 200 of it."""
    with replay.Client(fresh.envoy.port) as client:
        answer = client.request("/api/1/store/", b"{}", headers=[("content-type", "application/grpc")])
        assert (answer.status, answer.body) == (204, b"")
    settled(fresh.envoy, captured=0)


@pytest.mark.parametrize("size", [0, 1, 200_000, 3_000_000, 10_485_760])
def test_bodies_of_every_size(size: int, stack: Stack, rum_config: dict) -> None:
    mark = stack.primary.mark()
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    with replay.Client(stack.nginx.port) as client:
        assert client.request("/api/2/envelope/", body).by_primary
        assert client.request("/api/2/envelope/", body, chunks=[1000, 70_000]).by_primary
    assert [request.body == body for request in stack.primary.since(mark)] == [True, True]
    expect(stack, mark, rum_config)


def test_a_body_over_the_limit_still_goes_the_plain_way(fresh: Stack, rum_config: dict) -> None:
    """fast_ack would have to keep it; then it is not kept, but forwarded."""
    with replay.Client(fresh.nginx.port) as client:
        assert client.request("/api/1/envelope/", b"y" * 12_000_000).by_primary
    expect(fresh, 0, rum_config)
    settled(fresh.envoy, captured=1, delivered=1, in_place=1)


SLOW = 2.0


def next_request_waits(stack: Stack, rum_config: dict) -> bool:
    """Sends two requests on one connection while RUM takes its time for the first: is the second answered before RUM has
    answered the first? By order of events, not by the clock.
    """
    stack.rum.behave = Behaviour(seconds=SLOW)
    mark = stack.primary.mark()
    with replay.Client(stack.nginx.port) as client:
        assert client.request("/api/1/envelope/", b"first").by_primary
        assert client.request("/elsewhere", b"second").by_primary
        answered = stack.rum.accepted
    stack.rum.behave = OK
    for request in stack.primary.since(mark):
        stack.rum.expect(copy_of(request, rum_config, stack.plain))
    stack.rum.wait(seconds=20)
    return answered == 1


def test_a_slow_rum_does_not_delay_the_next_request_with_fast_ack(fast: Stack, rum_config: dict) -> None:
    assert not next_request_waits(fast, rum_config)
    settled(fast.envoy, captured=1, delivered=1, in_place=0)


def test_a_slow_rum_delays_the_next_request_without(plain: Stack, rum_config: dict) -> None:
    """What the other test would show if fast_ack did nothing."""
    assert next_request_waits(plain, rum_config)
    settled(plain.envoy, captured=1, delivered=1, in_place=1)


def test_fast_ack_rides_out_an_outage(fast: Stack, rum_config: dict) -> None:
    fast.rum.close()
    mark = fast.primary.mark()
    with replay.Client(fast.nginx.port) as client:
        for number in range(20):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
    settled(fast.envoy, captured=20, delivered=0, pending=20)
    for request in fast.primary.since(mark):
        fast.rum.expect(copy_of(request, rum_config, fast.plain))
    fast.rum.reopen()
    fast.rum.wait(seconds=60)
    settled(fast.envoy, captured=20, delivered=20, pending=0)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_the_plain_way_counts_what_rum_says(status: int, plain: Stack) -> None:
    plain.rum.behave = Behaviour(status=status)
    with replay.Client(plain.nginx.port) as client:
        assert client.request("/api/1/envelope/", b"{}").by_primary
    settled(plain.envoy, captured=1, failed=1, attempts=1)
    assert plain.rum.received == 1


@pytest.mark.parametrize("trouble", [Behaviour(reset=True), Behaviour(reset_on_accept=True)], ids=["late", "early"])
def test_the_plain_way_counts_what_is_broken(trouble: Behaviour, plain: Stack) -> None:
    plain.rum.behave = trouble
    with replay.Client(plain.nginx.port) as client:
        assert client.request("/api/1/envelope/", b"{}").by_primary
        assert client.request("/api/1/envelope/", b"{}").by_primary
    settled(plain.envoy, captured=2, failed=2)


def test_without_envoy_sentry_is_served_all_the_same(tmp_path: Path) -> None:
    primary, gone = Primary(), Primary()
    gone.close()
    try:
        with mirror(tmp_path, primary.port, gone.port) as nginx, replay.Client(nginx.port) as client:
            for _ in range(3):
                began = time.monotonic()
                assert client.request("/api/1/envelope/", b"{}").by_primary
                assert time.monotonic() - began < 5
    finally:
        primary.close()


def test_connections_to_envoy_are_used_again(fast: Stack, rum_config: dict) -> None:
    """The recipe's mirror opens one per copy. (Only answers without a body leave it usable.)"""
    mark = fast.primary.mark()
    with replay.Client(fast.nginx.port) as client:
        for number in range(50):
            assert client.request("/api/1/envelope/", b"%d" % number).by_primary
    expect(fast, mark, rum_config)
    opened = fast.envoy.stats("http.mirror_target.downstream_cx_total")["http.mirror_target.downstream_cx_total"]
    assert opened < 10


class Sdk(NamedTuple):
    """An SDK's way to a Sentry server, and to RUM."""

    nginx: Nginx
    envoy: Envoy
    forwarder: Forwarder
    bugsink: Bugsink
    rum: FakeRum


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Sdk]:
    directory = tmp_path_factory.mktemp("sdk")
    rum, bugsink = FakeRum(rum_config["authority"]), Bugsink(directory / "bugsink")
    forwarder = Forwarder(bugsink.port)
    try:
        with (
            Envoy(directory / "envoy", 0, rum.port, name=NAME, concurrency=2) as envoy,
            mirror(directory / "nginx", forwarder.port, envoy.port) as nginx,
        ):
            yield Sdk(nginx, envoy, forwarder, bugsink, rum)
            settled(envoy, captured=rum.expected, delivered=rum.expected, pending=0)
    finally:
        forwarder.close()
        bugsink.stop()
        rum.close()
    rum.verify()


@pytest.mark.parametrize("language", programs.KINDS)
def test_live_sdks(language: str, sdk: Sdk, rum_config: dict) -> None:
    """All kinds in one program of each language."""
    mark, taken = sdk.forwarder.mark(), len(sdk.rum.taken)
    kinds = programs.KINDS[language]
    ids = programs.run(language, " ".join(kinds), 1, sdk.nginx.port)
    exchanges = sdk.forwarder.since(mark)
    assert len(exchanges) >= len(kinds), "the SDK sent too little"
    for exchange in exchanges:
        assert exchange.status == 200
        copy = rules.Copy.of(rum_config, exchange.request)
        assert copy is not None, f"an SDK sent something that is no envelope: {exchange.request}"
        sdk.rum.expect(copy)
    for event_id in ids:
        assert sdk.bugsink.event(event_id) is not None, f"{event_id} is not in Bugsink"
    sdk.rum.wait()
    copies = sdk.rum.taken[taken:]
    assert sorted(c.body for c in copies) == sorted(e.request.body for e in exchanges)
