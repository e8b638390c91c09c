//! JSON in steps: whatever can be long in it is scanned, read and written piece by piece, and each piece is paid for from a
//! [`Meter`](crate::meter::Meter).
//!
//! Owns the grammar of strings and numbers (RFC 8259), and how a string's text is read and written. Arrays, objects and their
//! meaning belong to [`super::scrub`]. Nothing here keeps the text: it is passed at every step.

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
    /// What was expected there. It never repeats what was found.
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
