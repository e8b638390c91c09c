//! The tables of event-like items (`event`, `transaction`, `feedback`, `replay_event`) and of the spans in a transaction,
//! and the text of a stack.
//!
//! Which exception counts: the last of the list, which is the one that was caught; the others are its causes, and stand
//! in `exception.stack` behind it. Without any, the stack of the crashed or current thread is taken.

use std::collections::VecDeque;

use super::MAX_VALUE;
use super::draft::Draft;
use super::walk::{Table, Take};

use Take::{Exceptions, Fill, Frames, Id, In, Json, List, Start, Text, TextOr, Threads, Time};

/// Frames of one stack: the newest. Real ones have tens.
const MAX_FRAMES: usize = 256;

/// Exceptions of one event: the last. Real ones have a few.
const MAX_EXCEPTIONS: usize = 32;

/// Of a function, file or position in the text of a stack, in bytes.
const MAX_NAME: usize = 512;

/// Of an exception's type, and of its message, in the text of a stack, in bytes.
const MAX_HEAD: usize = 8192;

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
    ("exception", Exceptions),
    ("threads", Threads),
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

const STACKTRACE: Table = &[("frames", Frames)];

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

/// The exceptions, threads and frames of an event, as they are read.
#[derive(Default)]
pub(super) struct Stack<'a> {
    exceptions: VecDeque<Draft<'a>>,
    count: usize,
    thread: VecDeque<String>,
    /// Oldest first.
    frames: VecDeque<String>,
}

impl<'a> Stack<'a> {
    /// The table of an element of such a list.
    pub(super) fn element(&self, list: Take) -> Option<Table> {
        match list {
            Exceptions => Some(EXCEPTION),
            Threads => Some(THREAD),
            Frames => Some(FRAME),
            _ => None,
        }
    }

    /// Takes an element that has been read.
    pub(super) fn add(&mut self, list: Take, one: Draft<'a>) {
        match list {
            Exceptions if !one.record.fields.is_empty() || !one.stack.frames.is_empty() => {
                self.count = self.count.saturating_add(1);
                push(&mut self.exceptions, one, MAX_EXCEPTIONS);
            }
            Threads
                if ["crashed", "current"]
                    .iter()
                    .any(|flag| one.record.get(flag) == Some("true")) =>
            {
                self.thread = one.stack.frames;
            }
            Frames if !one.record.fields.is_empty() => {
                push(&mut self.frames, line(&one), MAX_FRAMES)
            }
            _ => {}
        }
    }
}

fn push<T>(queue: &mut VecDeque<T>, element: T, limit: usize) {
    if queue.len() >= limit {
        queue.pop_front();
    }
    queue.push_back(element);
}

/// A frame, as JavaScript engines print it.
fn line(frame: &Draft<'_>) -> String {
    let get = |name| frame.record.get(name).map(|text| start(text, MAX_NAME));
    let mut line = format!("    at {} (", get("function").unwrap_or("?"));
    let file = [
        "filename",
        "abs_path",
        "module",
        "package",
        "instruction_addr",
    ];
    line.push_str(file.into_iter().find_map(get).unwrap_or("?"));
    for position in ["lineno", "colno"].into_iter().filter_map(get) {
        line.push(':');
        line.push_str(position);
    }
    line.push(')');
    line
}

/// The first bytes of a text, to a character boundary.
fn start(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit))
        .unwrap_or_default()
}

/// Puts what the stack holds into fields.
pub(super) fn exception<'a>(draft: &mut Draft<'a>) {
    let Stack {
        mut exceptions,
        count,
        thread,
        frames,
    } = std::mem::take(&mut draft.stack);
    let mut lines = Vec::new();
    let mut own_frames = VecDeque::new();
    if let Some(caught) = exceptions.pop_back() {
        draft.set("event_type", "exception");
        lines.push(head(&caught));
        own_frames = caught.stack.frames;
        for (key, value) in caught.record.fields {
            draft.set(key, value);
        }
        draft.set("sentry.exception.count", count.to_string());
    }
    let frames = [own_frames, frames, thread]
        .into_iter()
        .find(|frames| !frames.is_empty());
    lines.extend(frames.unwrap_or_default().into_iter().rev());
    lines.extend(
        exceptions
            .iter()
            .rev()
            .map(|cause| format!("Caused by: {}", head(cause))),
    );
    draft.set("exception.stack", lines.join("\n"));
}

/// `Type: message`
fn head(exception: &Draft<'_>) -> String {
    let get = |name| exception.record.get(name).map(|text| start(text, MAX_HEAD));
    let parts = ["exception.type", "exception.message"]
        .into_iter()
        .filter_map(get);
    parts.collect::<Vec<_>>().join(": ")
}

/// A transaction's own fields.
pub(super) fn transaction(draft: &mut Draft<'_>) {
    draft.set("event_type", "view");
    let name = draft.record.get("sentry.transaction").unwrap_or_default();
    let name = start(name, MAX_VALUE).to_owned();
    draft.set("view.name", name);
    draft.duration();
}
