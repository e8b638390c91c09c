"""Mode `sign` in real Envoy: writes of programs without our key arrive signed with it, and nothing else arrives."""

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lz4.block
import pytest
from aliyun.log import LogException

from support import replay, sample, sign_edge, sls_edge, wait
from support.envoy import Envoy
from support.fake_metadata import FakeMetadata
from support.fake_sls import Behaviour, FakeSls, Key
from support.shared import Shared
from support.sign_edge import PROTOBUF, STORE, group, put, sdk, settled

WRITE = f"/logstores/{STORE}"
LB = f"{WRITE}/shards/lb"
HOUR = 3600
REQUEST_ID = re.compile(r"[0-9A-F]{24}")


@pytest.fixture
def start(tmp_path: Path, sls: FakeSls) -> Iterator[Callable[..., Envoy]]:
    """The sample; at the end nothing is open, Envoy is alive and its module has not trapped."""
    running: list[Envoy] = []

    def starter(version: str = "v1", **options: Any) -> Envoy:
        sls.version = version
        running.append(sign_edge.start(tmp_path, sls, version, kind=Shared, **options))
        return running[-1]

    yield starter
    for envoy in running:
        settled(envoy, pending_bytes=0)
        envoy.stop()
        log = envoy.log()
        for secret in (sls_edge.SECRET, sls_edge.KEY_ID, "LTAI-nobody", "hello"):
            assert secret not in log


def denied(answer: replay.Answer, status: int, code: str) -> None:
    """An answer of the edge itself, in SLS's shape."""
    assert (answer.status, answer.header("content-type")) == (status, "application/json"), answer
    assert REQUEST_ID.fullmatch(answer.header("x-log-requestid") or ""), answer.headers
    body = json.loads(answer.body)
    assert body["errorCode"] == code
    assert set(body) == {"errorCode", "errorMessage"}


def messages(sls: FakeSls) -> list[str]:
    return [log["message"] for log in sls.since(0)]


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_the_official_sdks_with_wrong_keys(start: Callable[..., Envoy], sls: FakeSls, version: str) -> None:
    """Whichever signature the client makes, what arrives has the edge's."""
    envoy = start(version, concurrency=2)
    wanted = []
    for own in ("v1", "v4"):
        client = sdk(envoy, own)
        for number, more in enumerate(({}, {"compress": False}, {"hashKey": "0" * 32})):
            texts = [f"{own} {number} {n} äöü €" * 50 for n in range(20)]
            put(client, texts, **more)
            wanted += texts
    assert sign_edge.node(envoy, STORE, "from node", "中文") == "written"
    wanted += ["from node", "中文"]
    assert sorted(messages(sls)) == sorted(wanted)
    assert {log.topic for log in sls.since(0)} == {"python", "node"}
    assert {request.header("host") for request in sls.requests} == {f"{sls_edge.PROJECT}.{sls_edge.ENDPOINT}"}
    assert sls.refused == []
    settled(envoy, received=7, signed=7, answered_2xx=7)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_client_without_any_signature(start: Callable[..., Envoy], sls: FakeSls, version: str) -> None:
    """Each compression, with a length and in chunks, many on one connection."""
    envoy = start(version)
    raw = group("hello " * 3000)
    bodies = {
        None: raw,
        "lz4": lz4.block.compress(raw, store_size=False),
        "deflate": zlib.compress(raw),
    }
    sent = 0
    with replay.Client(envoy.port) as client:
        for kind, body in bodies.items():
            headers = [PROTOBUF]
            if kind:
                headers += [("x-log-compresstype", kind), ("x-log-bodyrawsize", str(len(raw)))]
            for target in (WRITE, LB, f"{WRITE}/shards/route?key={'0' * 32}"):
                for chunks in (None, [1, 7, 100], [100_000]):
                    answer = client.request(target, body, headers, chunks=chunks)
                    # The answer is SLS's own.
                    assert (answer.status, answer.body, answer.header("server")) == (200, b"", "nginx")
                    sent += 1
    assert messages(sls) == ["hello " * 3000] * sent
    settled(envoy, signed=sent, answered_2xx=sent)
    # Nothing of the client's or of Envoy's own.
    names = {name.lower() for request in sls.requests for name, _ in request.headers}
    assert not [name for name in names if name.startswith("x-envoy-")]
    assert "x-forwarded-for" not in names


def test_large_bodies(start: Callable[..., Envoy], sls: FakeSls) -> None:
    """Close to the largest body that there may be, on HTTP/1."""
    envoy = start("v4")
    raw = group(*[os.urandom(400_000).hex() for _ in range(13)])
    assert 10_000_000 < len(raw) < 10 << 20
    with replay.Client(envoy.port, 60) as client:
        for chunks in (None, [65_536]):
            assert client.request(LB, raw, [PROTOBUF], chunks=chunks).status == 200
    assert len(messages(sls)) == 26
    settled(envoy, signed=2, bytes=2 * len(raw))


