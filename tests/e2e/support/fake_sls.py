"""The fake log service: takes and refuses PutLogs as the real one would, and writes down our mistakes.

Two kinds of refusals. A scripted one (`behave`, `skew`, a key that is disabled or expired) is the service's trouble:
the module has to cope. Any other is a request that should never have been sent: a violation, and `verify` (called at
teardown of every test that uses it) fails with all of them, so that a retry which happens to succeed hides nothing.
"""

import asyncio
import email.utils
import hashlib
import json
import socket
import struct
import threading
import time
from calendar import timegm
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from . import http1, loop, sls_group, sls_signature, wait
from .sls_group import Log, Refusal

SKEW_S = 15 * 60
# What must never reach SLS, whatever the client sent.
FORBIDDEN = {"cookie", "proxy-authorization", "x-sentry-auth"}


@dataclass
class Key:
    """An access key that the service knows. `refuse`: the (status, errorCode, message) with which it is turned away."""

    secret: str
    token: str = ""
    refuse: tuple[int, str, str] | None = None


@dataclass(frozen=True)
class Behaviour:
    """What the service does with a request that is right. `status` 0: takes it."""

    status: int = 0
    code: str = ""
    message: str = "scripted"
    stored: bool = False  # takes the logs although the answer says that it does not
    request_id: bool = True  # without it the answer is not SLS's own
    body: bytes | None = None  # instead of SLS's error JSON
    seconds: float = 0.0  # how long it thinks after having read the request
    reset_on_accept: bool = False
    hang_before_reading: bool = False
    hang: bool = False  # reads the request and never answers
    reset: bool = False  # reads the request and resets the connection


OK = Behaviour()
Script = Callable[[http1.Request], Behaviour]


