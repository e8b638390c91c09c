//! A string that is a value: found, read, looked into, and written again if it became another.

use std::task::Poll;

use super::Want;
use super::machine::{Around, Machine, ON, Scalar, State, Stepped, Turn};
use super::open::Hint;
use crate::sls::json::{Escape, NO_END, NotJson, StringScan, Unescape};
use crate::sls::scrub::FILTERED;
use crate::sls::scrub::filter::Suspicion;
use crate::sls::scrub::key::Sensitive;

impl Machine {
    pub(super) fn string(
        &mut self,
        mut scan: StringScan,
        mut suspicion: Suspicion,
        mut scalar: Scalar,
        around: &mut Around<'_>,
    ) -> Stepped {
        // Of what is replaced anyway nothing is looked at.
        let keys = around.keys.filter(|_| self.hint != Hint::Sensitive);
        let found = scan.step(around.text, around.meter, |piece| {
            if let Some(keys) = keys {
                keys.look(&mut suspicion, piece);
            }
        });
        let end = match found {
            Poll::Pending => {
                self.state = State::Text(scan, suspicion, scalar);
                return Poll::Pending;
            }
            Poll::Ready(Ok(end)) => {
                self.at = end.saturating_add(1);
                end
            }
            Poll::Ready(Err(not_json)) if self.is_cut && not_json.expected == NO_END => {
                scalar.is_cut = true;
                self.at = around.text.len();
                scan.at()
            }
            Poll::Ready(Err(not_json)) => return Poll::Ready(Err(not_json)),
        };
        (scalar.end, scalar.inner_end) = (self.at, end);
        scalar.suspicious = keys.is_some() && suspicion.is_suspicious();
        let raw = around.text.get(scalar.span.start.saturating_add(1)..end);
        let raw = raw.unwrap_or_default();
        let replaced = around.keys.is_some()
            && match self.hint {
                Hint::Sensitive | Hint::Count => true,
                Hint::Version => !is_version(raw),
                Hint::Plain | Hint::Modules => false,
            };
        if replaced {
            match raw == FILTERED {
                true => self.scalar_ends(scalar, Some(raw), around),
                false => self.scalar_is_replaced(scalar, around),
            }
            return ON;
        }
        let is_text = scalar.want == Want::Text && scan.has_escapes();
        if scalar.suspicious || is_text {
            self.state = State::Read(Unescape::default(), String::new(), scalar);
        } else {
            self.scalar_ends(scalar, Some(raw), around);
        }
        ON
    }

    /// Reads what the string means.
    pub(super) fn read(
        &mut self,
        mut unescape: Unescape,
        mut meant: String,
        scalar: Scalar,
        around: &mut Around<'_>,
    ) -> Stepped {
        let start = scalar.span.start.saturating_add(1);
        let raw = around.text.get(start..scalar.inner_end);
        let raw = raw.unwrap_or_default();
        if meant.capacity() == 0 && meant.try_reserve(raw.len()).is_err() {
            return Poll::Ready(Err(NotJson::new(start, "no memory for this string")));
        }
        if unescape.step(raw, &mut meant, around.meter).is_pending() {
            self.state = State::Read(unescape, meant, scalar);
            return Poll::Pending;
        }
        if !scalar.suspicious {
            self.scalar_ends(scalar, Some(&meant), around);
            return ON;
        }
        // The first element of a list within a list may name the second.
        if let [.., outer, inner] = self.open.as_mut_slice()
            && outer.array
            && inner.array
            && inner.index == 0
            && let Some(keys) = around.keys
        {
            inner.pair = keys.test(&meant) != Sensitive::No;
        }
        self.state = State::Inside(scalar);
        Poll::Ready(Ok(Some(Turn::Child(meant))))
    }

    /// A string has been looked into.
    pub(super) fn looked_into(&mut self, meant: String, becomes: Option<String>) {
        if let State::Inside(scalar) = self.state {
            self.state = State::Looked(meant, becomes, scalar);
        }
    }

    pub(super) fn looked(
        &mut self,
        meant: String,
        becomes: Option<String>,
        scalar: Scalar,
        around: &mut Around<'_>,
    ) -> Stepped {
        match becomes {
            None => self.scalar_ends(scalar, Some(&meant), around),
            Some(becomes) => {
                self.output.begin(around.text, scalar.span).push('"');
                self.state = State::Write(Escape::default(), becomes, scalar);
            }
        }
        ON
    }

    /// Writes what the string became.
    pub(super) fn write(
        &mut self,
        mut escape: Escape,
        becomes: String,
        scalar: Scalar,
        around: &mut Around<'_>,
    ) -> Stepped {
        let written = self.output.written();
        if escape.step(&becomes, written, around.meter).is_pending() {
            self.state = State::Write(escape, becomes, scalar);
            return Poll::Pending;
        }
        if !scalar.is_cut {
            written.push('"');
        }
        self.output.end(scalar.end);
        self.scalar_ends(scalar, Some(&becomes), around);
        ON
    }
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
