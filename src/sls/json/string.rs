//! A string: where it ends, and what it means.

use std::task::Poll;

use super::NotJson;
use crate::meter::Meter;

/// The error for a string that never ends.
pub(crate) const NO_END: &str = "expected the end of a string";

/// Units per byte of looking for the end, and of what the caller does with it.
const LOOK: u64 = 16;
/// Units per byte of reading text, and extra units per escape.
const READ: u64 = 4;
const READ_ESCAPE: u64 = 250;
/// Units of skipping an escape.
const LOOK_ESCAPE: u64 = 350;
/// The most bytes between two checks of the meter.
const PIECE: usize = 16_384;

/// Looks for the end of a string, starting after its opening quote, and checks the escapes on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StringScan {
    at: usize,
    escapes: bool,
}

impl StringScan {
    /// `at`: just after the opening quote.
    pub(crate) fn new(at: usize) -> Self {
        Self { at, escapes: false }
    }

    /// Whether there is an escape in the part scanned so far.
    pub(crate) fn has_escapes(&self) -> bool {
        self.escapes
    }

    /// Where it is. After an error about a missing end: the last place at which the string could be cut.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// Continues; `see` is shown every byte once. The result is the offset of the closing quote.
    pub(crate) fn step(
        &mut self,
        text: &str,
        meter: &mut Meter,
        mut see: impl FnMut(&[u8]),
    ) -> Poll<Result<usize, NotJson>> {
        loop {
            let room = meter.bytes(LOOK).min(PIECE);
            if room == 0 {
                return Poll::Pending;
            }
            let rest = text.as_bytes().get(self.at..).unwrap_or_default();
            let piece = rest.get(..room).unwrap_or(rest);
            let length = plain(piece);
            see(piece.get(..length).unwrap_or_default());
            meter.spend_bytes(length, LOOK);
            self.at = self.at.saturating_add(length);
            match piece.get(length) {
                None if piece.len() < rest.len() => {}
                None => return Poll::Ready(Err(self.fault(NO_END))),
                Some(b'"') => return Poll::Ready(Ok(self.at)),
                Some(b'\\') => {
                    self.escapes = true;
                    let rest = rest.get(length..).unwrap_or_default();
                    let escape = match escape_length(rest) {
                        Ok(length) => rest.get(..length).unwrap_or_default(),
                        Err(expected) => return Poll::Ready(Err(self.fault(expected))),
                    };
                    see(escape);
                    meter.spend(LOOK_ESCAPE);
                    self.at = self.at.saturating_add(escape.len());
                }
                Some(_) => {
                    let expected = "expected an escape for a control character";
                    return Poll::Ready(Err(self.fault(expected)));
                }
            }
        }
    }

    fn fault(&self, expected: &'static str) -> NotJson {
        NotJson::new(self.at, expected)
    }
}

/// How many bytes come before a quote, a backslash or a control character.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // A byte's highest bit is set if the byte is zero. Borrows cause mistakes only above a byte that was found.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut length = 0_usize;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES.wrapping_mul(0x22)));
        let backslashes = zeros(word ^ (ONES.wrapping_mul(0x5C)));
        let controls = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word & HIGHS;
        let found = quotes | backslashes | controls;
        if found != 0 {
            let before = found.trailing_zeros() / 8;
            return length.saturating_add(usize::try_from(before).unwrap_or(0));
        }
        length = length.saturating_add(8);
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let tail = rest.iter().position(special).unwrap_or(rest.len());
    length.saturating_add(tail)
}

/// The length of the escape at the start of `bytes`.
fn escape_length(bytes: &[u8]) -> Result<usize, &'static str> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => match bytes.get(2..6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(6),
            None if bytes.iter().skip(2).all(u8::is_ascii_hexdigit) => Err(NO_END),
            _ => Err("expected four hex digits"),
        },
        Some(_) => Err("expected an escape of JSON"),
        None => Err(NO_END),
    }
}

/// Reads the meaning of a string, from the text between its quotes, which a [`StringScan`] has already scanned.
///
/// A lone surrogate, which no text can contain, becomes three U+FFFD, one for each byte that it would have.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unescape {
    at: usize,
}

impl Unescape {
    /// Continues, and appends to `out`.
    pub(crate) fn step(&mut self, raw: &str, out: &mut String, meter: &mut Meter) -> Poll<()> {
        loop {
            let rest = raw.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Poll::Ready(());
            }
            let room = meter.bytes(READ).min(PIECE);
            if room == 0 {
                return Poll::Pending;
            }
            let piece = rest.get(..rest.floor_char_boundary(room)).unwrap_or(rest);
            let plain = memchr::memchr(b'\\', piece.as_bytes()).unwrap_or(piece.len());
            out.push_str(piece.get(..plain).unwrap_or_default());
            meter.spend_bytes(plain, READ);
            let mut length = plain;
            // Escapes seldom come alone.
            while rest.as_bytes().get(length) == Some(&b'\\') && !meter.is_empty() {
                meter.spend(READ_ESCAPE);
                let rest = rest.as_bytes().get(length..).unwrap_or_default();
                length = length.saturating_add(unescape(rest, out));
            }
            self.at = self.at.saturating_add(length);
        }
    }
}

