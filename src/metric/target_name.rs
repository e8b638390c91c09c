//! The operator's name for a second Sentry: short, so that it is passed around like a number and fits into metric names.

use std::fmt;

/// A name of 1 to 12 lower-case letters, digits and `_`: a number in base 38, the first character last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetName(u64);

/// 0 is not a character.
const ALPHABET: &[u8; 37] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
const BASE: u64 = 38;

impl TargetName {
    /// The longest name: 38 to the power of 12 is below 2 to the power of 64.
    pub const MAX_BYTES: usize = 12;

    /// Reads a name.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return None;
        }
        let mut number = 0_u64;
        for byte in text.bytes().rev() {
            let digit = ALPHABET.iter().position(|known| *known == byte)?;
            let digit = u64::try_from(digit).ok()?.checked_add(1)?;
            number = number.checked_mul(BASE)?.checked_add(digit)?;
        }
        Some(Self(number))
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        while let Some(digit) = (left % BASE).checked_sub(1) {
            let at = usize::try_from(digit).unwrap_or_default();
            let character = ALPHABET.get(at).copied().unwrap_or_default();
            fmt::Write::write_char(f, character.into())?;
            left /= BASE;
        }
        Ok(())
    }
}

impl fmt::Debug for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::TargetName;

    #[test]
    fn names() {
        for good in [
            "saas",
            "a",
            "aa",
            "second_99___",
            "999999999999",
            "____________",
            "0",
        ] {
            assert_eq!(TargetName::new(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "Saas",
            "a-b",
            "a.b",
            "a b",
            "é",
            "a_name_too_long",
            "\0",
        ] {
            assert_eq!(TargetName::new(bad), None, "{bad}");
        }
        assert_ne!(TargetName::new("a"), TargetName::new("aa"));
    }
}
