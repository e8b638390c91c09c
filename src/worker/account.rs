//! What an instance has pending, kept where it outlives the instance: in the host's shared data.
//!
//! Gauges belong to the process. When an instance ends with work to do (its VM was replaced, or it trapped), what it
//! had added to them would stay for ever, and what it held would be lost uncounted. (Envoy calls `proxy_on_done` before
//! it replaces a VM, as it does when the VM stays: nothing says that there will be no other callback.) So each instance
//! keeps an account of what its gauges have added ([`Account::keep`]), and each looks after the accounts of the others
//! ([`Account::look`]): one that nobody has renewed for [`ORPHAN_MS`] is taken over, and its holdings are booked as
//! lost by whoever took it. How they are booked is the worker's affair.
//!
//! An account is written whenever the gauges are published with other values, and every [`BEAT_MS`] as long as they are
//! not all 0. Then its slot is free for another. Slots are never given up, since shared data cannot be deleted: there are
//! as many as there ever were accounts at one time, at most [`SLOTS`].
//!
//! Whose time: the observer's. It takes over what it saw unchanged for so long itself, and never counts more than
//! [`LOOK_MS`] from one look to the next. So a clock that leaps and a process that was stopped make nobody seem dead.
//!
//! Who shares: Envoy keys shared data by `vm_id`. Not on nginx, where the call traps unless a `shm_kv` zone is configured.

mod record;
mod watch;

use crate::metric::{GAUGES, Gauges, Leg, Metric, Series};
use crate::time::{Millis, earliest};
use record::Record;
use watch::Watch;

/// An account that is not renewed for so long is an orphan.
pub const ORPHAN_MS: u64 = 15_000;
/// How often an account is renewed while something is pending.
pub const BEAT_MS: u64 = 1_000;
/// From one look at the other accounts to the next.
pub const LOOK_MS: u64 = 5_000;
/// Accounts at one time: workers x root contexts with something pending. A first look reads each at some 20 000
/// instructions; who finds no slot has no account.
pub const SLOTS: u16 = 256;
/// So many values that are no records, and a scan ends: somebody else uses these keys.
const MAX_STRANGE: u32 = 8;
/// So many slots are tried when others are faster, or nothing can be written.
const MAX_TRIES: u32 = 8;
/// A `cas` that no value has: what is written with it comes into being, or is refused. (Hosts count from 1; with 0 they
/// write over whatever is there, and what is not there they write whatever the `cas`.)
const CREATE: u32 = u32::MAX;

/// What shared data has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value and its version.
    Found(Vec<u8>, u32),
    /// Nothing has ever been written.
    Absent,
    /// The host does not say.
    Failed,
}

/// The host's memory that outlives an instance.
pub trait Store {
    /// Reads shared data.
    fn read(&mut self, key: &str) -> Read;
    /// Writes shared data if its version is still this one. `false` if it was not written.
    fn write(&mut self, key: &str, value: &[u8], cas: u32) -> bool;
    /// The value of a gauge at the host, whoever added to it.
    fn gauge(&mut self, series: Series) -> Option<u64>;
}

/// What gauges have added at the host, by leg in their order.
#[derive(Clone, Debug, Default)]
pub struct Held(Vec<(Leg, Gauges)>);

impl Held {
    /// Sets the gauges of a leg.
    pub fn set(&mut self, leg: Leg, gauges: Gauges) {
        self.change(leg, |held| *held = gauges);
    }

    /// Adds what another held.
    pub fn add(&mut self, other: &Self) {
        for (leg, gauges) in &other.0 {
            self.change(*leg, |held| {
                for (number, more) in held.iter_mut().zip(gauges) {
                    *number = number.saturating_add(*more);
                }
            });
        }
    }

    /// Whether all gauges are 0.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.iter().next().is_none()
    }

    /// All that is not 0.
    pub fn iter(&self) -> impl Iterator<Item = (Series, usize)> + '_ {
        self.0.iter().flat_map(|(leg, gauges)| {
            let gauges = GAUGES.into_iter().zip(gauges);
            let held = gauges.filter(|(_, amount)| **amount > 0);
            held.map(|(metric, amount)| (Series { leg: *leg, metric }, *amount))
        })
    }

    /// A gauge.
    #[must_use]
    pub fn of(&self, leg: Leg, metric: Metric) -> usize {
        let wanted = Series { leg, metric };
        let found = self.iter().find(|(series, _)| *series == wanted);
        found.map_or(0, |(_, amount)| amount)
    }

    /// The same gauge of several legs, added up.
    fn sum(&self, metric: Metric, is_one: impl Fn(Leg) -> bool) -> usize {
        let wanted = |series: &Series| series.metric == metric && is_one(series.leg);
        let found = self.iter().filter(|(series, _)| wanted(series));
        found.fold(0, |sum, (_, amount)| sum.saturating_add(amount))
    }

    /// Copies that wait or are in flight, whoever is to get them.
    pub(super) fn copies(&self) -> usize {
        self.sum(Metric::Pending, Leg::sends_copies)
    }

    /// Copies that a rule has not decided about.
    pub(super) fn undecided(&self) -> usize {
        self.sum(Metric::Queued, Leg::sends_copies)
    }

    fn change(&mut self, leg: Leg, change: impl FnOnce(&mut Gauges)) {
        let at = self.0.partition_point(|(known, _)| *known < leg);
        let known = self.0.get_mut(at).filter(|(known, _)| *known == leg);
        if let Some((_, gauges)) = known {
            change(gauges);
        } else {
            let mut gauges = Gauges::default();
            change(&mut gauges);
            self.0.insert(at, (leg, gauges));
        }
    }
}

