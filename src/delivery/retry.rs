//! What is retried, and how often.

use super::backoff::Backoff;

/// What is retried, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, including the first.
    pub max_attempts: u32,
    /// The wait before the second and later attempts.
    pub backoff: Backoff,
    /// Milliseconds after which a copy is no longer retried.
    pub max_age_ms: u64,
    /// Whether to retry when the target may already have the copy: duplicates instead of losses.
    pub ambiguous: bool,
}
