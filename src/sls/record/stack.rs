//! Exceptions, threads and frames, and the text of a stack.
//!
//! The exception that counts is the last in the list, which is the one that was caught. The others are its causes, and follow
//! it in `exception.stack`. If there is none, the stack of the crashed or current thread is used.
//!
//! Where an item has them is in the table of its kind.

use std::collections::VecDeque;

use super::draft::{Draft, Stack};
use super::item_kind::Made;
use super::take::{StackPart, Table, Take};

use StackPart::{Exceptions, Frames, Threads};
use Take::{In, Text};

/// Frames of one stack: the newest. Real ones have tens.
const MAX_FRAMES: usize = 256;

/// Exceptions of one event: the last. Real ones have a few.
const MAX_EXCEPTIONS: usize = 32;

/// Of a function, file or position in the text of a stack, in bytes.
const MAX_NAME: usize = 512;

/// Of an exception's type, and of its message, in the text of a stack, in bytes.
const MAX_HEAD: usize = 8192;

/// What [`exception`] makes, besides the members of the exception that was caught.
pub(super) const MADE: &[Made] = &[
    ("event_type", "`exception` if there is one, else `custom`"),
    (
        "sentry.exception.count",
        "number of exceptions: of `exception.values`, of a bare list, or a single one",
    ),
    (
        "exception.stack",
        "the head of the exception that was caught, its frames newest first (`at function (file:line:column)`), and \
         `Caused by:` with the head of each other exception. Without exceptions: the frames of `stacktrace`, or of the \
         crashed or current of `threads`",
    ),
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

/// Frames, wherever they stand.
pub(super) const STACKTRACE: Table = &[("frames", Take::Stack(Frames))];

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

/// The members of an element of such a list.
pub(super) fn element(part: StackPart) -> Table {
    match part {
        Exceptions => EXCEPTION,
        Threads => THREAD,
        Frames => FRAME,
    }
}

impl Stack {
    /// Takes an element that has been read; gives back a draft that is not needed any more.
    pub(super) fn add(&mut self, part: StackPart, mut one: Draft) -> Option<Draft> {
        let has_fields = one.record.fields().next().is_some();
        match part {
            Exceptions if has_fields || !one.stack.frames.is_empty() => {
                self.count = self.count.saturating_add(1);
                return push(&mut self.exceptions, one, MAX_EXCEPTIONS);
            }
            Threads
                if ["crashed", "current"]
                    .iter()
                    .any(|flag| one.record.get(flag) == Some("true")) =>
            {
                self.thread = std::mem::take(&mut one.stack.frames);
            }
            Frames if has_fields => {
                push(&mut self.frames, line(&one), MAX_FRAMES);
            }
            Exceptions | Threads | Frames => {}
        }
        Some(one)
    }
}

/// Gives back what had to make room.
fn push<T>(queue: &mut VecDeque<T>, element: T, limit: usize) -> Option<T> {
    let oldest = if queue.len() >= limit {
        queue.pop_front()
    } else {
        None
    };
    queue.push_back(element);
    oldest
}

/// A frame, as JavaScript engines print it.
fn line(frame: &Draft) -> String {
    let get = |name| frame.record.get(name).map(|text| start(text, MAX_NAME));
    let file = [
        "filename",
        "abs_path",
        "module",
        "package",
        "instruction_addr",
    ];
    let mut line = String::from("    at ");
    line.push_str(get("function").unwrap_or("?"));
    line.push_str(" (");
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
pub(super) fn exception(draft: &mut Draft) {
    let Stack {
        mut exceptions,
        count,
        thread,
        frames,
    } = std::mem::take(&mut draft.stack);
    let mut lines = Vec::new();
    let mut own_frames = VecDeque::new();
    if let Some(mut caught) = exceptions.pop_back() {
        draft.set("event_type", "exception");
        lines.push(head(&caught));
        own_frames = std::mem::take(&mut caught.stack.frames);
        draft.record.take(&caught.record);
        draft.set("sentry.exception.count", &count.to_string());
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
    draft.set("exception.stack", &lines.join("\n"));
}

/// `Type: message`
fn head(exception: &Draft) -> String {
    let get = |name| exception.record.get(name).map(|text| start(text, MAX_HEAD));
    let parts = ["exception.type", "exception.message"]
        .into_iter()
        .filter_map(get);
    parts.collect::<Vec<_>>().join(": ")
}
