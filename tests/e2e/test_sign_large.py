"""Mode `sign`, writes that are too large for one callback: hashed in ticks, while other clients are served.

What is asserted is what arrives, not how long it takes: each write is there, whole, signed, once.
"""

import hashlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest

from support import replay, sample, sign_edge, sls_edge, upstream_sign, wait
from support.envoy import Envoy
from support.fake_sls import FakeSls, Key
from support.http1 import Request
from support.shared import Shared
from support.sign_edge import PROTOBUF, STORE, settled
from support.sls_group import Group

MIB = 1 << 20
LB = f"/logstores/{STORE}/shards/lb"
# More than SLS takes, and as much as a listener may hold here.
LIMITS = {"max_body_bytes": 16 * MIB, "max_pending_bytes": 128 * MIB}


class AnyBody(FakeSls):
    """Takes bodies that are no log groups. The head is judged, and the signature by the body that came."""

    def _read_group(self, request: Request) -> Group:
        return Group(request.body, [])


@pytest.fixture
def service() -> Iterator[AnyBody]:
    server = AnyBody({sls_edge.KEY_ID: Key(sls_edge.SECRET)}, sls_edge.PROJECT, sls_edge.ENDPOINT, STORE)
    server.region = sls_edge.REGION
    yield server
    server.close()
    server.verify()


def hold_16_mib(bootstrap: sample.Yaml) -> None:
    (listener,) = bootstrap["static_resources"]["listeners"]
    listener["per_connection_buffer_limit_bytes"] = 24 * MIB
    sample.hcm(listener)["http2_protocol_options"] = {
        "initial_stream_window_size": 24 * MIB,
        "initial_connection_window_size": 64 * MIB,
    }


@pytest.fixture(params=["listener", "cluster"])
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def start(tmp_path: Path, service: AnyBody, place: str) -> Iterator[Callable[..., Envoy]]:
    running: list[Envoy] = []

    def starter(version: str = "v4", **options: Any) -> Envoy:
        service.version = version

        def also(bootstrap: sample.Yaml) -> None:
            hold_16_mib(bootstrap)
            if place == "cluster":
                upstream_sign.move(bootstrap)

        running.append(
            sign_edge.start(tmp_path, service, version, limits=LIMITS, also=also, kind=Shared, **options)
        )
        return running[-1]

    yield starter
    for envoy in running:
        settled(envoy, 60, pending_bytes=0)
        envoy.stop()


class Stream2:
    """One HTTP/2 connection with one write on it, its body pushed as fast as it is taken."""

    def __init__(self, port: int, *more: tuple[str, str]) -> None:
        self.client = replay.Client(port, 60)
        self.wire = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.wire.initiate_connection()
        head = [(":method", "POST"), (":scheme", "http"), (":authority", "edge"), (":path", LB), *more]
        self.wire.send_headers(1, head)
        self.client.send(self.wire.data_to_send())
        self.events: list[h2.events.Event] = []

    def send(self, body: bytes, end: bool, trailers: bool = False) -> None:
        left = memoryview(body)
        while left:
            window = min(self.wire.local_flow_control_window(1), self.wire.max_outbound_frame_size, len(left))
            if window <= 0:
                self._read()
                continue
            self.wire.send_data(1, bytes(left[:window]))
            left = left[window:]
            if len(left) % (MIB) < window or not left:
                self.client.send(self.wire.data_to_send())
        if trailers:
            self.wire.send_headers(1, [("x-trailer", "1")], end_stream=True)
        elif end:
            self.wire.end_stream(1)
        self.client.send(self.wire.data_to_send())

    def _read(self) -> None:
        data = self.client.socket.recv(65536)
        assert data, "the connection ended"
        self.events += self.wire.receive_data(data)
        self.client.send(self.wire.data_to_send())

    def reset(self) -> None:
        self.wire.reset_stream(1)
        self.client.send(self.wire.data_to_send())

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        ends = (h2.events.StreamEnded, h2.events.StreamReset, h2.events.ConnectionTerminated)
        while not any(isinstance(event, ends) for event in self.events):
            self._read()
        assert any(isinstance(event, h2.events.StreamEnded) for event in self.events), self.events
        (head,) = [event for event in self.events if isinstance(event, h2.events.ResponseReceived)]
        headers = {str(name): str(value) for name, value in head.headers}
        body = b"".join(event.data for event in self.events if isinstance(event, h2.events.DataReceived))
        return int(headers[":status"]), headers, body


class Asking:
    """Another client, which asks all the time: small writes, and what is refused. Each has its answer."""

    def __init__(self, port: int) -> None:
        self.port, self.sent, self.refused = port, [], 0
        self.over = threading.Event()
        self.failed: list[str] = []
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()

    def _ask(self) -> None:
        number = 0
        while not self.over.is_set() and not self.failed:
            body = b"small %d" % number
            with replay.Client(self.port, 60) as client:
                answer = client.request(LB, body, [PROTOBUF])
                if answer.status != 200:
                    self.failed.append(f"{answer}")
                self.sent.append(body)
                answer = client.request("/logstores/other", body, [PROTOBUF])
                if answer.status != 403:
                    self.failed.append(f"{answer}")
                self.refused += 1
            number += 1

    def end(self) -> list[bytes]:
        self.over.set()
        self.thread.join(60)
        assert not self.failed, self.failed
        assert len(self.sent) > 2
        return self.sent


