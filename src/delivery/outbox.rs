//! The outbox: what is waiting, what is in flight, and what happens after each attempt.
//!
//! An entry is pushed once and leaves once: delivered, failed, or dropped by the caller. In between it is ready, waiting (for
//! its backoff or behind a gate) or in flight. An entry put aside is none of these until it is released.
//!
//! Budgets: the bytes of all entries; the number of calls in flight; and the bytes in flight, a quarter of the first, because
//! the host keeps its own copy of every call's body (one call is always allowed, however large).
//!
//! Fairness: an entry belongs to a share (a target), and each budget is a [quota](crate::delivery::quota) of the shares, so
//! that a dead or slow target takes no more than the others can spare. Shares take turns; within a share, what became ready
//! first leaves first. What a target refuses waits behind a [gate]; what it refuses of a group, or of a part of one, may hold
//! only a bounded part of the bytes (`max_held_bytes`).
//!
//! There is no clock, randomness or host in here: all three are arguments.

mod aside;
mod attempt;
mod due;
mod entry;
mod gate;
mod gates;
mod passage;
mod policy;
mod register;

pub use attempt::Settled;
pub use entry::{Charge, Entry, Id, Standing};
pub use policy::Policy;

use crate::time::Millis;
use entry::State;
use gate::Passed;
use register::{Register, Step};
use std::collections::BTreeMap;

/// What to do next.
#[derive(Debug)]
pub enum Next<T> {
    /// Send this one, then call [`Outbox::started`] or settle it.
    Dispatch(Id),
    /// This one became too old while it was waiting.
    Expired(Entry<T>),
    /// This one's answer never came: the result is ambiguous, and it must be settled as such.
    Lost(Id),
    /// Nothing now.
    Idle,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Outbox<T> {
    entries: BTreeMap<Id, Entry<T>>,
    register: Register,
}

impl<T> Outbox<T> {
    /// An empty outbox.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            entries: BTreeMap::new(),
            register: Register::new(policy),
        }
    }

    /// The bounds and the retry rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.register.policy
    }

    /// Bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.register.bytes.total()
    }

    /// Bytes that this share has left.
    #[must_use]
    pub fn room(&self, share: usize) -> usize {
        self.register.bytes.room(share)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many of these are put aside.
    pub(crate) fn aside(&self) -> usize {
        self.register.aside.0
    }

    /// Whether there is nothing to deliver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Calls without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.register.in_flight.total()
    }

    /// Takes an entry, or gives it back if its share of the budget has no room besides the caller's `reserved` bytes, or if
    /// too much is already waiting for the end of a hold.
    ///
    /// # Errors
    /// Returns the payload.
    pub fn push(
        &mut self,
        payload: T,
        charge: Charge,
        reserved: usize,
        now: Millis,
    ) -> Result<Id, T> {
        let id = self.insert(payload, charge, reserved, now)?;
        self.register.place(&mut self.entries, id, charge);
        Ok(id)
    }

    /// Takes an entry that is in no queue yet.
    fn insert(
        &mut self,
        payload: T,
        charge: Charge,
        reserved: usize,
        now: Millis,
    ) -> Result<Id, T> {
        let Some(id) = self.register.admit(charge, reserved) else {
            return Err(payload);
        };
        let standing = Standing {
            charge,
            created: now,
            attempts: 0,
            refusals: 0,
            state: State::Ready,
            held: false,
            passed: Passed::default(),
        };
        self.entries.insert(id, Entry { payload, standing });
        Ok(id)
    }

    /// The entry.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&Entry<T>> {
        self.entries.get(&id)
    }

    /// What to do at `now`. To be called until it is idle.
    pub fn next(&mut self, now: Millis) -> Next<T> {
        self.next_if(now, true)
    }

    /// The same, but dispatches nothing unless `open`. What ends by itself still does.
    pub fn next_if(&mut self, now: Millis, open: bool) -> Next<T> {
        if self.nothing_waits() && self.register.is_quiet(now) {
            return Next::Idle;
        }
        match self.register.next_if(&mut self.entries, now, open) {
            Step::Dispatch(id) => Next::Dispatch(id),
            Step::Expired(id) => self.remove(id).map_or(Next::Idle, Next::Expired),
            Step::Lost(id) => Next::Lost(id),
            Step::Idle => Next::Idle,
        }
    }

    /// The host took the call. Its answer counts as lost if it has not come by `deadline`.
    pub fn started(&mut self, id: Id, token: u32, deadline: Millis) {
        self.register
            .started(&mut self.entries, id, token, deadline);
    }

    /// The entry whose call has this token.
    #[must_use]
    pub fn call(&self, token: u32) -> Option<Id> {
        self.register.calls.get(&token.into()).copied()
    }

    /// Everything that is pending.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.values()
    }

    /// Ends an attempt without an outcome: the caller turns the entry into something else.
    pub fn take(&mut self, id: Id) -> Option<Entry<T>> {
        self.register.land(&mut self.entries, id);
        self.remove(id)
    }

    /// Gives up the oldest entry.
    pub fn give_up(&mut self) -> Option<Entry<T>> {
        let (&id, _) = self.entries.first_key_value()?;
        self.take(id)
    }

    /// Every entry is in flight, which is the usual case.
    fn nothing_waits(&self) -> bool {
        self.entries.len() == self.in_flight()
    }

    fn remove(&mut self, id: Id) -> Option<Entry<T>> {
        let entry = self.entries.remove(&id)?;
        self.register.removed(id, &entry.standing);
        Some(entry)
    }
}

#[cfg(test)]
mod gated;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod tests;
