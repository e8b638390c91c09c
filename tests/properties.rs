//! What must hold for every input, tried on random ones. Runs natively on the core.
//!
//! Each file makes inputs for one subject; what must hold is in `tests/oracles`, which the fuzz targets share.
//!
//! `PROPTEST_CASES` says how many inputs are tried. An input that fails is kept beside the source
//! (`*.regressions`) and tried first from then on.

// A test says what is wrong by panicking, and its arithmetic is on small numbers that it chose itself.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unreachable,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use proptest::test_runner::{Config, FileFailurePersistence};

#[path = "properties/before.rs"]
mod before;
#[path = "properties/config.rs"]
mod config;
#[path = "properties/decode.rs"]
mod decode;
#[path = "properties/delivery.rs"]
mod delivery;
#[path = "properties/first_line.rs"]
mod first_line;
#[path = "properties/headers.rs"]
mod headers;
#[path = "properties/modes.rs"]
mod modes;
#[path = "oracles/mod.rs"]
mod oracles;
#[path = "properties/records.rs"]
mod records;
#[path = "properties/route.rs"]
mod route;
#[path = "properties/sls.rs"]
mod sls;

fn settings() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
