//! Inputs of the tests in here, and meters that are soon empty.

use crate::meter::Meter;

/// Numbers that are the same in every run (xorshift).
pub(super) fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Bytes that no compressor makes smaller.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut next = numbers(0);
    (0..length).map(|_| next().to_le_bytes()[3]).collect()
}

/// Text with some order.
pub(super) fn text(length: usize) -> Vec<u8> {
    let mut next = numbers(1);
    let mut out = Vec::new();
    while out.len() < length {
        let (word, value) = (next() % 300, next() % 1_000);
        out.extend_from_slice(format!("\"word{}\":{value},", word * word).as_bytes());
    }
    out.truncate(length);
    out
}

/// Everything that has its own way through an encoder.
pub(super) fn samples() -> Vec<Vec<u8>> {
    let mut samples: Vec<Vec<u8>> = (0..40).map(|length| vec![b'x'; length]).collect();
    samples.extend((0..40).map(noise));
    samples.extend([
        b"hello ".repeat(1_000),
        noise(20_000),
        text(30_000),
        vec![0; 70_000],
        [noise(5_000), vec![0; 5_000], noise(5_000), text(5_000)].concat(),
        [noise(3_000), noise(3_000)].concat(),
        b"abc".repeat(2_000),
        noise(9_000).iter().map(|byte| b'a' + byte % 2).collect(),
        // Literals and matches around the lengths that a token can say.
        (10..24)
            .flat_map(|n| [noise(n), vec![b'z'; n + 4]].concat())
            .collect(),
        (250..280)
            .flat_map(|n| [noise(n), vec![b'z'; n]].concat())
            .collect(),
    ]);
    samples
}

/// Meters of 1 to some thousands of units.
pub(super) fn small_meters(seed: u64) -> impl FnMut() -> Meter {
    let mut next = numbers(seed);
    move || Meter::new(1 + next() % 5_000)
}
