"""The fake log service checks the module, so it is checked first: with the official SDK, which it must take at
its word, and with the same requests after one thing in them was spoilt, which it must refuse and write down."""

import hashlib
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate

import lz4.block
import pytest
from aliyun.log import LogClient, LogException, LogItem, PutLogsRequest
from aliyun.log.auth import AuthV1, AuthV4
from aliyun.log.credentials import StaticCredentialsProvider
from aliyun.log.log_logs_raw_pb2 import LogGroupRaw

from support import wait
from support.fake_metadata import HOST, OPTIONAL, PLAIN_ONLY, REQUIRED, ROLES, TOKEN, FakeMetadata, Mode
from support.fake_sls import Behaviour, FakeSls, Key
from support.sls_errors import ROWS, UNDECIDED

KEYS = {"LTAI-fake": Key("fake-secret"), "STS.fake": Key("other-secret", token="fake-token/+=")}
PROJECT, ENDPOINT, STORE, REGION = "edge-logs", "cn-hangzhou.log.aliyuncs.com", "sentry", "cn-hangzhou"


@pytest.fixture
def sls() -> Iterator[FakeSls]:
    """A test that spoils something takes the violations out itself; what is left fails it."""
    server = FakeSls({name: Key(key.secret, key.token) for name, key in KEYS.items()}, PROJECT, ENDPOINT, STORE)
    server.region = REGION
    yield server
    server.close()
    server.verify()


def client(sls: FakeSls, key_id: str, version: str) -> LogClient:
    """The SDK, told to connect to the fake while it signs for the real host."""
    key = KEYS[key_id]
    made = LogClient(ENDPOINT, key_id, key.secret, key.token or None, auth_version=version, region=REGION)
    send = made._sendRequest

    def locally(method: str, url: str, *rest: object) -> object:
        return send(method, re.sub(r"http://[^/]+", f"http://127.0.0.1:{sls.port}", url), *rest)

    made._sendRequest = locally
    return made


@pytest.mark.parametrize("version", ["v1", "v4"])
@pytest.mark.parametrize("key_id", KEYS)
@pytest.mark.parametrize("compress", [True, False], ids=["lz4", "none"])
@pytest.mark.parametrize("hash_key", [None, "0" * 32], ids=["lb", "route"])
def test_the_official_sdk_is_taken(
    version: str, key_id: str, compress: bool, hash_key: str | None, sls: FakeSls
) -> None:
    sls.version = version
    now = int(time.time())
    items = [
        LogItem(now, contents=[("app.id", f"{n}"), ("message", "äöü €" * n)], time_nano_part=5 * n + 1)
        for n in range(20)
    ]
    request = PutLogsRequest(PROJECT, STORE, "sentry", "edge", items, hashKey=hash_key, compress=compress)
    client(sls, key_id, version).put_logs(request)
    logs = sls.wait(20)
    assert [log.fields for log in logs] == [{"app.id": f"{n}", "message": "äöü €" * n} for n in range(20)]
    assert {(log.time, log.topic, log.source) for log in logs} == {(now, "sentry", "edge")}
    assert [log.time_ns for log in logs] == [5 * n + 1 for n in range(20)]
    assert sls.doubled() == []
    sent = sls.requests[0]
    assert ("x-log-compresstype" in {n.lower() for n, _ in sent.headers}) is compress


def group(**changes: object) -> bytes:
    """A log group that is right, or spoilt by one change."""
    message = LogGroupRaw(Topic=str(changes.get("topic", "t")))
    for _ in range(int(str(changes.get("logs", 1)))):
        log = message.Logs.add(Time=int(time.time()) + int(str(changes.get("ahead", 0))))
        for key, value in changes.get("contents", [("key", b"value")]):  # type: ignore[attr-defined]
            log.Contents.add(Key=key, Value=value)
    return message.SerializeToString()


