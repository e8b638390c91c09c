//! What an instance has pending, kept where it outlives the instance: in the host's shared data.
//!
//! Gauges belong to the process. When an instance ends with work pending (its VM was replaced, or it trapped), what it had
//! added to them would stay there for ever, and what it held would be lost uncounted. (Envoy calls `proxy_on_done` both
//! before it replaces a VM and when the VM stays, so nothing tells which callback is the last.) So each instance keeps an
//! account of what its gauges have added ([`Account::keep`]) and watches the accounts of the others ([`Account::look`]). An
//! account that has not been renewed for [`ORPHAN_MS`] is taken over, and its holdings are booked as lost by whoever took it.
//! The worker decides how.
//!
//! An account is written whenever the gauges are published with other values, and every [`BEAT_MS`] while any of them is not
//! 0. Once all are 0, its slot is free for another. Slots are never removed, since shared data cannot be deleted: there are
//! as many as there ever were accounts at one time, at most [`SLOTS`].
//!
//! Time is the observer's own. It takes over an account that it has itself seen unchanged for that long, and counts at most
//! [`LOOK_MS`] from one look to the next. So neither a clock that jumps nor a process that was stopped makes anyone look dead.
//!
//! Envoy keys shared data by `vm_id`. On nginx it is not used: the call traps unless a `shm_kv` zone is configured.

mod record;
mod watch;

use crate::metric::{GAUGES, Gauges, Leg, Metric, Series};
use crate::time::{Millis, earliest};
use record::Record;
use watch::Watch;

/// An account that has not been renewed for this long is an orphan.
pub const ORPHAN_MS: u64 = 15_000;
/// How often an account is renewed while something is pending.
pub const BEAT_MS: u64 = 1_000;
/// The time between two looks at the other accounts.
pub const LOOK_MS: u64 = 5_000;
/// Accounts at one time: workers x root contexts with something pending. A first look reads each at some 20 000 instructions.
/// An instance that finds no slot has no account.
pub const SLOTS: u16 = 256;
/// After this many values that are not records, a scan ends: somebody else uses these keys.
const MAX_STRANGE: u32 = 8;
/// How many slots are tried when others are faster or nothing can be written.
const MAX_TRIES: u32 = 8;
/// A `cas` that no value has: a write with it creates the value or is refused. (Hosts count from 1. With 0 they overwrite
/// whatever is there; an absent key they write whatever the `cas`.)
const CREATE: u32 = u32::MAX;

/// What shared data has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value and its version.
    Found(Vec<u8>, u32),
    /// Nothing has ever been written.
    Absent,
    /// The host does not tell.
    Failed,
}

/// The host's memory that outlives an instance.
pub trait Store {
    /// Reads shared data.
    fn read(&mut self, key: &str) -> Read;
    /// Writes shared data if it still has this version. `false` if it was not written.
    fn write(&mut self, key: &str, value: &[u8], cas: u32) -> bool;
    /// The value of a gauge at the host, including what others added to it.
    fn gauge(&mut self, series: Series) -> Option<u64>;
}

/// What gauges have added at the host, by leg and in the legs' order.
#[derive(Clone, Debug, Default)]
pub struct Held(Vec<(Leg, Gauges)>);

impl Held {
    /// Sets the gauges of a leg.
    pub fn set(&mut self, leg: Leg, gauges: Gauges) {
        self.change(leg, |held| *held = gauges);
    }

    /// Adds what another instance held.
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

    /// Copies that are waiting or in flight, for any target.
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

/// A leg that is missing has 0 everywhere.
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
    /// Whether any of it is not 0.
    pending: bool,
    /// Whether it differs from what was written.
    changed: bool,
    own: Option<Own>,
    /// The last slot used: most likely it is free.
    slot: u16,
    /// When a write was last tried, successful or not.
    tried: Option<Millis>,
    watch: Watch,
}

impl Account {
    /// `id` differs from that of every other instance; `active` says whether there is shared data.
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

    /// Brings the account up to date. If another instance took this one for dead, returns what that instance booked as lost.
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
        // Twice, because there may be no other callback.
        for _ in 0..2 {
            let cas = match store.read(&key) {
                Read::Failed => continue,
                // An instance that takes an account always leaves its own name, so a non-record is not a takeover.
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

    /// Looks at the accounts of the others, every [`LOOK_MS`]. Returns what the accounts taken over held.
    pub fn look(&mut self, now: Millis, store: &mut impl Store) -> Vec<Held> {
        let own = self.own.as_ref().map(|own| own.slot);
        self.watch.look(own, self.id, now, store)
    }

    /// When this is to be called again, if it was called in this callback and all went well.
    #[must_use]
    #[inline]
    pub fn due(&self, now: Millis) -> Option<Millis> {
        if !self.active {
            return None;
        }
        let beat = self.pending.then(|| next(self.tried, BEAT_MS, now));
        earliest([beat, self.watch.due(now)])
    }

    /// When to try again if it failed.
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

/// `every` after `last`, unless that has passed: then `every` after now.
fn next(last: Option<Millis>, every: u64, now: Millis) -> Millis {
    let due = last.map(|last| last.after(every));
    due.filter(|due| *due > now)
        .unwrap_or_else(|| now.after(every))
}

#[cfg(test)]
mod tests;
