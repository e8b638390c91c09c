"""Reads the body of a PutLogs as SLS would, with the SDK's protobuf classes, and applies SLS's limits to it.

A `Refusal` is what SLS would answer. What SLS may let pass, but its manual warns of (fields out of order, a key twice),
is a `Doubt`. Sizes are in bytes.
"""

import zlib
from dataclasses import dataclass, field
from typing import Any

import lz4.block
from aliyun.log.log_logs_raw_pb2 import LogGroupRaw
from google.protobuf.message import DecodeError

MAX_RAW = 10 << 20
MAX_KEY = 128
MAX_VALUE = 1 << 20
MAX_LABEL = 128
MAX_LOGS = 40_960
OLDEST_S = 7 * 86_400
NEWEST_S = 15 * 60
RESERVED = {
    "__time__", "__source__", "__topic__", "__partition_time__", "_extract_others_", "__extract_others__",
}  # fmt: skip


class Refusal(Exception):
    """SLS's answer to a request that it does not take."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


@dataclass
class Log:
    """One log as it arrived."""

    time: int
    time_ns: int
    fields: dict[str, str]
    topic: str
    source: str
    group: int = 0  # which accepted request it came with

    def __getitem__(self, key: str) -> str:
        return self.fields[key]

    def get(self, key: str) -> str | None:
        return self.fields.get(key)

    @property
    def identity(self) -> tuple:
        """Equal for a log that was sent twice."""
        return (self.time, self.time_ns, self.topic, self.source, *sorted(self.fields.items()))

    def __str__(self) -> str:
        shown = {key: value[:60] for key, value in self.fields.items() if key != "payload"}
        return f"{self.time}.{self.time_ns:09} {shown}"


@dataclass
class Group:
    """A PutLogs body that was taken."""

    raw: bytes
    logs: list[Log]
    doubts: list[str] = field(default_factory=list)


def decompress(body: bytes, kind: str | None, raw_size: int) -> bytes:
    """The bytes before compression, which have to be as many as x-log-bodyrawsize says."""
    if raw_size > MAX_RAW:
        raise Refusal(413, "PostBodyTooLarge", f"body must not exceed 10M, is {raw_size}")
    try:
        if kind is None:
            raw = body
        elif kind == "lz4":
            # A raw block: a frame, or a block with its size in front, does not decode to this size.
            raw = lz4.block.decompress(body, uncompressed_size=raw_size) if body else b""
        elif kind == "deflate":
            inflater = zlib.decompressobj()
            raw = inflater.decompress(body, MAX_RAW + 1)
            if not inflater.eof or inflater.unused_data:
                raise Refusal(400, "PostBodyUncompressError", "the zlib stream does not end with the body")
        else:
            raise Refusal(400, "InvalidCompressType", f"compress type {kind!r}")
    except (lz4.block.LZ4BlockError, zlib.error) as error:
        raise Refusal(400, "PostBodyUncompressError", f"{kind}: {error}") from None
    if len(raw) != raw_size:
        raise Refusal(400, "InvalidBodyRawSize", f"x-log-bodyrawsize is {raw_size}, the body has {len(raw)}")
    return raw


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, "InvalidEncoding", f"{what} is not UTF-8: {error.reason} at {error.start}") from None


def _check_key(key: str) -> None:
    size = len(key.encode())
    if not 1 <= size <= MAX_KEY:
        raise Refusal(400, "InvalidKey", f"a key of {size} bytes")
    # Dots are not in the manual's list, yet RUM's own rows have them (app.id): taken.
    if key[0].isdigit() or not all(c.isalnum() or c in "_." for c in key):
        raise Refusal(400, "InvalidKey", f"key {key!r}")
    if key in RESERVED or key.startswith("__tag__:"):
        raise Refusal(400, "InvalidKey", f"reserved key {key!r}")


def _read_log(found: Any, topic: str, source: str, now: float, doubts: list[str]) -> Log:
    if not now - OLDEST_S <= found.Time <= now + NEWEST_S:
        raise Refusal(400, "PostBodyInvalid", f"The post data time is out of range: {found.Time} at {now:.0f}")
    if found.Time_ns > 999_999_999:
        raise Refusal(400, "InvalidTimestamp", f"Time_ns {found.Time_ns}")
    fields: dict[str, str] = {}
    for content in found.Contents:
        key = content.Key
        _check_key(key)
        if len(content.Value) > MAX_VALUE:
            raise Refusal(400, "PostBodyInvalid", f"the value of {key} has {len(content.Value)} bytes")
        if key in fields:
            doubts.append(f"key {key!r} twice in one log")
        fields[key] = _text(content.Value, f"the value of {key}")
    if not fields:
        doubts.append("a log without contents")
    return Log(found.Time, found.Time_ns, fields, topic, source)


def parse(raw: bytes, now: float) -> Group:
    """The log group, every log of it: one bad log refuses them all."""
    message = LogGroupRaw()
    try:
        message.ParseFromString(raw)
    except DecodeError as error:
        raise Refusal(400, "PostBodyInvalid", f"no LogGroup: {error}") from None
    if not message.IsInitialized():
        raise Refusal(400, "PostBodyInvalid", f"required fields are missing: {message.FindInitializationErrors()}")
    try:
        return _check(message, raw, now)
    except UnicodeDecodeError as error:  # of a key, topic or source, at the moment when it is looked at
        raise Refusal(400, "InvalidEncoding", f"not UTF-8: {error.reason}") from None


def _check(message: Any, raw: bytes, now: float) -> Group:
    doubts: list[str] = []
    for what, label in (("topic", message.Topic), ("source", message.Source)):
        if len(label.encode()) > MAX_LABEL:
            raise Refusal(400, "PostBodyInvalid", f"a {what} of {len(label.encode())} bytes")
    if not message.Logs:
        doubts.append("a log group without logs")
    if len(message.Logs) > MAX_LOGS:
        doubts.append(f"{len(message.Logs)} logs in one group")
    logs = [_read_log(log, message.Topic, message.Source, now, doubts) for log in message.Logs]
    message.DiscardUnknownFields()
    # The SDK writes fields in the order of their numbers, which the manual asks for, and none that are not its own.
    if message.SerializeToString() != raw:
        doubts.append("not the bytes that the SDK would have written: order, unknown fields or over-long numbers")
    return Group(raw, logs, doubts)
