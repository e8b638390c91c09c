//! When there is something to do.

use super::Outbox;
use crate::time::{Millis, earliest};

impl<T> Outbox<T> {
    /// When something is to be done next: `now`, or later, or not before an answer or a push.
    #[must_use]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        let ready = self.has_ready().then_some(now);
        let waiting = self.waiting.first().map(|(due, _)| *due);
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        earliest([ready, waiting, deadline, self.gates.due()])
    }

    /// Whether an entry could leave at once, as far as its turn and the slots go.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        let mut fronts = self.fronts();
        fronts.any(|entry| self.has_slot(entry.charge.share, entry.charge.size))
    }

    /// The longest wait between two attempts.
    #[must_use]
    pub fn longest_wait(&self) -> u64 {
        self.policy.backoff.ceiling(u32::MAX)
    }

    /// When the next one becomes too old, as far as it waits for its turn only.
    #[must_use]
    pub fn expires(&self) -> Option<Millis> {
        let ends = self
            .fronts()
            .map(|entry| entry.created.after(self.policy.max_age_ms).after(1));
        ends.min()
    }

    /// When something is to be done although nothing may be dispatched.
    #[must_use]
    pub fn due_closed(&self) -> Option<Millis> {
        let waiting = self.waiting.first().map(|(due, _)| *due);
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        earliest([self.expires(), waiting, deadline, self.gates.due()])
    }
}
