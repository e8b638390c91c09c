//! One pass over an item's JSON, in steps: it is checked, scrubbed, and shown to a [`Visitor`], which takes what it wants.
//!
//! JSON in a string is read by the same rules, [`MAX_LEVELS`] deep. Beyond that, and where it turns out not to be JSON, it is
//! text. Each level has its own [`Machine`], which waits while the one above it works.
//!
//! Memory: the text, its result if something is replaced, and the same for each string being looked into.

mod address;
mod machine;
mod open;
mod output;
mod skip;
mod strings;
mod values;

use std::task::Poll;

use super::Scrubber;
use super::text::TextScan;
use crate::client_ip::ClientIp;
use crate::meter::Meter;
use crate::sls::json::NotJson;
use machine::{Machine, Turn};

/// Nested arrays and objects: what `serde_json` reads by default.
pub const MAX_DEPTH: usize = 127;

/// JSON in a string of JSON in a string and so on.
const MAX_LEVELS: u8 = 4;

/// What a value is. One that is replaced is a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sls) enum Kind {
    Object,
    Array,
    String,
    Number,
    /// `true`, `false` or `null`.
    Literal,
}

/// What a visitor wants from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sls) enum Want {
    Nothing,
    /// The meaning of a string; numbers and literals as written. Nothing for arrays and objects.
    Text,
    /// As written.
    Json,
}

/// Takes something from the JSON. It sees what the scrubber leaves, and pays for its own work.
///
/// For each value there is a [`begin`](Self::begin) and an [`end`](Self::end), and between those of an array or object the
/// values in it; a [`key`](Self::key) comes before each member.
pub(in crate::sls) trait Visitor {
    /// The name of the member that comes next. Empty if it is longer than any name that could matter.
    fn key(&mut self, key: &str, meter: &mut Meter);
    /// A value begins.
    fn begin(&mut self, kind: Kind, meter: &mut Meter) -> Want;
    /// Whether it wants to see the values in the array or object that has just begun.
    fn looks_inside(&self) -> bool;
    /// The value ends. `value` is given if it was wanted and is complete.
    fn end(&mut self, value: Option<&str>, meter: &mut Meter);
}

/// Takes nothing.
pub(in crate::sls) struct Nobody;

impl Visitor for Nobody {
    fn key(&mut self, _: &str, _: &mut Meter) {}
    fn begin(&mut self, _: Kind, _: &mut Meter) -> Want {
        Want::Nothing
    }
    fn looks_inside(&self) -> bool {
        false
    }
    fn end(&mut self, _: Option<&str>, _: &mut Meter) {}
}

/// The result of a pass.
pub(in crate::sls) struct Passed {
    /// The scrubbed JSON. If the text is only a beginning: as far as it is complete.
    pub(in crate::sls) json: String,
    /// Whether it differs from the original.
    pub(in crate::sls) changed: bool,
}

/// See the module's documentation.
pub(in crate::sls) struct Pass {
    frames: Vec<Frame>,
}

/// A text that is being looked at.
enum Frame {
    Json(Box<Machine>, String),
    Text(TextScan, String),
}

impl Pass {
    /// A pass over `text`; `is_cut` means that it is the beginning of a longer one.
    pub(in crate::sls) fn new(text: String, is_cut: bool) -> Self {
        let machine = Box::new(Machine::new(0, is_cut));
        let frames = vec![Frame::Json(machine, text)];
        Self { frames }
    }

    /// How much of clients' addresses stays; without this, all of them.
    pub(in crate::sls) fn with_client_ip(mut self, client_ip: ClientIp) -> Self {
        if let Some(Frame::Json(machine, _)) = self.frames.first_mut() {
            machine.client_ip = client_ip;
        }
        self
    }

    /// A pass over a text that may or may not be JSON.
    pub(super) fn of_any(text: String) -> Self {
        let frames = vec![Frame::of(text, 1)];
        Self { frames }
    }

    /// Continues. Without a scrubber nothing is replaced.
    pub(in crate::sls) fn step(
        &mut self,
        scrubber: Option<&Scrubber>,
        visitor: &mut dyn Visitor,
        meter: &mut Meter,
    ) -> Poll<Result<Passed, NotJson>> {
        let keys = scrubber.map(|scrubber| &scrubber.keys);
        loop {
            let level = self.frames.len();
            let Some(frame) = self.frames.last_mut() else {
                // There is always the first.
                return Poll::Ready(Err(NotJson::new(0, "expected a value")));
            };
            let becomes = match frame {
                Frame::Json(machine, text) => {
                    let mut nobody = Nobody;
                    let visitor = if level == 1 {
                        &mut *visitor
                    } else {
                        &mut nobody
                    };
                    let Poll::Ready(turn) = machine.step(text, keys, visitor, meter) else {
                        return Poll::Pending;
                    };
                    match turn {
                        Ok(Turn::Child(text)) => {
                            let level = u8::try_from(level).unwrap_or(u8::MAX);
                            self.frames.push(Frame::of(text, level));
                            continue;
                        }
                        Ok(Turn::Done) => machine.finish(text),
                        Err(not_json) if machine.is_item() => return Poll::Ready(Err(not_json)),
                        Err(_) => {
                            *frame = Frame::Text(TextScan::new(), std::mem::take(text));
                            continue;
                        }
                    }
                }
                Frame::Text(scan, text) => {
                    if let Some(keys) = keys
                        && scan.step(keys, text, meter).is_pending()
                    {
                        return Poll::Pending;
                    }
                    std::mem::replace(scan, TextScan::new()).finish(text)
                }
            };
            let Some(Frame::Json(_, text) | Frame::Text(_, text)) = self.frames.pop() else {
                continue;
            };
            match self.frames.last_mut() {
                Some(Frame::Json(machine, _)) => machine.looked_into(text, becomes),
                _ => {
                    let changed = becomes.is_some();
                    let json = becomes.unwrap_or(text);
                    return Poll::Ready(Ok(Passed { json, changed }));
                }
            }
        }
    }
}

impl Frame {
    /// A text that may hold something sensitive, at a level above 0.
    fn of(text: String, level: u8) -> Self {
        if may_be_json(&text) && level <= MAX_LEVELS {
            Self::Json(Box::new(Machine::new(level, false)), text)
        } else {
            Self::Text(TextScan::new(), text)
        }
    }
}

/// Whether a text begins like JSON that could contain a member.
fn may_be_json(text: &str) -> bool {
    /// White space before it.
    const MAX_SPACE: usize = 64;
    let bytes = text.bytes().take(MAX_SPACE);
    let first = bytes
        .enumerate()
        .find(|(_, byte)| !byte.is_ascii_whitespace());
    let Some((start, first)) = first else {
        return false;
    };
    let rest = text.get(start..).unwrap_or_default();
    matches!(first, b'{' | b'[' | b'"') && !rest.starts_with(super::FILTERED)
}
