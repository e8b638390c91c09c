"""What a second Sentry gets of a request, written a second time, from the documentation: another path, another key, and all
else as it came.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from . import relay_envelope, rules
from .http1 import Request

SECRETS = ("secret", "sentry_secret")
KEYS = ("key", "sentry_key")


@dataclass(frozen=True)
class Dsn:
    """A DSN of the second Sentry."""

    text: str

    @property
    def key(self) -> str:
        return urlsplit(self.text).username or ""

    @property
    def authority(self) -> str:
        return urlsplit(self.text).netloc.rpartition("@")[2]

    @property
    def api(self) -> str:
        """The path of its API for the project, without a slash at its end."""
        before, _, project = urlsplit(self.text).path.rstrip("/").rpartition("/")
        return f"{before}/api/{project}"


# ---- the head


def target(dsn: Dsn, came: str) -> str:
    """The target of the copy. Slashes and the order of the query stay."""
    found = re.fullmatch(r"/+api/+[0-9]+([^?#]*)(.*)", came, re.DOTALL)
    assert found is not None, came
    path = re.sub(r"^(/+unreal/+|/+cron/+[^/]+/+)[^/]+", lambda match: match[1] + dsn.key, found[1])
    rest = found[2]
    return dsn.api + path + ("?" + _pairs(dsn, rest[1:], "&") if rest.startswith("?") else rest)


def _pairs(dsn: Dsn, text: str, between: str) -> str:
    """The pairs of a query or of a header, with the key replaced and without secrets."""
    kept = []
    for pair in text.split(between):
        written = pair.partition("=")[0]
        name = unquote_plus(written) if between == "&" else written.strip()
        if name not in SECRETS:
            kept.append(f"{written}={dsn.key}" if name in KEYS else pair)
    return between.join(kept)


def basic(dsn: Dsn) -> str:
    """A key as the user of `Basic`, without a password."""
    return "Basic " + base64.b64encode(f"{dsn.key}:".encode()).decode()


def _credential(dsn: Dsn, value: str) -> str:
    scheme, space, pairs = value.partition(" ") if " " in value else ("", "", value)
    return scheme + space + _pairs(dsn, pairs, ",")


def _headers(dsn: Dsn, request: Request, changed: bool) -> dict[str, list[str]]:
    headers = rules.copy_headers(request)
    if "x-sentry-auth" in headers:
        headers["x-sentry-auth"] = [_credential(dsn, value) for value in headers["x-sentry-auth"]]
    if "authorization" in headers:
        (value,) = headers["authorization"]
        headers["authorization"] = [_credential(dsn, value) if value.lower().startswith("sentry ") else basic(dsn)]
    if changed:
        headers.pop("content-encoding", None)
    return headers


# ---- the body


def _members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """The members of the JSON object that begins here: name, and where the value begins and ends."""
    decoder = json.JSONDecoder()
    space = re.compile(r"[ \t\r\n]*")
    at = space.match(text, at).end() + 1  # type: ignore[union-attr]
    while True:
        at = space.match(text, at).end()  # type: ignore[union-attr]
        if text[at] == "}":
            return
        if text[at] == ",":
            at = space.match(text, at + 1).end()  # type: ignore[union-attr]
        name, at = decoder.raw_decode(text, at)
        start = re.compile(r"[ \t\r\n]*:[ \t\r\n]*").match(text, at).end()  # type: ignore[union-attr]
        _, at = decoder.raw_decode(text, start)
        yield name, start, at


def _first(text: str, at: int, name: str) -> tuple[int, int] | None:
    return next(((start, end) for found, start, end in _members(text, at) if found == name), None)


def _edits(text: str, dsn: Dsn) -> Iterator[tuple[int, int, str]]:
    """What is to be replaced in the header of an envelope."""
    places = [(_first(text, 0, "dsn"), dsn.text)]
    trace = _first(text, 0, "trace")
    if trace is not None and text[trace[0]] == "{":
        places.append((_first(text, trace[0], "public_key"), dsn.key))
    for place, value in places:
        if place is not None:
            was = json.loads(text[slice(*place)])
            if isinstance(was, str) and was != value:
                yield *place, f'"{value}"'


def body(dsn: Dsn, came: bytes, encoding: str | None) -> bytes:
    """The envelope that names the second Sentry: the same bytes where there is nothing to be changed, or nothing to be read."""
    try:
        decoded = relay_envelope.decode(came, encoding)
        end = relay_envelope.head(decoded)[1]
    except (relay_envelope.Undecodable, relay_envelope.Malformed):
        return came
    # As latin-1 an offset is the same in text and bytes.
    header = decoded[:end].decode("latin-1")
    edits = sorted(_edits(header, dsn), reverse=True)
    for start, stop, value in edits:
        header = header[:start] + value + header[stop:]
    return header.encode("latin-1") + decoded[end:] if edits else came


# ---- the copy


@dataclass(frozen=True)
class Rekeyed:
    """A copy, and its body."""

    copy: rules.Copy
    body: bytes
    changed: bool


def of(dsn: Dsn, request: Request, everything: bool = False) -> Rekeyed | None:
    """The copy that this request (as the primary got it) must lead to; None when it is not to be mirrored."""
    if request.header(rules.MARKER) is not None or not request.complete:
        return None
    if not rules.mirrored(request.method, request.target, everything):
        return None
    became = request.body
    if rules.mirrored(request.method, request.target):
        became = body(dsn, request.body, request.header("content-encoding"))
    changed = became is not request.body
    headers = tuple(sorted((name, tuple(values)) for name, values in _headers(dsn, request, changed).items()))
    sha256 = hashlib.sha256(became).hexdigest()
    return Rekeyed(rules.Copy(target(dsn, request.target), sha256, headers), became, changed)
