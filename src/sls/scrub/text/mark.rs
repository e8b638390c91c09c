//! The bytes at which the scan of a text looks closer, found by one look-up in a table a byte.

/// The scan looks closer at this byte.
pub(super) const MARK: u8 = 1;
/// Only where a word begins.
const BEGINS: u8 = 2;
/// It is part of a word.
pub(super) const WORD: u8 = 4;

/// The classes of all bytes.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut rest = classes.as_mut_slice();
    let mut byte = 0_u8;
    while let Some((class, tail)) = rest.split_first_mut() {
        *class = class_of(byte);
        byte = byte.wrapping_add(1);
        rest = tail;
    }
    classes
};

const fn class_of(byte: u8) -> u8 {
    match byte {
        b'=' | b':' | b'%' | b',' | b'\\' | b'-' => MARK,
        b'0'..=b'9' | b'b' | b'B' => MARK | BEGINS | WORD,
        // The first letters of `form.rs`.
        b'A' | b'L' | b'g' | b's' | b'r' | b'x' | b'S' | b'n' | b'e' => MARK | BEGINS | WORD,
        b'a'..=b'z' | b'A'..=b'Z' => WORD,
        _ => 0,
    }
}

pub(super) fn class(byte: u8) -> u8 {
    CLASSES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The next byte to look closer at, or `limit`. Whether `at` is within a word is said.
pub(super) fn next_mark(bytes: &[u8], at: usize, limit: usize, mut within: bool) -> usize {
    for (index, byte) in bytes.get(at..limit).unwrap_or_default().iter().enumerate() {
        let class = class(*byte);
        if class & MARK != 0 && !(within && class & BEGINS != 0) {
            return at.saturating_add(index);
        }
        within = class & WORD != 0;
    }
    limit
}
