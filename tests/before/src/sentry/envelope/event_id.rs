//! Event ids.

use std::fmt;

/// An event id: a UUID, which Sentry writes as 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId(u128);

impl EventId {
    /// Reads any text form of a UUID: 32 digits, with dashes, in braces, as a URN; in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = match text.len() {
            38 => text.strip_prefix('{')?.strip_suffix('}')?,
            45 => text.strip_prefix("urn:uuid:")?,
            _ => text,
        };
        let mut id = 0;
        for (index, byte) in text.bytes().enumerate() {
            if text.len() == 36 && matches!(index, 8 | 13 | 18 | 23) {
                if byte != b'-' {
                    return None;
                }
                continue;
            }
            id = id << 4 | u128::from(char::from(byte).to_digit(16)?);
        }
        matches!(text.len(), 32 | 36).then_some(Self(id))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

