"""A second Sentry (`sentry`) behind real Envoy: real SDKs and two real Bugsinks, then its rules, its limits and its absence,
beside RUM, SLS and a primary that notice nothing.
"""

import gzip
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support import bugsink, programs, relay_envelope, replay, rules, second, wait
from support.bugsink import Bugsink
from support.envelope import item_types
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum, own_headers
from support.forwarder import Forwarder
from support.http1 import Request
from support.primary import Primary
from support.second import FakeSecond
from support.sls_traffic import event
from test_rules import decided

WRONG_KEY = "0" * 32


# ---- two Bugsinks


class Stack(NamedTuple):
    """Everything between an SDK and its three receivers; a forwarder before each Bugsink writes down what comes."""

    envoy: Envoy
    primary: Bugsink
    to_primary: Forwarder
    other: Bugsink
    to_other: Forwarder
    rum: FakeRum


def bugsinks(directory: Path, rum_config: dict, **more: Any) -> Iterator[Stack]:
    rum = FakeRum(rum_config["authority"])
    servers = [Bugsink(directory / name) for name in ("primary", "second")]
    forwarders = [Forwarder(server.port) for server in servers]
    try:
        ports = forwarders[0].port, rum.port, forwarders[1].port
        with second.start(directory / "envoy", *ports, **more) as envoy:
            yield Stack(envoy, servers[0], forwarders[0], servers[1], forwarders[1], rum)
            settled(envoy, captured=rum.expected, delivered=rum.expected, pending=0)
    finally:
        for forwarder in forwarders:
            forwarder.close()
        for server in servers:
            server.stop()
        rum.close()
    rum.verify()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Stack]:
    yield from bugsinks(tmp_path_factory.mktemp("second"), rum_config)


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Stack]:
    """The second Sentry gets only what the primary accepts."""
    yield from bugsinks(tmp_path_factory.mktemp("accepted"), rum_config, only_accepted=True)


CASES = [(language, what) for language, kinds in programs.KINDS.items() for what in kinds]


@pytest.mark.parametrize(("language", "what"), CASES)
def test_an_event_is_in_both(language: str, what: str, stack: Stack, rum_config: dict) -> None:
    project = CASES.index((language, what)) // 4 % 3 + 1
    marks = stack.to_primary.mark(), stack.to_other.mark()
    ids = programs.run(language, what, project, stack.envoy.port)
    sent = stack.to_primary.since(marks[0])
    assert sent and {exchange.status for exchange in sent} == {200}
    going = [exchange.request for exchange in sent if not is_held(exchange.request)]
    wait.until("its copies", lambda: stack.to_other.mark() - marks[1] == len(going))
    copied = stack.to_other.since(marks[1])
    assert {exchange.status for exchange in copied} <= {200}
    is_copied(stack, going, [exchange.request for exchange in copied])
    for exchange in sent:
        stack.rum.expect(rules.Copy.of(rum_config, exchange.request))
    stack.rum.wait()
    assert ids or what in ("transaction", "logs", "check_in"), "the program reported no event"
    for event_id in ids:
        stored = stack.primary.event(event_id)
        assert stored is not None and stored == stack.other.event(event_id)
        at_second = [uuid.UUID(found["event_id"]).hex for found in stack.other.events(second.PROJECTS[project])]
        assert uuid.UUID(event_id).hex in at_second, "it is there, in another project"


def is_held(request: Request) -> bool:
    """Bugsink takes no transactions, and says so with each 200, also to an error: `86400:transaction;span:organization`. Each
    project has had one before its first transaction.
    """
    return item_types(request)[:1] == ["transaction"]


def is_copied(stack: Stack, sent: list[Request], copied: list[Request]) -> None:
    """The second Bugsink was sent exactly the copies of what the primary was sent."""
    found = [second.expected(stack.to_other.port, request) for request in sent]
    wanted = Counter((it.copy.path, it.copy.sha256, it.copy.headers) for it in found if it is not None)
    assert Counter((request.target, request.sha256, own_headers(request)) for request in copied) == wanted
    for request in copied:
        assert request.values("host") == [f"127.0.0.1:{stack.to_other.port}"]
        assert request.values(rules.MARKER) == ["1"]


def test_a_limit_that_a_real_server_sets(stack: Stack, rum_config: dict) -> None:
    """Bugsink limits transactions for a day: they do not go, and hold up no errors of their project."""
    programs.run("python", "transaction", 1, stack.envoy.port)
    (event_id,) = programs.run("python", "error", 1, stack.envoy.port)
    wait.until("the error", lambda: stack.other.event(event_id) is not None)
    expect_copies(stack, rum_config)
    held = [exchange for exchange in stack.to_primary.exchanges if is_held(exchange.request)]
    goes = stack.to_primary.mark() - len(held)
    assert len(held) >= 3
    wanted = {"captured": goes, "delivered": goes, "pending": 0, "skipped.limited": len(held)}
    books = second.books(stack.envoy, in_flight=0, retries=0, failed=0, dropped=0, **wanted)
    assert books["attempts"] == books["delivered"]
    assert not any(is_held(exchange.request) for exchange in stack.to_other.exchanges)


def test_the_programs_show_bodies_that_change(stack: Stack) -> None:
    """SDKs name their key in the envelope's header too, and compress it: else the tests above would show less."""
    requests = [exchange.request for exchange in stack.to_primary.exchanges]
    found = [second.expected(stack.to_other.port, request) for request in requests]
    changed = {request.header("content-encoding") for request, it in zip(requests, found, strict=True) if it and it.changed}
    assert changed >= {None, "br", "gzip"}
    assert {exchange.request.header("content-encoding") for exchange in stack.to_other.exchanges} != {None, "br", "gzip"}


