//! How entries pass the [gates](super::gate).

use super::entry::{Entries, State};
use super::gate::{Key, Level};
use super::gates::Moment;
use super::register::Register;
use super::{Charge, Id, Outbox};
use crate::delivery::backoff::Jitter;
use crate::time::Millis;
use std::collections::VecDeque;

impl<T> Outbox<T> {
    /// Whether an entry with this charge waits at a gate.
    #[must_use]
    pub fn is_held(&self, charge: Charge) -> bool {
        self.register.gates.shuts(charge, &Level::ALL)
    }

    /// The target accepts nothing of a part of the group, or with part 0 of the whole group, for this long, but no longer
    /// than an entry's maximum age.
    pub fn limit(&mut self, group: u64, part: u8, ms: u64, now: Millis, jitter: &mut Jitter) {
        let Register { gates, policy, .. } = &mut self.register;
        let mut at = Moment {
            policy,
            now,
            jitter,
        };
        gates.limit(Key::of_group(group, part), ms, &mut at);
    }

    /// The worker ends soon: what may pass does so at once.
    pub fn hurry(&mut self) {
        self.register.gates.hurry();
    }
}

impl Register {
    /// Whether it would have to wait for its group while too much already does.
    pub(super) fn is_held_full(&self, charge: Charge) -> bool {
        let held_bytes = self.held_bytes.saturating_add(charge.size);
        held_bytes > self.policy.max_held_bytes
            && self.gates.shuts(charge, &[Level::Group, Level::Part])
    }

    /// The gate that an entry has to wait at.
    pub(super) fn stopped_by(&self, all: &dyn Entries, id: Id) -> Option<Key> {
        let entry = all.of(id)?;
        self.gates.stopped_by(id, entry.charge, entry.passed)
    }

    /// Adds an entry to those waiting at a gate.
    pub(super) fn stop(&mut self, all: &mut dyn Entries, id: Id, key: Key, was_refused: bool) {
        let Some(entry) = all.of_mut(id) else {
            return;
        };
        entry.state = State::Ready;
        entry.passed.unset(key);
        let charge = entry.charge;
        self.gates.stop(key, id, entry.created, was_refused);
        self.hold_bytes(all, id, key);
        // As the probe of another gate it would hold up everything there.
        self.gates.left(id, charge);
    }

    /// Counts what is waiting for its group.
    pub(super) fn hold_bytes(&mut self, all: &mut dyn Entries, id: Id, key: Key) {
        if !key.is_target()
            && let Some(entry) = all.of_mut(id)
            && !std::mem::replace(&mut entry.held, true)
        {
            self.held_bytes = self.held_bytes.saturating_add(entry.charge.size);
        }
    }

    /// Makes an entry among the ready ones the probe in place of a younger one that has not left yet.
    pub(super) fn takes_over(&mut self, all: &mut dyn Entries, id: Id, key: Key) -> bool {
        let probe = self.gates.probe(key).filter(|probe| *probe > id);
        let probe = probe.and_then(|probe| all.of(probe));
        let is_younger = probe.is_some_and(|probe| probe.state == State::Ready);
        if is_younger {
            self.gates.probe_with(key, id);
        }
        is_younger
    }

    /// Lets out whatever may leave.
    pub(super) fn open_gates(&mut self, all: &mut dyn Entries, now: Millis) {
        while self.gates.is_due(now)
            && self.may_move()
            && let Some((key, next)) = self.gates.pop(now)
        {
            self.moved(self.gates.search());
            let Some(id) = next else { continue };
            let Some(entry) = all.of_mut(id) else {
                continue;
            };
            let Charge { size, share, .. } = entry.charge;
            entry.state = State::Ready;
            if std::mem::take(&mut entry.held) {
                self.held_bytes = self.held_bytes.saturating_sub(size);
            }
            // An entry too old to be sent does not count as a call.
            if now.since(entry.created) <= self.policy.max_age_ms {
                entry.passed.set(key);
                self.gates.lets_out(key, id);
            }
            self.queue(id, share);
            if let Some(ready) = self.ready.get_mut(share) {
                behind_elders(ready, id);
            }
        }
    }

    /// Puts a ready entry where it belongs: among the ready ones, or behind a gate, together with those that became ready
    /// before it and belong there too.
    pub(super) fn place(&mut self, all: &mut dyn Entries, id: Id, charge: Charge) {
        if self.gates.is_empty() {
            return self.queue(id, charge.share);
        }
        match self.stopped_by(all, id) {
            Some(gate) if self.front(charge.share).is_none() => self.stop(all, id, gate, false),
            Some(gate) => {
                self.hold_bytes(all, id, gate);
                self.queue(id, charge.share);
            }
            None => self.queue(id, charge.share),
        }
    }

    fn queue(&mut self, id: Id, share: usize) {
        if let Some(ready) = self.ready.get_mut(share) {
            ready.push_back(id);
        }
    }
}

/// What was let out goes before younger entries that have not reached the gate yet.
fn behind_elders(ready: &mut VecDeque<Id>, id: Id) {
    let younger = ready.iter().rev().skip(1).take(64);
    let younger = younger.take_while(|other| **other > id).count();
    let last = ready.len().saturating_sub(1);
    if younger > 0 && ready.pop_back().is_some() {
        ready.insert(last.saturating_sub(younger), id);
    }
}