/// Reads the escape, or the pair of escapes, at the start of `bytes`; returns its length.
fn unescape(bytes: &[u8], out: &mut String) -> usize {
    const LONE: &str = "\u{FFFD}\u{FFFD}\u{FFFD}";
    let simple = match bytes.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{C}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => {
            let Some(first) = hex(bytes.get(2..6)) else {
                return 2;
            };
            if let Some(character) = char::from_u32(first) {
                out.push(character);
                return 6;
            }
            let second = bytes
                .get(6..8)
                .filter(|escape| escape == b"\\u")
                .and_then(|_| hex(bytes.get(8..12)));
            if let (0xD800..0xDC00, Some(low @ 0xDC00..0xE000)) = (first, second) {
                let high = first.wrapping_sub(0xD800) << 10;
                let point = high.wrapping_add(low.wrapping_sub(0xDC00));
                out.push(char::from_u32(point.wrapping_add(0x1_0000)).unwrap_or('\u{FFFD}'));
                return 12;
            }
            out.push_str(LONE);
            return 6;
        }
        Some(other) => char::from(*other),
        None => return 1,
    };
    out.push(simple);
    2
}

fn hex(digits: Option<&[u8]>) -> Option<u32> {
    digits?.iter().try_fold(0_u32, |value, digit| {
        Some(value << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn scan(text: &str, units: u64) -> (Result<usize, NotJson>, String) {
        let (mut scan, mut seen) = (StringScan::new(1), Vec::new());
        loop {
            let mut meter = Meter::new(units);
            if let Poll::Ready(end) =
                scan.step(text, &mut meter, |bytes| seen.extend_from_slice(bytes))
            {
                return (end, String::from_utf8(seen).unwrap());
            }
        }
    }

    fn text(raw: &str, units: u64) -> String {
        let (mut unescape, mut out) = (Unescape::default(), String::new());
        while unescape
            .step(raw, &mut out, &mut Meter::new(units))
            .is_pending()
        {}
        out
    }

    #[test]
    fn strings_end_where_serde_json_says_and_mean_the_same() {
        let long = "ä€😀 plain".repeat(5_000);
        for raw in [
            "",
            "x",
            "1234567",
            "12345678",
            "a\\\"b",
            r"\\\/\b\f\n\r\t",
            r"\u0041\u00e4\u20AC",
            r"\ud83d\ude00!",
            "ä€😀",
            &long,
        ] {
            let json = format!("\"{raw}\" rest\"");
            let expected: String = serde_json::from_str(&json[..raw.len() + 2]).unwrap();
            for units in [1, 100, 10_000_000] {
                let (end, seen) = scan(&json, units);
                assert_eq!((end, seen.as_str()), (Ok(raw.len() + 1), raw));
                assert_eq!(text(raw, units), expected);
            }
        }
        assert_eq!(text(r"\ud800x", 1), "\u{fffd}\u{fffd}\u{fffd}x");
        assert_eq!(text(r"\ud800\u0041", 1), "\u{fffd}\u{fffd}\u{fffd}A");
        assert_eq!(text(r"\udc00\ud800", 1), "\u{fffd}".repeat(6));
    }

    #[test]
    fn faults_name_their_byte() {
        for (json, offset, expected) in [
            ("\"abc", 4, "expected the end of a string"),
            ("\"a\\", 2, "expected the end of a string"),
            ("\"a\\u00", 2, "expected the end of a string"),
            ("\"a\\u00x0\"", 2, "expected four hex digits"),
            ("\"\\x\"", 1, "expected an escape of JSON"),
            (
                "\"12345678\n\"",
                9,
                "expected an escape for a control character",
            ),
        ] {
            let fault = scan(json, 1_000).0.unwrap_err();
            assert_eq!((fault.offset, fault.expected), (offset, expected), "{json}");
        }
    }

    #[test]
    fn every_byte_is_told_apart_at_every_place() {
        for place in 0..17 {
            for byte in 0..=u8::MAX {
                let mut bytes = [b'x'; 17];
                bytes[place] = byte;
                let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                assert_eq!(plain(&bytes), if special { place } else { 17 }, "{byte}");
            }
        }
    }
}
