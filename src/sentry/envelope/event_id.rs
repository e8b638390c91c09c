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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_form_of_a_uuid() {
        let simple = "9ec79c33ec9942ab8353589fcb2e04dc";
        let dashed = "9EC79C33-EC99-42AB-8353-589FCB2E04DC";
        for text in [
            simple,
            dashed,
            &format!("{{{dashed}}}"),
            &format!("urn:uuid:{dashed}"),
        ] {
            assert_eq!(
                EventId::parse(text).map(|id| id.to_string()).as_deref(),
                Some(simple),
                "{text}"
            );
        }
        for bad in [
            "",
            "0",
            "9ec79c33ec9942ab8353589fcb2e04d",
            "9ec79c33ec9942ab8353589fcb2e04dg",
            "{",
            "ä",
        ] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
        let (misplaced, braced) = (dashed.replace("-42", "4-2"), format!("{{{simple}}}"));
        assert_eq!(EventId::parse(&misplaced), None);
        assert_eq!(EventId::parse(&braced), None);
    }
}
