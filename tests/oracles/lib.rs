//! What must hold, whatever comes in: each file has its own idea of what is right, written from the documentation and as
//! naive as possible, and compares the core with that. Two things are taken from the core, because tables elsewhere check
//! them: the canonical form of a request (SLS's vectors, `tests/conformance`), and how many logs an envelope gives.
//!
//! Three are a whole worker, with a host, a clock and a book around it of what must become of everything: `worker` (with
//! `model` and `logs`) in mode `tee`, told `events`; `passages` in mode `rewrite` and `writes` in mode `sign`, told any
//! bytes as a `story`.
//!
//! The inputs come from the property tests (`tests/properties`) and the fuzz targets (`tests/fuzz`).

// Only tests read it: what a name says is not said again.
#![allow(missing_docs)]

pub mod allowed;
pub mod books;
pub mod clocks;
mod composed;
pub mod config;
pub mod decode;
pub mod events;
pub mod headers;
pub mod log_group;
pub mod logs;
pub mod metadata;
pub mod model;
pub mod passages;
pub mod proxy;
pub mod random;
pub mod received;
pub mod records;
pub mod route;
pub mod second;
pub mod signed;
pub mod story;
pub mod worker;
pub mod writes;
