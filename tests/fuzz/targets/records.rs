//! An envelope to its records.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use oracles::random::Random;
use oracles::records::{bounded, in_steps};
use sentry_edge_mirror::sls::record::Options;
use sentry_edge_mirror::sls::scrub::Scrubber;
use sentry_edge_mirror_fuzz::json;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let scrubber = Scrubber::default();
    // As it is used, and with bounds so narrow that everything meets them.
    let usual = Options {
        scrub: Some(&scrubber),
        spans: true,
        ..Options::default()
    };
    let narrow = Options {
        scrub: None,
        max_payload: 200,
        max_records: 3,
        ..usual
    };
    for options in [usual, narrow] {
        bounded(data, options);
        let mut random = Random(u64::try_from(data.len()).unwrap());
        in_steps(data, options, || {
            1 + u64::try_from(random.index(50_000)).unwrap()
        });
    }
});
