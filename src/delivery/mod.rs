//! When is something sent, and how often? Generic: knows neither leg, neither payload nor host.

pub mod answer;
pub mod backoff;
pub mod by_project;
pub mod call;
pub(crate) mod caller;
pub mod outbox;
mod quota;
pub mod retry;
pub mod verdict;
