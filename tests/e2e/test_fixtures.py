"""Every fixture request, with its own framing, through Envoy with and without the module.

The primary must get the same bytes either way and the client the same answer; what is to be mirrored arrives at RUM
exactly once, with the right path, headers and body; nothing else arrives there.
"""

from collections.abc import Iterator

import pytest

from support import fixtures, replay, rules, wait
from support.envoy import Envoy, settled
from support.http1 import Request
from support.pair import Setup, setup, without_request_id


@pytest.fixture(scope="module")
def envelopes(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Setup]:
    """The sample as it is: envelopes only."""
    yield from setup(tmp_path_factory.mktemp("envelopes"), rum_config["authority"])


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory, rum_config: dict) -> Iterator[Setup]:
    """`rum.routes: all`, as the vendor's recipe does."""
    change = {"rum": {"routes": "all"}}
    yield from setup(tmp_path_factory.mktemp("everything"), rum_config["authority"], change)


def send(fixture: fixtures.Fixture, setup: Setup, rum_config: dict, everything: bool) -> list[Request]:
    """Sends the fixture through both Envoys and compares; returns what the primary got and registers the copies."""
    marks = setup.primary.mark(), setup.plain_primary.mark()
    with_module = replay.replay(fixture, setup.mirrored.port)
    without = replay.replay(fixture, setup.plain.port)
    assert [(a.status, a.body) for a in with_module] == [(a.status, a.body) for a in without]
    assert [sorted(k for k, _ in a.headers) for a in with_module] == [sorted(k for k, _ in a.headers) for a in without]

    # An answer by the primary means that it has the whole request on record. A request that Envoy refused may have
    # begun before it was refused: those records are not complete and not compared.
    got = [request for request in setup.primary.since(marks[0]) if request.complete]
    plain = [request for request in setup.plain_primary.since(marks[1]) if request.complete]
    assert len(got) == len(plain) == len([a for a in with_module if a.by_primary])
    for one, other in zip(got, plain, strict=True):
        assert without_request_id(one) == without_request_id(other)
        assert one.body == other.body
        assert one.framing == other.framing
    before = setup.rum.expected
    for request in got:
        setup.rum.expect(rules.Copy.of(rum_config, request, everything))
    if setup.rum.expected > before:
        setup.rum.wait()
    setup.rum.verify()
    return got


@pytest.mark.parametrize("fixture", fixtures.load(), ids=str)
def test_envelopes_are_mirrored_and_nothing_else_is(
    fixture: fixtures.Fixture, envelopes: Setup, rum_config: dict
) -> None:
    got = send(fixture, envelopes, rum_config, everything=False)
    for request in got:
        if fixture.wire is None:
            assert request.body == fixture.body
            assert request.target == fixture.meta["path"]


@pytest.mark.parametrize("fixture", [f for f in fixtures.load() if "/envelope/" not in f.meta["path"]], ids=str)
def test_with_routes_all_the_rest_of_the_api_is_mirrored_too(
    fixture: fixtures.Fixture, everything: Setup, rum_config: dict
) -> None:
    send(fixture, everything, rum_config, everything=True)


def test_the_fixtures_cover_every_framing_and_most_are_mirrored() -> None:
    """Guards against a suite that passes because it selects nothing."""
    framings = {f.framing for f in fixtures.load()}
    assert framings == {"content-length", "chunked", "none", "h2-data"}
    going = [f for f in fixtures.load() if rules.mirrored(f.meta["method"], f.meta["path"])]
    assert len(going) > 250
    assert any(f.wire for f in fixtures.load())


def closing(fixture: fixtures.Fixture) -> bool:
    return any(name.lower() == "connection" and value.lower() == "close" for name, value in fixture.meta["headers"])


def test_keep_alive_connection_serves_one_fixture_after_another(envelopes: Setup, rum_config: dict) -> None:
    """SDKs reuse their connection: the module must not mix up what two requests on it carry."""
    mark = envelopes.primary.mark()
    chosen = [f for f in fixtures.load() if f.name.startswith("real/") and f.framing != "h2-data" and not closing(f)]
    with replay.Client(envelopes.mirrored.port) as client:
        for fixture in chosen:
            assert replay.replay_on(client, fixture).status == 200
    got = envelopes.primary.since(mark)
    assert [r.sha256 for r in got] == [f.meta["body_sha256"] for f in chosen]
    for request in got:
        envelopes.rum.expect(rules.Copy.of(rum_config, request))
    envelopes.rum.wait()
    envelopes.rum.verify()


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000, 10_485_759, 10_485_760])
@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_bodies_up_to_the_limit(size: int, framing: str, envelopes: Setup, rum_config: dict) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    mark = envelopes.primary.mark()
    with replay.Client(envelopes.mirrored.port) as client:
        answer = client.request("/api/1/envelope/", body, chunks=[1000, 70_000] if framing == "chunked" else None)
    assert (answer.status, answer.by_primary) == (200, True)
    (request,) = envelopes.primary.since(mark)
    assert request.body == body
    envelopes.rum.expect(rules.Copy.of(rum_config, request))
    envelopes.rum.wait()
    envelopes.rum.verify()


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_body_over_the_limit_reaches_the_primary_only(framing: str, envelopes: Setup) -> None:
    body = b"y" * 10_485_761
    before = books(envelopes)
    mark = envelopes.primary.mark()
    with replay.Client(envelopes.mirrored.port) as client:
        answer = client.request("/api/1/envelope/", body, chunks=[1 << 20] * 10 if framing == "chunked" else None)
    assert (answer.status, answer.by_primary) == (200, True)
    assert envelopes.primary.since(mark)[0].body == body
    after = wait_for_one_more(envelopes.mirrored, before, "rum.skipped.too_large")
    assert after["rum.captured"] == before["rum.captured"]


