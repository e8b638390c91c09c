//! Values: what is kept, what is replaced, and what the visitor is told.

use std::task::Poll;

use super::machine::{Around, BYTE, Machine, State, Step};
use super::open::{Count, Hint, Open, Span};
use super::skip::Skip;
use super::{Kind, Want};
use crate::meter::Meter;
use crate::sls::json::{Number, StringScan, Unescape};
use crate::sls::scrub::filter::Suspicion;
use crate::sls::scrub::key::Sensitive;
use crate::sls::scrub::{FILTERED, FILTERED_JSON, card};

/// A longer name is not looked at, and what it names is sensitive. No SDK sends one.
const MAX_NAME: usize = 512;

impl Machine {
    pub(super) fn value(&mut self, around: &mut Around<'_>) -> Step {
        let Poll::Ready(byte) = self.space(around) else {
            return Step::Wait;
        };
        match byte {
            Some(b'"') => {
                self.scalar(Kind::String, around);
                self.scan = StringScan::new(self.at.saturating_add(1));
                self.suspicion = Suspicion::new();
                self.state = State::Text;
                self.string(around)
            }
            Some(b'-' | b'0'..=b'9') => {
                self.scalar(Kind::Number, around);
                self.number = Number::new(self.at);
                self.state = State::Number;
                self.number(around)
            }
            Some(b'{') => self.container(Kind::Object, around),
            Some(b'[') => self.container(Kind::Array, around),
            _ => self.literal(byte, around),
        }
    }

    fn literal(&mut self, byte: Option<u8>, around: &mut Around<'_>) -> Step {
        const WORDS: [&str; 3] = ["null", "true", "false"];
        let rest = around.text.get(self.at..).unwrap_or_default();
        let Some(word) = WORDS.into_iter().find(|word| rest.starts_with(word)) else {
            let is_beginning = WORDS.into_iter().any(|word| word.starts_with(rest));
            let found = byte.filter(|_| !is_beginning);
            return self.unexpected(found, "expected a value", around);
        };
        self.scalar(Kind::Literal, around);
        self.at = self.at.saturating_add(word.len());
        self.scalar.end = self.at;
        self.scalar_ends(None, around);
        Step::On
    }

    /// A string, number or literal begins.
    fn scalar(&mut self, kind: Kind, around: &mut Around<'_>) {
        self.note_count(kind);
        self.scalar.span = self.output.span(self.at);
        self.scalar.want = self.begins(kind, around);
        self.scalar.is_cut = false;
    }

    /// The name of a member: what its value is, by it.
    pub(super) fn name(&mut self, raw: &str, escapes: bool, around: &mut Around<'_>) {
        let mut meant = String::new();
        let name = if raw.len() > MAX_NAME {
            ""
        } else if escapes {
            // So short that it is read at once.
            let mut meter = Meter::unlimited();
            let _ = Unescape::default().step(raw, &mut meant, &mut meter);
            around.meter.spend(meter.spent());
            meant.as_str()
        } else {
            raw
        };
        if self.muted == 0 {
            around.visitor.key(name, around.meter);
        }
        let at_top = self.is_at_top();
        let (mut modules, mut in_count) = (false, false);
        if let Some(open) = self.open.last_mut() {
            modules = open.modules;
            if let Some(count) = &mut open.count {
                count.at_value = name == "value";
                in_count = true;
            }
        }
        let verdict = match around.keys {
            None => Sensitive::No,
            Some(_) if raw.len() > MAX_NAME => Sensitive::Yes,
            Some(keys) => {
                let mut work = 0;
                let verdict = keys.test(name, &mut work);
                around.meter.spend(work);
                verdict
            }
        };
        self.hint = match verdict {
            _ if self.names_address(name, around) => Hint::Address,
            Sensitive::No if at_top && !in_count && name == "modules" => Hint::Modules,
            Sensitive::No => Hint::Plain,
            _ if modules => Hint::Version,
            Sensitive::Count => Hint::Count,
            Sensitive::Yes => Hint::Sensitive,
        };
    }

    /// A member `value` of what may be a count: it is one while that is a number.
    fn note_count(&mut self, kind: Kind) {
        if let Some(count) = self.open.last_mut().and_then(|open| open.count.as_mut())
            && std::mem::take(&mut count.at_value)
        {
            count.numeric = Some(count.numeric.unwrap_or(true) && kind == Kind::Number);
        }
    }

    /// Opens an array or object, unless it is replaced.
    fn container(&mut self, kind: Kind, around: &mut Around<'_>) -> Step {
        self.note_count(kind);
        let array = kind == Kind::Array;
        let too_deep = self.is_too_deep();
        if too_deep && around.keys.is_none() {
            return self.fails(self.at, "expected at most 127 levels");
        }
        let span = self.output.span(self.at);
        let replaced = match self.hint {
            Hint::Sensitive | Hint::Version | Hint::Address => true,
            Hint::Count => array || too_deep,
            Hint::Plain | Hint::Modules => too_deep,
        };
        if replaced {
            self.scalar.span = span;
            self.skip = Skip::default();
            self.state = State::Skip;
            return Step::On;
        }
        let count = (self.hint == Hint::Count).then(Count::default);
        // What may be replaced is shown when it is known whether it is.
        let want = match count {
            Some(_) => Want::Nothing,
            None => self.begins(kind, around),
        };
        let mutes = count.is_some() || self.muted > 0 || !around.visitor.looks_inside();
        if mutes {
            self.muted = self.muted.saturating_add(1);
        }
        self.at = self.at.saturating_add(1);
        self.open.push(Open {
            array,
            index: 0,
            pair: Hint::Plain,
            modules: !array && self.hint == Hint::Modules,
            count,
            mutes,
            span,
            want,
        });
        self.state = State::First;
        Step::On
    }

