//! Exceptions, threads and frames, and the text of a stack.
//!
//! Which exception counts: the last of the list, which is the one that was caught; the others are its causes, and stand
//! in `exception.stack` behind it. Without any, the stack of the crashed or current thread is taken.

use std::collections::VecDeque;

use super::draft::{Draft, Stack};
use super::take::List;

/// Frames of one stack: the newest. Real ones have tens.
const MAX_FRAMES: usize = 256;

/// Exceptions of one event: the last. Real ones have a few.
const MAX_EXCEPTIONS: usize = 32;

/// Of a function, file or position in the text of a stack, in bytes.
const MAX_NAME: usize = 512;

/// Of an exception's type, and of its message, in the text of a stack, in bytes.
const MAX_HEAD: usize = 8192;

impl Stack {
    /// Takes an element that has been read; gives back a draft that is not needed any more.
    pub(super) fn add(&mut self, list: List, mut one: Draft) -> Option<Draft> {
        let has_fields = one.record.fields().next().is_some();
        match list {
            List::Exceptions if has_fields || !one.stack.frames.is_empty() => {
                self.count = self.count.saturating_add(1);
                return push(&mut self.exceptions, one, MAX_EXCEPTIONS);
            }
            List::Threads
                if ["crashed", "current"]
                    .iter()
                    .any(|flag| one.record.get(flag) == Some("true")) =>
            {
                self.thread = std::mem::take(&mut one.stack.frames);
            }
            List::Frames if has_fields => {
                push(&mut self.frames, line(&one), MAX_FRAMES);
            }
            List::Exceptions | List::Threads | List::Frames => {}
        }
        Some(one)
    }
}

/// Gives back what had to make room.
fn push<T>(queue: &mut VecDeque<T>, element: T, limit: usize) -> Option<T> {
    let oldest = match queue.len() >= limit {
        true => queue.pop_front(),
        false => None,
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
pub(super) fn start(text: &str, limit: usize) -> &str {
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
