//! When there is something to do.

use super::Outbox;
use super::entry::Entries;
use super::register::Register;
use crate::time::{Millis, earliest};

impl<T> Outbox<T> {
    /// When to act next: `now`, later, or not before an answer or a push.
    #[must_use]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        if self.entries.is_empty() {
            return self.register.gates.due();
        }
        let ready = self.has_ready().then_some(now);
        earliest([ready, self.register.due()])
    }

    /// Whether an entry could leave at once, as far as turns and slots allow.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        !self.nothing_waits() && self.register.has_ready(&self.entries)
    }

    /// The longest wait between two attempts.
    #[must_use]
    pub fn longest_wait(&self) -> u64 {
        self.policy().backoff.ceiling(u32::MAX)
    }

    /// When the next entry becomes too old, among those that wait only for their turn.
    #[must_use]
    pub fn expires(&self) -> Option<Millis> {
        self.register.expires(&self.entries)
    }

    /// When to act even if nothing may be dispatched.
    #[must_use]
    pub fn due_closed(&self) -> Option<Millis> {
        earliest([self.expires(), self.register.due()])
    }
}

impl Register {
    /// Whether no answer is late and there are no gates.
    pub(super) fn is_quiet(&self, now: Millis) -> bool {
        let deadline = self.deadlines.first();
        self.gates.is_empty() && deadline.is_none_or(|(deadline, _)| *deadline > now)
    }

    /// When a wait is over, an answer is too late, or a gate has something to do.
    fn due(&self) -> Option<Millis> {
        let waiting = self.waiting.first().map(|(due, _)| *due);
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        earliest([waiting, deadline, self.gates.due()])
    }

    fn has_ready(&self, all: &dyn Entries) -> bool {
        let mut fronts = self.fronts(all);
        fronts.any(|entry| self.has_slot(entry.charge.share, entry.charge.size))
    }

    fn expires(&self, all: &dyn Entries) -> Option<Millis> {
        let ends = self
            .fronts(all)
            .map(|entry| entry.created.after(self.policy.max_age_ms).after(1));
        ends.min()
    }
}
