//! The envelope reader, and the DSN in the first line.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use oracles::records::readable;
use sentry_edge_mirror::sentry::first_line::read;
use sentry_edge_mirror_fuzz::{first_line, json};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    readable(data);
    assert_eq!(
        read(data),
        read(first_line(data).0),
        "only the first line counts"
    );
});
