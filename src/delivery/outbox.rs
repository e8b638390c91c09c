//! The outbox: what waits, what is in flight, and what happens after each attempt.
//!
//! An entry is pushed once and leaves once: delivered, failed or dropped by the caller. In between it is ready, waiting
//! (backoff, or its group is held back by a 429) or in flight. What became ready first leaves first.
//!
//! Budgets: the bytes of all entries; the number of calls in flight; and the bytes in flight, a quarter of the first,
//! because the host keeps its own copy of the body of every call (one call is always allowed, however large).
//!
//! No clock, no randomness, no host in here: all three are arguments.

use super::backoff::{Backoff, Jitter};
use super::verdict::Verdict;
use crate::time::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Bounds and retry rules.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Bytes of all entries.
    pub max_bytes: usize,
    /// Calls without an answer.
    pub max_in_flight: usize,
    /// Attempts in all.
    pub max_attempts: u32,
    /// The waits in between.
    pub backoff: Backoff,
    /// Milliseconds after which an entry is not tried again.
    pub max_age_ms: u64,
    /// Whether an ambiguous end is tried again.
    pub retry_ambiguous: bool,
}

/// So many groups are held back at most. Without a hold a group is throttled by its own 429s.
const MAX_HOLDS: usize = 1_000;

/// Entries that change their queue in one call of [`Outbox::next`]: a backlog of thousands is moved in small portions.
const MAX_MOVES: u32 = 64;

/// Names an entry. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(u64);

/// Something to deliver.
#[derive(Debug)]
pub struct Entry<T> {
    /// The caller's.
    pub payload: T,
    /// Bytes, as charged.
    pub size: usize,
    /// What a 429 holds back together.
    pub group: u64,
    /// When it was pushed.
    pub created: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// Dispatches that the host refused: nothing was sent, so they are no attempts.
    pub refusals: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Waiting(Millis),
    /// Given to the caller, who says next whether the host took it.
    Leaving,
    InFlight {
        token: u32,
        deadline: Millis,
    },
}

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

