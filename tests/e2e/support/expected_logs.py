"""What has to be in the logstore for a request: an independent reading of its envelope.

Written from the description of envelopes alone (manual: sentry, "Envelope grammar", "Item types"): one log per item; one per entry of `log`,
`trace_metric` and `span` containers and of `client_report`; one per aggregate of `sessions`; one for an envelope that
Relay would refuse or a body that cannot be decoded. For each: project, item type, event id, time, what it says, its JSON.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from . import relay_envelope, rules
from .http1 import Request
from .relay_envelope import Envelope, Item
from .sls_group import Log

# Which fields tell what a log of this type says, and which member of its JSON each comes from.
EVENT = {
    "sentry.message": "", "exception.type": "", "exception.message": "", "app.version": "release",
    "app.env": "environment", "sentry.level": "level", "sentry.transaction": "transaction",
    "sentry.platform": "platform", "trace_id": "contexts.trace.trace_id", "span_id": "contexts.trace.span_id",
    "user.id": "user.id",
}  # fmt: skip
FIELDS: dict[str, dict[str, str]] = {
    "event": EVENT,
    "feedback": EVENT,
    "transaction": {"view.name": "transaction", "trace_id": "contexts.trace.trace_id", "app.version": "release"},
    "replay_event": {"sentry.replay_id": "replay_id", "sentry.segment_id": "segment_id"},
    "session": {"session.id": "sid", "user.id": "did", "sentry.session.status": "status"},
    "sessions": {"sentry.session.exited": "exited", "sentry.session.errored": "errored"},
    "check_in": {"sentry.check_in_id": "check_in_id", "sentry.monitor_slug": "monitor_slug"},
    "client_report": {
        "sentry.discard.reason": "reason", "sentry.discard.category": "category", "sentry.discard.quantity": "quantity",
    },
    "log": {"sentry.message": "body", "sentry.level": "level", "trace_id": "trace_id"},
    "trace_metric": {"sentry.metric.name": "name", "sentry.metric.value": "value", "trace_id": "trace_id"},
    "span": {"sentry.description": "", "trace_id": "trace_id", "span_id": "span_id"},
    "user_report": {"sentry.message": "comments", "user.name": "name"},
    "attachment by reference": {"sentry.attachment.location": "location"},
    "attachment of a trace": {
        "sentry.attachment.id": "attachment_id", "trace_id": "trace_id", "sentry.filename": "filename",
        "sentry.attachment.content_type": "content_type",
    },
}  # fmt: skip
# Where an item's own time stands: the first member that has one.
TIMES: dict[str, tuple[str, ...]] = {
    "event": ("timestamp", "start_timestamp"),
    "feedback": ("timestamp", "start_timestamp"),
    "transaction": ("timestamp", "start_timestamp"),
    "replay_event": ("timestamp", "replay_start_timestamp"),
    "session": ("timestamp", "started"),
    "sessions": ("started",),
    "check_in": ("timestamp",),
    "log": ("timestamp",),
    "trace_metric": ("timestamp",),
    "span": ("end_timestamp", "timestamp", "start_timestamp"),
    "profile": ("timestamp",),
    "profile_chunk": ("timestamp",),
    "metric_meta": ("timestamp",),
    "attachment of a trace": ("timestamp",),
}
# Of these so many bytes are read as `meta_length` says, and none are kept.
TRACE = "attachment of a trace"
TRACES = ("application/vnd.sentry.trace-attachment", "application/vnd.sentry.attachment.v2")
HEADS = {TRACE, "profile_chunk", "profile_chunk_ui"}
JSON_TYPES = {*FIELDS, "security", "raw_security", "nel", "metric_buckets", "metric_meta", "form_data"} - {TRACE}
LISTS = {"security", "raw_security", "nel", "metric_buckets", "form_data"}
# An item with this type and one of these content types is of a kind of its own.
REFERENCE = "attachment by reference"
REFERENCES = ("application/vnd.sentry.attachment-ref+json", "application/vnd.sentry.attachment-ref")
REPORTS = ("discarded_events", "rate_limited_events", "filtered_events", "filtered_sampling_events")


class Number(str):
    """A JSON number as it is written."""


def _refuse(name: str) -> Any:
    raise ValueError(name)


def loads(text: str) -> Any:
    """JSON with its numbers as text, so that no digit is lost."""
    return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_refuse)


def canonical(text: str) -> str:
    """Equal for two spellings of the same JSON."""
    return json.dumps(loads(text), sort_keys=True)


@dataclass(frozen=True)
class Expected:
    """One log that has to arrive. `ms` None: its time is that of its arrival at the edge."""

    project: int
    kind: str  # the item type, or what is wrong with the whole body
    bad: bool  # says what is wrong with it
    event_id: str | None
    ms: int | None
    says: tuple[tuple[str, str | None], ...]
    payload: str | None  # canonical JSON

    def key(self, words: bool) -> tuple:
        """What is compared; without `words`, what no scrubber can change."""
        return (
            self.project,
            self.kind,
            self.bad,
            self.event_id,
            self.ms,
            *((self.says, self.payload) if words else ()),
        )


# ---- reading


def _text(value: Any) -> str | None:
    """A scalar as text; a field is absent when it is null, empty or no scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str) and value else None


