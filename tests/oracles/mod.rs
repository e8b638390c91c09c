//! What must hold, whatever comes in: each file has its own independent idea of what is right, written from the
//! documentation and as naive as possible, and compares the core with that. `model`, `logs` and `worker` are a whole
//! worker: the plugin, a host and a clock around it, and a book of what must become of every copy and log.
//!
//! Nothing here makes inputs: the property tests (`tests/properties`) and the fuzz targets (`tests/fuzz`) do.

// Each of them uses its own part, and nothing is exported from a test crate.
#![allow(dead_code, unreachable_pub)]

#[path = "../shared/allowed.rs"]
pub mod allowed;
#[path = "../shared/composed.rs"]
mod composed;
pub mod config;
pub mod events;
pub mod headers;
pub mod log_group;
pub mod logs;
pub mod model;
pub mod records;
pub mod route;
pub mod worker;