def post(port: int, body: bytes, project: int = 1, key: str = "") -> replay.Answer:
    with replay.Client(port) as client:
        return client.request(f"/api/{project}/envelope/?sentry_key={key or bugsink.key(project)}", body)


def with_key(stack: Stack, key: str) -> tuple[str, bytes]:
    """Sends an event with this key: its id, and what the primary was sent."""
    body = event("hello", platform="python")
    assert post(stack.envoy.port, body, key=key).status == (200 if key == bugsink.key(1) else 403)
    got = stack.to_primary.exchanges[-1].request
    assert got.body == body and got.target.endswith(key)
    return json.loads(body.partition(b"\n")[0])["event_id"], body


def expect_copies(stack: Stack, rum_config: dict) -> None:
    for exchange in stack.to_primary.exchanges[stack.rum.expected :]:
        stack.rum.expect(rules.Copy.of(rum_config, exchange.request))
    stack.rum.wait()


def test_what_the_primary_refuses_goes_to_the_second(stack: Stack, rum_config: dict) -> None:
    """Whatever the key was, the copy's is one that the second Sentry knows."""
    refused, _ = with_key(stack, WRONG_KEY)
    wait.until("the copy", lambda: stack.other.event(refused) is not None)
    assert stack.primary.event(refused) is None
    expect_copies(stack, rum_config)
    assert stack.envoy.metrics()[f"{second.LEG}.skipped.refused"] == 0


def test_only_what_the_primary_accepts_goes_to_the_second(accepted: Stack, rum_config: dict) -> None:
    refused = [with_key(accepted, WRONG_KEY)[0] for _ in range(3)]
    taken = with_key(accepted, bugsink.key(1))[0]
    books = second.books(accepted.envoy, captured=1, delivered=1, **{"skipped.refused": 3})
    assert books["attempts"] == 1
    stored = accepted.primary.event(taken)
    assert stored is not None and stored == accepted.other.event(taken)
    assert not any(accepted.other.event(event_id) or accepted.primary.event(event_id) for event_id in refused)
    expect_copies(accepted, rum_config)
    assert accepted.rum.expected == 4, "RUM has no such rule"


# ---- its rules


def test_a_sample(
    start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    """Which, is decided as for RUM: by the id, before anything is addressed anew."""
    envoy = start_second(sample=0.25)
    with replay.Client(envoy.port) as client:
        for number in range(200):
            header = json.dumps({"event_id": uuid.uuid4().hex, "dsn": f"http://{WRONG_KEY}@edge/{number % 3 + 1}"})
            assert client.request(f"/api/{number % 3 + 1}/envelope/", second.envelope("event", number, header)).status == 200
    for request in primary.requests:
        if decided(request, 0.25):
            saas.expect_of(request)
    saas.wait(seconds=30)
    assert 20 < saas.expected < 90
    wanted = {"captured": saas.expected, "delivered": saas.expected, "skipped.sampled": 200 - saas.expected}
    second.books(envoy, **wanted)
    second.everything_at_rum(primary, rum, rum_config)


def test_a_rate(
    start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    envoy = start_second(rate={"copies_per_s": 10})
    began = time.monotonic()
    with replay.Client(envoy.port) as client:
        for number in range(60):
            assert client.request("/api/1/envelope/", second.envelope("event", number)).status == 200
        assert client.request("/api/2/envelope/", b"{}\n").status == 200
    took = time.monotonic() - began

    def counted() -> dict[str, int] | None:
        books = second.books(envoy)
        return books if books["captured"] + books["skipped.limited"] == 61 else None

    books = wait.until("each copy counted", counted)
    assert 11 <= books["captured"] <= 11 + 10 * took + 1
    assert books["attempts"] == books["captured"]
    saas.wait(books["captured"])
    arrived = {request.sha256 for request in saas.arrived}
    for request in primary.requests:
        if request.sha256 in arrived:
            saas.expect_of(request)
    second.everything_at_rum(primary, rum, rum_config)


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_items(
    encoding: str, start_second: Callable[..., Envoy], primary: Primary, rum: FakeRum, saas: FakeSecond, rum_config: dict
) -> None:
    """What stays of an envelope has the other key too."""
    envoy = start_second(items={"not": ["attachment"]})
    header = f'{{"dsn":"http://{WRONG_KEY}@edge.example/1","sent_at":"2026-01-01T00:00:00Z"}}'
    attachment = '{"type":"attachment","length":5}\na\n\nb\n\n'
    bodies = [second.envelope("event", 1, header) + attachment.encode(), f"{header}\n{attachment}".encode()]
    bodies.append(second.envelope("event", 2))
    with replay.Client(envoy.port) as client:
        for body in bodies:
            sent = gzip.compress(body) if encoding else body
            assert client.request("/api/1/envelope/", sent, [("Content-Encoding", encoding)]).status == 200
            assert primary.requests[-1].body == sent
    saas.wait(2)
    second.books(envoy, captured=2, delivered=2, **{"skipped.items": 1})
    its = second.dsn(1, saas.port)
    wanted = second.envelope("event", 1, header.replace(f"http://{WRONG_KEY}@edge.example/1", its.text))
    (changed,) = [copy for copy in saas.taken if b'"number":1' in copy.body]
    assert (changed.body, changed.header("content-encoding")) == (wanted, None)
    (same,) = [copy for copy in saas.taken if copy is not changed]
    assert (same.body, same.header("content-encoding") or "") == (primary.requests[-1].body, encoding)
    assert relay_envelope.head(changed.body)[0]["dsn"] == its.text
    saas.taken = []
    second.everything_at_rum(primary, rum, rum_config)