    /// The closing bracket.
    pub(super) fn close(&mut self, around: &mut Around<'_>) {
        self.at = self.at.saturating_add(1);
        self.state = State::After;
        let Some(Open {
            count,
            mutes,
            span,
            mut want,
            ..
        }) = self.open.pop()
        else {
            return;
        };
        if mutes {
            self.muted = self.muted.saturating_sub(1);
        }
        if let Some(count) = count {
            if count.numeric != Some(true) {
                return self.replaced(span, self.at, around);
            }
            want = self.begins(Kind::Object, around);
        }
        if self.muted == 0 {
            let json = match want {
                Want::Json => Some(self.output.since(around.text, span, self.at)),
                Want::Text | Want::Nothing => None,
            };
            around.visitor.end(json, around.meter);
        }
    }

    pub(super) fn skip(&mut self, around: &mut Around<'_>) -> Step {
        let rest = around.text.as_bytes().get(self.at..).unwrap_or_default();
        let room = around.meter.bytes(BYTE).min(rest.len());
        let (length, over) = self.skip.over(rest.get(..room).unwrap_or_default());
        around.meter.spend_bytes(length, BYTE);
        self.at = self.at.saturating_add(length);
        if !over && length < rest.len() {
            return Step::On;
        }
        if !over && !self.is_cut {
            return self.fails(self.at, "expected a closing bracket");
        }
        self.replaced(self.scalar.span, self.at, around);
        self.state = State::After;
        Step::On
    }

    /// Replaces a whole value, which is a string from now on.
    fn replaced(&mut self, span: Span, end: usize, around: &mut Around<'_>) {
        self.output.replace(around.text, span, end, FILTERED_JSON);
        if self.muted > 0 {
            return;
        }
        let value = match around.visitor.begin(Kind::String, around.meter) {
            Want::Nothing => None,
            Want::Text => Some(FILTERED),
            Want::Json => Some(FILTERED_JSON),
        };
        around.visitor.end(value, around.meter);
    }

    /// Replaces a scalar, which has begun.
    pub(super) fn scalar_is_replaced(&mut self, around: &mut Around<'_>) {
        let (span, end) = (self.scalar.span, self.scalar.end);
        self.output.replace(around.text, span, end, FILTERED_JSON);
        self.scalar_ends(Some(FILTERED), around);
    }

    /// A scalar is over. `text` is what it means, if that is not as it is written.
    pub(super) fn scalar_ends(&mut self, text: Option<&str>, around: &mut Around<'_>) {
        self.state = State::After;
        if self.muted > 0 {
            return;
        }
        let (span, end) = (self.scalar.span, self.scalar.end);
        let value = match (self.scalar.want, text) {
            (Want::Nothing, _) => None,
            (Want::Text, Some(text)) => Some(text),
            (Want::Text, None) => around.text.get(span.start..end),
            (Want::Json, _) if self.scalar.is_cut => None,
            (Want::Json, _) => Some(self.output.since(around.text, span, end)),
        };
        around.visitor.end(value, around.meter);
    }

    pub(super) fn number(&mut self, around: &mut Around<'_>) -> Step {
        let Poll::Ready(end) = self.number.step(around.text, around.meter) else {
            return Step::Wait;
        };
        let ends_here = end.unwrap_or_else(|not_json| not_json.offset);
        if self.is_cut && ends_here >= around.text.len() {
            // It may have more digits.
            return self.end_of_beginning(around);
        }
        self.at = match end {
            Ok(end) => end,
            Err(not_json) => return self.fails(not_json.offset, not_json.expected),
        };
        self.scalar.end = self.at;
        let digits = around.text.get(self.scalar.span.start..self.at);
        let replaced = match self.hint {
            Hint::Address => true,
            _ if around.keys.is_none() => false,
            Hint::Sensitive | Hint::Version => true,
            Hint::Plain | Hint::Count | Hint::Modules => digits.is_some_and(is_card),
        };
        if replaced {
            self.scalar_is_replaced(around);
        } else {
            self.scalar_ends(None, around);
        }
        self.after(around)
    }

    /// A text that is the beginning of a longer one is over: it counts as far as it is whole.
    pub(super) fn end_of_beginning(&mut self, around: &mut Around<'_>) -> Step {
        // Whether that is a count is not known.
        let unknown = self.open.iter().find(|open| open.count.is_some());
        if let Some(span) = unknown.map(|open| open.span) {
            self.at = around.text.len();
            self.output
                .replace(around.text, span, self.at, FILTERED_JSON);
        }
        self.open.clear();
        Step::Done
    }
}

fn is_card(digits: &str) -> bool {
    /// The shortest card number.
    const MIN_DIGITS: usize = 13;
    digits.len() >= MIN_DIGITS && card::is_card(digits)
}