class Sent:
    """A request as the SDK would have signed it, which a test may spoil before it goes."""

    def __init__(self, raw: bytes, kind: str | None = "lz4", version: str = "v1", key_id: str = "LTAI-fake") -> None:
        self.path = f"/logstores/{STORE}/shards/lb"
        self.body = raw if kind is None else lz4.block.compress(raw, store_size=False)
        self.headers = {
            "Host": f"{PROJECT}.{ENDPOINT}",
            "Content-Type": "application/x-protobuf",
            "Content-Length": str(len(self.body)),
            "x-log-apiversion": "0.6.0",
            "x-log-bodyrawsize": str(len(raw)),
        }
        if kind is not None:
            self.headers["x-log-compresstype"] = kind
        self.version, self.key_id = version, key_id

    def sign(self) -> "Sent":
        key = KEYS[self.key_id]
        provider = StaticCredentialsProvider(self.key_id, key.secret, key.token or None)
        signer = AuthV1(provider) if self.version == "v1" else AuthV4(provider, REGION)
        signer.sign_request("POST", self.path, {}, self.headers, self.body)
        return self

    def go(self, sls: FakeSls) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", sls.port, timeout=10)
        try:
            connection.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders(self.body)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.getheader("x-log-requestid")
            assert abs(int(answer.getheader("x-log-time") or 0) - sls.now()) < 5
            return answer.status, json.loads(text)["errorCode"] if text else ""
        finally:
            connection.close()


def flip(text: str) -> str:
    """The text with its last letter or digit changed."""
    at = max(i for i, c in enumerate(text) if c.isalnum())
    return text[:at] + ("A" if text[at] not in "Aa" else "B") + text[at + 1 :]


def spoil(name: str, change: Callable[[str], str]) -> Callable[[Sent], None]:
    def spoiler(sent: Sent) -> None:
        sent.headers[name] = change(sent.headers[name])

    return spoiler


def other_body(sent: Sent) -> None:
    """As long as it was: only a digest can tell."""
    sent.body = sent.body[:-1] + bytes([sent.body[-1] ^ 1])


AFTER: dict[str, tuple[str, Callable[[Sent], None], int, str]] = {
    "v1-signature": ("v1", spoil("Authorization", lambda v: v.replace(v[-8:-4], "AAAA")), 401, "SignatureNotMatch"),
    "v4-signature": ("v4", spoil("Authorization", lambda v: v[:-4] + "0000"), 401, "SignatureNotMatch"),
    "v1-md5": ("v1", spoil("Content-MD5", flip), 401, "SignatureNotMatch"),
    "v1-md5-lower-case": ("v1", spoil("Content-MD5", str.lower), 401, "SignatureNotMatch"),
    "v4-sha256": ("v4", spoil("x-log-content-sha256", flip), 401, "SignatureNotMatch"),
    "v1-body": ("v1", other_body, 401, "SignatureNotMatch"),
    "v4-body": ("v4", other_body, 401, "SignatureNotMatch"),
    "v1-raw-size": ("v1", spoil("x-log-bodyrawsize", lambda v: str(int(v) + 1)), 401, "SignatureNotMatch"),
    "v4-raw-size": ("v4", spoil("x-log-bodyrawsize", lambda v: str(int(v) + 1)), 401, "SignatureNotMatch"),
    "v1-path": ("v1", lambda s: setattr(s, "path", s.path.replace("/shards/lb", "")), 401, "SignatureNotMatch"),
    "v4-host": ("v4", spoil("Host", lambda v: "x" + v), 404, "ProjectNotExist"),
    "v1-host": ("v1", spoil("Host", lambda v: ENDPOINT), 404, "ProjectNotExist"),
    "v1-date": ("v1", spoil("x-log-date", lambda v: formatdate(1e9, usegmt=True)), 400, "InvalidDateFormat"),
    "v1-key": ("v1", spoil("Authorization", lambda v: v.replace("LTAI-fake", "LTAI-none")), 401, "InvalidAccessKeyId"),
    "v1-no-authorization": ("v1", spoil("Authorization", lambda v: ""), 401, "Unauthorized"),
    "v1-added-header": ("v1", lambda s: s.headers.update({"x-log-extra": "1"}), 401, "SignatureNotMatch"),
    "v4-added-header": ("v4", lambda s: s.headers.update({"x-acs-extra": "1"}), 401, "SignatureNotMatch"),
    "v1-method": ("v1", spoil("x-log-signaturemethod", lambda v: "hmac-sha256"), 400, "InvalidSignatureMethod"),
    "v1-store": ("v1", lambda s: setattr(s, "path", "/logstores/other/shards/lb"), 404, "LogStoreNotExist"),
}


