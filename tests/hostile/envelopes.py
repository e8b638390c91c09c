"""What an envelope is made of, and envelopes that are hostile as such: headers, items, lines."""

import json
from collections.abc import Callable

EVENT_ID = "9ec79c33ec9942ab8353589fcb2e04dc"
HEADER = b'{"event_id":"%s"}\n' % EVENT_ID.encode()
# What the rest of a body takes of its size.
ROOM = 4096
# As much as a field of a log may have.
LONG = "r" * 65_536


def fill(unit: bytes, size: int) -> bytes:
    """As often as it fits."""
    return unit * max(1, (size - ROOM) // len(unit))


def item(kind: str, payload: bytes, **more: object) -> bytes:
    header = {"type": kind, **more, "length": len(payload)}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + payload + b"\n"


def event(members: bytes) -> bytes:
    """An envelope with one event of these members."""
    return HEADER + item("event", b"{%s}" % members)


def message(text: bytes) -> bytes:
    """An event whose message is a text, which has to be fit for JSON."""
    return event(b'"message":"%s"' % text)


def attachment(payload: bytes) -> bytes:
    return HEADER + item("attachment", payload, filename="core")


def entries(kind: str, unit: bytes, count: int, header: bytes = HEADER) -> bytes:
    """A container of so many entries."""
    payload = b'{"items":[%s]}' % b",".join([unit] * count)
    return header + item(kind, payload, item_count=count, content_type=f"application/vnd.sentry.items.{kind}+json")


def _inherited(_size: int) -> bytes:
    """What every log inherits is long: written 10 000 times."""
    trace = {"trace_id": LONG, "release": LONG, "environment": LONG}
    header = {"event_id": EVENT_ID, "trace": trace, "sdk": {"name": LONG, "version": LONG}}
    return entries("log", b"{}", 10_000, json.dumps(header).encode() + b"\n")


# Of a header that is as long as is read, or nearly.
LONG_VALUES = {
    "header-escapes": b'"%s"' % (b"\\u0041" * 85_000),
    "header-escapes-short": b'"%s"' % (b"\\n" * 260_000),
    "header-number": b"1" * 520_000,
    "header-fraction": b"0." + b"1" * 520_000,
    "header-spaces": b" " * 520_000 + b"1",
    "header-multibyte": b'"%s"' % ("\u00e9\u4e2d\U0001f600".encode() * 57_000),
    "header-release": b'"%s"' % (b"r" * 520_000),
}


def _header_of(value: bytes) -> Callable[[int], bytes]:
    header = b'{"event_id":"%s","sdk":{"version":%s}}\n' % (EVENT_ID.encode(), value)
    return lambda _size: header + item("event", b"{}")


def _header_keys(size: int) -> bytes:
    return b'{"event_id":"%s"%s}\n' % (EVENT_ID.encode(), fill(b',"sdk":{"name":"x"}', size)) + item("event", b"{}")


MAKERS: dict[str, Callable[[int], bytes]] = {
    "header-long": lambda size: (
        b'{"event_id":"%s","x":"%s"}\n' % (EVENT_ID.encode(), fill(b"x", size)) + item("event", b"{}")
    ),
    "header-keys": _header_keys,
    **{name: _header_of(value) for name, value in LONG_VALUES.items()},
    "header-inherited": _inherited,
    "items-many": lambda size: HEADER + fill(item("event", b'{"message":"x"}'), size),
    "items-empty": lambda size: HEADER + fill(b'{"type":"event","length":0}\n\n', size),
    "items-unknown": lambda size: HEADER + fill(b"{}\n\n", size),
    "item-header-long": lambda size: (
        HEADER + b'{"type":"attachment","filename":"%s","length":0}\n\n' % fill(b"x", size)
    ),
    "item-length-huge": lambda size: HEADER + b'{"type":"event","length":99999999999}\n' + fill(b"x", size),
    "lines-blank": lambda size: HEADER + fill(b"\n", size),
    "lines-broken": lambda size: HEADER + fill(b'{"type":"event"}\n{\n', size),
}
