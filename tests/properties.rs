//! What must hold for every input, tried on random ones. Runs natively on the core.
//!
//! Each file has its own independent idea of what is right, written from the documentation and as naive as possible,
//! and compares the core with that. `model` and `worker` are a whole worker: the plugin, a host and a clock around it,
//! and a book of what must become of every copy.
//!
//! `PROPTEST_CASES` says how many inputs are tried (`make fuzz`). An input that fails is kept beside the source
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

#[path = "shared/allowed.rs"]
mod allowed;
#[path = "shared/composed.rs"]
mod composed;
#[path = "properties/config.rs"]
mod config;
#[path = "properties/delivery.rs"]
mod delivery;
#[path = "properties/first_line.rs"]
mod first_line;
#[path = "properties/headers.rs"]
mod headers;
#[path = "properties/model.rs"]
mod model;
#[path = "properties/records.rs"]
mod records;
#[path = "properties/route.rs"]
mod route;
#[path = "properties/sls.rs"]
mod sls;
#[path = "properties/worker.rs"]
mod worker;

fn settings() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
