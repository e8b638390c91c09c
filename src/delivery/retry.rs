//! What is tried again, and how often.

use super::backoff::Backoff;

/// What is tried again, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all, the first one included.
    pub max_attempts: u32,
    /// The wait before the second attempt and after.
    pub backoff: Backoff,
    /// Milliseconds after which a copy is no longer tried.
    pub max_age_ms: u64,
    /// Whether to try again when the target may have taken the copy already: doubles instead of losses.
    pub ambiguous: bool,
}
