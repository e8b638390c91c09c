"""Rules for copies (envoy/rules.md) with real Envoy: the whole corpus through each, and the primary as ever."""

import gzip
import hashlib
import ipaddress
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import brotli
import pytest

from support import fixtures, programs, relay_envelope, replay, rules, sls_edge, sls_traffic, wait
from support.envoy import Envoy, settled
from support.fake_rum import FakeRum, own_headers
from support.fake_sls import FakeSls
from support.http1 import Request
from support.primary import Primary
from support.shared import Shared
from support.sls_checks import post

ALWAYS = {"session", "sessions", "client_report", "check_in"}
MAX_LINE = 16_384
BLOBS = {"attachment", "replay_recording", "replay_video", "profile"}


@pytest.fixture
def start(tmp_path: Path, primary: Primary, rum: FakeRum) -> Any:
    """Starts the sample with rules; at the end nothing may be left undecided or pending."""
    running: list[Envoy] = []

    def starter(**changes: Any) -> Envoy:
        running.append(Shared(tmp_path / "envoy", primary.port, rum.port, configuration={"rum": changes}))
        return running[-1]

    yield starter
    for envoy in running:
        settled(envoy, pending=0, in_flight=0, queued=0, pending_bytes=0)
        envoy.stop()


def send_corpus(envoy: Envoy, primary: Primary) -> list[Request]:
    """The corpus; gives what the primary got whole, in the order in which it came."""
    for fixture in fixtures.load():
        replay.replay(fixture, envoy.port)
    return [request for request in primary.requests if request.complete]


# ---- the client's address


def network(address: str) -> str | None:
    """Of IPv4 24 bits, of IPv6 48; None for what is no address."""
    text = address.strip().removeprefix("[").split("]")[0]
    if text.count(":") == 1:
        text = text.split(":")[0]
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return None
    ip = getattr(ip, "ipv4_mapped", None) or ip
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network((ip, prefix), strict=False).network_address)


@pytest.mark.parametrize("client_ip", ["truncated", "none"])
def test_the_clients_address_in_the_corpus(
    client_ip: str, start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    rum.forwarded_for = {"truncated": 1, "none": 0}[client_ip]
    envoy = start(client_ip=client_ip)
    with replay.Client(envoy.port) as client:
        client.request("/api/1/envelope/", b"{}\n", [("X-Forwarded-For", "203.0.113.9, [2001:db8:1:2::3]:443, secret")])
    for request in send_corpus(envoy, primary):
        copy = rules.Copy.of(rum_config, request)
        if copy is None:
            continue
        # The primary's view: Envoy has appended the peer.
        headers = dict(copy.headers)
        chain = ",".join(headers.pop("x-forwarded-for"))
        networks = [found for entry in chain.split(",")[:32] if (found := network(entry))]
        if client_ip == "truncated":
            headers["x-forwarded-for"] = (", ".join(networks),)
        rum.expect(replace(copy, headers=tuple(sorted(headers.items()))))
    assert rum.expected > 200
    rum.wait()
    first = rum.arrived[0].values("x-forwarded-for")
    assert client_ip == "none" or first[0].startswith("203.0.113.0, 2001:db8:1::, ")


@pytest.mark.parametrize(("client_ip", "seen"), [("truncated", "203.0.113.0"), ("none", "[Filtered]")])
def test_the_clients_address_in_logs(
    client_ip: str, seen: str, start_sls: Callable[..., Envoy], sls: FakeSls
) -> None:
    envoy = start_sls(sls_edge.section(client_ip=client_ip), with_rum=False)
    headers = [["X-Forwarded-For", "203.0.113.9"], ["Accept", "*/*"]]
    post(envoy, sls_traffic.event("hello", user={"ip_address": "203.0.113.9"}, request={"headers": headers}))
    (log,) = sls.wait(1)
    assert "203.0.113.9" not in str(log.fields)
    assert str(log.fields).count(seen) >= 2


# ---- samples


def decided(request: Request, sample: float) -> bool:
    """Whether an envelope goes, by the documentation."""
    encoding = request.header("content-encoding")
    try:
        body = relay_envelope.decode(request.body, encoding)
        line = body.partition(b"\n")[0]
        if len(line) >= MAX_LINE:
            return True
        relay_envelope.read(line)  # a header of several lines is none here
        envelope = relay_envelope.read(body)
    except (relay_envelope.Undecodable, relay_envelope.Malformed):
        return True
    trace = envelope.header.get("trace")
    trace = trace.get("trace_id") if isinstance(trace, dict) else None
    identity = relay_envelope.event_id(trace) or envelope.event_id
    if identity is None or any(item.type in ALWAYS for item in envelope.items):
        return True
    return int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) < sample * 2**32


