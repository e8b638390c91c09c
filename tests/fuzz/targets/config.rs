//! The plugin's configuration: any bytes, as JSON and as a Struct.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use oracles::config::{keeps_its_secret, sound, the_same_as_a_struct};
use sentry_edge_mirror_fuzz::json;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    json::mutate(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    sound(data);
    if let Ok(value) = serde_json::from_slice(data) {
        keeps_its_secret(&value);
        the_same_as_a_struct(&value);
    }
});