def test_what_is_no_allowed_write_goes_nowhere(start: Callable[..., Envoy], sls: FakeSls) -> None:
    envoy = start()
    cases = [
        ("POST", "/logstores/secret-log/shards/lb", 403, "Forbidden"),
        ("POST", f"{LB}?action=delete", 403, "Forbidden"),
        ("POST", f"{WRITE}/shards/lb/../../../secret-log", 403, "Forbidden"),
        ("POST", f"{WRITE}/index", 403, "Forbidden"),
        ("DELETE", WRITE, 403, "Forbidden"),
        ("GET", f"{WRITE}?type=log&from=1&to=2", 403, "Forbidden"),
        ("GET", "/", 403, "Forbidden"),
        ("POST", f"{WRITE}/shards/route", 400, "MissingParameter"),
    ]
    for method, target, status, code in cases:
        with replay.Client(envoy.port) as client:
            body = b"" if method == "GET" else group("hello")
            denied(client.request(target, body, [PROTOBUF], method), status, code)
    with replay.Client(envoy.port) as client:
        compressed = [PROTOBUF, ("x-log-compresstype", "lz4")]
        denied(client.request(LB, b"\x00", compressed), 400, "MissingBodyRawSize")
    with replay.Client(envoy.port) as client:
        assert client.request(LB, group("fine"), [PROTOBUF]).status == 200
    with pytest.raises(LogException) as refused:
        put(sdk(envoy), ["hello"], "secret-log")
    assert (refused.value.get_error_code(), refused.value.resp_status) == ("Forbidden", 403)
    assert REQUEST_ID.fullmatch(refused.value.get_request_id())
    assert sign_edge.node(envoy, "secret-log", "hello").startswith("refused Forbidden")
    assert messages(sls) == ["fine"]
    assert len(sls.requests) == 1
    settled(envoy, received=12, signed=1, denied_forbidden=9, denied_malformed=2)


def test_a_body_over_the_limit(start: Callable[..., Envoy], sls: FakeSls) -> None:
    """Refused by its announced size before it is sent, and in chunks as soon as it is too much."""
    envoy = start(limits={"max_body_bytes": 50_000})
    with replay.Client(envoy.port) as client:
        head = f"POST {LB} HTTP/1.1\r\nHost: x\r\nContent-Length: 50001\r\n\r\n"
        client.send(head.encode())
        denied(client.answer(), 413, "PostBodyTooLarge")
    with replay.Client(envoy.port) as client:
        head = f"POST {LB} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(head.encode())
        for _ in range(4):
            client.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        denied(client.answer(), 413, "PostBodyTooLarge")
    with pytest.raises(LogException) as refused:
        put(sdk(envoy), [os.urandom(40_000).hex()])
    assert refused.value.get_error_code() == "PostBodyTooLarge"
    assert sls.requests == []
    settled(envoy, received=3, denied_too_large=3)


def test_the_budget_is_for_all_open_writes(start: Callable[..., Envoy], sls: FakeSls) -> None:
    envoy = start(limits={"max_body_bytes": 200_000, "max_pending_bytes": 300_000})
    body = group("hello " * 30_000)
    lines = [f"POST {LB} HTTP/1.1", "Host: x", f"Content-Type: {PROTOBUF[1]}", f"Content-Length: {len(body)}"]
    head = "\r\n".join([*lines, "", ""]).encode()
    with replay.Client(envoy.port) as first, replay.Client(envoy.port) as second:
        first.send(head + body[:-1])
        wait.until("the first body held", lambda: envoy.metrics().get("sign.pending_bytes", 0) > len(body) - 2)
        denied(second.request(LB, body, [PROTOBUF]), 503, "ServerBusy")
        first.send(body[-1:])
        assert first.answer().status == 200
        # Now there is room again.
        assert first.request(LB, body, [PROTOBUF]).status == 200
    assert len(messages(sls)) == 2
    settled(envoy, signed=2, denied_no_room=1)


def test_clients_that_go_away(start: Callable[..., Envoy], sls: FakeSls) -> None:
    envoy = start()
    body = group("hello " * 1000)
    head = f"POST {LB} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(10):
        with replay.Client(envoy.port) as client:
            client.send(head + body[:100])
            wait.until("a held write", lambda: envoy.metrics().get("sign.pending") == 1)
        settled(envoy)
    settled(envoy, received=10, aborted=10)
    assert sls.requests == []


def test_errors_of_sls_go_back_untouched(start: Callable[..., Envoy], sls: FakeSls) -> None:
    envoy = start()
    with replay.Client(envoy.port) as client:
        rows = {400: "PostBodyInvalid", 403: "WriteQuotaExceed", 404: "LogStoreNotExist", 500: "InternalServerError"}
        for status, code in rows.items():
            sls.behave = Behaviour(status=status, code=code, message="from SLS")
            answer = client.request(LB, group("hello"), [PROTOBUF])
            assert (answer.status, json.loads(answer.body)) == (status, {"errorCode": code, "errorMessage": "from SLS"})
    settled(envoy, signed=4, answered_4xx=3, answered_5xx=1)


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_wrong_clock_is_learnt(start: Callable[..., Envoy], sls: FakeSls, version: str) -> None:
    """The first write meets SLS's refusal, and hears of it; from then on the time is right."""
    sls.skew = 3 * HOUR
    envoy = start(version)
    body = group("hello")
    with replay.Client(envoy.port) as client:
        answer = client.request(LB, body, [PROTOBUF])
        assert (answer.status, json.loads(answer.body)["errorCode"]) == (400, "RequestTimeExpired")
        # A log of three hours ago is fine for SLS.
        for _ in range(3):
            assert client.request(LB, body, [PROTOBUF]).status == 200
    settled(envoy, answered_2xx=3, answered_4xx=1)


