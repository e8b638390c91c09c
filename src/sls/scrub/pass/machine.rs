//! The skeleton of JSON: a state machine with its own stack. Values are in `values`, strings in `strings`.
//!
//! What a state works with is kept beside it and changed in place: moving it would cost more than using it.

use std::task::Poll;

use super::open::{Hint, Open, Span};
use super::output::Output;
use super::skip::Skip;
use super::{Kind, MAX_DEPTH, Visitor, Want};
use crate::client_ip::ClientIp;
use crate::meter::Meter;
use crate::sls::json::{Escape, NO_END, NotJson, Number, StringScan, Unescape};
use crate::sls::scrub::filter::Suspicion;
use crate::sls::scrub::key::Keys;

/// Units of one step of the machine.
const STEP: u64 = 400;
/// Units per byte of white space, and per byte skipped.
pub(super) const BYTE: u64 = 24;

/// The result of running a machine.
pub(super) enum Turn {
    /// The text of a string, which has to be looked into first.
    Child(String),
    /// The text is over.
    Done,
}

/// Where a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A value comes.
    Value,
    /// Behind an opening bracket.
    First,
    /// Behind a value.
    After,
    /// The name of a member comes.
    Key,
    /// Within one.
    KeyText,
    /// Behind one.
    Colon,
    /// Within a number.
    Number,
    /// Within an array or object that is replaced.
    Skip,
    /// Within a string.
    Text,
    /// It is over; its meaning is being read.
    Read,
    /// It is being looked into, or that is over.
    Inside,
    /// Its replacement is being written.
    Write,
}

/// A string or number being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar {
    pub(super) span: Span,
    pub(super) want: Want,
    /// Behind it, once that is known.
    pub(super) end: usize,
    /// For a string: the end of what is between its quotes.
    pub(super) inner_end: usize,
    /// Its text ends before its closing quote does.
    pub(super) is_cut: bool,
    /// It may contain something sensitive.
    pub(super) suspicious: bool,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// On with the next one.
    On,
    /// The meter is empty.
    Wait,
    /// A string is to be looked into.
    Child,
    /// The text is over.
    Done,
    /// The text is not JSON: see [`Machine::fault`].
    Fault,
}

/// What a step works with.
pub(super) struct Around<'a> {
    pub(super) text: &'a str,
    pub(super) keys: Option<&'a Keys>,
    pub(super) visitor: &'a mut dyn Visitor,
    pub(super) meter: &'a mut Meter,
}

/// See the module's documentation.
pub(super) struct Machine {
    pub(super) at: usize,
    pub(super) state: State,
    pub(super) open: Vec<Open>,
    pub(super) hint: Hint,
    pub(super) output: Output,
    /// 0 for the item's own text, 1 for a string in it, and so on.
    level: u8,
    /// The text is the beginning of a longer one.
    pub(super) is_cut: bool,
    /// How much of addresses stays.
    pub(super) client_ip: ClientIp,
    /// Open arrays and objects in which the visitor sees nothing: it does not want to, or they may be replaced.
    pub(super) muted: usize,
    /// Why the text is not JSON.
    pub(super) fault: NotJson,
    /// The string, number or name that is being read.
    pub(super) scalar: Scalar,
    pub(super) scan: StringScan,
    pub(super) suspicion: Suspicion,
    pub(super) number: Number,
    pub(super) skip: Skip,
    /// What a string means, and what it becomes.
    pub(super) unescape: Unescape,
    pub(super) meant: String,
    pub(super) escape: Escape,
    pub(super) becomes: Option<String>,
}

impl Machine {
    pub(super) fn new(level: u8, is_cut: bool) -> Self {
        Self {
            at: 0,
            state: State::Value,
            open: Vec::new(),
            hint: Hint::Plain,
            output: Output::default(),
            level,
            is_cut,
            client_ip: ClientIp::Full,
            muted: 0,
            fault: NotJson::new(0, "expected a value"),
            scalar: Scalar {
                span: Span::default(),
                want: Want::Nothing,
                end: 0,
                inner_end: 0,
                is_cut: false,
                suspicious: false,
            },
            scan: StringScan::new(0),
            suspicion: Suspicion::new(),
            number: Number::new(0),
            skip: Skip::default(),
            unescape: Unescape::default(),
            meant: String::new(),
            escape: Escape::default(),
            becomes: None,
        }
    }

    /// Whether the text is the item's own, which must be JSON.
    pub(super) fn is_item(&self) -> bool {
        self.level == 0
    }

    /// The new text, if it changed; otherwise the text is cut where it is complete.
    pub(super) fn finish(&mut self, text: &mut String) -> Option<String> {
        std::mem::take(&mut self.output).finish(text, self.at)
    }

    pub(super) fn step(
        &mut self,
        text: &str,
        keys: Option<&Keys>,
        visitor: &mut dyn Visitor,
        meter: &mut Meter,
    ) -> Poll<Result<Turn, NotJson>> {
        let mut around = Around {
            text,
            keys,
            visitor,
            meter,
        };
        loop {
            if around.meter.is_empty() {
                return Poll::Pending;
            }
            let step = match self.state {
                State::Value => self.value(&mut around),
                State::First => self.first(&mut around),
                State::After => self.after(&mut around),
                State::Key => self.key(&mut around),
                State::KeyText => self.key_text(&mut around),
                State::Colon => self.colon(&mut around),
                State::Number => self.number(&mut around),
                State::Skip => self.skip(&mut around),
                State::Text => self.string(&mut around),
                State::Read => self.read(&mut around),
                State::Inside => self.looked(&mut around),
                State::Write => self.write(&mut around),
            };
            // Charged afterwards: a step makes progress however little is left.
            around.meter.spend(STEP);
            return Poll::Ready(match step {
                Step::On => continue,
                Step::Wait => return Poll::Pending,
                Step::Child => Ok(Turn::Child(std::mem::take(&mut self.meant))),
                Step::Done => Ok(Turn::Done),
                Step::Fault => Err(self.fault),
            });
        }
    }

