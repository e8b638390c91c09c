//! What is asked of the bodies that are being received, and what is said of them.

use crate::worker::exchange::Exchange;
use crate::worker::wanted::Wanted;

/// What an exchange needs room for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wants {
    /// The share of the RUM leg's budgets, if that leg wants it.
    pub(crate) rum: Option<usize>,
    /// The SLS leg wants it.
    pub(crate) sls: bool,
    /// The second Sentries that want it, among others.
    pub(crate) sentries: Wanted,
    /// At least.
    pub(crate) bytes: usize,
}

/// What a sweep found.
#[derive(Debug)]
pub(crate) enum Swept {
    /// This one is too slow, and is not collected any more.
    Slow(Box<Exchange>),
    /// One was looked at; there may be more.
    Kept,
    /// Nothing is due.
    Nothing,
}
