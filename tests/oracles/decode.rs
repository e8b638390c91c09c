//! Any bytes as a body with any Content-Encoding: the cap holds, steps of any size give the same, and so do the crates that
//! cannot stop where it must.

// Each test crate uses its own part, and nothing is exported from one.
#![allow(dead_code, unreachable_pub)]

use std::borrow::Cow;
use std::io::Read;
use std::task::Poll;

use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sentry::decode::{Decoded, Decoder, Reason, Undecodable, decode_all};

/// What a decoder may spend for each byte that it reads or makes, and besides. A block of seven bytes may be two tables.
const UNITS_PER_BYTE: u64 = 20_000;
const UNITS: u64 = 500_000;
/// The most that a step spends more than it has.
const OVER: u64 = 1_100_000;

/// Decodes with a meter of so many units for each step; what was spent.
pub fn in_steps<'a>(
    bytes: &'a [u8],
    encoding: &[u8],
    cap: usize,
    mut units: impl FnMut() -> u64,
) -> (Result<Cow<'a, [u8]>, Undecodable>, u64) {
    let mut spent = 0;
    let mut decoder = match Decoder::new(encoding, bytes.len(), cap) {
        Ok(decoder) => decoder,
        Err(error) => return (Err(error), spent),
    };
    loop {
        let units = units();
        let mut meter = Meter::new(units);
        let step = decoder.step(bytes, &mut meter);
        spent += meter.spent();
        assert!(
            meter.spent() <= units.saturating_add(OVER),
            "{}",
            meter.spent()
        );
        if let Poll::Ready(result) = step {
            let decoded = result.map(|decoded| match decoded {
                Decoded::Same => Cow::Borrowed(bytes),
                Decoded::Bytes(bytes) => Cow::Owned(bytes),
            });
            return (decoded, spent);
        }
    }
}

/// A decoder keeps the cap, and a larger cap changes nothing for what fits.
pub fn capped(bytes: &[u8], encoding: &[u8], cap: usize) {
    if let Ok(decoded) = decode_all(bytes, encoding, cap) {
        assert!(decoded.len() <= cap);
        assert_eq!(decode_all(bytes, encoding, cap + 1).unwrap(), decoded);
        if let Some(less) = decoded.len().checked_sub(1) {
            assert!(decode_all(bytes, encoding, less).is_err());
        }
    }
}

/// The size of the steps changes nothing, and the work is in proportion to what is read and made.
pub fn resumable(bytes: &[u8], encoding: &[u8], cap: usize, units: impl FnMut() -> u64) {
    let whole = decode_all(bytes, encoding, cap);
    let (decoded, spent) = in_steps(bytes, encoding, cap, units);
    assert_eq!(decoded, whole);
    let made = match &decoded {
        Ok(decoded) => decoded.len(),
        // A body over the cap is counted up to it.
        Err(error) if matches!(error.reason, Reason::TooLarge(_)) => cap,
        // What it was before it broke is not known.
        Err(_) => cap.min(bytes.len().saturating_mul(1_100)),
    };
    let touched = u64::try_from(bytes.len() + made).unwrap();
    assert!(
        spent <= UNITS_PER_BYTE * touched + UNITS,
        "{spent} units for {touched} bytes"
    );
}

/// What the crates make of a body, `None` if they find it wrong. It may be larger than any cap.
fn judged(bytes: &[u8], encoding: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let most = u64::try_from(most).unwrap() + 1;
    match encoding {
        b"gzip" => {
            let mut rest = bytes;
            while decoded.is_empty() && rest.len() == bytes.len() || rest.starts_with(&[0x1f, 0x8b])
            {
                let member = flate2::bufread::GzDecoder::new(&mut rest);
                member.take(most).read_to_end(&mut decoded).ok()?;
            }
        }
        b"deflate" => {
            let stream = flate2::bufread::ZlibDecoder::new(bytes);
            stream.take(most).read_to_end(&mut decoded).ok()?;
        }
        b"br" => {
            let stream = brotli_decompressor::Decompressor::new(bytes, 4096);
            stream.take(most).read_to_end(&mut decoded).ok()?;
        }
        _ => {
            let mut rest = bytes;
            while !rest.is_empty() {
                if let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, skipped @ ..] = rest {
                    let length = u32::from_le_bytes([*a, *b, *c, *d]);
                    rest = skipped.get(usize::try_from(length).unwrap()..)?;
                    continue;
                }
                let mut frame = ruzstd::decoding::FrameDecoder::new();
                frame.init(&mut rest).ok()?;
                frame
                    .decode_blocks(&mut rest, ruzstd::decoding::BlockDecodingStrategy::All)
                    .ok()?;
                decoded.append(&mut frame.collect()?);
                let stored = frame.get_checksum_from_data();
                if stored.is_some() && stored != frame.get_calculated_checksum() {
                    return None;
                }
            }
        }
    }
    Some(decoded)
}

/// What is decoded is what the crates decode. What is not, they do not decode either.
pub fn as_the_crates(bytes: &[u8], encoding: &[u8], cap: usize) {
    if bytes.is_empty() {
        return;
    }
    match decode_all(bytes, encoding, cap) {
        Ok(decoded) => assert_eq!(judged(bytes, encoding, cap).as_deref(), Some(&*decoded)),
        Err(Undecodable {
            reason: Reason::Truncated | Reason::Corrupt(_),
            ..
        }) => {
            // flate2 takes copies from before the beginning for zeros, and cannot check zlib's sum of them.
            // The other takes a beginning that is reserved for large windows, an extension of brotli.
            let is_large_window = encoding == b"br" && bytes[0] & 0x7F == 0x11;
            if (encoding == b"br" || encoding == b"zstd") && !is_large_window {
                assert_eq!(judged(bytes, encoding, cap), None);
            }
        }
        Err(_) => {}
    }
}
