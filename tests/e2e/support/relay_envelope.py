"""Reads a request body as Relay does: Content-Encoding, then the grammar (manual: sentry, "Envelope grammar").

Written from that description alone, in another language and with other libraries than the module: the two can disagree.
Checked against every parse that the fixtures carry (test_expected_logs.py).
"""

import json
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import brotli
import zstandard

CAP = 32 << 20
U32 = 1 << 32
_SPACE = b" \t\r\n"
_HEADER_KEYS = {
    "event_id", "dsn", "sent_at", "sdk", "trace", "retention", "client", "version", "origin", "remote_addr",
    "forwarded_for", "user_agent", "no_cache", "client_hints",
}  # fmt: skip
_ITEM_KEYS = {
    "type", "length", "item_count", "content_type", "attachment_type", "filename", "platform", "routing_hint",
    "sampled", "metrics_extracted", "spans_extracted", "fully_normalized", "meta_length", "span_id",
}  # fmt: skip
_UUID = re.compile(
    r"(?:urn:uuid:)?\{?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\}?|[0-9a-f]{32}", re.IGNORECASE
)


class Undecodable(Exception):
    """The body cannot be decoded within the cap."""


class Malformed(Exception):
    """Relay would answer 400."""


@dataclass
class Item:
    """One item: its header and its payload."""

    header: dict[str, Any]
    payload: bytes

    @property
    def type(self) -> str:
        return self.header["type"]


@dataclass
class Envelope:
    """The header and the items."""

    header: dict[str, Any]
    items: list[Item]

    @property
    def event_id(self) -> str | None:
        value = self.header.get("event_id")
        return None if value is None else event_id(value)


