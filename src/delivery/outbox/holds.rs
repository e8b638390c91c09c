//! Groups that a 429 holds back: until when, and what waits for it.

use super::{Id, Outbox};
use crate::time::Millis;

/// So many groups are held back at most. Without a hold a group is throttled by its own 429s.
pub(super) const MAX_HOLDS: usize = 1_000;

impl<T> Outbox<T> {
    /// What waits for the end of a hold is counted.
    pub(super) fn hold_bytes(&mut self, id: Id) {
        if let Some(entry) = self.entries.get_mut(&id)
            && !std::mem::replace(&mut entry.held, true)
        {
            self.held_bytes = self.held_bytes.saturating_add(entry.charge.size);
        }
    }

    /// Groups come from clients: those whose time has passed do not stay.
    pub(super) fn hold(&mut self, group: u64, until: Millis, now: Millis) {
        if self.holds.len() >= MAX_HOLDS {
            self.holds.retain(|_, until| *until > now);
        }
        if self.holds.len() < MAX_HOLDS {
            let held = self.holds.entry(group).or_insert(until);
            *held = until.max(*held);
        }
    }

    pub(super) fn held_until(&mut self, group: u64, now: Millis) -> Option<Millis> {
        let until = *self.holds.get(&group)?;
        if until > now {
            return Some(until);
        }
        self.holds.remove(&group);
        None
    }
}