def test_a_role_that_comes_goes_and_comes_back(
    start: Callable[..., Envoy], sls: FakeSls, metadata: FakeMetadata
) -> None:
    metadata.life_s = 4.0
    envoy = start("v4", metadata=metadata)

    def write() -> replay.Answer:
        # What is answered before its body has come costs the connection.
        with replay.Client(envoy.port) as client:
            return client.request(LB, group("hello"), [PROTOBUF])

    wait.until("a first write", lambda: write().status == 200)
    # The service is gone and the key expires: clients are told to come back.
    for kind in ("token", "role", "keys"):
        metadata.behave[kind] = Behaviour(reset=True)
    gone = wait.until("the key's end", lambda: next((a for a in [write()] if a.status != 200), None), 20, 0.1)
    denied(gone, 503, "ServerBusy")
    metadata.behave.clear()
    metadata.life_s = 3600.0
    metadata.rotate()
    wait.until("a write with a new key", lambda: write().status == 200, 90, 0.2)
    tokens = {request.header("x-acs-security-token") for request in sls.requests}
    assert tokens == {sls.keys[name].token for name in metadata.issued}
    found = settled(envoy)
    assert found["denied.no_credential"] > 0
    assert found["signed"] == found["answered.2xx"]


def test_sls_away(start: Callable[..., Envoy], sls: FakeSls) -> None:
    """Envoy's own answer when nobody takes the write; the module counts it, and the next write works."""
    envoy = start()
    with replay.Client(envoy.port) as client:
        sls.behave = Behaviour(reset=True)
        assert client.request(LB, group("hello"), [PROTOBUF]).status == 503
        sls.behave = Behaviour()
        assert client.request(LB, group("hello"), [PROTOBUF]).status == 200
    settled(envoy, signed=2, answered_2xx=1, answered_5xx=1)


def test_the_sample_as_it_is(tmp_path: Path) -> None:
    """envoy/sign.yaml with nothing changed but addresses; its key comes from the environment."""
    own = sample.plugin(sample.load(sign_edge.NAME)["static_resources"]["listeners"][0])
    target = own["sls"]
    (store,) = own["sign"]["logstores"]
    service = FakeSls({"STS.env": Key("env-secret", "env-token")}, target["project"], target["endpoint"], store)
    service.version, service.region = target["signature"], target["region"]
    key = {"SLS_ACCESS_KEY_ID": "STS.env", "SLS_ACCESS_KEY_SECRET": "env-secret", "SLS_SECURITY_TOKEN": "env-token"}
    try:
        with Envoy(
            tmp_path / "envoy", 9, 9, name=sign_edge.NAME, environment=key,
            edit=lambda bootstrap: sls_edge.clusters(bootstrap, service.port, None),
        ) as envoy:  # fmt: skip
            with replay.Client(envoy.port) as client:
                answer = client.request(f"/logstores/{store}", group("hello"), [PROTOBUF, ("cookie", "a=b")])
                assert answer.status == 200
            settled(envoy, signed=1, answered_2xx=1)
    finally:
        service.close()
    service.verify()
    assert [log["message"] for log in service.since(0)] == ["hello"]


def test_a_bad_configuration_is_refused_with_its_reasons(tmp_path: Path) -> None:
    bootstrap = sample.adapt(sample.load(sign_edge.NAME), 9, 9, {"host": "nginx", "rum": {}, "sls": {"logstore": "x"}})
    log = Shared.refused(tmp_path, bootstrap)
    for reason in ("host: mode sign needs envoy", "rum: not used in mode sign", "sls.logstore: not used in mode sign"):
        assert reason in log, log[-3000:]


def test_without_the_filters_option_nothing_passes_and_the_log_says_why(tmp_path: Path, sls: FakeSls) -> None:
    def forget(bootstrap: sample.Yaml) -> None:
        for listener in bootstrap["static_resources"]["listeners"]:
            del sample.mirror(listener)["allow_on_headers_stop_iteration"]

    with sign_edge.start(tmp_path, sls, also=forget, kind=Shared) as envoy:
        with replay.Client(envoy.port) as client:
            client.send(f"POST {LB} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello".encode())
            wait.until("a held write", lambda: envoy.metrics().get("sign.pending") == 1)
        settled(envoy, aborted=1)
        wait.until("a line in the log", lambda: "allow_on_headers_stop_iteration" in envoy.log())
    assert sls.requests == []
