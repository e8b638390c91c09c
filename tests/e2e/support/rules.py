"""What should become of a request: the mirror's rules, written a second time, from its documentation.

The tests compare the module with this, never with itself: which requests are mirrored, to which path, with which
headers.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .http1 import Request

U64_MAX = 2**64 - 1

# The allow-list, lower case. `host`, `content-length` and `transfer-encoding` are the copy's own.
COPIED = {
    "content-type", "content-encoding", "user-agent", "origin", "referer", "x-sentry-auth", "authorization",
    "x-request-id", "traceparent", "tracestate", "baggage", "sentry-trace", "x-forwarded-for", "x-forwarded-proto",
}  # fmt: skip
MARKER = "x-sentry-edge-mirror"
OWN = {"host", "content-length", "transfer-encoding", MARKER}


def allowed(name: str) -> bool:
    """Whether a header of this name may appear on a copy at all."""
    return name in COPIED or name in OWN or name.startswith("sec-ch-ua")


def _has_dots(path: str) -> bool:
    """Whether a proxy that normalises paths could make another path of it."""
    plain = unquote(unquote(path)).replace("\\", "/")
    return any(segment in (".", "..") for segment in plain.split("/"))


def project(target: str, everything: bool = False) -> int | None:
    """The project id of a target that is an ingest route, else None. Slashes are folded for recognition only."""
    if target.startswith("/rum/sentry/") or _has_dots(target.partition("?")[0]):
        return None
    path = re.sub("/+", "/", target.partition("?")[0])
    found = re.fullmatch("/api/([0-9]{1,20})/" + (".*" if everything else "envelope/"), path, re.DOTALL)
    number = int(found[1]) if found else 0
    return number if 0 < number <= U64_MAX else None


def mirrored(method: str, target: str, everything: bool = False) -> bool:
    """Whether a request is mirrored under `rum.routes` envelope (the default) or all."""
    if everything:
        return method not in ("OPTIONS", "HEAD") and project(target, True) is not None
    return method == "POST" and project(target) is not None


def copy_path(rum: dict[str, Any], target: str, everything: bool = False) -> str | None:
    """The path of the copy under a `rum` configuration, or None when the project is not mirrored."""
    number = project(target, everything)
    by_id = {int(key): value for key, value in rum.get("projects", {}).items()}
    goal = by_id.get(number, rum.get("default"))
    if number is None or goal is None or number in {int(key) for key in rum.get("exclude", [])}:
        return None
    return f"/rum/sentry/{goal['workspace']}/{goal['service_id']}{target}"


def _has_dsn(request: Request) -> bool:
    """Whether the envelope's first line carries a DSN; only of bodies without a content encoding."""
    if request.header("content-encoding") not in (None, ""):
        return False
    try:
        first = json.loads(request.body.split(b"\n", 1)[0])
    except ValueError:
        return False
    return isinstance(first, dict) and isinstance(first.get("dsn"), str)


def _authorization_goes(request: Request, value: str) -> bool:
    scheme, _, credential = value.partition(" ")
    if scheme.lower() == "sentry":
        return True
    if scheme.lower() != "basic":
        return False
    try:
        user = base64.b64decode(credential.strip(), validate=True).split(b":")[0]
    except ValueError:
        return False
    other = request.header("x-sentry-auth") or "sentry_" in request.target.partition("?")[2] or _has_dsn(request)
    return re.fullmatch(b"[0-9a-fA-F]{32}", user) is not None and not other


def copy_headers(seen_by_primary: Request) -> dict[str, list[str]]:
    """What the copy of this request has to carry besides its own headers: by lower-case name, values in order.

    The primary's view is the reference, since Envoy has added there what the copy has to carry too (X-Forwarded-For
    with the peer, X-Request-Id).
    """
    wanted: dict[str, list[str]] = {}
    for name, value in seen_by_primary.headers:
        lower = name.lower()
        if lower in OWN or not allowed(lower):
            continue
        if lower == "authorization" and not _authorization_goes(seen_by_primary, value):
            continue
        try:
            value.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            continue
        wanted.setdefault(lower, []).append(value)
    return wanted


@dataclass(frozen=True)
class Copy:
    """One copy that must arrive at the receiver, exactly once."""

    path: str
    sha256: str
    headers: tuple[tuple[str, tuple[str, ...]], ...]

    @staticmethod
    def of(rum: dict[str, Any], request: Request, everything: bool = False) -> "Copy | None":
        """The copy that this request (as the primary got it) must lead to; None when it is not to be mirrored."""
        if request.header(MARKER) is not None:
            return None
        if not request.complete or not mirrored(request.method, request.target, everything):
            return None
        path = copy_path(rum, request.target, everything)
        if path is None:
            return None
        headers = tuple(sorted((name, tuple(values)) for name, values in copy_headers(request).items()))
        return Copy(path, request.sha256, headers)

    def __str__(self) -> str:
        return f"{self.path[:120]} sha256 {self.sha256[:8]}"
