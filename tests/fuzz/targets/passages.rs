//! Mode `rewrite`, whole: any story of copies that come, go on or are answered, on either host.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::passages::Passages;

fuzz_target!(|story: &[u8]| {
    let _ = Passages::play(&story[..story.len().min(2_000)]);
});
