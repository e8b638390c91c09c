//! When is something sent, and how often? Generic: knows neither leg, neither payload nor host.

pub mod backoff;
pub mod outbox;
mod quota;
pub mod verdict;
