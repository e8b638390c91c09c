//! Held writes that are not yet fully hashed or not yet signed: whose turn is next, and when.
//!
//! Turns go round, so that all of them make progress. A write that ends meanwhile is not removed: its turn finds nothing.

use crate::pace::Pace;
use crate::time::Millis;
use std::collections::VecDeque;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The host's IDs for their streams.
    waiting: VecDeque<u32>,
    pace: Pace,
}

impl Backlog {
    /// Its turn comes after that of all others.
    pub(super) fn push(&mut self, stream: u32) {
        self.waiting.push_back(stream);
    }

    /// Its turn is next: it only needs more than was left.
    pub(super) fn push_first(&mut self, stream: u32) {
        self.waiting.push_front(stream);
    }

    pub(super) fn pop(&mut self) -> Option<u32> {
        self.waiting.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_due(&self, now: Millis) -> bool {
        !self.is_empty() && self.pace.is_due(now)
    }

    /// When the next turns come.
    pub(super) fn due(&self) -> Option<Millis> {
        (!self.is_empty()).then(|| self.pace.next())
    }

    /// Turns were taken.
    pub(super) fn took(&mut self, begun: Millis, ended: Millis) {
        self.pace.took(begun, ended);
    }
}
