//! What must hold for every input, tried on random ones. Runs natively on the core.
//!
//! Each file makes inputs for one subject; what must hold is in `tests/oracles`, which the fuzz targets share.
//!
//! `PROPTEST_CASES` says how many inputs are tried. An input that fails is kept beside the source
//! (`*.regressions`) and tried first from then on.

use proptest::test_runner::{Config, FileFailurePersistence};

mod config;
mod decode;
mod delivery;
mod first_line;
mod headers;
mod modes;
mod records;
mod route;
mod rules;
mod second;
mod sls;
mod steps;

fn settings() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..Config::default()
    }
}
