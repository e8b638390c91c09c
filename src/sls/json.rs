//! JSON in steps: what can be long in it is looked at, read and written piece by piece, and each piece is paid for from a
//! [`Meter`](crate::meter::Meter).
//!
//! Owns: the grammar of strings and numbers (RFC 8259), and how a string's text is read and written. Does not own: arrays,
//! objects and what they mean; [`super::scrub`] reads those. Nothing here keeps the text: it is passed at every step.

mod escape;
mod number;
mod string;

pub(crate) use escape::Escape;
pub(crate) use number::Number;
pub(crate) use string::{NO_END, StringScan, Unescape};

/// A text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {offset}: {expected}")]
pub struct NotJson {
    /// Where it stops being JSON, in bytes.
    pub offset: usize,
    /// What should stand there. It never repeats what does.
    pub expected: &'static str,
}

impl NotJson {
    pub(crate) fn new(offset: usize, expected: &'static str) -> Self {
        Self { offset, expected }
    }
}

/// A short text as a JSON string, with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}
