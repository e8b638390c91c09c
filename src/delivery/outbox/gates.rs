//! All [gates](super::gate) of an outbox: who has to wait, who is let out, and what the end of a call means for them.
//!
//! Nothing here knows an entry's payload, so the module contains this code once and not once per kind of entry.

use super::gate::{Gate, Key, Level, Passed, Passing, Phase};
use super::{Charge, Id, Policy};
use crate::delivery::backoff::Jitter;
use crate::delivery::verdict::Verdict;
use crate::time::Millis;

/// The most gates there may be. Without a gate, each of a group's entries waits by itself.
pub(super) const MAX_GATES: usize = 1_000;
/// After this many refusals in a row, a target's gate closes. Fewer may be due to single entries.
const STRIKES: u32 = 3;
/// What waited leaves at this many times the pace at which it came, since as much comes behind it as ever. With less, a pace
/// measured on few entries may be too slow for those.
const PACE: u64 = 2;

/// When something happens, and how much of that is random.
pub(super) struct Moment<'a> {
    pub(super) policy: &'a Policy,
    pub(super) now: Millis,
    pub(super) jitter: &'a mut Jitter,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Gates {
    /// In order of their keys.
    gates: Vec<(Key, Gate)>,
    /// When the first of them has something to do, and which one: as of the last search, before they `changed`.
    due: Option<(Millis, Key)>,
    changed: bool,
    /// What may pass does not wait.
    hurries: bool,
}

impl Gates {
    fn place(&self, key: Key) -> Result<usize, usize> {
        self.gates.binary_search_by(|(known, _)| known.cmp(&key))
    }

    #[inline(never)]
    fn get(&self, key: Key) -> Option<&Gate> {
        self.gates.get(self.place(key).ok()?).map(|(_, gate)| gate)
    }

    #[inline(never)]
    fn get_mut(&mut self, key: Key) -> Option<&mut Gate> {
        let at = self.place(key).ok()?;
        self.gates.get_mut(at).map(|(_, gate)| gate)
    }

    /// One of them has changed. All are looked at when somebody asks, not at each change: there are usually few, and at most
    /// a thousand.
    fn look(&mut self) {
        self.changed = true;
    }

    /// When the first of them has something to do, and which one.
    #[inline(never)]
    fn first(&self) -> Option<(Millis, Key)> {
        if !self.changed {
            return self.due;
        }
        let gates = self.gates.iter();
        let due = gates.filter_map(|(key, gate)| Some((gate.due()?, *key)));
        due.min_by_key(|(due, _)| *due)
    }

    /// Whether one of them has something to do.
    pub(super) fn is_due(&mut self, now: Millis) -> bool {
        self.due = self.first();
        self.changed = false;
        self.due.is_some_and(|(due, _)| due <= now)
    }

    /// What finding the first of them costs, in moves of an entry: nothing if they are few.
    pub(super) fn search(&self) -> u32 {
        u32::try_from(self.gates.len() / 64).unwrap_or(u32::MAX)
    }

    /// A gate, or a new open one if there is none. Groups come from clients, so there is a bound.
    fn get_or_open(&mut self, key: Key) -> Option<&mut Gate> {
        let at = match self.place(key) {
            Ok(at) => at,
            Err(_) if self.gates.len() >= MAX_GATES && !key.is_target() => return None,
            Err(at) => {
                self.gates.insert(at, (key, Gate::open()));
                at
            }
        };
        self.gates.get_mut(at).map(|(_, gate)| gate)
    }

