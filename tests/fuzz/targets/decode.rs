//! Content decoding: the header's value in the first line, then the body. The steps' sizes follow from the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::decode as oracle;
use sentry_edge_mirror_fuzz::first_line;

/// One cap below the size at which the way of decoding changes, one above it.
const CAPS: [usize; 2] = [64 << 10, (1 << 20) + 1];

fuzz_target!(|data: &[u8]| {
    let (encoding, body) = first_line(data);
    for cap in CAPS {
        oracle::capped(body, encoding, cap);
        let mut sizes = body.iter().rev().cycle();
        let size = || {
            sizes
                .next()
                .map_or(1, |byte| 1 + u64::from(*byte).pow(2) * 8)
        };
        oracle::resumable(body, encoding, cap, size);
    }
    if matches!(encoding, b"gzip" | b"deflate" | b"br" | b"zstd") {
        oracle::as_the_crates(body, encoding, CAPS[0]);
    }
});