/// What became of an entry after an attempt.
#[derive(Debug)]
pub enum Settled<T> {
    /// The target has it.
    Delivered(Entry<T>),
    /// Given up.
    Failed(Entry<T>),
    /// It will be tried again.
    Retrying,
    /// There is no such entry (any more).
    Unknown,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Outbox<T> {
    policy: Policy,
    entries: BTreeMap<Id, Entry<T>>,
    next_id: u64,
    ready: VecDeque<Id>,
    waiting: BTreeSet<(Millis, Id)>,
    deadlines: BTreeSet<(Millis, Id)>,
    calls: BTreeMap<u32, Id>,
    holds: BTreeMap<u64, Millis>,
    bytes: usize,
    in_flight: usize,
    bytes_in_flight: usize,
}

impl<T> Outbox<T> {
    /// An empty outbox.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            entries: BTreeMap::new(),
            next_id: 0,
            ready: VecDeque::new(),
            waiting: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            calls: BTreeMap::new(),
            holds: BTreeMap::new(),
            bytes: 0,
            in_flight: 0,
            bytes_in_flight: 0,
        }
    }

    /// Bytes of all entries.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to deliver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Calls without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes an entry, or gives it back when the budget has no room beside the `reserved` bytes of the caller.
    ///
    /// # Errors
    /// The payload.
    pub fn push(
        &mut self,
        payload: T,
        size: usize,
        group: u64,
        reserved: usize,
        now: Millis,
    ) -> Result<Id, T> {
        let bytes = self.bytes.saturating_add(size);
        if bytes.saturating_add(reserved) > self.policy.max_bytes {
            return Err(payload);
        }
        self.bytes = bytes;
        let id = Id(self.next_id);
        self.next_id = self.next_id.saturating_add(1);
        self.ready.push_back(id);
        self.entries.insert(
            id,
            Entry {
                payload,
                size,
                group,
                created: now,
                attempts: 0,
                refusals: 0,
                state: State::Ready,
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
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = State::Ready;
                self.ready.push_back(id);
            }
        }
        while let Some(&id) = self.ready.front() {
            let Some(entry) = self.entries.get(&id) else {
                self.ready.pop_front();
                continue;
            };
            if now.since(entry.created) > self.policy.max_age_ms {
                self.ready.pop_front();
                return match self.remove(id) {
                    Some(entry) => Next::Expired(entry),
                    None => continue,
                };
            }
            let group = entry.group;
            if let Some(until) = self.held_until(group, now) {
                if moves >= MAX_MOVES {
                    return Next::Idle;
                }
                moves = moves.saturating_add(1);
                self.ready.pop_front();
                self.wait(id, until);
                continue;
            }
            if !open || !self.has_ready() {
                return Next::Idle;
            }
            self.ready.pop_front();
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.state = State::Leaving;
                entry.attempts = entry.attempts.saturating_add(1);
            }
            return Next::Dispatch(id);
        }
        Next::Idle
    }

    /// The host took the call. Its answer is lost when it has not come at `deadline`.
    pub fn started(&mut self, id: Id, token: u32, deadline: Millis) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.state = State::InFlight { token, deadline };
        self.in_flight = self.in_flight.saturating_add(1);
        self.bytes_in_flight = self.bytes_in_flight.saturating_add(entry.size);
        self.deadlines.insert((deadline, id));
        // A host that gives a token twice orphans the first call: that one ends at its deadline.
        self.calls.insert(token, id);
    }

    /// The entry whose call has this token.
    #[must_use]
    pub fn call(&self, token: u32) -> Option<Id> {
        self.calls.get(&token).copied()
    }

    /// Ends an attempt.
    pub fn settle(
        &mut self,
        id: Id,
        verdict: Verdict,
        now: Millis,
        jitter: &mut Jitter,
    ) -> Settled<T> {
        self.land(id);
        let Some(entry) = self.entries.get(&id) else {
            return Settled::Unknown;
        };
        let (retry, asked) = match verdict {
            Verdict::Delivered => {
                return self.remove(id).map_or(Settled::Unknown, Settled::Delivered);
            }
            Verdict::Refused(_) => (false, None),
            Verdict::Ambiguous(_) => (self.policy.retry_ambiguous, None),
            Verdict::NotTaken { retry_after_ms, .. } => (true, retry_after_ms),
            Verdict::Throttled { retry_after_ms } => (true, retry_after_ms),
            Verdict::Again => (true, None),
        };
        let backoff = match verdict {
            Verdict::Again => 0,
            _ => self.policy.backoff.wait(entry.attempts, jitter),
        };
        let wait = backoff.max(asked.unwrap_or_default());
        let due = now.after(wait);
        let group = entry.group;
        let last = entry.attempts >= self.policy.max_attempts;
        let old = due.since(entry.created) > self.policy.max_age_ms;
        if let Verdict::Throttled { .. } = verdict {
            self.hold(group, due.min(now.after(self.policy.max_age_ms)), now);
        }
        if !retry || last || old {
            return self.remove(id).map_or(Settled::Unknown, Settled::Failed);
        }
        // The others of a group that is held back come first: the reason may be this one.
        self.wait(
            id,
            match verdict {
                Verdict::Throttled { .. } => due.after(1),
                _ => due,
            },
        );
        Settled::Retrying
    }

    /// The host refused the dispatch: nothing was sent. Only the age bounds how often that is tried.
    pub fn refused(&mut self, id: Id, now: Millis, jitter: &mut Jitter) -> Settled<T> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Settled::Unknown;
        };
        entry.attempts = entry.attempts.saturating_sub(1);
        entry.refusals = entry.refusals.saturating_add(1);
        let due = now.after(self.policy.backoff.wait(entry.refusals, jitter));
        if due.since(entry.created) > self.policy.max_age_ms {
            return self.remove(id).map_or(Settled::Unknown, Settled::Failed);
        }
        self.wait(id, due);
        Settled::Retrying
    }

    /// When something is to be done next: `now`, or later, or not before an answer or a push.
    #[must_use]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        let ready = self.has_ready().then_some(now);
        let waiting = self.waiting.first().map(|(due, _)| *due);
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        [ready, waiting, deadline].into_iter().flatten().min()
    }

    /// Whether an entry could leave at once, as far as its turn and the slots go.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.ready
            .front()
            .and_then(|id| self.entries.get(id))
            .is_some_and(|entry| self.has_slot(entry.size))
    }

    /// The longest wait between two attempts.
    #[must_use]
    pub fn longest_wait(&self) -> u64 {
        self.policy.backoff.ceiling(u32::MAX)
    }

    /// When the next one becomes too old, as far as it waits for its turn only.
    #[must_use]
    pub fn expires(&self) -> Option<Millis> {
        let entry = self.entries.get(self.ready.front()?)?;
        Some(entry.created.after(self.policy.max_age_ms).after(1))
    }

    /// When something is to be done although nothing may be dispatched.
    #[must_use]
    pub fn due_closed(&self) -> Option<Millis> {
        let waiting = self.waiting.first().map(|(due, _)| *due);
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        [self.expires(), waiting, deadline]
            .into_iter()
            .flatten()
            .min()
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

    /// Gives up on everything.
    pub fn clear(&mut self) -> impl Iterator<Item = Entry<T>> {
        let policy = self.policy;
        let next_id = self.next_id;
        let old = std::mem::replace(self, Self::new(policy));
        self.next_id = next_id;
        old.entries.into_values()
    }

    fn has_slot(&self, size: usize) -> bool {
        let bytes = self.bytes_in_flight.saturating_add(size);
        let enough = bytes <= self.policy.max_bytes / 4 || self.in_flight == 0;
        self.in_flight < self.policy.max_in_flight && enough
    }

    /// Groups come from clients: those whose time has passed do not stay.
    fn hold(&mut self, group: u64, until: Millis, now: Millis) {
        if self.holds.len() >= MAX_HOLDS {
            self.holds.retain(|_, until| *until > now);
        }
        if self.holds.len() < MAX_HOLDS {
            let held = self.holds.entry(group).or_insert(until);
            *held = until.max(*held);
        }
    }

    fn held_until(&mut self, group: u64, now: Millis) -> Option<Millis> {
        let until = *self.holds.get(&group)?;
        if until > now {
            return Some(until);
        }
        self.holds.remove(&group);
        None
    }

    fn wait(&mut self, id: Id, due: Millis) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.state = State::Waiting(due);
            self.waiting.insert((due, id));
        }
    }

    /// Takes a call out of flight.
    fn land(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        if let State::InFlight { token, deadline } = entry.state {
            entry.state = State::Leaving;
            self.in_flight = self.in_flight.saturating_sub(1);
            self.bytes_in_flight = self.bytes_in_flight.saturating_sub(entry.size);
            self.deadlines.remove(&(deadline, id));
            if self.calls.get(&token) == Some(&id) {
                self.calls.remove(&token);
            }
        }
    }

    fn remove(&mut self, id: Id) -> Option<Entry<T>> {
        let entry = self.entries.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(entry.size);
        if let State::Waiting(due) = entry.state {
            self.waiting.remove(&(due, id));
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests;
