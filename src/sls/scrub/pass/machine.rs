//! The skeleton of JSON: a state machine with a stack of its own. Values are in `values`, strings in `strings`.

use std::task::Poll;

use super::open::{Hint, Open, Span};
use super::output::Output;
use super::{Kind, MAX_DEPTH, Visitor, Want};
use crate::meter::Meter;
use crate::sls::json::{Escape, NO_END, NotJson, Number, StringScan, Unescape};
use crate::sls::scrub::filter::Suspicion;
use crate::sls::scrub::key::Keys;

/// Units of one step of the machine, with what the visitor does in it.
const STEP: u64 = 60;
/// Units of a byte of white space, and of one that is skipped.
pub(super) const BYTE: u64 = 10;

/// What a machine comes to.
pub(super) enum Turn {
    /// This text of a string is to be looked into first.
    Child(String),
    /// The text is over.
    Done,
}

/// Where a machine is.
#[derive(Default)]
pub(super) enum State {
    /// A value comes.
    #[default]
    Value,
    /// Behind an opening bracket.
    First,
    /// Behind a value.
    After,
    /// The name of a member comes.
    Key,
    /// Within one.
    KeyText(StringScan, usize),
    /// Behind one.
    Colon,
    /// Within a number.
    Number(Number, Scalar),
    /// Within an array or object that is replaced.
    Skip(super::values::Skip, Span),
    /// Within a string.
    Text(StringScan, Suspicion, Scalar),
    /// It is over; what it means is being read.
    Read(Unescape, String, Scalar),
    /// It is being looked into.
    Inside(Scalar),
    /// That is over: what it meant, and what it becomes.
    Looked(String, Option<String>, Scalar),
    /// What it becomes is being written.
    Write(Escape, String, Scalar),
}

/// A string or number that is being read.
#[derive(Clone, Copy)]
pub(super) struct Scalar {
    pub(super) span: Span,
    pub(super) want: Want,
    /// Behind it, once that is known.
    pub(super) end: usize,
    /// Of a string: behind what stands between its quotes.
    pub(super) inner_end: usize,
    /// Its text ends before its closing quote does.
    pub(super) is_cut: bool,
    /// It may hold something sensitive.
    pub(super) suspicious: bool,
}

/// What a step came to: nothing that ends the callback, or something that ends the step.
pub(super) type Stepped = Poll<Result<Option<Turn>, NotJson>>;

