//! A string value: found, read, looked into, and rewritten if it changed.

use std::task::Poll;

use super::Want;
use super::machine::{Around, Machine, State, Step};
use super::open::Hint;
use crate::client_ip::ClientIp;
use crate::sls::json::{Escape, NO_END, Unescape};
use crate::sls::scrub::FILTERED;
use crate::sls::scrub::key::Sensitive;

impl Machine {
    pub(super) fn string(&mut self, around: &mut Around<'_>) -> Step {
        // What is replaced anyway is not looked into.
        let looked_into = !matches!(self.hint, Hint::Sensitive | Hint::Address);
        let keys = around.keys.filter(|_| looked_into);
        let suspicion = &mut self.suspicion;
        let found = self.scan.step(around.text, around.meter, |piece| {
            if let Some(keys) = keys {
                keys.look(suspicion, piece);
            }
        });
        let end = match found {
            Poll::Pending => return Step::Wait,
            Poll::Ready(Ok(end)) => {
                self.at = end.saturating_add(1);
                end
            }
            Poll::Ready(Err(not_json)) if self.is_cut && not_json.expected == NO_END => {
                self.scalar.is_cut = true;
                let start = self.scalar.span.start.saturating_add(1);
                self.at = whole_words(around.text, start, self.scan.at());
                self.at
            }
            Poll::Ready(Err(not_json)) => return self.fails(not_json.offset, not_json.expected),
        };
        (self.scalar.end, self.scalar.inner_end) = (self.at, end);
        self.scalar.suspicious = keys.is_some() && self.suspicion.is_suspicious();
        let start = self.scalar.span.start.saturating_add(1);
        let raw = around.text.get(start..end).unwrap_or_default();
        if self.hint == Hint::Address {
            return self.address(raw, around);
        }
        // The first element of a list within a list may name the second.
        if self.client_ip != ClientIp::Full
            && let [.., outer, inner] = self.open.as_slice()
            && outer.array
            && inner.array
            && inner.index == 0
            && self.names_address(raw, around)
            && let Some(inner) = self.open.last_mut()
        {
            inner.pair = Hint::Address;
        }
        let replaced = around.keys.is_some()
            && match self.hint {
                Hint::Sensitive | Hint::Count => true,
                Hint::Version => !is_version(raw),
                Hint::Plain | Hint::Modules | Hint::Address => false,
            };
        if replaced && raw == FILTERED {
            self.scalar_ends(Some(raw), around);
        } else if replaced {
            self.scalar_is_replaced(around);
        } else if self.scalar.suspicious
            || self.scalar.want == Want::Text && self.scan.has_escapes()
        {
            self.unescape = Unescape::default();
            self.meant = String::new();
            if self.meant.try_reserve(raw.len()).is_err() {
                return self.fails(start, "no memory for this string");
            }
            self.state = State::Read;
            return Step::On;
        } else {
            self.scalar_ends(Some(raw), around);
        }
        self.after(around)
    }

    /// Reads what the string means.
    pub(super) fn read(&mut self, around: &mut Around<'_>) -> Step {
        let start = self.scalar.span.start.saturating_add(1);
        let raw = around.text.get(start..self.scalar.inner_end);
        let step = self
            .unescape
            .step(raw.unwrap_or_default(), &mut self.meant, around.meter);
        if step.is_pending() {
            return Step::Wait;
        }
        if !self.scalar.suspicious {
            let meant = std::mem::take(&mut self.meant);
            self.scalar_ends(Some(&meant), around);
            return Step::On;
        }
        // The first element of a list within a list may name the second.
        if let [.., outer, inner] = self.open.as_mut_slice()
            && outer.array
            && inner.array
            && inner.index == 0
            && let Some(keys) = around.keys
        {
            let mut work = 0;
            if keys.test(&self.meant, &mut work) != Sensitive::No {
                inner.pair = Hint::Sensitive;
            }
            around.meter.spend(work);
        }
        self.state = State::Inside;
        Step::Child
    }

    /// A string has been looked into.
    pub(super) fn looked_into(&mut self, meant: String, becomes: Option<String>) {
        (self.meant, self.becomes) = (meant, becomes);
    }

    /// Handles the result of that.
    pub(super) fn looked(&mut self, around: &mut Around<'_>) -> Step {
        if self.becomes.is_some() {
            self.output.begin(around.text, self.scalar.span).push('"');
            self.escape = Escape::default();
            self.state = State::Write;
        } else {
            let meant = std::mem::take(&mut self.meant);
            self.scalar_ends(Some(&meant), around);
        }
        Step::On
    }

    /// Writes the replacement of the string.
    pub(super) fn write(&mut self, around: &mut Around<'_>) -> Step {
        let becomes = self.becomes.as_deref().unwrap_or_default();
        let written = self.output.written();
        if self
            .escape
            .step(becomes, written, around.meter)
            .is_pending()
        {
            return Step::Wait;
        }
        if !self.scalar.is_cut {
            written.push('"');
        }
        self.output.end(self.scalar.end);
        let becomes = self.becomes.take();
        self.scalar_ends(becomes.as_deref(), around);
        Step::On
    }
}

/// Where a text that is cut at `end` ends with a whole word, or a kilobyte before: what is known only by what follows must
/// not be taken for something else.
fn whole_words(text: &str, start: usize, end: usize) -> usize {
    const MAX_WORD: usize = 1_024;
    let from = text
        .floor_char_boundary(end.saturating_sub(MAX_WORD))
        .max(start);
    let word = text.get(from..end).unwrap_or_default();
    let space = word.rfind(|c: char| c.is_ascii_whitespace());
    // Not between a backslash and what it escapes.
    let end = from.saturating_add(space.unwrap_or(0));
    let before = text.get(start..end).unwrap_or_default();
    let slashes = before
        .bytes()
        .rev()
        .take_while(|byte| *byte == b'\\')
        .count();
    end.saturating_sub(slashes % 2).max(start)
}

/// Package versions: `0.49.5`, `5.3.0-beta.1`, `v20.20.2`.
fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or(text);
    text.len() <= 40
        && number.starts_with(|first: char| first.is_ascii_digit())
        && number
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
}
