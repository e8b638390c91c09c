"""Containers of each kind, and the lists of an event, with entries by the ten thousand."""

from collections.abc import Callable

from .envelopes import HEADER, LONG, entries, event, fill, item

TRACE = b'"trace_id":"%s","span_id":"%s"' % (b"a" * 32, b"b" * 16)
ATTRIBUTES = b'"attributes":{%s"z":{"value":1,"type":"integer"}}' % (b'"a.b":{"value":1,"type":"integer"},' * 8)
LOG = b'{"timestamp":1760000000,%s,"level":"info","body":"x"}' % TRACE
METRIC = b'{"timestamp":1760000000,%s,"name":"m","type":"counter","value":1}' % TRACE
SPAN = b'{"start_timestamp":1760000000,"end_timestamp":1760000001,%s,"name":"s","status":"ok"}' % TRACE
FRAME = b'{"filename":"a.py","function":"f","lineno":1,"context_line":"password = 1","vars":{"token":"x"}}'


def _of(kind: str, entry: bytes) -> Callable[[int], bytes]:
    return lambda size: entries(kind, entry, max(1, (size - 4096) // (len(entry) + 1)))


def _items(kind: str, before: bytes, unit: bytes, after: bytes) -> Callable[[int], bytes]:
    return lambda size: HEADER + item(kind, before + fill(unit + b",", size)[:-1] + after)


def _event(before: bytes, unit: bytes, after: bytes) -> Callable[[int], bytes]:
    return lambda size: event(before + fill(unit + b",", size)[:-1] + after)


def _inherited(_size: int) -> bytes:
    """What every aggregate's log inherits is long."""
    payload = b'{"attrs":{"user_agent":"%s"},"aggregates":[%s]}' % (LONG.encode(), b",".join([b"{}"] * 10_000))
    return HEADER + item("sessions", payload)


MAKERS: dict[str, Callable[[int], bytes]] = {
    "logs": _of("log", LOG),
    "logs-empty": _of("log", b"{}"),
    "logs-attributes": _of("log", b"{%s}" % ATTRIBUTES),
    "logs-wide": lambda size: entries(
        "log", b'{"body":"x","attributes":{%s"z":{"value":1}}}' % fill(b'"a":{"value":1},', size), 1
    ),
    "metrics": _of("trace_metric", METRIC),
    "spans": _of("span", SPAN),
    "sessions-inherited": _inherited,
    "sessions": _items(
        "sessions", b'{"aggregates":[', b'{"started":"2026-01-01T00:00:00Z","did":"x","exited":1}', b"]}"
    ),
    "client-reports": _items(
        "client_report", b'{"discarded_events":[', b'{"reason":"x","category":"error","quantity":1}', b"]}"
    ),
    "transaction-spans": _items("transaction", b'{"transaction":"/","spans":[', SPAN, b"]}"),
    "exceptions": _event(b'"exception":{"values":[', b'{"type":"E","value":"x"}', b"]}"),
    "frames": _event(b'"exception":{"values":[{"stacktrace":{"frames":[', FRAME, b"]}}]}"),
    "threads": _event(b'"threads":{"values":[', b'{"id":1,"stacktrace":{"frames":[%s]}}' % FRAME, b"]}"),
    "breadcrumbs": _event(b'"breadcrumbs":{"values":[', b'{"timestamp":1,"message":"token=x","data":{"a":1}}', b"]}"),
    "tags": _event(b'"tags":[', b'["key","value"]', b"]"),
    "fingerprint": _event(b'"fingerprint":[', b'"x"', b"]"),
    "measurements": _event(b'"measurements":{', b'"token_count":{"value":1}', b"}"),
    "replay-urls": _items("replay_event", b'{"urls":[', b'"https://a:b@c/"', b"]}"),
}