@pytest.mark.parametrize("sample", [0, 0.4])
def test_the_corpus_is_sampled_as_documented(
    sample: float, start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    envoy = start(sample=sample)
    left_out = 0
    for request in send_corpus(envoy, primary):
        copy = rules.Copy.of(rum_config, request)
        if copy is None:
            continue
        if decided(request, sample):
            rum.expect(copy)
        else:
            left_out += 1
    assert left_out > 50 and rum.expected > 50
    rum.wait(seconds=30)
    metrics = settled(envoy, 30, captured=rum.expected, delivered=rum.expected, queued=0)
    assert metrics["rum.skipped.sampled"] == left_out


def test_a_trace_of_an_sdk_stays_together(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    envoy = start(sample=0.5)
    for what in ("error", "transaction", "attachment", "session", "check_in"):
        programs.run("python", what, 1, envoy.port)
    for request in primary.requests:
        copy = rules.Copy.of(rum_config, request)
        rum.expect(copy if decided(request, 0.5) else None)
    rum.wait()
    settled(envoy, captured=rum.expected, queued=0)


# ---- items


def parsed(body: bytes, encoding: str | None) -> str | None:
    """What is in an envelope, without attachments and recordings; None when it is none."""
    try:
        envelope = relay_envelope.read(relay_envelope.decode(body, encoding))
    except (relay_envelope.Undecodable, relay_envelope.Malformed):
        return None
    items = [[item.header, item.payload.hex()] for item in envelope.items if item.type not in BLOBS]
    return json.dumps([envelope.header, *items]) if items or not envelope.items else None


def is_whole(request: Request) -> bool:
    envelope = relay_envelope.read(relay_envelope.decode(request.body, request.header("content-encoding")))
    return not any(item.type in BLOBS for item in envelope.items)


def test_the_corpus_without_attachments_and_recordings(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    """Untouched copies are compared byte by byte, the others by what is in them."""
    envoy = start(items={"not": sorted(BLOBS)})
    requests = [r for r in send_corpus(envoy, primary) if rules.Copy.of(rum_config, r) is not None]
    wanted = [r for r in requests if parsed(r.body, r.header("content-encoding")) is not None]
    whole = [r for r in wanted if is_whole(r)]
    assert len(whole) > 150 and len(wanted) - len(whole) >= 3 and len(requests) - len(wanted) >= 3
    rum.wait(len(wanted), 30)
    metrics = settled(envoy, 30, captured=len(wanted), delivered=len(wanted), queued=0)
    assert metrics["rum.skipped.items"] == len(requests) - len(wanted)

    def contents(requests: list[Request]) -> Counter:
        return Counter(parsed(r.body, r.header("content-encoding")) for r in requests)

    assert contents(rum.arrived) == contents(wanted)
    # Those that go as they came have their headers; the others are not encoded.
    came = Counter((copy.target, copy.sha256, own_headers(copy)) for copy in rum.arrived)
    copies = [rules.Copy.of(rum_config, request) for request in whole]
    came.subtract((copy.path, copy.sha256, copy.headers) for copy in copies)
    assert min(came.values()) == 0
    assert all("content-encoding" not in dict(headers) for (_, _, headers), left in came.items() if left)
    rum.taken = []


# ---- scrubbing


def test_sensitive_values_of_a_copy_stay_behind(start: Callable[..., Envoy], primary: Primary, rum: FakeRum) -> None:
    """What the primary gets is as it was; the copy parses, and has all but the secret."""
    secret = "correct-horse-battery"
    envoy = start(scrub=True, client_ip="none")
    rum.forwarded_for = 0
    body = sls_traffic.event("hello", extra={"a": [{"db_PassWord": secret}], "kept": 1}, user={"ip_address": "203.0.113.9"})
    for encoding, encoded in (("", body), ("gzip", gzip.compress(body)), ("br", brotli.compress(body))):
        with replay.Client(envoy.port) as client:
            assert client.request("/api/1/envelope/", encoded, [("Content-Encoding", encoding)]).status == 200
        assert primary.requests[-1].body == encoded
    rum.wait(3)
    for copy in rum.arrived:
        assert copy.header("content-encoding") is None
        (item,) = relay_envelope.read(copy.body).items
        event = json.loads(item.payload)
        assert item.header["length"] == len(item.payload)
        assert event["extra"] == {"a": [{"db_PassWord": "[Filtered]"}], "kept": 1}
        assert (event["message"], event["user"]) == ("hello", {"ip_address": "[Filtered]"})
    rum.taken = []
    settled(envoy, captured=3, delivered=3)


# ---- rates


def test_a_project_over_its_rate(start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict) -> None:
    envoy = start(rate={"copies_per_s": 10})
    began = time.monotonic()
    with replay.Client(envoy.port) as client:
        for number in range(60):
            assert client.request("/api/1/envelope/", b"{}\n%d" % number).status == 200
        assert client.request("/api/2/envelope/", b"{}\n").status == 200
    took = time.monotonic() - began
    assert len(primary.requests) == 61

    def counted() -> dict[str, int] | None:
        metrics = envoy.metrics()
        return metrics if metrics.get("rum.captured", 0) + metrics.get("rum.skipped.limited", 0) == 61 else None

    metrics = wait.until("each copy counted", counted, 15)
    # A second's worth at once, then as time passes; and the other project's.
    assert 11 <= metrics["rum.captured"] <= 11 + 10 * took + 1
    rum.wait(metrics["rum.captured"])
    taken = {request.sha256 for request in rum.arrived}
    for request in primary.requests:
        if request.sha256 in taken:
            rum.expect(rules.Copy.of(rum_config, request))
    assert any("/api/2/envelope/" in request.target for request in rum.arrived)


# ---- only what the primary accepts


def test_what_the_primary_refuses_is_not_mirrored(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    envoy = start(only_accepted=True)
    refusals = 0
    with replay.Client(envoy.port) as client:
        for number, status in enumerate([200, 401, 403, 413, 429, 400, 404, 500, 200]):
            primary.status = status
            assert client.request("/api/1/envelope/", b"{}\n%d" % number).status == status
            refused = status in (401, 403, 413, 429)
            refusals += refused
            rum.expect(None if refused else rules.Copy.of(rum_config, primary.requests[-1]))
    rum.wait()
    metrics = settled(envoy, captured=rum.expected, delivered=rum.expected, queued=0)
    assert metrics["rum.skipped.refused"] == refusals == 4


def test_a_copy_waits_for_the_primary(
    start: Callable[..., Envoy], primary: Primary, rum: FakeRum, rum_config: dict
) -> None:
    envoy = start(only_accepted=True)
    primary.hold()
    body = b"{}\n" + b"x" * 100_000
    head = f"POST /api/1/envelope/ HTTP/1.1\r\nHost: edge.example\r\nContent-Length: {len(body)}\r\n\r\n"
    with replay.Client(envoy.port) as client, replay.Client(envoy.port) as gone:
        client.send(head.encode() + body)
        gone.send(head.encode() + body.replace(b"x", b"y"))
        metrics = settled(envoy, captured=0, pending=0, queued=2)
        assert metrics["rum.pending_bytes"] > 200_000 and rum.received == 0
        # Whoever goes away leaves no answer behind: nobody knows that it was refused.
        gone.close()
        rum.wait(1)
        assert rum.arrived[0].body.endswith(b"yyy")
        primary.release()
        assert client.answer().status == 200
    rum.wait(2)
    for request in primary.requests:
        rum.expect(rules.Copy.of(rum_config, request))
    settled(envoy, captured=2, delivered=2, queued=0)


def test_an_early_refusal_ends_the_copy(start: Callable[..., Envoy], primary: Primary, rum: FakeRum) -> None:
    """Nothing of a body that is not complete is kept once the primary has said 413."""
    envoy = start(only_accepted=True)
    primary.early = 413
    with replay.Client(envoy.port) as client:
        head = "POST /api/1/envelope/ HTTP/1.1\r\nHost: edge.example\r\nContent-Length: 300000\r\n\r\n"
        client.send(head.encode() + b"x" * 100_000)
        assert client.answer().status == 413
    settled(envoy, captured=0, queued=0, collecting_bytes=0, **{"skipped.refused": 1})
    assert rum.received == 0
