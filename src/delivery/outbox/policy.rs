//! The bounds of an outbox and its retry rules.

use crate::delivery::backoff::Backoff;

/// Bounds and retry rules.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Bytes of all entries.
    pub max_bytes: usize,
    /// How many of these may be waiting for the end of a 429's hold when a new entry of a held group comes.
    pub max_held_bytes: usize,
    /// The number of shares, at least one; they are numbered from 0.
    pub shares: usize,
    /// Calls without an answer.
    pub max_in_flight: usize,
    /// Attempts in all.
    pub max_attempts: u32,
    /// The waits between attempts.
    pub backoff: Backoff,
    /// Milliseconds after which an entry is not tried again.
    pub max_age_ms: u64,
    /// Whether to retry after an ambiguous result.
    pub retry_ambiguous: bool,
}