def test_one_byte_chunks(envelopes: Setup, rum_config: dict) -> None:
    body = bytes(range(256)) * 4
    mark = envelopes.primary.mark()
    with replay.Client(envelopes.mirrored.port) as client:
        assert client.request("/api/2/envelope/", body, chunks=[1] * len(body)).by_primary
    (request,) = envelopes.primary.since(mark)
    assert request.body == body
    envelopes.rum.expect(rules.Copy.of(rum_config, request))
    envelopes.rum.wait()
    envelopes.rum.verify()


def test_client_that_goes_away_inside_the_body_sends_nothing_to_rum(envelopes: Setup) -> None:
    before = books(envelopes)
    with replay.Client(envelopes.mirrored.port) as client:
        client.send(b"POST /api/1/envelope/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n" + b"z" * 500)
    after = wait_for_one_more(envelopes.mirrored, before, "rum.skipped.aborted")
    assert after["rum.captured"] == before["rum.captured"]


def books(setup: Setup) -> dict[str, int]:
    """The metrics, once all that the tests so far have led to has been published."""
    return settled(setup.mirrored, captured=setup.rum.expected, delivered=setup.rum.expected, pending=0)


def wait_for_one_more(envoy: Envoy, before: dict[str, int], name: str) -> dict[str, int]:
    """Metrics are published a little after the exchange, so they are waited for."""
    wait.until(f"one more {name}", lambda: envoy.metrics()[name] == before[name] + 1)
    return envoy.metrics()


SECRETS = [("Cookie", "session=s3cret"), ("Proxy-Authorization", "Basic s3cret"), ("X-Api-Key", "s3cret")]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("Authorization", "Bearer s3cret")], id="bearer"),
        pytest.param([("Authorization", "Sentry sentry_key=5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e")], id="sentry"),
        pytest.param([("Authorization", "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6")], id="basic-only"),
        pytest.param(
            [
                ("Authorization", "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6"),
                ("X-Sentry-Auth", "Sentry sentry_key=5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e"),
            ],
            id="basic-and-sentry",
        ),
        pytest.param([("X-Forwarded-For", "203.0.113.9, 198.51.100.7")], id="chain"),
        pytest.param([("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "198.51.100.7")], id="two-chains"),
        pytest.param([("User-Agent", "caf\xe9"), ("Referer", "http://shop.example/")], id="not-utf-8"),
        pytest.param([("User-Agent", "\xff\xfe")], id="not-utf-8-at-all"),
        pytest.param([("Content-Encoding", "")], id="empty-content-encoding"),
        pytest.param(
            [(n, f"v-{n}") for n in ("traceparent", "tracestate", "baggage", "sentry-trace", "x-request-id", "origin")],
            id="tracing",
        ),
        pytest.param([("Sec-CH-UA", '"X";v="1"'), ("Sec-CH-UA-Mobile", "?0"), ("Sec-Fetch-Mode", "cors")], id="hints"),
        pytest.param([("X-Envoy-Original-Path", "/x"), ("Connection", "keep-alive"), ("TE", "trailers")], id="hops"),
    ],
)
def test_headers_of_the_copy(headers: list[tuple[str, str]], envelopes: Setup, rum_config: dict) -> None:
    """The copy has what the allow-list names, as the primary got it, and never a secret (the fake RUM sees to that)."""
    mark = envelopes.primary.mark()
    # Not 127.0.0.1: for that peer Envoy writes the machine's own address instead.
    with replay.Client(envelopes.mirrored.port, source="127.0.0.7") as client:
        assert client.request("/api/2/envelope/", str(headers).encode(), headers=[*headers, *SECRETS]).by_primary
    (request,) = envelopes.primary.since(mark)
    assert (request.header("x-forwarded-for") or "").endswith("127.0.0.7")
    envelopes.rum.expect(rules.Copy.of(rum_config, request))
    envelopes.rum.wait()
    envelopes.rum.verify()


def test_a_copy_is_never_mirrored_again(envelopes: Setup) -> None:
    """Should RUM's address lead back to the edge, it must not go round."""
    before = books(envelopes)
    with replay.Client(envelopes.mirrored.port) as client:
        assert client.request("/rum/sentry/ws/svc/api/1/envelope/", b"{}").by_primary
    after = wait_for_one_more(envelopes.mirrored, before, "rum.skipped.loop")
    assert after["rum.captured"] == before["rum.captured"]
