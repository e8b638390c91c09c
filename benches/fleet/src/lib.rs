//! A fleet in virtual time: many workers of the real core, models of RUM and SLS with quotas, an outage and its end.
//!
//! ```text
//! traffic ─▶ worker (the core) ─▶ calls ─▶ rum, sls (models) ─▶ answers ─▶ worker
//!                                            │
//!                                            ▼
//!                                   measure, summary ─▶ report, plot
//! ```
//! The core does no I/O: bytes and time go in, calls come out. So nothing here waits, no thread runs, and the same seed
//! gives the same run on every machine. [`fleet`] owns the clock and the events, [`scenario`] says what happens to the targets.
//!
//! What is not simulated: the proxy's own limits (its cluster's circuit breaker, connections), the time that work takes in a
//! worker, workers that are replaced.
//!
//! Scale: a worker's budgets, its bodies, its batches and SLS's bytes a second are a 64th of the real ones ([`SCALE`]).
//! Numbers of requests, calls and waits are the real ones.

pub mod edge;
pub mod fleet;
pub mod group;
pub mod measure;
pub mod page;
pub mod plot;
pub mod reply;
pub mod report;
pub mod rum;
pub mod scenario;
pub mod sizing;
pub mod sls;
pub mod summary;
pub mod traffic;

/// By so much everything that is counted in bytes is smaller than it is.
pub const SCALE: u64 = 64;