def digests(bodies: list[bytes]) -> Counter[str]:
    return Counter(hashlib.sha256(body).hexdigest() for body in bodies)


def arrived(service: FakeSls) -> Counter[str]:
    return Counter(request.sha256 for request in service.requests)


@pytest.mark.parametrize("version", ["v4", "v1"])
def test_16_mib_while_another_client_asks_all_the_time(
    start: Callable[..., Envoy], service: AnyBody, version: str
) -> None:
    """In one piece, in chunks, over HTTP/2, with and without trailers."""
    envoy = start(version)
    bodies = [os.urandom(16 * MIB) for _ in range(4)]
    other = Asking(envoy.port)
    try:
        with replay.Client(envoy.port, 60) as client:
            assert client.request(LB, bodies[0], [PROTOBUF]).status == 200
            assert client.request(LB, bodies[1], [PROTOBUF], chunks=[4 * MIB, 1, 3 * MIB]).status == 200
        for body, trailers in ((bodies[2], False), (bodies[3], True)):
            stream = Stream2(envoy.port, PROTOBUF)
            stream.send(body, True, trailers)
            assert stream.answer()[0] == 200
    finally:
        bodies += other.end()
    assert arrived(service) == digests(bodies)
    assert service.refused == []
    settled(envoy, signed=len(bodies), answered_2xx=len(bodies), denied_forbidden=other.refused)


def test_several_at_once_all_come_on(start: Callable[..., Envoy], service: AnyBody) -> None:
    envoy = start()
    bodies = [os.urandom(3 * MIB + number) for number in range(6)]
    answers: list[int] = []

    def write(body: bytes) -> None:
        with replay.Client(envoy.port, 60) as client:
            answers.append(client.request(LB, body, [PROTOBUF]).status)

    threads = [threading.Thread(target=write, args=[body]) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [200] * 6
    assert arrived(service) == digests(bodies)
    settled(envoy, signed=6, answered_2xx=6)


def test_clients_that_go_away_while_their_write_is_hashed(start: Callable[..., Envoy], service: AnyBody) -> None:
    """Whole bodies, so only the digest is missing; or it is not, and the write arrives. The next one is served."""
    envoy = start()
    body = os.urandom(16 * MIB)
    head = f"POST {LB} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(3):
        with replay.Client(envoy.port, 60) as client:
            client.send(head + body)
        stream = Stream2(envoy.port, PROTOBUF)
        stream.send(body, True)
        stream.reset()
        stream.client.close()
    wait.until("all writes", lambda: envoy.metrics().get("sign.received") == 6)
    with replay.Client(envoy.port, 60) as client:
        assert client.request(LB, b"small", [PROTOBUF]).status == 200
    found = settled(envoy, 60, received=7)
    assert found["aborted"] > 0 and found["signed"] > 0, found
    assert found["signed"] + found["aborted"] == 7


@pytest.mark.parametrize("place", ["listener"], indirect=True)
def test_a_refusal_may_come_late(start: Callable[..., Envoy], service: AnyBody) -> None:
    """What is wrong with it is known only when it is signed, which is in a tick: the answer comes from there."""
    envoy = start()
    body = os.urandom(8 * MIB)
    for number in range(2):
        compressed = [PROTOBUF, ("x-log-compresstype", "lz4")]
        if number == 0:
            with replay.Client(envoy.port, 60) as client:
                answer = client.request(LB, body, compressed)
                found = (answer.status, answer.body)
        else:
            stream = Stream2(envoy.port, *compressed)
            stream.send(body, True)
            status, _, text = stream.answer()
            found = (status, text)
        assert found[0] == 400, found
        assert b"MissingBodyRawSize" in found[1]
    assert service.requests == []
    settled(envoy, denied_malformed=2)


GRPC = ["application/grpc", "application/grpc+proto", "application/grpc-web", "Application/GRPC", "application/grpc;a=b"]


@pytest.mark.parametrize("place", ["listener"], indirect=True)
@pytest.mark.parametrize("kind", GRPC)
def test_a_refusal_of_grpc_is_no_success(start: Callable[..., Envoy], service: AnyBody, kind: str) -> None:
    """Envoy answers what it takes for gRPC with 200; a client of SLS must see that its write was refused."""
    envoy = start()
    for more in ([], [("te", "trailers")], [("authorization", "LOG theirs:theirs")]):
        for target in (LB, "/logstores/other"):
            wanted = 400 if target == LB else 403
            with replay.Client(envoy.port) as client:
                answer = client.request(target, b"body", [("content-type", kind), *more])
                assert answer.status == wanted, answer
    stream = Stream2(envoy.port, ("content-type", kind), ("te", "trailers"))
    status, headers, _ = stream.answer()
    assert status == 400, headers
    stream.client.close()
    assert service.requests == []
    settled(envoy, denied_malformed=4, denied_forbidden=3)


@pytest.mark.parametrize("place", ["cluster"], indirect=True)
def test_a_refusal_of_grpc_by_a_clusters_filter_is_told_by_envoy(start: Callable[..., Envoy], service: AnyBody) -> None:
    """An answer from there passes no filter of the cluster, so its status is Envoy's: envoy/sign.md says what to do."""
    envoy = start()
    with replay.Client(envoy.port) as client:
        answer = client.request(LB, b"body", [("content-type", "application/grpc")])
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("grpc-status") not in (None, "0")
    assert service.requests == []
    settled(envoy, denied_malformed=1)