/// On with the next step.
pub(super) const ON: Stepped = Poll::Ready(Ok(None));

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
    /// Open objects that may be counts: the visitor sees nothing of what is in them.
    pub(super) muted: usize,
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
            muted: 0,
        }
    }

    /// Whether the text is the item's own, which must be JSON.
    pub(super) fn is_item(&self) -> bool {
        self.level == 0
    }

    /// What the text became, if it is another; else the text ends where it is whole.
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
            around.meter.spend(STEP);
            let stepped = match std::mem::take(&mut self.state) {
                State::Value => self.value(&mut around),
                State::First => self.first(&mut around),
                State::After => self.after(&mut around),
                State::Key => self.key(&mut around),
                State::KeyText(scan, start) => self.key_text(scan, start, &mut around),
                State::Colon => self.colon(&mut around),
                State::Number(number, scalar) => self.number(number, scalar, &mut around),
                State::Skip(skip, span) => self.skip(skip, span, &mut around),
                State::Text(scan, suspicion, scalar) => {
                    self.string(scan, suspicion, scalar, &mut around)
                }
                State::Read(unescape, read, scalar) => {
                    self.read(unescape, read, scalar, &mut around)
                }
                State::Inside(scalar) => {
                    // Nobody asks while it waits; if somebody does, the string stays as it is.
                    self.scalar_ends(scalar, None, &mut around);
                    ON
                }
                State::Looked(meant, becomes, scalar) => {
                    self.looked(meant, becomes, scalar, &mut around)
                }
                State::Write(escape, becomes, scalar) => {
                    self.write(escape, becomes, scalar, &mut around)
                }
            };
            match stepped {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(not_json)) => return Poll::Ready(Err(not_json)),
                Poll::Ready(Ok(Some(turn))) => return Poll::Ready(Ok(turn)),
                Poll::Ready(Ok(None)) => {}
            }
        }
    }

    /// Over white space, to the byte behind it; pending when the meter is empty before.
    pub(super) fn space(&mut self, around: &mut Around<'_>) -> Poll<Option<u8>> {
        let rest = around.text.as_bytes().get(self.at..).unwrap_or_default();
        let room = around.meter.bytes(BYTE);
        let white = |byte: &&u8| matches!(**byte, b' ' | b'\n' | b'\r' | b'\t');
        let length = rest.iter().take(room).take_while(white).count();
        around.meter.spend_bytes(length, BYTE);
        self.at = self.at.saturating_add(length);
        match length == room && length < rest.len() {
            true => Poll::Pending,
            false => Poll::Ready(rest.get(length).copied()),
        }
    }

    /// Behind an opening bracket: the other one, or what comes first.
    fn first(&mut self, around: &mut Around<'_>) -> Stepped {
        let Poll::Ready(byte) = self.space(around) else {
            self.state = State::First;
            return Poll::Pending;
        };
        let array = self.open.last().is_some_and(|open| open.array);
        match (byte, array) {
            (Some(b']'), true) | (Some(b'}'), false) => self.close(around),
            (_, true) => {
                self.hint = Hint::Plain;
                self.state = State::Value;
            }
            (_, false) => self.state = State::Key,
        }
        ON
    }

    /// Behind a value: the next one, the end of what it stands in, or the end of the text.
    fn after(&mut self, around: &mut Around<'_>) -> Stepped {
        let Poll::Ready(byte) = self.space(around) else {
            self.state = State::After;
            return Poll::Pending;
        };
        let Some(open) = self.open.last_mut() else {
            return Poll::Ready(match byte {
                None => Ok(Some(Turn::Done)),
                Some(_) => Err(NotJson::new(self.at, "expected the end")),
            });
        };
        match (byte, open.array) {
            (Some(b','), array) => {
                self.at = self.at.saturating_add(1);
                open.index = open.index.saturating_add(1);
                self.hint = match open.pair && open.index == 1 {
                    true => Hint::Sensitive,
                    false => Hint::Plain,
                };
                self.state = if array { State::Value } else { State::Key };
                ON
            }
            (Some(b']'), true) | (Some(b'}'), false) => {
                self.close(around);
                ON
            }
            (_, true) => self.fault(byte, "expected `,` or `]`", around),
            (_, false) => self.fault(byte, "expected `,` or `}`", around),
        }
    }

    fn key(&mut self, around: &mut Around<'_>) -> Stepped {
        let Poll::Ready(byte) = self.space(around) else {
            self.state = State::Key;
            return Poll::Pending;
        };
        if byte != Some(b'"') {
            return self.fault(byte, "expected the name of a member", around);
        }
        let start = self.at.saturating_add(1);
        self.state = State::KeyText(StringScan::new(start), start);
        ON
    }

    fn key_text(&mut self, mut scan: StringScan, start: usize, around: &mut Around<'_>) -> Stepped {
        let end = match scan.step(around.text, around.meter, |_| {}) {
            Poll::Pending => {
                self.state = State::KeyText(scan, start);
                return Poll::Pending;
            }
            Poll::Ready(Ok(end)) => end,
            Poll::Ready(Err(not_json)) if self.is_cut && not_json.expected == NO_END => {
                return self.end_of_beginning(around);
            }
            Poll::Ready(Err(not_json)) => return Poll::Ready(Err(not_json)),
        };
        self.at = end.saturating_add(1);
        let raw = around.text.get(start..end).unwrap_or_default();
        self.name(raw, scan.has_escapes(), around);
        self.state = State::Colon;
        ON
    }

    fn colon(&mut self, around: &mut Around<'_>) -> Stepped {
        let Poll::Ready(byte) = self.space(around) else {
            self.state = State::Colon;
            return Poll::Pending;
        };
        if byte != Some(b':') {
            return self.fault(byte, "expected `:`", around);
        }
        self.at = self.at.saturating_add(1);
        self.state = State::Value;
        ON
    }

    /// A value begins; the visitor is asked unless it sees nothing of this.
    pub(super) fn begins(&mut self, kind: Kind, around: &mut Around<'_>) -> Want {
        match self.muted {
            0 => around.visitor.begin(kind),
            _ => Want::Nothing,
        }
    }

    pub(super) fn is_at_top(&self) -> bool {
        self.open.len() == 1 && self.level == 0
    }

    pub(super) fn is_too_deep(&self) -> bool {
        self.open.len() >= MAX_DEPTH
    }

    /// Something else was expected: the text is not JSON, or it ends here because it is a beginning only.
    pub(super) fn fault(
        &mut self,
        found: Option<u8>,
        expected: &'static str,
        around: &mut Around<'_>,
    ) -> Stepped {
        if found.is_none() && self.is_cut {
            return self.end_of_beginning(around);
        }
        Poll::Ready(Err(NotJson::new(self.at, expected)))
    }
}
