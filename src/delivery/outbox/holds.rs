//! Groups that a 429 holds back: until when, and what waits for it.

use super::{Charge, Id, Outbox};
use crate::time::Millis;

/// So many groups and parts are held back at most. Without a hold a group is throttled by its own 429s.
pub(super) const MAX_HOLDS: usize = 1_000;

/// Until when, by group and part, in their order.
#[derive(Debug, Default)]
pub struct Holds(Vec<((u64, u8), Millis)>);

impl Holds {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn place(&self, key: (u64, u8)) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(known, _)| *known)
    }

    /// Holds a part of a group back, or with 0 the group.
    pub fn hold(&mut self, key: (u64, u8), until: Millis, now: Millis) {
        // Groups come from clients: those whose time has passed do not stay.
        if self.0.len() >= MAX_HOLDS {
            self.0.retain(|(_, until)| *until > now);
        }
        match self.place(key) {
            Ok(at) => {
                if let Some((_, held)) = self.0.get_mut(at) {
                    *held = until.max(*held);
                }
            }
            Err(at) if self.0.len() < MAX_HOLDS => self.0.insert(at, (key, until)),
            Err(_) => {}
        }
    }

    /// Until when this is held back, by its group or by its part.
    pub fn until(&mut self, charge: Charge, now: Millis) -> Option<Millis> {
        if self.0.is_empty() {
            return None;
        }
        let whole = self.until_of((charge.group, 0), now);
        let part = match charge.part {
            0 => None,
            part => self.until_of((charge.group, part), now),
        };
        whole.max(part)
    }

    fn until_of(&mut self, key: (u64, u8), now: Millis) -> Option<Millis> {
        let at = self.place(key).ok()?;
        let (_, until) = *self.0.get(at)?;
        if until > now {
            return Some(until);
        }
        self.0.remove(at);
        None
    }
}

impl<T> Outbox<T> {
    /// What waits for the end of a hold is counted.
    pub(super) fn hold_bytes(&mut self, id: Id) {
        if let Some(entry) = self.entries.get_mut(&id)
            && !std::mem::replace(&mut entry.held, true)
        {
            self.held_bytes = self.held_bytes.saturating_add(entry.charge.size);
        }
    }

    /// Holds a part of a group back, or with 0 the group, for no longer than an entry may get old.
    pub fn hold(&mut self, group: u64, part: u8, until: Millis, now: Millis) {
        let until = until.min(now.after(self.policy.max_age_ms));
        self.holds.hold((group, part), until, now);
    }

    pub(super) fn held_until(&mut self, charge: Charge, now: Millis) -> Option<Millis> {
        self.holds.until(charge, now)
    }
}
