//! Mode `sign`, whole: any story of writes, keys and clocks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::writes::Writes;

fuzz_target!(|story: &[u8]| {
    let _ = Writes::play(&story[..story.len().min(2_000)]);
});