    /// The usual case: then nothing else here needs to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.gates.len()
    }

    /// Whether an entry with this charge waits for a gate of one of these levels.
    pub(super) fn shuts(&self, charge: Charge, levels: &[Level]) -> bool {
        if self.gates.is_empty() {
            return false;
        }
        let mut levels = levels.iter();
        levels.any(|level| {
            let gate = self.get(Key::of(charge, *level));
            gate.is_some_and(|gate| !gate.is_open())
        })
    }

    /// The worker ends soon: what may pass does so at once.
    pub(super) fn hurry(&mut self) {
        self.hurries = true;
        for (_, gate) in &mut self.gates {
            if let Phase::Passing(passing) = &mut gate.phase {
                passing.span_ms = 0;
            }
        }
        self.look();
    }

    /// When a gate has something to do.
    pub(super) fn due(&self) -> Option<Millis> {
        self.first().map(|(due, _)| due)
    }

    /// The gate that an entry has to wait at.
    pub(super) fn stopped_by(&self, id: Id, charge: Charge, passed: Passed) -> Option<Key> {
        for level in Level::ALL {
            let key = Key::of(charge, level);
            let gate = self.get(key);
            if gate.is_some_and(|gate| gate.stops(id, passed.has(key))) {
                return Some(key);
            }
        }
        None
    }

    /// Adds an entry to those waiting at a gate.
    pub(super) fn stop(&mut self, key: Key, id: Id, created: Millis, was_refused: bool) {
        if let Some(gate) = self.get_mut(key) {
            gate.waiting.insert((created, id));
            if was_refused {
                gate.refused = Some(id);
            }
        }
    }

    /// The gate's probe.
    pub(super) fn probe(&self, key: Key) -> Option<Id> {
        match self.get(key)?.phase {
            Phase::Probing(probe) => Some(probe),
            Phase::Open | Phase::Closed { .. } | Phase::Passing(_) => None,
        }
    }

    /// Makes this entry the probe.
    pub(super) fn probe_with(&mut self, key: Key, id: Id) {
        if let Some(gate) = self.get_mut(key) {
            gate.phase = Phase::Probing(id);
        }
    }

    /// How long to wait if a target asked for `ms`. A moment that it names, it names to all workers: they must not come back
    /// together. A gate that stays closed until then anyway has had its random part. At the end there is no time for that.
    fn asked(&self, key: Key, ms: u64, at: &mut Moment<'_>) -> u64 {
        let closed = match self.get(key).map(|gate| &gate.phase) {
            Some(Phase::Closed { until }) => until.since(at.now),
            _ => 0,
        };
        let most = ms.min(at.policy.backoff.ceiling(u32::MAX));
        if self.hurries || ms <= closed {
            return ms;
        }
        ms.saturating_add(at.jitter.up_to(most))
    }

    /// A target said for how long it accepts nothing for this key.
    pub(super) fn limit(&mut self, key: Key, ms: u64, at: &mut Moment<'_>) {
        if ms == 0 {
            return;
        }
        let asked = self.asked(key, ms, at);
        let until = at.now.after(asked.min(at.policy.max_age_ms));
        let Some(gate) = self.get_or_open(key) else {
            return;
        };
        let before = match gate.phase {
            Phase::Closed { until } => until,
            Phase::Open | Phase::Probing(_) | Phase::Passing(_) => until,
        };
        self.close(key, until.max(before));
    }

    /// An entry was refused: how long it has to wait, and whether the gate is closed for that long.
    pub(super) fn refused(
        &mut self,
        key: Key,
        attempts: u32,
        asked_ms: Option<u64>,
        at: &mut Moment<'_>,
    ) -> (u64, bool) {
        let asked = asked_ms.map_or(0, |ms| self.asked(key, ms, at));
        let (backoff, now) = (at.policy.backoff, at.now);
        let Some(gate) = self.get_or_open(key) else {
            return (backoff.wait(attempts, at.jitter).max(asked), false);
        };
        let wait = match gate.phase {
            // A call that was already in flight when the gate closed.
            Phase::Closed { until } => until.since(now),
            Phase::Open if key.is_target() && gate.refusals.saturating_add(1) < STRIKES => {
                gate.refusals = gate.refusals.saturating_add(1);
                return (backoff.wait(attempts, at.jitter).max(asked), false);
            }
            Phase::Open => {
                gate.refusals = 1;
                backoff.wait(attempts, at.jitter)
            }
            Phase::Probing(_) | Phase::Passing(_) => {
                gate.refusals = gate.refusals.saturating_add(1);
                backoff.wait(gate.refusals, at.jitter)
            }
        };
        let wait = wait.max(asked);
        // A target cannot hold anything back for ever.
        self.close(key, now.after(wait.min(at.policy.max_age_ms)));
        (wait, true)
    }

    /// Tells the gates how a call ended, before the gate that refused it is told.
    pub(super) fn heard(&mut self, id: Id, charge: Charge, verdict: Verdict, at: &mut Moment<'_>) {
        // The levels at which the target accepts something, and those at which that is unknown. A level in neither list was
        // refused, which is handled elsewhere.
        let (there, not_there): (&[Level], &[Level]) = match verdict {
            Verdict::Delivered | Verdict::Refused(_) => (&Level::ALL, &[]),
            Verdict::Throttled { .. } => (&[Level::Target], &[]),
            // It accepts the rest of the group.
            Verdict::Limited { .. } => (&[Level::Target, Level::Group], &[]),
            Verdict::NotTaken { .. } => (&[], &[Level::Group, Level::Part]),
            Verdict::Ambiguous(_) => (&[], &Level::ALL),
            Verdict::Again => return,
        };
        for level in Level::ALL {
            let key = Key::of(charge, level);
            let is_there = there.contains(&level);
            if !is_there && !not_there.contains(&level) {
                continue;
            }
            let Some(gate) = self.get_mut(key) else {
                continue;
            };
            if verdict == Verdict::Delivered {
                gate.was_taken();
            }
            if gate.is_open() && is_there {
                self.remove(key);
            } else if gate.is_probe(id) && is_there {
                self.pass(key, at.now, at.policy.max_age_ms);
            } else if gate.is_probe(id) {
                gate.refusals = gate.refusals.saturating_add(1);
                let wait = at.policy.backoff.wait(gate.refusals, at.jitter);
                self.close(key, at.now.after(wait));
            }
        }
    }

    /// An entry is not sent: if it was a probe, the next one becomes the probe.
    pub(super) fn left(&mut self, id: Id, charge: Charge) {
        for level in Level::ALL {
            let key = Key::of(charge, level);
            if self.get(key).is_some_and(|gate| gate.is_probe(id)) {
                self.close(key, Millis::default());
            }
        }
    }

    /// A gate that has something to do, and who is next there. A gate with nothing waiting is removed.
    pub(super) fn pop(&mut self, now: Millis) -> Option<(Key, Option<Id>)> {
        if !self.is_due(now) {
            return None;
        }
        let (_, key) = self.due?;
        let next = self.get_mut(key).and_then(Gate::pop);
        if next.is_none() {
            self.remove(key);
        }
        Some((key, next))
    }

    /// The entry that was next becomes a call.
    pub(super) fn lets_out(&mut self, key: Key, id: Id) {
        if let Some(gate) = self.get_mut(key) {
            match &mut gate.phase {
                Phase::Passing(passing) => passing.passed = passing.passed.saturating_add(1),
                phase => *phase = Phase::Probing(id),
            }
        }
        self.look();
    }

    fn pass(&mut self, key: Key, now: Millis, max_age_ms: u64) {
        let hurries = self.hurries;
        let Some(gate) = self.get_mut(key) else {
            return;
        };
        let waiting = u64::try_from(gate.waiting.len()).unwrap_or(u64::MAX);
        gate.phase = Phase::Passing(Passing {
            since: now,
            passed: 0,
            calls: waiting.saturating_mul(PACE),
            // Nothing that may still leave has waited longer than this: a machine that slept is not a slow pace.
            span_ms: if hurries {
                0
            } else {
                gate.span_ms().min(max_age_ms)
            },
        });
        self.look();
    }

    #[inline(never)]
    fn close(&mut self, key: Key, until: Millis) {
        if let Some(gate) = self.get_mut(key) {
            gate.phase = Phase::Closed { until };
        }
        self.look();
    }

    #[inline(never)]
    fn remove(&mut self, key: Key) {
        if let Ok(at) = self.place(key) {
            self.gates.remove(at);
        }
        self.look();
    }
}
