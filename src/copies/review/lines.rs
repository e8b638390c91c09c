//! The first lines of an envelope; no more is decoded than is needed to read them.

/// The longest line, in bytes. Lines from SDKs have up to a kilobyte.
pub(super) const MAX_LINE: usize = 16_384;

/// The first lines of an envelope, as far as they have been decoded: where each ends, with its LF.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    pub(super) first: usize,
    pub(super) second: usize,
    /// Nothing more has to be decoded to read them.
    pub(super) are_enough: bool,
}

impl Lines {
    /// A line that is too long is not looked at, whatever it says. `two`: both lines are wanted, for a second Sentry.
    pub(super) fn of(begun: &[u8], two: bool) -> Self {
        let end = |start: usize| {
            let line = begun.get(start..).unwrap_or_default();
            let is_long = line.len() > MAX_LINE;
            let line = line.get(..MAX_LINE).unwrap_or(line);
            match memchr::memchr(b'\n', line) {
                Some(at) => (start.saturating_add(at).saturating_add(1), true),
                None if is_long => (start, true),
                None => (begun.len(), false),
            }
        };
        let (first, mut are_enough) = end(0);
        let mut second = first;
        if two && are_enough && first > 0 {
            (second, are_enough) = end(first);
        }
        Self {
            first,
            second,
            are_enough,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lines, MAX_LINE};

    fn of(text: &[u8], two: bool) -> (usize, usize, bool) {
        let lines = Lines::of(text, two);
        (lines.first, lines.second, lines.are_enough)
    }

    #[test]
    fn where_they_end() {
        assert_eq!(of(b"ab\ncd\ne", false), (3, 3, true));
        assert_eq!(of(b"ab\ncd\ne", true), (3, 6, true));
        assert_eq!(of(b"ab\ncd", true), (3, 5, false));
        assert_eq!(of(b"ab", true), (2, 2, false));
        let long = [b'x'; MAX_LINE + 1];
        assert_eq!(of(&long, true), (0, 0, true), "not looked at");
        let second = [b"ab\n", &long[..]].concat();
        assert_eq!(of(&second, true), (3, 3, true));
    }
}
