"""The fake metadata service of an ECS instance: hands out the credential of the instance's RAM role.

    PUT /latest/api/token                                      a token (hardened mode)
    GET /latest/meta-data/ram/security-credentials/            the role's name
    GET /latest/meta-data/ram/security-credentials/{role}      the credential

A request that the real service could not have understood is a violation and fails the test at `verify`; one that it
refuses because a test said so (`behave`, `mode`) is not.
"""

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from . import http1, loop
from .fake_sls import Behaviour, Key, reset

TOKEN = "/latest/api/token"
ROLES = "/latest/meta-data/ram/security-credentials/"
TTL_HEADER = "x-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN_HEADER = "x-aliyun-ecs-metadata-token"
HOST = "100.100.100.200"
TEXT = [("content-type", "text/plain")]


@dataclass(frozen=True)
class Mode:
    """What the instance allows: HttpTokens=required refuses a GET without a token, an old image knows no PUT."""

    hardened: bool
    plain: bool


OPTIONAL = Mode(True, True)
REQUIRED = Mode(True, False)
PLAIN_ONLY = Mode(False, True)


class FakeMetadata(loop.Server):
    """`calls` counts by kind: token, role, keys, refused. `issue` registers each new credential at the fake SLS."""

    def __init__(self, issue: Callable[[str, Key], None], role: str = "edge-log-writer", mode: Mode = OPTIONAL) -> None:
        self.role: str | None = role  # None: no role is attached to the instance
        self.mode = mode
        self.life_s = 6 * 3600.0  # of a credential; all who ask get the same one until `rotate`
        self.behave: dict[str, Behaviour] = {}  # by kind: token, role, keys
        self.calls: Counter[str] = Counter()
        self.keys_at: list[float] = []  # time.monotonic() of every answer with a credential
        self.issued: list[str] = []  # key ids, in the order in which they were made
        self.violations: list[str] = []
        self._issue = issue
        self.tokens: dict[str, float] = {}  # given out, and until when
        self._current: bytes | None = None
        self._lock = threading.Lock()
        super().__init__()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await http1.read_request(reader)
            except http1.Malformed as error:
                self.violations.append(f"malformed: {error}")
                return
            if request is None or not request.complete:
                return
            kind, answer = self._answer(request)
            with self._lock:
                self.calls[kind] += 1
            behaviour = self.behave.get(kind, Behaviour())
            if behaviour.hang:
                await asyncio.Event().wait()
            if behaviour.reset:
                reset(writer)
                return
            if behaviour.seconds:
                await asyncio.sleep(behaviour.seconds)
            if behaviour.status:
                answer = http1.response(behaviour.status, behaviour.body or b"scripted")
            writer.write(answer)
            await writer.drain()

    def _answer(self, request: http1.Request) -> tuple[str, bytes]:
        """Which kind of request it is, and what a healthy service says to it."""
        if request.header("host") != HOST:
            self.violations.append(f"{request}: Host is {request.header('host')!r}, not {HOST}")
        if request.header("authorization") or request.header("cookie"):
            self.violations.append(f"{request}: carries a client's header")
        if request.target == TOKEN:
            return "token", self._token(request)
        if not request.target.startswith(ROLES) or request.method != "GET":
            self.violations.append(f"{request}: no such resource")
            return "refused", http1.response(404)
        if not self._permitted(request):
            return "refused", http1.response(403, b"token required")
        name = request.target.removeprefix(ROLES)
        if not name:
            return "role", http1.response(200, self.role.encode(), TEXT) if self.role else http1.response(404)
        if name != self.role:
            return "keys", http1.response(404)
        return "keys", http1.response(200, self._credential(), TEXT)

    def _token(self, request: http1.Request) -> bytes:
        ttl = request.header(TTL_HEADER) or ""
        if request.method != "PUT" or not ttl.isdigit() or not 1 <= int(ttl) <= 21_600:
            self.violations.append(f"{request}: a token is asked for by PUT with a life of 1 to 21600 s, got {ttl!r}")
            return http1.response(400)
        if not self.mode.hardened:
            return http1.response(404)
        token = secrets.token_urlsafe(24)
        self.tokens[token] = time.monotonic() + int(ttl)
        return http1.response(200, token.encode(), TEXT)

    def _permitted(self, request: http1.Request) -> bool:
        token = request.header(TOKEN_HEADER)
        if token is None:
            return self.mode.plain
        if self.tokens.get(token, 0.0) < time.monotonic():
            self.violations.append(f"{request}: a token that was never given, or has expired")
            return False
        return True

    def _credential(self) -> bytes:
        with self._lock:
            self.keys_at.append(time.monotonic())
        if self._current is not None:
            return self._current
        now = time.time()
        key_id, key = f"STS.{len(self.issued) + 1:04}", Key(secrets.token_hex(15), secrets.token_urlsafe(60))
        self._issue(key_id, key)
        self.issued.append(key_id)
        answer = {
            "AccessKeyId": key_id,
            "AccessKeySecret": key.secret,
            "SecurityToken": key.token,
            "Expiration": _utc(now + self.life_s),
            "LastUpdated": _utc(now),
            "Code": "Success",
        }
        self._current = json.dumps(answer, indent=1).encode()
        return self._current

    def rotate(self) -> None:
        """From now on there is a new credential, as the real service makes one before the old expires."""
        self._current = None

    def verify(self) -> None:
        problems, self.violations = self.violations, []
        assert not problems, f"{len(problems)} violations at the fake metadata service:\n  " + "\n  ".join(
            problems[:20]
        )


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
