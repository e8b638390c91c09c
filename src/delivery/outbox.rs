//! The outbox: what waits, what is in flight, and what happens after each attempt.
//!
//! An entry is pushed once and leaves once: delivered, failed or dropped by the caller. In between it is ready, waiting
//! (for its backoff, or behind a gate) or in flight. One that is put aside is none of these until it is released.
//!
//! Budgets: the bytes of all entries; the number of calls in flight; and the bytes in flight, a quarter of the first,
//! because the host keeps its own copy of the body of every call (one call is always allowed, however large).
//!
//! Fairness: an entry belongs to a share (a target), and each budget is a [`Quota`] of the shares, so that a target
//! that is dead or slow takes no more than the others can spare. Shares take turns; within one, what became ready first
//! leaves first. What a target refuses waits behind a [gate]; what it refuses of a group, or of a part of one, waits with a
//! bounded part of the bytes (`max_held_bytes`).
//!
//! No clock, no randomness, no host in here: all three are arguments.

mod aside;
mod attempt;
mod due;
mod entry;
mod gate;
mod gates;
mod passage;
mod policy;

pub use attempt::Settled;
pub use entry::{Charge, Entry, Id};
pub use policy::Policy;

use super::quota::Quota;
use crate::time::Millis;
use entry::State;
use gate::Passed;
use gates::Gates;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Entries that change their queue in one call of [`Outbox::next`]: a backlog of thousands is moved in small portions.
const MAX_MOVES: u32 = 64;

/// What is to be done next.
#[derive(Debug)]
pub enum Next<T> {
    /// Send this one, then say [`Outbox::started`] or settle it.
    Dispatch(Id),
    /// This one became too old while it waited.
    Expired(Entry<T>),
    /// This one's answer never came: its end is ambiguous, and it is to be settled as such.
    Lost(Id),
    /// Nothing now.
    Idle,
}