    /// Skips white space, to the byte after it; pending if the meter is empty before that.
    #[inline]
    pub(super) fn space(&mut self, around: &mut Around<'_>) -> Poll<Option<u8>> {
        match around.text.as_bytes().get(self.at) {
            Some(byte) if *byte > b' ' => Poll::Ready(Some(*byte)),
            _ => self.long_space(around),
        }
    }

    fn long_space(&mut self, around: &mut Around<'_>) -> Poll<Option<u8>> {
        let rest = around.text.as_bytes().get(self.at..).unwrap_or_default();
        let room = around.meter.bytes(BYTE);
        let piece = rest.get(..room).unwrap_or(rest);
        let dark = |byte: &u8| !matches!(*byte, b' ' | b'\n' | b'\r' | b'\t');
        let found = piece.iter().position(dark);
        let length = found.unwrap_or(piece.len());
        around.meter.spend_bytes(length, BYTE);
        self.at = self.at.saturating_add(length);
        if found.is_none() && piece.len() < rest.len() {
            return Poll::Pending;
        }
        Poll::Ready(rest.get(length).copied())
    }

    /// Behind an opening bracket: the other one, or what comes first.
    fn first(&mut self, around: &mut Around<'_>) -> Step {
        let Poll::Ready(byte) = self.space(around) else {
            return Step::Wait;
        };
        let array = self.open.last().is_some_and(|open| open.array);
        match (byte, array) {
            (Some(b']'), true) | (Some(b'}'), false) => {
                self.close(around);
                Step::On
            }
            (_, true) => {
                self.hint = Hint::Plain;
                self.state = State::Value;
                self.value(around)
            }
            (_, false) => {
                self.state = State::Key;
                self.key(around)
            }
        }
    }

    /// Behind a value: the next one, the end of what it stands in, or the end of the text.
    pub(super) fn after(&mut self, around: &mut Around<'_>) -> Step {
        if self.scalar.is_cut {
            return self.end_of_beginning(around);
        }
        let Poll::Ready(byte) = self.space(around) else {
            return Step::Wait;
        };
        let Some(open) = self.open.last_mut() else {
            return match byte {
                None => Step::Done,
                Some(_) => self.fails(self.at, "expected the end"),
            };
        };
        match (byte, open.array) {
            (Some(b','), array) => {
                self.at = self.at.saturating_add(1);
                open.index = open.index.saturating_add(1);
                self.hint = if open.index == 1 {
                    open.pair
                } else {
                    Hint::Plain
                };
                self.state = if array { State::Value } else { State::Key };
                Step::On
            }
            (Some(b']'), true) | (Some(b'}'), false) => {
                self.close(around);
                Step::On
            }
            (_, true) => self.unexpected(byte, "expected `,` or `]`", around),
            (_, false) => self.unexpected(byte, "expected `,` or `}`", around),
        }
    }

    fn key(&mut self, around: &mut Around<'_>) -> Step {
        let Poll::Ready(byte) = self.space(around) else {
            return Step::Wait;
        };
        if byte != Some(b'"') {
            return self.unexpected(byte, "expected the name of a member", around);
        }
        self.scalar.span.start = self.at;
        self.scan = StringScan::new(self.at.saturating_add(1));
        self.state = State::KeyText;
        self.key_text(around)
    }

    fn key_text(&mut self, around: &mut Around<'_>) -> Step {
        let end = match self.scan.step(around.text, around.meter, |_| {}) {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Ok(end)) => end,
            Poll::Ready(Err(not_json)) if not_json.expected == NO_END && self.is_cut => {
                self.at = self.scalar.span.start;
                return self.end_of_beginning(around);
            }
            Poll::Ready(Err(not_json)) => return self.fails(not_json.offset, not_json.expected),
        };
        self.at = end.saturating_add(1);
        let start = self.scalar.span.start.saturating_add(1);
        let raw = around.text.get(start..end).unwrap_or_default();
        self.name(raw, self.scan.has_escapes(), around);
        self.state = State::Colon;
        self.colon(around)
    }

    fn colon(&mut self, around: &mut Around<'_>) -> Step {
        let Poll::Ready(byte) = self.space(around) else {
            return Step::Wait;
        };
        if byte != Some(b':') {
            return self.unexpected(byte, "expected `:`", around);
        }
        self.at = self.at.saturating_add(1);
        self.state = State::Value;
        Step::On
    }

    /// A value begins; the visitor is asked unless it sees nothing of this.
    #[inline]
    pub(super) fn begins(&mut self, kind: Kind, around: &mut Around<'_>) -> Want {
        if self.muted > 0 {
            return Want::Nothing;
        }
        around.visitor.begin(kind, around.meter)
    }

    pub(super) fn is_at_top(&self) -> bool {
        self.open.len() == 1 && self.level == 0
    }

    pub(super) fn is_too_deep(&self) -> bool {
        self.open.len() >= MAX_DEPTH
    }

    /// Something else was expected: the text is not JSON, or it ends here because it is a beginning only.
    pub(super) fn unexpected(
        &mut self,
        found: Option<u8>,
        expected: &'static str,
        around: &mut Around<'_>,
    ) -> Step {
        if found.is_none() && self.is_cut {
            return self.end_of_beginning(around);
        }
        self.fails(self.at, expected)
    }

    pub(super) fn fails(&mut self, offset: usize, expected: &'static str) -> Step {
        self.fault = NotJson::new(offset, expected);
        Step::Fault
    }
}
