//! The tables of event-like items (`event`, `transaction`, `feedback`, `replay_event`) and of the spans in a transaction.

use super::take::List::{Exceptions, Frames, Threads};
use super::take::{self, Table, Take};

use Take::{Fill, Id, In, Json, List, Stack, Start, Text, TextOr, Time};

pub(super) const EVENT: Table = &[
    ("event_id", Id("event_id")),
    ("timestamp", Time),
    ("start_timestamp", Start),
    ("platform", Text("sentry.platform")),
    ("level", Text("sentry.level")),
    ("logger", Text("sentry.logger")),
    ("transaction", Text("sentry.transaction")),
    ("server_name", Text("sentry.server_name")),
    ("release", Text("app.version")),
    ("dist", Text("sentry.dist")),
    ("environment", Text("app.env")),
    ("message", TextOr("sentry.message", MESSAGE)),
    ("logentry", In(MESSAGE)),
    ("fingerprint", Json("sentry.fingerprint")),
    ("tags", Json("sentry.tags")),
    ("user", In(USER)),
    ("sdk", In(SDK)),
    ("request", In(REQUEST)),
    ("contexts", In(CONTEXTS)),
    ("measurements", Json("sentry.measurements")),
    ("spans", List("sentry.span_count")),
    ("exception", Stack(Exceptions)),
    ("threads", Stack(Threads)),
    ("stacktrace", In(STACKTRACE)),
    // Of `replay_event`.
    ("replay_id", Text("sentry.replay_id")),
    ("replay_type", Text("sentry.replay_type")),
    ("replay_start_timestamp", Start),
    ("segment_id", Text("sentry.segment_id")),
    ("urls", Json("sentry.urls")),
    ("error_ids", Json("sentry.error_ids")),
    ("trace_ids", Json("sentry.trace_ids")),
];

const MESSAGE: Table = &[
    ("formatted", Text("sentry.message")),
    ("message", Fill("sentry.message")),
];

pub(super) const USER: Table = &[
    ("id", Text("user.id")),
    ("username", Text("user.name")),
    ("name", Fill("user.name")),
];

pub(super) const SDK: Table = &[
    ("name", Text("sentry.sdk.name")),
    ("version", Text("sentry.sdk.version")),
];

const REQUEST: Table = &[
    ("url", Text("sentry.request.url")),
    ("method", Text("sentry.request.method")),
];

pub(super) const CONTEXTS: Table = &[
    ("trace", In(TRACE)),
    (
        "os",
        In(&[("name", Text("os.type")), ("version", Text("os.version"))]),
    ),
    (
        "browser",
        In(&[
            ("name", Text("os.container")),
            ("version", Text("os.container_version")),
        ]),
    ),
    ("device", In(DEVICE)),
    ("feedback", In(FEEDBACK)),
    ("replay", In(&[("replay_id", Text("sentry.replay_id"))])),
];

const TRACE: Table = &[
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("parent_span_id", Text("sentry.parent_span_id")),
    ("op", Text("sentry.op")),
    ("status", Text("sentry.status")),
];

const DEVICE: Table = &[
    ("family", Text("device.type")),
    ("brand", Text("device.brand")),
    ("model", Text("device.model")),
    ("name", Text("device.name")),
];

const FEEDBACK: Table = &[
    ("message", Text("sentry.message")),
    ("name", Fill("user.name")),
    ("url", Text("sentry.request.url")),
    ("associated_event_id", Id("sentry.associated_event_id")),
    ("replay_id", Text("sentry.replay_id")),
];

/// A span of a transaction, or alone in an item.
pub(super) const SPAN: Table = &[
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("parent_span_id", Text("sentry.parent_span_id")),
    ("op", Text("sentry.op")),
    ("description", Text("sentry.description")),
    ("status", Text("sentry.status")),
    ("origin", Text("sentry.origin")),
    ("start_timestamp", Start),
    ("timestamp", Time),
];

const EXCEPTION: Table = &[
    ("type", Text("exception.type")),
    ("value", Text("exception.message")),
    ("mechanism", In(MECHANISM)),
    ("stacktrace", In(STACKTRACE)),
];

const MECHANISM: Table = &[
    ("type", Text("sentry.exception.mechanism")),
    ("handled", Text("sentry.exception.handled")),
];

const THREAD: Table = &[
    ("crashed", Text("crashed")),
    ("current", Text("current")),
    ("stacktrace", In(STACKTRACE)),
];

const STACKTRACE: Table = &[("frames", Stack(Frames))];

const FRAME: Table = &[
    ("function", Text("function")),
    ("filename", Text("filename")),
    ("abs_path", Text("abs_path")),
    ("module", Text("module")),
    ("package", Text("package")),
    ("instruction_addr", Text("instruction_addr")),
    ("lineno", Text("lineno")),
    ("colno", Text("colno")),
];

/// The table of an element of a list.
pub(super) fn element(list: take::List) -> Table {
    match list {
        Exceptions => EXCEPTION,
        Threads => THREAD,
        Frames => FRAME,
    }
}
