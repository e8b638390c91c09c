//! Content decoding: the header's value in the first line, then the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentry_edge_mirror_fuzz::first_line;
use sentry_edge_mirror_fuzz::oracles::records::capped;

/// One cap below the size at which the way of decoding changes, one above it.
const CAPS: [usize; 2] = [64 << 10, (1 << 20) + 1];

fuzz_target!(|data: &[u8]| {
    let (encoding, body) = first_line(data);
    for cap in CAPS {
        capped(body, encoding, cap);
    }
});