def _member(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def milliseconds(value: Any) -> int | None:
    """A number of seconds, or RFC 3339, in ms since 1970, rounded down."""
    if isinstance(value, Number):
        return int((Decimal(value) * 1000).to_integral_value("ROUND_FLOOR"))
    if not isinstance(value, str):
        return None
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?([Zz]|[+-]\d\d:\d\d)?", value)
    if found is None:
        return None
    day, clock, fraction, offset = found.groups()
    offset = "+00:00" if offset in (None, "Z", "z") else offset
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset}")
    except ValueError:
        return None
    seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 1000 + int((fraction or "0").ljust(3, "0")[:3])


def _message(event: dict[str, Any]) -> str | None:
    """Of an event: logentry, or the old `message`, which is a text or the same object; a feedback's own."""
    for value in (_member(event, "contexts.feedback.message"), event.get("logentry"), event.get("message")):
        if isinstance(value, dict):
            value = value.get("formatted") or value.get("message")
        if _text(value):
            return _text(value)
    return None


def _exception(event: dict[str, Any]) -> dict[str, Any]:
    """The exception that was caught: the last of the list."""
    found = event.get("exception")
    if isinstance(found, dict) and "values" in found:
        found = found["values"]
    if isinstance(found, list):
        found = [one for one in found if isinstance(one, dict) and one]
        return found[-1] if found else {}
    return found if isinstance(found, dict) else {}


def _says(kind: str, value: Any, envelope: Envelope) -> tuple[tuple[str, str | None], ...]:
    found = {}
    for name, path in FIELDS.get(kind, {}).items():
        found[name] = _text(_member(value, path)) if path else None
    if not isinstance(value, dict):
        value = {}
    if kind in ("event", "feedback"):
        caught = _exception(value)
        found["sentry.message"] = _message(value)
        found["exception.type"], found["exception.message"] = _text(caught.get("type")), _text(caught.get("value"))
    if kind == "span":
        found["sentry.description"] = _text(value.get("name")) or _text(value.get("description"))
    # What the item does not say, the envelope's header may.
    trace = envelope.header.get("trace")
    for name, member in (("trace_id", "trace_id"), ("app.version", "release"), ("app.env", "environment")):
        if name in found and found[name] is None and isinstance(trace, dict):
            found[name] = _text(trace.get(member))
    return tuple(found.items())


def _entries(kind: str, value: Any) -> list[Any] | None:
    """The entries of an item that gives a log for each; None when the item is one itself."""
    if kind in ("log", "trace_metric", "span") and isinstance(value, dict):
        return value["items"] if isinstance(value.get("items"), list) else [] if "items" in value else None
    if kind == "sessions":
        found = _member(value, "aggregates")
        return found if isinstance(found, list) else []
    if kind == "client_report":
        lists = [_member(value, name) for name in REPORTS]
        return [entry for one in lists if isinstance(one, list) for entry in one]
    return None


def _kind(item_type: str, content_type: Any) -> str:
    if item_type != "attachment" or not isinstance(content_type, str):
        return item_type
    content_type = content_type.lower()
    return REFERENCE if content_type in REFERENCES else TRACE if content_type in TRACES else item_type