@pytest.mark.parametrize("name", AFTER)
def test_what_was_spoilt_after_signing_is_refused_and_recorded(name: str, sls: FakeSls) -> None:
    version, spoiler, status, code = AFTER[name]
    sent = Sent(group(), version=version).sign()
    spoiler(sent)
    assert sent.go(sls) == (status, code)
    refused_and_recorded(sls, code)


def refused_and_recorded(sls: FakeSls, code: str) -> None:
    assert sls.logs == []
    with pytest.raises(AssertionError, match=code):
        sls.verify()
    assert sls.violations == []


def before_raw_size(sent: Sent) -> None:
    sent.headers["x-log-bodyrawsize"] = str(int(sent.headers["x-log-bodyrawsize"]) - 1)


BEFORE: dict[str, tuple[Sent, Callable[[Sent], None] | None, int, str]] = {
    "raw-size": (Sent(group()), before_raw_size, 400, "PostBodyUncompressError"),
    "raw-size-uncompressed": (Sent(group(), None), before_raw_size, 400, "InvalidBodyRawSize"),
    "no-raw-size": (Sent(group()), lambda s: s.headers.pop("x-log-bodyrawsize"), 400, "InvalidBodyRawSize"),
    "compress-type": (Sent(group(), "gzip"), None, 400, "InvalidCompressType"),
    "not-deflate": (Sent(group(), "deflate"), None, 400, "PostBodyUncompressError"),
    "api-version": (Sent(group()), lambda s: s.headers.update({"x-log-apiversion": "1"}), 400, "InvalidAPIVersion"),
    "no-protobuf": (Sent(b"\xff" * 40), None, 400, "PostBodyInvalid"),
    "required-field": (Sent(b"\x0a\x00"), None, 400, "PostBodyInvalid"),
    "too-old": (Sent(group(ahead=-7 * 86_400 - 60)), None, 400, "PostBodyInvalid"),
    # Made when the tests are collected, which may be minutes before its turn.
    "too-new": (Sent(group(ahead=3_600)), None, 400, "PostBodyInvalid"),
    "key-with-dash": (Sent(group(contents=[("a-b", b"")])), None, 400, "InvalidKey"),
    "key-with-digit-first": (Sent(group(contents=[("1a", b"")])), None, 400, "InvalidKey"),
    "key-empty": (Sent(group(contents=[("", b"")])), None, 400, "InvalidKey"),
    "key-too-long": (Sent(group(contents=[("k" * 129, b"")])), None, 400, "InvalidKey"),
    "key-reserved": (Sent(group(contents=[("__time__", b"")])), None, 400, "InvalidKey"),
    "key-tag": (Sent(group(contents=[("__tag__:x", b"")])), None, 400, "InvalidKey"),
    "value-not-utf-8": (Sent(group(contents=[("k", b"\xff")])), None, 400, "InvalidEncoding"),
    "value-too-long": (Sent(group(contents=[("k", b"v" * (1 << 20) + b"v")])), None, 400, "PostBodyInvalid"),
    "topic-too-long": (Sent(group(topic="t" * 129)), None, 400, "PostBodyInvalid"),
    "body-too-large": (Sent(group(logs=11, contents=[("k", b"v" * (1 << 20))])), None, 413, "PostBodyTooLarge"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_is_wrong_but_well_signed_is_refused_and_recorded(name: str, sls: FakeSls) -> None:
    sent, spoiler, status, code = BEFORE[name]
    if spoiler is not None:
        spoiler(sent)
    assert sent.sign().go(sls) == (status, code)
    refused_and_recorded(sls, code)


DOUBTFUL = {
    "key-twice": (group(contents=[("k", b"1"), ("k", b"2")]), "twice"),
    "no-contents": (group(contents=[]), "without contents"),
    "no-logs": (b"\x1a\x01t", "without logs"),
    # Topic before the logs: the order of a writer that streams, which the manual warns of.
    "order": (b"\x1a\x01t" + group().removesuffix(b"\x1a\x01t"), "order"),
    "unknown-field": (group() + b"\x48\x01", "unknown fields"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_may_pass_is_recorded_nevertheless(name: str, sls: FakeSls) -> None:
    raw, what = DOUBTFUL[name]
    assert Sent(raw).sign().go(sls) == (200, "")
    with pytest.raises(AssertionError, match=what):
        sls.verify()


@pytest.mark.parametrize("name", [*ROWS, *UNDECIDED])
def test_every_row_of_the_error_table_can_be_played(name: str, sls: FakeSls) -> None:
    behaviour = ROWS[name][1] if name in ROWS else UNDECIDED[name]
    sls.behave = behaviour
    sent = Sent(group()).sign()
    connection = http.client.HTTPConnection("127.0.0.1", sls.port, timeout=0.3 if behaviour.hang else 10)
    try:
        connection.request("POST", sent.path, sent.body, sent.headers)
        if behaviour.hang or behaviour.reset:
            with pytest.raises((ConnectionError, TimeoutError)):
                connection.getresponse()
        else:
            answer = connection.getresponse()
            assert answer.status == behaviour.status
            assert (answer.getheader("x-log-requestid") is not None) is behaviour.request_id
            if behaviour.body is None:
                assert json.loads(answer.read())["errorCode"] == behaviour.code
    finally:
        connection.close()
    wait.until("the request is on record", lambda: sls.requests)
    assert (sls.logs, sls.violations) == ([], [])


def test_a_clock_that_is_set_wrong_on_purpose_is_not_our_mistake(sls: FakeSls) -> None:
    sls.skew = 3600.0
    assert Sent(group()).sign().go(sls) == (400, "RequestTimeExpired")
    sls.verify()
    sls.skew = 600.0  # within the quarter of an hour
    assert Sent(group()).sign().go(sls) == (200, "")


def test_a_key_that_was_revoked_is_not_our_mistake(sls: FakeSls) -> None:
    sls.keys["LTAI-fake"].refuse = (401, "Unauthorized", "AccessKeyId is disabled")
    assert Sent(group()).sign().go(sls) == (401, "Unauthorized")
    with pytest.raises(LogException, match="AccessKeyId is disabled"):
        client(sls, "LTAI-fake", "v1").put_logs(
            PutLogsRequest(PROJECT, STORE, "", "s", [LogItem(contents=[("k", "v")])])
        )
    assert len(sls.refused) == 2


def test_doubled_logs_are_found(sls: FakeSls) -> None:
    raw = group()
    sls.behave = Behaviour(500, "InternalServerError", stored=True)
    assert Sent(raw).sign().go(sls) == (500, "InternalServerError")
    assert sls.doubled() == []
    sls.behave = Behaviour()
    assert Sent(raw).sign().go(sls) == (200, "")
    assert [log.fields for log in sls.doubled()] == [{"key": "value"}]


def test_an_outage_refuses_connections_and_ends(sls: FakeSls) -> None:
    sls.close()
    with pytest.raises(ConnectionRefusedError):
        Sent(group()).sign().go(sls)
    sls.reopen()
    assert Sent(group()).sign().go(sls) == (200, "")


# ---- the metadata service


def ask(server: FakeMetadata, method: str, path: str, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        sent = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request(method, path, headers=sent)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("mode", "token_status", "plain_status"), [(OPTIONAL, 200, 200), (REQUIRED, 200, 403), (PLAIN_ONLY, 404, 200)]
)
def test_the_modes_of_the_metadata_service(mode: Mode, token_status: int, plain_status: int, sls: FakeSls) -> None:
    server = FakeMetadata(sls.keys.__setitem__, mode=mode)
    try:
        status, token = ask(server, "PUT", TOKEN, X_aliyun_ecs_metadata_token_ttl_seconds="21600")
        assert status == token_status
        assert ask(server, "GET", ROLES)[0] == plain_status
        if status == 200:
            assert ask(server, "GET", ROLES, X_aliyun_ecs_metadata_token=token) == (200, "edge-log-writer")
            answer = json.loads(ask(server, "GET", f"{ROLES}edge-log-writer", X_aliyun_ecs_metadata_token=token)[1])
            assert sls.keys[answer["AccessKeyId"]].token == answer["SecurityToken"]
            assert server.calls["keys"] == 1
        server.verify()
        assert ask(server, "GET", ROLES, X_aliyun_ecs_metadata_token="made-up")[0] == 403
        with pytest.raises(AssertionError, match="never given"):
            server.verify()
    finally:
        server.close()


def test_the_digest_in_use_is_the_one_of_the_manual() -> None:
    """MD5 in upper-case hex over the wire bytes, not base64: pinned against a constant."""
    sent = Sent(b"\x1a\x01t", None).sign()
    assert sent.headers["Content-MD5"] == hashlib.md5(b"\x1a\x01t").hexdigest().upper()
