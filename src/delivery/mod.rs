//! When something is sent, and how often. Generic: it knows no leg, no payload and no host.

pub mod answer;
pub mod backoff;
pub mod by_project;
pub mod call;
pub(crate) mod caller;
pub mod outbox;
mod quota;
pub mod retry;
pub mod verdict;
