//! Faults on demand: a host that answers a call with an error, with nothing, or with nonsense.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::instance::Host;

/// Which calls are hit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum When {
    /// The next so many calls.
    Next(u32),
    /// Calls after the first so many.
    After(u32),
    Always,
    /// Each call with this probability (0.0 to 1.0), drawn from the host's seed.
    Chance(f64),
}

/// What the guest gets instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// This status, and nothing is done. Any number: hosts may grow new ones.
    Status(u32),
    /// OK, but a getter writes no pointer and no size. Other calls answer OK without doing anything.
    Nothing,
    /// A getter hands out these bytes, whatever was asked for. Other calls are not affected.
    Data(Vec<u8>),
    /// The host function itself traps.
    Trap,
}

/// How often each call was hit by a fault. Copies count together.
#[derive(Clone, Debug, Default)]
pub struct Hits(Rc<RefCell<BTreeMap<&'static str, u64>>>);

impl Hits {
    pub fn of(&self, call: &str) -> u64 {
        self.0.borrow().get(call).copied().unwrap_or_default()
    }

    pub(super) fn count(&self, call: &'static str) {
        *self.0.borrow_mut().entry(call).or_default() += 1;
    }
}

struct Fault {
    call: &'static str,
    when: When,
    what: What,
}

#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, call: &'static str, when: When, what: What) {
        if when != When::Next(0) {
            self.0.push(Fault { call, when, what });
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault that hits this call, if any. The one added first wins; a used-up one is gone.
    pub(super) fn hit(&mut self, call: &str, random: &mut Random) -> Option<What> {
        if self.0.is_empty() {
            return None;
        }
        let mut hit = None;
        self.0.retain_mut(|fault| {
            if fault.call != call || hit.is_some() {
                return true;
            }
            let now = match &mut fault.when {
                When::Next(left) => {
                    *left = left.saturating_sub(1);
                    true
                }
                When::After(skip) if *skip > 0 => {
                    *skip -= 1;
                    false
                }
                When::After(_) | When::Always => true,
                When::Chance(probability) => random.fraction() < *probability,
            };
            if now {
                hit = Some(fault.what.clone());
            }
            fault.when != When::Next(0)
        });
        hit
    }
}

/// SplitMix64: small, seeded, the same everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Host {
    /// How often a call was hit by a fault.
    pub fn fault_hits(&self, call: &str) -> u64 {
        self.state().options.hits.of(call)
    }

    /// Callbacks are told this instead of any size or count, or the truth again.
    pub fn claim_sizes(&mut self, size: Option<u32>) {
        self.state_mut().options.claimed_size = size;
    }

    /// Lets a host call (by its import name) misbehave. Several faults may wait for the same call; the first fits.
    pub fn fault(&mut self, call: &'static str, when: When, what: What) {
        self.state_mut().faults.add(call, when, what);
    }

    /// The next so many dispatches are refused with this status. Envoy's circuit breakers give 10.
    pub fn refuse_dispatches(&mut self, count: u32, status: u32) {
        self.fault("proxy_http_call", When::Next(count), What::Status(status));
    }

    pub fn clear_faults(&mut self) {
        self.state_mut().faults.clear();
    }
}
