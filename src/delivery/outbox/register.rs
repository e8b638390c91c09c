//! What is waiting, in which order, and how much of the budgets it takes: all of an [outbox](super) except the payloads.
//!
//! So the module contains this code once, not once for copies and once for writes.

use super::entry::{Charge, Entries, Id, Standing, State};
use super::gates::Gates;
use super::policy::Policy;
use crate::delivery::quota::Quota;
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Entries that may change their queue at one moment, however often [`Outbox::next`](super::Outbox::next) is called: a
/// backlog of thousands is moved in small portions. A callback has two moments at most.
pub(super) const MAX_MOVES: u32 = 128;

/// What to do next: see [`Next`](super::Next).
pub(super) enum Step {
    Dispatch(Id),
    Expired(Id),
    Lost(Id),
    Idle,
}

/// What the first entry of a share needs.
enum Pick {
    Leaves(Id),
    Expires(Id),
    Nothing,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Register {
    pub(super) policy: Policy,
    next_id: u64,
    /// By share.
    pub(super) ready: Vec<VecDeque<Id>>,
    /// The share to ask first.
    turn: usize,
    pub(super) waiting: BTreeSet<(Millis, Id)>,
    pub(super) deadlines: BTreeSet<(Millis, Id)>,
    pub(super) calls: BTreeMap<u64, Id>,
    pub(super) gates: Gates,
    pub(super) bytes: Quota,
    pub(super) in_flight: Quota,
    pub(super) bytes_in_flight: Quota,
    pub(super) held_bytes: usize,
    /// How many entries are aside, and their bytes.
    pub(super) aside: (usize, usize),
    /// When entries last changed their queue, and how many did.
    moves: (Millis, u32),
}

impl Register {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
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
            moves: (Millis(0), 0),
        }
    }

    /// The ID of a new entry, if there is room for it besides the caller's `reserved` bytes.
    pub(super) fn admit(&mut self, charge: Charge, reserved: usize) -> Option<Id> {
        let Charge { size, share, .. } = charge;
        if share >= self.ready.len()
            || size.saturating_add(reserved) > self.bytes.room(share)
            || self.is_held_full(charge)
        {
            return None;
        }
        self.bytes.add(share, size);
        let id = Id(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        Some(id)
    }

    /// What to do at `now`; nothing is dispatched unless `open`.
    pub(super) fn next_if(&mut self, all: &mut dyn Entries, now: Millis, open: bool) -> Step {
        if let Some(&(deadline, id)) = self.deadlines.first()
            && deadline <= now
        {
            return Step::Lost(id);
        }
        if self.moves.0 != now {
            self.moves = (now, 0);
        }
        while let Some(&(due, id)) = self.waiting.first()
            && due <= now
            && self.may_move()
        {
            self.waiting.pop_first();
            if let Some(entry) = all.of_mut(id) {
                entry.state = State::Ready;
                let charge = entry.charge;
                self.place(all, id, charge);
            }
        }
        if !self.gates.is_empty() {
            self.open_gates(all, now);
        }
        let mut share = self.turn;
        loop {
            match self.pick(all, share, now, open) {
                Pick::Leaves(id) => return Step::Dispatch(id),
                Pick::Expires(id) => return Step::Expired(id),
                Pick::Nothing => {}
            }
            share = self.after(share);
            if share == self.turn {
                return Step::Idle;
            }
        }
    }

    /// Whether one more may change its queue at this moment. Counts it.
    pub(super) fn may_move(&mut self) -> bool {
        let may = self.moves.1 < MAX_MOVES;
        self.moved(u32::from(may));
        may
    }

    /// Counts work worth this many moves.
    pub(super) fn moved(&mut self, moves: u32) {
        self.moves.1 = self.moves.1.saturating_add(moves);
    }

    /// What a share needs.
    fn pick(&mut self, all: &mut dyn Entries, share: usize, now: Millis, open: bool) -> Pick {
        while let Some(id) = self.front(share) {
            let Some(entry) = all.of_mut(id) else {
                self.pop(share);
                continue;
            };
            let charge = entry.charge;
            if now.since(entry.created) > self.policy.max_age_ms {
                self.pop(share);
                return Pick::Expires(id);
            }
            if !self.gates.is_empty()
                && let Some(gate) = self.gates.stopped_by(id, charge, entry.passed)
            {
                if self.takes_over(all, id, gate) {
                    continue;
                }
                if !self.may_move() {
                    break;
                }
                self.pop(share);
                self.stop(all, id, gate, false);
                continue;
            }
            if !open || !self.has_slot(share, charge.size) {
                break;
            }
            entry.state = State::Leaving;
            entry.attempts = entry.attempts.saturating_add(1);
            if std::mem::take(&mut entry.held) {
                self.held_bytes = self.held_bytes.saturating_sub(charge.size);
            }
            self.pop(share);
            self.turn = self.after(share);
            return Pick::Leaves(id);
        }
        Pick::Nothing
    }

    /// The host took the call. Its answer counts as lost if it has not come by `deadline`.
    pub(super) fn started(&mut self, all: &mut dyn Entries, id: Id, token: u32, deadline: Millis) {
        let Some(entry) = all.of_mut(id) else {
            return;
        };
        entry.state = State::InFlight { token, deadline };
        let Charge { size, share, .. } = entry.charge;
        self.in_flight.add(share, 1);
        self.bytes_in_flight.add(share, size);
        self.deadlines.insert((deadline, id));
        // If a host gives a token twice, the first call is orphaned and ends at its deadline.
        self.calls.insert(token.into(), id);
    }

    /// The first ready entry of each share.
    pub(super) fn fronts<'a>(&'a self, all: &'a dyn Entries) -> impl Iterator<Item = &'a Standing> {
        let fronts = self.ready.iter().filter_map(VecDeque::front);
        fronts.filter_map(|id| all.of(*id))
    }

    /// The share whose turn is next.
    fn after(&self, share: usize) -> usize {
        match share.saturating_add(1) {
            next if next < self.ready.len() => next,
            _ => 0,
        }
    }

    pub(super) fn front(&self, share: usize) -> Option<Id> {
        self.ready.get(share)?.front().copied()
    }

    fn pop(&mut self, share: usize) {
        if let Some(ready) = self.ready.get_mut(share) {
            ready.pop_front();
        }
    }

    pub(super) fn has_slot(&self, share: usize, size: usize) -> bool {
        let enough = self.bytes_in_flight.room(share) >= size || self.in_flight.used(share) == 0;
        self.in_flight.room(share) > 0 && enough
    }

    /// An entry has been removed; `entry` is its last state.
    pub(super) fn removed(&mut self, id: Id, entry: &Standing) {
        self.bytes.remove(entry.charge.share, entry.charge.size);
        if entry.held {
            self.held_bytes = self.held_bytes.saturating_sub(entry.charge.size);
        }
        match entry.state {
            State::Waiting(due) => drop(self.waiting.remove(&(due, id))),
            State::Aside => self.no_longer_aside(entry.charge.size),
            State::Ready | State::Leaving | State::InFlight { .. } => {}
        }
        if !self.gates.is_empty() {
            self.gates.left(id, entry.charge);
        }
    }

    pub(super) fn no_longer_aside(&mut self, size: usize) {
        let (count, bytes) = self.aside;
        self.aside = (count.saturating_sub(1), bytes.saturating_sub(size));
    }
}
