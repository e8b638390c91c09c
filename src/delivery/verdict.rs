//! What an attempt came to, as data: the outbox decides from it what happens next.

/// The end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The target has it.
    Delivered,
    /// The target surely does not have it: refused dispatch, connect failure, 502, 503.
    NotTaken {
        /// HTTP status, 0 without one.
        status: u16,
        /// The target's own wish.
        retry_after_ms: Option<u64>,
    },
    /// Not taken, and the answer said how to do it right: at once.
    Again,
    /// 429: not taken, and nothing more of this group for a while.
    Throttled {
        /// The target's own wish.
        retry_after_ms: Option<u64>,
    },
    /// 429: not taken, and for so long nothing more of its part of the group.
    Limited {
        /// Milliseconds.
        ms: u64,
    },
    /// The target may or may not have it: timeout, reset after sending, 500, 504. HTTP status, 0 without one.
    Ambiguous(u16),
    /// The target has refused it for good. HTTP status.
    Refused(u16),
}
