//! Results about the bodies being received.

use crate::worker::exchange::Exchange;

/// What a sweep found.
#[derive(Debug)]
pub(crate) enum Swept {
    /// This one is too slow and is no longer collected.
    Slow(Box<Exchange>),
    /// One was looked at; there may be more.
    Kept,
    /// Nothing is due.
    Nothing,
}
