//! The bounds of an outbox, and what is tried again.

use crate::delivery::backoff::Backoff;

/// Bounds and retry rules.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Bytes of all entries.
    pub max_bytes: usize,
    /// Of these, what may wait for the end of a 429's hold when a new entry of a held group comes.
    pub max_held_bytes: usize,
    /// How many shares there are, at least one: they are numbered from 0.
    pub shares: usize,
    /// Calls without an answer.
    pub max_in_flight: usize,
    /// Attempts in all.
    pub max_attempts: u32,
    /// The waits in between.
    pub backoff: Backoff,
    /// Milliseconds after which an entry is not tried again.
    pub max_age_ms: u64,
    /// Whether an ambiguous end is tried again.
    pub retry_ambiguous: bool,
}
