//! The result of an attempt, as data: from it the outbox decides what happens next.

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target has it.
    Delivered,
    /// The target certainly does not have it: refused dispatch, connect failure, 502, 503.
    NotTaken {
        /// HTTP status, or 0 without one.
        status: u16,
        /// The wait that the target asked for.
        retry_after_ms: Option<u64>,
    },
    /// Not taken, and the answer said how to do it right: retry at once.
    Again,
    /// 429: not taken, and nothing more of this group for a while.
    Throttled {
        /// The wait that the target asked for.
        retry_after_ms: Option<u64>,
    },
    /// 429: not taken, and nothing more of its part of the group for `ms`.
    Limited {
        /// Milliseconds.
        ms: u64,
    },
    /// The target may or may not have it: timeout, reset after sending, 500, 504. HTTP status, or 0 without one.
    Ambiguous(u16),
    /// The target has refused it for good. HTTP status.
    Refused(u16),
}
