//! Values: what is kept, what is replaced, and what the visitor is told.

use std::task::Poll;

use super::machine::{Around, BYTE, Machine, ON, Scalar, State, Stepped, Turn};
use super::open::{Count, Hint, Open, Span};
use super::{Kind, Want};
use crate::meter::Meter;
use crate::sls::json::{NotJson, Number, StringScan, Unescape};
use crate::sls::scrub::filter::Suspicion;
use crate::sls::scrub::key::Sensitive;
use crate::sls::scrub::{FILTERED, FILTERED_JSON, card};

/// A longer name is not looked at, and what it names is sensitive. No SDK sends one.
const MAX_NAME: usize = 512;
/// Units of a name's verdict, and of a byte of it.
const NAME: u64 = 150;
const NAME_BYTE: u64 = 25;

/// Skips an array or object, looking at its brackets and strings only.
#[derive(Clone, Copy, Default)]
pub(super) struct Skip {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Skip {
    /// The number of bytes up to behind its end, or the end of them.
    fn over(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            let escaped = std::mem::take(&mut self.escaped);
            match (byte, self.in_string) {
                (b'"', true) if !escaped => self.in_string = false,
                (b'\\', true) => self.escaped = !escaped,
                (_, true) => {}
                (b'"', false) => self.in_string = true,
                (b'{' | b'[', false) => self.depth = self.depth.saturating_add(1),
                (b'}' | b']', false) => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (index.saturating_add(1), true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}

impl Machine {
    pub(super) fn value(&mut self, around: &mut Around<'_>) -> Stepped {
        let Poll::Ready(byte) = self.space(around) else {
            self.state = State::Value;
            return Poll::Pending;
        };
        let kind = match byte {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::String,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            _ => Kind::Literal,
        };
        self.note_count(kind);
        match kind {
            Kind::Object | Kind::Array => return self.container(kind, around),
            Kind::String => {
                let scalar = self.scalar(kind, around);
                let scan = StringScan::new(self.at.saturating_add(1));
                self.state = State::Text(scan, Suspicion::new(), scalar);
            }
            Kind::Number => {
                let scalar = self.scalar(kind, around);
                self.state = State::Number(Number::new(self.at), scalar);
            }
            Kind::Literal => {
                let rest = around.text.get(self.at..).unwrap_or_default();
                let word = ["null", "true", "false"]
                    .into_iter()
                    .find(|word| rest.starts_with(word));
                let Some(word) = word else {
                    let ends = ["null", "true", "false"]
                        .into_iter()
                        .any(|word| word.starts_with(rest));
                    let found = if ends { None } else { byte };
                    return self.fault(found, "expected a value", around);
                };
                let mut scalar = self.scalar(kind, around);
                self.at = self.at.saturating_add(word.len());
                scalar.end = self.at;
                self.scalar_ends(scalar, None, around);
            }
        }
        ON
    }

    fn scalar(&mut self, kind: Kind, around: &mut Around<'_>) -> Scalar {
        Scalar {
            span: self.output.span(self.at),
            want: self.begins(kind, around),
            end: self.at,
            inner_end: self.at,
            is_cut: false,
            suspicious: false,
        }
    }

    /// The name of a member: what its value is, by it.
    pub(super) fn name(&mut self, raw: &str, escapes: bool, around: &mut Around<'_>) {
        let mut meant = String::new();
        let name = match (raw.len() > MAX_NAME, escapes) {
            (true, _) => "",
            (false, true) => {
                // So short that it is read at once.
                let mut meter = Meter::unlimited();
                let _ = Unescape::default().step(raw, &mut meant, &mut meter);
                around.meter.spend(meter.spent());
                meant.as_str()
            }
            (false, false) => raw,
        };
        around.meter.spend(NAME);
        around.meter.spend_bytes(name.len(), NAME_BYTE);
        if self.muted == 0 {
            around.visitor.key(name);
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
            Some(keys) => keys.test(name),
        };
        self.hint = match verdict {
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
    fn container(&mut self, kind: Kind, around: &mut Around<'_>) -> Stepped {
        let array = kind == Kind::Array;
        let too_deep = self.is_too_deep();
        if too_deep && around.keys.is_none() {
            return Poll::Ready(Err(NotJson::new(self.at, "expected at most 127 levels")));
        }
        let span = self.output.span(self.at);
        let replaced = match self.hint {
            Hint::Sensitive | Hint::Version => true,
            Hint::Count => array || too_deep,
            Hint::Plain | Hint::Modules => too_deep,
        };
        if replaced {
            self.state = State::Skip(Skip::default(), span);
            return ON;
        }
        let count = (self.hint == Hint::Count).then(Count::default);
        // What may be replaced is shown when it is known whether it is.
        let want = match count {
            Some(_) => Want::Nothing,
            None => self.begins(kind, around),
        };
        if count.is_some() {
            self.muted = self.muted.saturating_add(1);
        }
        self.at = self.at.saturating_add(1);
        self.open.push(Open {
            array,
            index: 0,
            pair: false,
            modules: !array && self.hint == Hint::Modules,
            count,
            span,
            want,
        });
        self.state = State::First;
        ON
    }

    /// The closing bracket.
    pub(super) fn close(&mut self, around: &mut Around<'_>) {
        self.at = self.at.saturating_add(1);
        self.state = State::After;
        let Some(Open {
            count, span, want, ..
        }) = self.open.pop()
        else {
            return;
        };
        let want = match count {
            None => want,
            Some(count) => {
                self.muted = self.muted.saturating_sub(1);
                if count.numeric != Some(true) {
                    return self.replaced(span, self.at, around);
                }
                self.begins(Kind::Object, around)
            }
        };
        if self.muted == 0 {
            let json = match want {
                Want::Json => Some(self.output.since(around.text, span, self.at)),
                Want::Text | Want::Nothing => None,
            };
            around.visitor.end(json);
        }
    }

    pub(super) fn skip(&mut self, mut skip: Skip, span: Span, around: &mut Around<'_>) -> Stepped {
        let rest = around.text.as_bytes().get(self.at..).unwrap_or_default();
        let room = around.meter.bytes(BYTE).min(rest.len());
        let (length, over) = skip.over(rest.get(..room).unwrap_or_default());
        around.meter.spend_bytes(length, BYTE);
        self.at = self.at.saturating_add(length);
        if !over && length < rest.len() {
            self.state = State::Skip(skip, span);
            return ON;
        }
        if !over && !self.is_cut {
            return Poll::Ready(Err(NotJson::new(self.at, "expected a closing bracket")));
        }
        self.replaced(span, self.at, around);
        self.state = State::After;
        ON
    }

    /// Replaces a whole value, which is a string from now on.
    fn replaced(&mut self, span: Span, end: usize, around: &mut Around<'_>) {
        self.output.replace(around.text, span, end, FILTERED_JSON);
        match self.begins(Kind::String, around) {
            _ if self.muted > 0 => {}
            Want::Nothing => around.visitor.end(None),
            Want::Text => around.visitor.end(Some(FILTERED)),
            Want::Json => around.visitor.end(Some(FILTERED_JSON)),
        }
    }

    /// Replaces a scalar, which has begun.
    pub(super) fn scalar_is_replaced(&mut self, scalar: Scalar, around: &mut Around<'_>) {
        let Scalar { span, end, .. } = scalar;
        self.output.replace(around.text, span, end, FILTERED_JSON);
        self.scalar_ends(scalar, Some(FILTERED), around);
    }

    /// A scalar is over. `text` is what it means, if that is not as it is written.
    pub(super) fn scalar_ends(
        &mut self,
        scalar: Scalar,
        text: Option<&str>,
        around: &mut Around<'_>,
    ) {
        self.state = State::After;
        if self.muted > 0 {
            return;
        }
        let Scalar {
            span, want, end, ..
        } = scalar;
        let value = match (want, text) {
            (Want::Nothing, _) => None,
            (Want::Text, Some(text)) => Some(text),
            (Want::Text, None) => around.text.get(span.start..end),
            (Want::Json, _) if scalar.is_cut => None,
            (Want::Json, _) => Some(self.output.since(around.text, span, end)),
        };
        around.visitor.end(value);
    }

    pub(super) fn number(
        &mut self,
        mut number: Number,
        mut scalar: Scalar,
        around: &mut Around<'_>,
    ) -> Stepped {
        let end = match number.step(around.text, around.meter) {
            Poll::Pending => {
                self.state = State::Number(number, scalar);
                return Poll::Pending;
            }
            Poll::Ready(end) => end,
        };
        let ends_here = end.map_or_else(|not_json| not_json.offset, |end| end);
        if self.is_cut && ends_here >= around.text.len() {
            // It may have more digits.
            return self.end_of_beginning(around);
        }
        self.at = end?;
        scalar.end = self.at;
        let digits = around.text.get(scalar.span.start..self.at);
        let replaced = match self.hint {
            _ if around.keys.is_none() => false,
            Hint::Sensitive | Hint::Version => true,
            Hint::Plain | Hint::Count | Hint::Modules => digits.is_some_and(card::is_card),
        };
        match replaced {
            true => self.scalar_is_replaced(scalar, around),
            false => self.scalar_ends(scalar, None, around),
        }
        ON
    }

    /// A text that is the beginning of a longer one is over: it counts as far as it is whole.
    pub(super) fn end_of_beginning(&mut self, around: &mut Around<'_>) -> Stepped {
        // Whether that is a count is not known.
        let unknown = self.open.iter().find(|open| open.count.is_some());
        if let Some(span) = unknown.map(|open| open.span) {
            self.muted = 0;
            self.at = around.text.len();
            self.replaced(span, self.at, around);
        }
        self.open.clear();
        Poll::Ready(Ok(Some(Turn::Done)))
    }
}
