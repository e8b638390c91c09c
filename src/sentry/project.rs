//! Project ids.
//!
//! Relay reads the id in the path as a `u64` (manual: sentry, "Path and project id": `u64::from_str`): leading zeros name the same
//! project. Project 0 matches nothing there and `/api/0/...` is Sentry's own web API. Percent-encoded digits and a
//! leading `+`, which Relay would decode, are not recognised: no SDK sends them.

use std::fmt;

/// A project id: 1 to 20 ASCII digits, not 0, in a `u64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(u64);

impl ProjectId {
    /// The most digits of a `u64`.
    const MAX_DIGITS: usize = 20;

    /// Reads the digits of a path segment or configuration key.
    #[must_use]
    pub fn parse(digits: &[u8]) -> Option<Self> {
        if digits.is_empty() || digits.len() > Self::MAX_DIGITS {
            return None;
        }
        let mut id: u64 = 0;
        for byte in digits {
            let digit = byte.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            id = id.checked_mul(10)?.checked_add(u64::from(digit))?;
        }
        (id != 0).then_some(Self(id))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::ProjectId;

    #[test]
    fn ids_as_relay_reads_them() {
        for (digits, id) in [
            ("1", Some(1)),
            ("0042", Some(42)),
            ("18446744073709551615", Some(u64::MAX)),
            ("00000000000000000001", Some(1)),
            ("000000000000000000001", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("0", None),
            ("000", None),
            ("", None),
            ("+42", None),
            ("%34%32", None),
            ("4 2", None),
            ("٤٢", None),
        ] {
            let parsed = ProjectId::parse(digits.as_bytes()).map(ProjectId::get);
            assert_eq!(parsed, id, "{digits}");
        }
    }
}