def event_id(value: Any) -> str | None:
    """Sentry's usual form of an id, 32 lower-case hex digits; None when it is none."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        return None
    return re.sub("urn:uuid:|[{}-]", "", value.lower())


# ---- Content-Encoding


def _inflate(body: bytes, wbits: int, several: bool) -> bytes:
    pieces, left = [], CAP + 1
    while True:
        inflater = zlib.decompressobj(wbits)
        piece = inflater.decompress(body, left)
        pieces.append(piece)
        left -= len(piece)
        if left <= 0:
            raise Undecodable("over the cap")
        if not inflater.eof:
            raise Undecodable("truncated")
        body = inflater.unused_data
        if not several or not body:
            return b"".join(pieces)


def _unbrotli(body: bytes) -> bytes:
    decoder = brotli.Decompressor()
    pieces, size, data = [], 0, body
    while True:
        piece = decoder.process(data, output_buffer_limit=1 << 20)
        pieces.append(piece)
        size += len(piece)
        data = b""
        if size > CAP:
            raise Undecodable("over the cap")
        if decoder.is_finished():
            return b"".join(pieces)
        if not piece and decoder.can_accept_more_data():
            raise Undecodable("truncated")


def _unzstd(body: bytes) -> bytes:
    # RFC 9659: 8 MiB of window is all that this Content-Encoding may ask for.
    pieces, left, data = [], CAP + 1, body
    while data:
        if re.match(rb"[\x50-\x5f]\x2a\x4d\x18", data):  # a skippable frame
            size = int.from_bytes(data[4:8], "little")
            if len(data) < 8 + size:
                raise Undecodable("truncated")
            data = data[8 + size :]
            continue
        decoder = zstandard.ZstdDecompressor(max_window_size=8 << 20).decompressobj()
        with_limit = zstandard.ZstdDecompressor(max_window_size=8 << 20).stream_reader(data, read_size=4096)
        piece = with_limit.read(left)
        pieces.append(piece)
        left -= len(piece)
        if left <= 0:
            raise Undecodable("over the cap")
        decoder.decompress(data)  # at most CAP bytes, as was just seen
        if not decoder.eof:
            raise Undecodable("truncated")
        data = decoder.unused_data
    return b"".join(pieces)


def decode(body: bytes, encoding: str | None) -> bytes:
    """Undoes the first Content-Encoding line. The names count byte for byte."""
    encoding = encoding or ""
    if encoding in ("", "identity") or encoding.lower() == "utf-8":
        if len(body) > CAP:
            raise Undecodable("over the cap")
        return body
    try:
        if not body and encoding in ("gzip", "deflate", "br", "zstd"):
            return b""
        if encoding == "gzip":
            return _inflate(body, 31, several=True)
        if encoding == "deflate":
            return _inflate(body, 15, several=False)
        if encoding == "br":
            return _unbrotli(body)
        if encoding == "zstd":
            return _unzstd(body)
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise Undecodable(str(error)) from None
    raise Undecodable(f"unsupported encoding {encoding!r}")


# ---- the grammar


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _object(known: set[str]) -> Any:
    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Called for inner objects too, so the duplicates are only noted, and judged for the outermost.
        found = dict(pairs)
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if name in known and names.count(name) > 1})
        if twice:
            found["\0twice"] = twice
        return found

    return collect


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _header(text: str, body: bytes, at: int, known: set[str]) -> tuple[dict[str, Any], int]:
    """A header and the offset behind it. `text` is the body as latin-1, in which offsets are the body's own."""
    while at < len(body) and body[at] in _SPACE:
        at += 1
    try:
        _, end = json.JSONDecoder(parse_constant=_no_constant).raw_decode(text, at)
        value = json.loads(body[at:end].decode(), object_pairs_hook=_object(known), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is no text
    except (ValueError, RecursionError) as error:
        raise Malformed(f"header at {at}: {error}") from None
    if not isinstance(value, dict):
        raise Malformed(f"header at {at} is no object")
    if twice := value.get("\0twice"):
        raise Malformed(f"header at {at}: {twice} twice")
    if _depth(value) > 127:
        raise Malformed(f"header at {at}: nested too deeply")
    return value, end


def _line_end(body: bytes, at: int) -> int:
    """The offset behind the LF at `at`, or behind the body at its end."""
    if at < len(body) and body[at] != 0x0A:
        raise Malformed(f"byte {body[at]:#x} at {at}, not LF")
    return at + 1


def _rfc3339(value: str) -> bool:
    form = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
    if not re.fullmatch(form, value):
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", value).upper())
    except ValueError:
        return False
    return True


def _check_header(header: dict[str, Any]) -> None:
    if header.get("event_id") is not None and event_id(header["event_id"]) is None:
        raise Malformed("event_id")
    sent_at = header.get("sent_at")
    if sent_at is not None and not (isinstance(sent_at, str) and _rfc3339(sent_at)):
        raise Malformed("sent_at")
    dsn = header.get("dsn")
    if dsn is not None and not isinstance(dsn, str):
        raise Malformed("dsn")


def _payload(body: bytes, at: int, length: Any) -> tuple[bytes, int]:
    """The payload at `at`, and the offset where the next item begins."""
    if length is None:
        end = body.find(b"\n", at)
        end = len(body) if end < 0 else end
        return body[at:end], end + 1
    if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length < U32:
        raise Malformed(f"length {length!r}")
    if at + length > max(len(body), at):
        raise Malformed(f"length {length} with {len(body) - at} bytes left")
    return body[at : at + length], _line_end(body, at + length)


def head(body: bytes) -> tuple[dict[str, Any], int]:
    """The header of an envelope and the offset behind it and its LF, or Malformed."""
    if not body:
        raise Malformed("empty body")
    header, at = _header(body.decode("latin-1"), body, 0, _HEADER_KEYS)
    _check_header(header)
    return header, _line_end(body, at)


def read(body: bytes) -> Envelope:
    """The envelope, or Malformed as a whole."""
    header, at = head(body)
    text = body.decode("latin-1")
    items = []
    while at < len(body):
        item, at = _header(text, body, at, _ITEM_KEYS)
        if not isinstance(item.get("type"), str):
            raise Malformed("an item without a type")
        if item["type"] == "integration":
            raise Malformed("an internal item type")
        at = _line_end(body, at)
        payload, at = _payload(body, at, item.get("length"))
        items.append(Item(item, payload))
    return Envelope(header, items)