/// What the first entry of a share does.
enum Pick {
    Leaves(Id),
    Expires(Id),
    Nothing,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Outbox<T> {
    policy: Policy,
    entries: BTreeMap<Id, Entry<T>>,
    next_id: u64,
    /// By share.
    ready: Vec<VecDeque<Id>>,
    /// The share that is asked first.
    turn: usize,
    waiting: BTreeSet<(Millis, Id)>,
    deadlines: BTreeSet<(Millis, Id)>,
    calls: BTreeMap<u64, Id>,
    gates: Gates,
    bytes: Quota,
    in_flight: Quota,
    bytes_in_flight: Quota,
    held_bytes: usize,
    /// Entries that are aside, and their bytes.
    aside: (usize, usize),
}

impl<T> Outbox<T> {
    /// An empty outbox.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            entries: BTreeMap::new(),
            next_id: 0,
            ready: vec![VecDeque::new(); policy.shares.max(1)],
            turn: 0,
            waiting: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            calls: BTreeMap::new(),
            gates: Gates::default(),
            bytes: Quota::new(policy.max_bytes, policy.shares),
            in_flight: Quota::new(policy.max_in_flight, policy.shares),
            bytes_in_flight: Quota::new(policy.max_bytes / 4, policy.shares),
            held_bytes: 0,
            aside: (0, 0),
        }
    }

    /// The bounds, and what is tried again.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.total()
    }

    /// Bytes that an entry of this share may still have.
    #[must_use]
    pub fn room(&self, share: usize) -> usize {
        self.bytes.room(share)
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Of these, how many are aside.
    pub(crate) fn aside(&self) -> usize {
        self.aside.0
    }

    /// Whether there is nothing to deliver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Calls without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.total()
    }

    /// Takes an entry, or gives it back when its share of the budget has no room beside the `reserved` bytes of the
    /// caller, or too much waits for the end of a hold already.
    ///
    /// # Errors
    /// The payload.
    pub fn push(
        &mut self,
        payload: T,
        charge: Charge,
        reserved: usize,
        now: Millis,
    ) -> Result<Id, T> {
        let id = self.insert(payload, charge, reserved, now)?;
        self.place(id);
        Ok(id)
    }

    /// Takes an entry that is nowhere yet.
    fn insert(
        &mut self,
        payload: T,
        charge: Charge,
        reserved: usize,
        now: Millis,
    ) -> Result<Id, T> {
        let Charge { size, share, .. } = charge;
        if share >= self.ready.len()
            || size.saturating_add(reserved) > self.bytes.room(share)
            || self.is_held_full(charge)
        {
            return Err(payload);
        }
        self.bytes.add(share, size);
        let id = Id(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.entries.insert(
            id,
            Entry {
                payload,
                charge,
                created: now,
                attempts: 0,
                refusals: 0,
                state: State::Ready,
                held: false,
                passed: Passed::default(),
            },
        );
        Ok(id)
    }

    /// The entry.
    #[must_use]
    pub fn get(&self, id: Id) -> Option<&Entry<T>> {
        self.entries.get(&id)
    }

    /// What is to be done at `now`. To be called until it is idle.
    pub fn next(&mut self, now: Millis) -> Next<T> {
        self.next_if(now, true)
    }

    /// The same; nothing is dispatched unless `open`, but what ends by itself does.
    pub fn next_if(&mut self, now: Millis, open: bool) -> Next<T> {
        if let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            return Next::Lost(id);
        }
        let mut moves = 0;
        while let Some(&(due, id)) = self.waiting.first()
            && due <= now
            && moves < MAX_MOVES
        {
            moves = moves.saturating_add(1);
            self.waiting.pop_first();
            self.place(id);
        }
        self.open_gates(now, &mut moves);
        let mut share = self.turn;
        loop {
            match self.pick(share, now, open, &mut moves) {
                Pick::Leaves(id) => return Next::Dispatch(id),
                Pick::Expires(id) => return self.remove(id).map_or(Next::Idle, Next::Expired),
                Pick::Nothing => {}
            }
            share = self.after(share);
            if share == self.turn {
                return Next::Idle;
            }
        }
    }

    /// What a share has to do.
    fn pick(&mut self, share: usize, now: Millis, open: bool, moves: &mut u32) -> Pick {
        while let Some(id) = self.front(share) {
            let Some(entry) = self.entries.get(&id) else {
                self.pop(share);
                continue;
            };
            let charge = entry.charge;
            if now.since(entry.created) > self.policy.max_age_ms {
                self.pop(share);
                return Pick::Expires(id);
            }
            if let Some(gate) = self.stopped_by(id)
                && !self.takes_over(id, gate)
            {
                if *moves >= MAX_MOVES {
                    break;
                }
                *moves = moves.saturating_add(1);
                self.pop(share);
                self.stop(id, gate, false);
                continue;
            }
            if !open || !self.has_slot(share, charge.size) {
                break;
            }
            self.pop(share);
            self.turn = self.after(share);
            self.release_bytes(id);
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = State::Leaving;
                entry.attempts = entry.attempts.saturating_add(1);
            }
            return Pick::Leaves(id);
        }
        Pick::Nothing
    }

    /// The host took the call. Its answer is lost when it has not come at `deadline`.
    pub fn started(&mut self, id: Id, token: u32, deadline: Millis) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.state = State::InFlight { token, deadline };
        let Charge { size, share, .. } = entry.charge;
        self.in_flight.add(share, 1);
        self.bytes_in_flight.add(share, size);
        self.deadlines.insert((deadline, id));
        // A host that gives a token twice orphans the first call: that one ends at its deadline.
        self.calls.insert(token.into(), id);
    }

    /// The entry whose call has this token.
    #[must_use]
    pub fn call(&self, token: u32) -> Option<Id> {
        self.calls.get(&token.into()).copied()
    }

    /// Everything that is pending.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.values()
    }

    /// Ends an attempt without an outcome: the caller makes something else of the entry.
    pub fn take(&mut self, id: Id) -> Option<Entry<T>> {
        self.land(id);
        self.remove(id)
    }

    /// Gives up on the eldest.
    pub fn give_up(&mut self) -> Option<Entry<T>> {
        let (&id, _) = self.entries.first_key_value()?;
        self.take(id)
    }

    /// The first ready entry of each share.
    fn fronts(&self) -> impl Iterator<Item = &Entry<T>> {
        let fronts = self.ready.iter().filter_map(VecDeque::front);
        fronts.filter_map(|id| self.entries.get(id))
    }

    /// The share whose turn is next.
    fn after(&self, share: usize) -> usize {
        match share.saturating_add(1) {
            next if next < self.ready.len() => next,
            _ => 0,
        }
    }

    fn front(&self, share: usize) -> Option<Id> {
        self.ready.get(share)?.front().copied()
    }

    fn pop(&mut self, share: usize) {
        if let Some(ready) = self.ready.get_mut(share) {
            ready.pop_front();
        }
    }

    fn has_slot(&self, share: usize, size: usize) -> bool {
        let enough = self.bytes_in_flight.room(share) >= size || self.in_flight.used(share) == 0;
        self.in_flight.room(share) > 0 && enough
    }

    fn remove(&mut self, id: Id) -> Option<Entry<T>> {
        let entry = self.entries.remove(&id)?;
        self.bytes.remove(entry.charge.share, entry.charge.size);
        if entry.held {
            self.held_bytes = self.held_bytes.saturating_sub(entry.charge.size);
        }
        match entry.state {
            State::Waiting(due) => drop(self.waiting.remove(&(due, id))),
            State::Aside => self.no_longer_aside(entry.charge.size),
            State::Ready | State::Leaving | State::InFlight { .. } => {}
        }
        self.gates.left(id, entry.charge);
        Some(entry)
    }
}

#[cfg(test)]
mod gated;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod tests;