def _item(project: int, envelope: Envelope, item: Item) -> Iterator[Expected]:
    kind = _kind(item.type, item.header.get("content_type"))
    head = item.header.get("meta_length") if kind in HEADS else None
    try:
        value = loads(item.payload[: None if head is None else int(head)].decode())
        bad = kind in JSON_TYPES and not isinstance(value, dict) and not (kind in LISTS and isinstance(value, list))
    except ValueError:
        value, bad = None, kind in JSON_TYPES
    entries = None if bad else _entries(kind, value)
    if entries == []:
        bad, entries = True, None
    times = TIMES.get(kind, ())
    for entry in [value] if entries is None else entries:
        wrong = bad or (entries is not None and not isinstance(entry, dict))
        own = next((ms for name in times if (ms := milliseconds(_member(entry, name))) is not None), None)
        if kind == "client_report":
            own = milliseconds(_member(value, "timestamp"))
        # The header's id beats the payload's; entries have none of their own.
        identity = envelope.event_id
        if identity is None and kind in ("profile", "profile_chunk"):
            identity = relay_envelope.event_id(_member(value, "transaction.id"))
        elif identity is None and kind in JSON_TYPES - {REFERENCE} and entries is None:
            identity = relay_envelope.event_id(_member(entry, "event_id"))
        payload = None if wrong or kind not in JSON_TYPES else json.dumps(entry, sort_keys=True)
        says = _says(kind, entry, envelope) if not wrong else ()
        yield Expected(project, kind, wrong, identity, own, says, payload)


def of_body(project: int, body: bytes, encoding: str | None) -> list[Expected]:
    """The logs of one envelope."""
    try:
        envelope = relay_envelope.read(relay_envelope.decode(body, encoding))
    except relay_envelope.Undecodable:
        return [Expected(project, "undecodable body", True, None, None, (), None)]
    except relay_envelope.Malformed:
        return [Expected(project, "malformed envelope", True, None, None, (), None)]
    return [log for item in envelope.items for log in _item(project, envelope, item)]


def of_request(request: Request) -> list[Expected]:
    """The logs of a request as the primary got it: none unless it is an envelope."""
    if not request.complete or not rules.mirrored(request.method, request.target):
        return []
    project = rules.project(request.target)
    assert project is not None
    return of_body(project, request.body, request.header("content-encoding"))


# ---- comparing


def _read(log: Log, words: bool) -> Expected:
    """A log that arrived, in the same form."""
    # An item may have an empty type, and an empty value is no field.
    kind = log.get("sentry.item_type") or log.get("sentry.error_kind") or ""
    kind = _kind(kind, log.get("sentry.content_type"))
    bad = log.get("sentry.error") is not None
    says = tuple((name, log.get(name)) for name in FIELDS.get(kind, {})) if not bad else ()
    payload = log.get("payload") if words else None
    if payload is not None:
        payload = canonical(payload)
    ms = log.get("timestamp")
    project = int(log.get("sentry.project_id") or -1)
    return Expected(project, kind, bad, log.get("event_id"), int(ms) if ms else None, says, payload)


def differences(wanted: Iterable[Expected], logs: Iterable[Log], began: float, words: bool = True) -> list[str]:
    """What is missing, and what is there that should not be. `began`: unix seconds, before the first request."""
    left = Counter(one.key(words) for one in wanted)
    problems = []
    for log in logs:
        found = _read(log, words)
        exact = found.key(words)
        at_arrival = (*exact[:4], None, *exact[5:])
        if left[exact] > 0:
            left[exact] -= 1
        elif left[at_arrival] > 0 and found.ms is not None and found.ms >= int(began * 1000) - 1:
            left[at_arrival] -= 1
        else:
            problems.append(f"unexpected, or doubled: {log}")
    for key, count in left.items():
        if count > 0:
            problems.append(f"never arrived (x {count}): {str(key)[:600]}")
    return problems


def by_type(logs: Iterable[Expected]) -> Counter[str]:
    """How many logs of each item type."""
    return Counter(log.kind for log in logs)