class FakeSls(loop.Server):
    """PutLogs for one project and logstore. `logs` are all logs taken, `requests` all that arrived whole."""

    def __init__(self, keys: dict[str, Key], project: str, endpoint: str, logstore: str, port: int = 0) -> None:
        self.keys = keys
        self.host = f"{project}.{endpoint}"
        self.logstore = logstore
        self.region: str | None = None  # set: what a v4 signature has to name
        self.version: str | None = None  # set: the only signature version allowed
        self.skew = 0.0  # seconds that the service's clock is ahead of ours
        self.behave: Behaviour | Script = OK
        # Set: only such logs are kept, and no request is; the others are counted.
        self.only: Callable[[Log], bool] | None = None
        self.others = 0
        self.requests: list[http1.Request] = []
        self.logs: list[Log] = []
        self.groups = 0  # log groups taken
        self.refused: list[Refusal] = []  # every refusal, scripted or not
        self.violations: list[str] = []
        self.connections = 0
        self._lock = threading.Lock()
        super().__init__(port)

    def now(self) -> float:
        """The service's clock."""
        return time.time() + self.skew

    # ---- serving

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        always = self.behave if isinstance(self.behave, Behaviour) else OK
        if always.reset_on_accept:
            reset(writer)
            return
        if always.hang_before_reading:
            await asyncio.Event().wait()
        while True:
            try:
                request = await http1.read_request(reader)
            except http1.Malformed as error:
                self.violations.append(f"malformed: {error}")
                return
            if request is None or not request.complete:
                return  # an end inside the body: the proxy's own timeout or shutdown
            behaviour = self.behave if isinstance(self.behave, Behaviour) else self.behave(request)
            refusal = self._take(request, behaviour)
            if behaviour.hang:
                await asyncio.Event().wait()
            if behaviour.reset:
                reset(writer)
                return
            if behaviour.seconds:
                await asyncio.sleep(behaviour.seconds)
            writer.write(self._answer(refusal, behaviour))
            await writer.drain()

    def _take(self, request: http1.Request, behaviour: Behaviour) -> Refusal | None:
        """Judges a request and stores its logs; the refusal to answer with, if any."""
        trouble = behaviour.status != 0 or behaviour.hang or behaviour.reset
        refusal = group = None
        try:
            self._check_date(request, self._check_head(request))
            group = self._read_group(request)
        except Refusal as found:
            refusal = found
        with self._lock:
            if self.only is None:
                self.requests.append(request)
            if group is not None and trouble:
                refusal = Refusal(behaviour.status, behaviour.code, behaviour.message)
            if group is not None and (not trouble or behaviour.stored):
                self.groups += 1
                for log in group.logs:
                    log.group = self.groups
                kept = group.logs if self.only is None else [log for log in group.logs if self.only(log)]
                self.logs += kept
                self.others += len(group.logs) - len(kept)
            if group is not None:
                self.violations += [f"{request}: {doubt}" for doubt in group.doubts]
            if refusal is not None:
                self.refused.append(refusal)
        return refusal

    def _answer(self, refusal: Refusal | None, behaviour: Behaviour) -> bytes:
        headers = [("server", "nginx"), ("date", email.utils.formatdate(self.now(), usegmt=True))]
        if behaviour.request_id:
            headers += [("x-log-requestid", f"{time.time_ns():024X}"), ("x-log-time", str(int(self.now())))]
        if refusal is None:
            return http1.response(200, b"", headers)
        body = behaviour.body
        if body is None:
            body = json.dumps({"errorCode": refusal.code, "errorMessage": refusal.message}).encode()
            headers.append(("content-type", "application/json"))
        return http1.response(refusal.status, body, headers)

    # ---- judging

    def _wrong(self, request: http1.Request, status: int, code: str, message: str) -> Refusal:
        """A refusal that we are to blame for."""
        refusal = Refusal(status, code, message)
        self.violations.append(f"{request}: {refusal}")
        return refusal

    def _check_head(self, request: http1.Request) -> sls_signature.Claim:
        """Everything but the clock and what the body means; who signed it, once that is proved."""

        def wrong(status: int, code: str, message: str) -> Refusal:
            return self._wrong(request, status, code, message)

        twice = [name for name, count in Counter(n.lower() for n, _ in request.headers).items() if count > 1]
        if twice:
            self.violations.append(f"{request}: more than one line of {twice}")
        leaked = FORBIDDEN & {name.lower() for name, _ in request.headers}
        if leaked:
            self.violations.append(f"{request}: carries {leaked}")
        path = request.target.partition("?")[0]
        store = f"/logstores/{self.logstore}"
        if request.method != "POST" or path not in (f"{store}/shards/lb", f"{store}/shards/route", store):
            raise wrong(404, "LogStoreNotExist", f"{request.method} {path}")
        if request.header("host") != self.host:
            raise wrong(404, "ProjectNotExist", f"Host is {request.header('host')!r}, not {self.host!r}")
        if request.framing != "content-length":
            raise wrong(411, "MissingContentLength", f"framing is {request.framing}")
        if request.header("x-log-apiversion") != "0.6.0":
            raise wrong(400, "InvalidAPIVersion", repr(request.header("x-log-apiversion")))
        return self._check_signature(request, wrong)

    def _check_signature(
        self, request: http1.Request, wrong: Callable[[int, str, str], Refusal]
    ) -> sls_signature.Claim:
        claimed = sls_signature.claim(request)
        if claimed is None or (self.version or claimed.version) != claimed.version:
            raise wrong(401, "Unauthorized", f"no {self.version or 'known'} signature in Authorization")
        key = self.keys.get(claimed.key_id)
        if key is None:
            raise wrong(401, "InvalidAccessKeyId", f"nobody has the key {claimed.key_id!r}")
        sent_token = request.header("x-acs-security-token") or ""
        if sent_token != key.token:
            raise wrong(401, "Unauthorized", "the security token does not belong to the key")
        if claimed.version == "v1":
            if request.header("x-log-signaturemethod") != "hmac-sha1":
                raise wrong(400, "InvalidSignatureMethod", repr(request.header("x-log-signaturemethod")))
            # The manual asks for Date; x-log-date beats it and is what survives a proxy that rewrites Date.
            if request.header("date") not in (None, claimed.date):
                raise wrong(400, "InvalidDateFormat", "Date and x-log-date differ")
            digest = hashlib.md5(request.body).hexdigest().upper()
            if request.body and request.header("content-md5") != digest:
                raise wrong(401, "SignatureNotMatch", f"Content-MD5 is {request.header('content-md5')}, not {digest}")
        else:
            digest = hashlib.sha256(request.body).hexdigest()
            if request.header("x-log-content-sha256") != digest:
                raise wrong(401, "SignatureNotMatch", f"x-log-content-sha256 is not {digest}")
            if self.region is not None and claimed.region != self.region:
                raise wrong(401, "SignatureNotMatch", f"region is {claimed.region!r}")
        if request.header("authorization") != sls_signature.expected(request, claimed, key.secret, key.token):
            raise wrong(401, "SignatureNotMatch", f"signature {claimed.version} does not match")
        if key.refuse is not None:
            raise Refusal(*key.refuse)
        return claimed

    def _check_date(self, request: http1.Request, claimed: sls_signature.Claim) -> None:
        try:
            form = "%a, %d %b %Y %H:%M:%S GMT" if claimed.version == "v1" else "%Y%m%dT%H%M%SZ"
            signed = timegm(time.strptime(claimed.date, form))
        except ValueError:
            raise self._wrong(request, 400, "InvalidDateFormat", repr(claimed.date)) from None
        if abs(self.now() - signed) > SKEW_S:
            server = email.utils.formatdate(self.now(), usegmt=True)
            message = f"request time{claimed.date} has been expired while server time is {server}"
            if self.skew:
                raise Refusal(400, "RequestTimeExpired", message)
            raise self._wrong(request, 400, "RequestTimeExpired", message)

    def _read_group(self, request: http1.Request) -> sls_group.Group:
        """What the body says, and what the head says about it."""
        if request.header("content-type") != "application/x-protobuf":
            raise self._wrong(request, 415, "InvalidContentType", repr(request.header("content-type")))
        size = request.header("x-log-bodyrawsize") or ""
        if not size.isascii() or not size.isdigit():
            raise self._wrong(request, 400, "InvalidBodyRawSize", repr(size))
        # The time that logs are measured by is the service's, but a clock that is wrong on purpose is not our mistake.
        try:
            raw = sls_group.decompress(request.body, request.header("x-log-compresstype"), int(size))
            return sls_group.parse(raw, self.now())
        except Refusal as refusal:
            self.violations.append(f"{request}: {refusal}")
            raise

    # ---- what a test asks

    def mark(self) -> int:
        """A place in `logs`; `since(mark)` gives what came after it."""
        return len(self.logs)

    def since(self, mark: int) -> list[Log]:
        with self._lock:
            return self.logs[mark:]

    def wait(self, count: int, seconds: float = 15.0) -> list[Log]:
        """Waits until `count` logs in all were taken."""
        wait.until(f"{count} logs taken by SLS", lambda: len(self.logs) >= count, seconds)
        return self.since(0)

    def doubled(self) -> list[Log]:
        """Logs that were taken more than once: equal in time, topic, source and every field."""
        seen: set[tuple] = set()
        again = []
        for log in self.since(0):
            if log.identity in seen:
                again.append(log)
            seen.add(log.identity)
        return again

    def verify(self, ignoring: tuple[str, ...] = ()) -> None:
        """Fails for every violation whose text has none of the given pieces."""
        with self._lock:
            found, self.violations = self.violations, []
        problems = [text for text in found if not any(piece in text for piece in ignoring)]
        assert not problems, f"{len(problems)} violations at the fake SLS:\n  " + "\n  ".join(problems[:20])


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST: what was not read is an error at the other side, not an orderly end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