/// A leg of which nothing is known has 0 everywhere.
impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Held {}

/// The account as it was last written.
#[derive(Debug)]
struct Own {
    slot: u16,
    held: Held,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Account {
    active: bool,
    id: u64,
    /// What the gauges have added at the host.
    held: Held,
    /// Not all of it is 0.
    pending: bool,
    /// It is not what was written.
    changed: bool,
    own: Option<Own>,
    /// Where the last one was: most likely it is free.
    slot: u16,
    /// When it was last written, or could not be.
    tried: Option<Millis>,
    watch: Watch,
}

impl Account {
    /// `id` is unlike that of every other instance; `active` says whether there is shared data.
    #[must_use]
    pub fn new(id: u64, active: bool) -> Self {
        Self {
            active,
            id,
            held: Held::default(),
            pending: false,
            changed: false,
            own: None,
            slot: 0,
            tried: None,
            watch: Watch::default(),
        }
    }

    /// The gauges have now added this at the host.
    pub fn set(&mut self, held: Held) {
        if self.held != held {
            self.changed = true;
            self.pending = !held.is_nothing();
            self.held = held;
        }
    }

    /// Whether there is anything to keep, or to look after.
    #[must_use]
    pub fn wants(&self, now: Millis) -> bool {
        let beats = self.own.is_some() && self.has_rested(now);
        self.active && (self.changed || beats || self.watch.is_due(now))
    }

    /// Brings the account up to date. What another instance has booked as lost, because it took this one for dead, is given
    /// back.
    pub fn keep(&mut self, now: Millis, store: &mut impl Store) -> Option<Held> {
        let rested = self.has_rested(now);
        let Some(own) = &self.own else {
            self.changed = self.pending;
            if rested && self.changed {
                self.claim(now, store);
            }
            return None;
        };
        if !self.changed && !rested {
            return None;
        }
        self.tried = Some(now);
        let (slot, before) = (own.slot, own.held.clone());
        let key = record::key(slot);
        // Twice: there may be no other callback.
        for _ in 0..2 {
            let cas = match store.read(&key) {
                Read::Failed => continue,
                // No instance takes an account without leaving its own name: what is no record is no reason to believe it.
                Read::Absent => CREATE,
                Read::Found(value, cas) => {
                    let record = Record::parse(&value);
                    if record.is_some_and(|record| record.id != self.id) {
                        self.own = None;
                        self.changed = self.pending;
                        self.claim(now, store);
                        return Some(before);
                    }
                    cas
                }
            };
            if self.write(slot, &key, cas, store) {
                break;
            }
        }
        None
    }

    /// Looks at the accounts of the others, every [`LOOK_MS`]. Gives what those held that were taken over.
    pub fn look(&mut self, now: Millis, store: &mut impl Store) -> Vec<Held> {
        let own = self.own.as_ref().map(|own| own.slot);
        self.watch.look(own, self.id, now, store)
    }

    /// When this is to be called again, once it was in this callback and all went well.
    #[must_use]
    #[inline]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        if !self.active {
            return None;
        }
        let beat = self.pending.then(|| next(self.tried, BEAT_MS, now));
        earliest([beat, self.watch.due(now)])
    }

    /// When it is to be tried again, if it did not go well.
    #[must_use]
    pub fn again(&self, now: Millis) -> Option<Millis> {
        self.changed.then(|| next(self.tried, BEAT_MS, now))
    }

    fn has_rested(&self, now: Millis) -> bool {
        self.tried.is_none_or(|at| now.since(at) >= BEAT_MS)
    }

    /// Takes the first slot that is free.
    fn claim(&mut self, now: Millis, store: &mut impl Store) {
        self.tried = Some(now);
        if !self.pending {
            return;
        }
        let (mut strange, mut tries) = (0_u32, 0_u32);
        for slot in std::iter::once(self.slot).chain(0..SLOTS) {
            let key = record::key(slot);
            let cas = match store.read(&key) {
                Read::Failed => return,
                Read::Absent => CREATE,
                Read::Found(value, cas) => match Record::parse(&value) {
                    Some(record) if record.is_free => cas,
                    Some(_) => continue,
                    None if strange >= MAX_STRANGE => return,
                    None => {
                        strange = strange.saturating_add(1);
                        continue;
                    }
                },
            };
            if self.write(slot, &key, cas, store) || tries >= MAX_TRIES {
                return;
            }
            tries = tries.saturating_add(1);
        }
    }

    fn write(&mut self, slot: u16, key: &str, cas: u32, store: &mut impl Store) -> bool {
        let text = record::text(self.id, &self.held);
        if !store.write(key, text.as_bytes(), cas) {
            return false;
        }
        let held = self.held.clone();
        self.changed = false;
        self.slot = slot;
        if !self.pending {
            self.tried = None;
        }
        self.own = self.pending.then_some(Own { slot, held });
        true
    }
}

/// The moment after `last` by `every`, unless it is now: then after now.
fn next(last: Option<Millis>, every: u64, now: Millis) -> Millis {
    let due = last.map(|last| last.after(every));
    due.filter(|due| *due > now)
        .unwrap_or_else(|| now.after(every))
}

#[cfg(test)]
mod tests;
