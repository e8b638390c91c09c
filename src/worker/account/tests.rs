use super::{Account, BEAT_MS, CREATE, Held, LOOK_MS, ORPHAN_MS, Read, SLOTS, Store, record};
use crate::metric::{Leg, Metric, Series};
use crate::time::Millis;
use std::collections::BTreeMap;

/// Shared data as Envoy keeps it.
#[derive(Default)]
struct Shared {
    values: BTreeMap<String, (Vec<u8>, u32)>,
    last_cas: u32,
    reads: u32,
    writes: u32,
    mute: bool,
    stuck: bool,
}

impl Store for Shared {
    fn read(&mut self, key: &str) -> Read {
        self.reads += 1;
        match self.values.get(key) {
            _ if self.mute => Read::Failed,
            Some((value, cas)) => Read::Found(value.clone(), *cas),
            None => Read::Absent,
        }
    }

    fn write(&mut self, key: &str, value: &[u8], cas: u32) -> bool {
        self.writes += 1;
        let known = self.values.get(key).map(|(_, known)| *known);
        if self.stuck || known.is_some_and(|known| cas != 0 && cas != known) {
            return false;
        }
        self.last_cas += 1;
        let value = (value.to_vec(), self.last_cas);
        self.values.insert(key.to_owned(), value);
        true
    }

    fn gauge(&mut self, _series: Series) -> Option<u64> {
        None
    }
}

impl Shared {
    fn slot(&self, slot: u16) -> String {
        let value = self.values.get(&record::key(slot));
        value.map_or_else(String::new, |(value, _)| {
            String::from_utf8_lossy(value).into_owned()
        })
    }

    fn put(&mut self, slot: u16, value: &[u8]) {
        assert!(self.write(&record::key(slot), value, 0));
    }
}

fn copies(pending: usize) -> Held {
    let mut held = Held::default();
    let mut gauges = <[usize; crate::metric::GAUGES.len()]>::default();
    gauges[0] = pending;
    held.set(Leg::Rum, gauges);
    held
}

fn keep(account: &mut Account, held: Held, now: Millis, shared: &mut Shared) -> Option<Held> {
    account.set(held);
    account.keep(now, shared)
}

fn instances<const N: usize>() -> [Account; N] {
    std::array::from_fn(|index| Account::new(index as u64 + 1, true))
}

fn at(seconds: u64) -> Millis {
    Millis(1_000_000 + seconds * 1_000)
}

#[test]
fn it_is_written_when_it_changes_and_every_second() {
    let (mut shared, [mut account]) = (Shared::default(), instances());
    assert_eq!(
        keep(&mut account, Held::default(), at(0), &mut shared),
        None
    );
    assert_eq!((shared.reads, shared.writes), (0, 0), "nothing pending");
    assert_eq!(account.due(at(0)), None);

    keep(&mut account, copies(3), at(0), &mut shared);
    assert!(shared.slot(0).ends_with(" rum.pending=3"));
    assert_eq!(account.due(at(0)), Some(at(1)));
    keep(
        &mut account,
        copies(3),
        at(0).after(BEAT_MS - 1),
        &mut shared,
    );
    assert_eq!(shared.writes, 1);
    keep(&mut account, copies(3), at(1), &mut shared);
    keep(&mut account, copies(4), at(1), &mut shared);
    assert_eq!(shared.writes, 3);
    assert!(shared.slot(0).ends_with(" rum.pending=4"));

    keep(&mut account, Held::default(), at(1), &mut shared);
    assert!(!shared.slot(0).contains('='), "free");
    assert_eq!(account.due(at(1)), None);
    keep(&mut account, copies(5), at(1), &mut shared);
    assert!(shared.slot(0).ends_with("=5"), "at once");
}

#[test]
fn slots_are_used_again() {
    let (mut shared, [mut a, mut b]) = (Shared::default(), instances());
    for round in 0..1_000 {
        keep(&mut a, copies(1), at(round * 2), &mut shared);
        keep(&mut b, copies(1), at(round * 2), &mut shared);
        keep(&mut a, copies(0), at(round * 2 + 1), &mut shared);
        keep(&mut b, copies(0), at(round * 2 + 1), &mut shared);
    }
    assert_eq!(shared.values.len(), 2);
}

#[test]
fn an_orphan_is_taken_once_after_15_seconds() {
    let (mut shared, [mut owner, siblings @ ..]) = (Shared::default(), instances::<4>());
    let mut siblings = siblings;
    keep(&mut owner, copies(20), at(0), &mut shared);
    let mut taken = Vec::new();
    for second in 0..60 {
        for sibling in &mut siblings {
            let found = sibling.look(at(second), &mut shared);
            taken.extend(found.into_iter().map(|held| (second, held)));
        }
    }
    assert_eq!(taken, [(ORPHAN_MS / 1_000, copies(20))]);
    assert!(siblings.iter().all(|one| one.due(at(60)).is_none()));
}

#[test]
fn who_is_alive_is_never_taken() {
    let (mut shared, [mut owner, mut sibling]) = (Shared::default(), instances());
    for second in 0..600 {
        assert_eq!(keep(&mut owner, copies(20), at(second), &mut shared), None);
        assert_eq!(sibling.look(at(second), &mut shared), []);
    }
    assert_eq!(sibling.due(at(599)), Some(at(600)), "it watches on");
}

#[test]
fn a_clock_that_leaps_makes_nobody_seem_dead() {
    let (mut shared, [mut owner, mut sibling]) = (Shared::default(), instances());
    for leap in 0..20 {
        // Hours pass for both, and the sibling is the first to wake up.
        let now = at(leap * 7_200);
        assert_eq!(sibling.look(now, &mut shared), []);
        assert_eq!(keep(&mut owner, copies(20), now, &mut shared), None);
    }
}

#[test]
fn an_owner_that_stood_still_is_told_and_begins_anew() {
    let (mut shared, [mut owner, mut sibling, mut third]) = (Shared::default(), instances());
    keep(&mut owner, copies(20), at(0), &mut shared);
    let taken: Vec<Held> = (0..=15)
        .flat_map(|second| sibling.look(at(second), &mut shared))
        .collect();
    assert_eq!(taken, [copies(20)]);
    // The slot may have been used by others in between.
    keep(&mut third, copies(1), at(16), &mut shared);
    keep(&mut third, copies(0), at(17), &mut shared);

    assert_eq!(
        keep(&mut owner, copies(21), at(20), &mut shared),
        Some(copies(20))
    );
    assert!(shared.slot(0).ends_with(" rum.pending=21"));
    assert_eq!(
        keep(&mut owner, copies(21), at(21), &mut shared),
        None,
        "once"
    );
}

#[test]
fn of_two_that_want_a_slot_each_gets_one() {
    let (mut shared, [mut a, mut b, mut c]) = (Shared::default(), instances());
    keep(&mut a, copies(1), at(0), &mut shared);
    keep(&mut b, copies(2), at(0), &mut shared);
    keep(&mut a, copies(0), at(1), &mut shared);
    keep(&mut c, copies(3), at(1), &mut shared);
    assert!(shared.slot(0).ends_with("=3") && shared.slot(1).ends_with("=2"));
    keep(&mut a, copies(4), at(2), &mut shared);
    assert!(shared.slot(2).ends_with("=4"));
}

/// It neither belongs to anybody nor is it overwritten, and a host full of it costs little.
#[test]
fn strange_values_are_left_alone() {
    let (mut shared, [mut owner, mut sibling]) = (Shared::default(), instances());
    let strange: [&[u8]; 3] = [b"", b"theirs", &[0xff; 100_000]];
    for (slot, value) in (0..).zip(strange) {
        shared.put(slot, value);
    }
    keep(&mut owner, copies(1), at(0), &mut shared);
    assert!(shared.slot(3).ends_with("=1"));
    let taken: Vec<Held> = (0..=15)
        .flat_map(|second| sibling.look(at(second), &mut shared))
        .collect();
    assert_eq!(taken, [copies(1)]);
    for (slot, value) in (0..).zip(strange) {
        assert_eq!(shared.values[&record::key(slot)].0, value);
    }

    for slot in 0..SLOTS {
        shared.put(slot, b"theirs");
    }
    shared.reads = 0;
    keep(&mut sibling, copies(1), at(20), &mut shared);
    sibling.look(at(20), &mut shared);
    assert!(shared.reads < 30, "{}", shared.reads);
}

/// Only another instance's name says that an account was taken.
#[test]
fn an_account_that_somebody_overwrote_is_written_again() {
    let (mut shared, [mut owner]) = (Shared::default(), instances());
    for (second, value) in (0..).zip([&b""[..], b"theirs", &[0xff; 2_000]]) {
        keep(&mut owner, copies(1), at(second), &mut shared);
        assert!(shared.slot(0).ends_with("=1"));
        shared.put(0, value);
    }
    assert_eq!(keep(&mut owner, copies(1), at(3), &mut shared), None);
    shared.values.clear();
    assert_eq!(keep(&mut owner, copies(1), at(4), &mut shared), None);
    assert!(shared.slot(0).ends_with("=1"));
}

#[test]
fn a_host_that_fails_costs_little_and_is_asked_again() {
    let (mut shared, [mut owner]) = (Shared::default(), instances());
    shared.mute = true;
    for ms in 0..3_000 {
        keep(&mut owner, copies(1), at(0).after(ms), &mut shared);
    }
    assert_eq!((shared.reads, shared.writes), (3, 0));
    assert_eq!(owner.due(at(3)), Some(at(4)));
    (shared.mute, shared.stuck, shared.reads) = (false, true, 0);
    keep(&mut owner, copies(1), at(4), &mut shared);
    assert!(shared.reads < 20, "{}", shared.reads);
    shared.stuck = false;
    keep(&mut owner, copies(1), at(5), &mut shared);
    assert!(shared.slot(0).ends_with("=1"));

    // The last word of an instance may have to be said twice.
    shared.stuck = true;
    keep(&mut owner, copies(0), at(6), &mut shared);
    assert_eq!(
        (owner.due(at(6)), owner.again(at(6))),
        (None, Some(at(7))),
        "not freed yet"
    );
    shared.stuck = false;
    keep(&mut owner, copies(0), at(7), &mut shared);
    assert!(!shared.slot(0).contains('='));
}

#[test]
fn without_shared_data_nothing_is_due() {
    let account = Account::new(1, false);
    assert!(!account.wants(at(0)));
    assert_eq!(account.due(at(0)), None);
}

#[test]
fn what_is_held_is_summed() {
    let mut sum = copies(1);
    sum.add(&copies(2));
    assert_eq!(sum.of(Leg::Rum, Metric::Pending), 3);
    assert_eq!(sum.of(Leg::Sls, Metric::Pending), 0);
    assert!(!sum.is_nothing());
    assert_ne!(CREATE, 0);
}

/// The last look at an account that is gone was at most [`LOOK_MS`] before.
#[test]
fn it_is_taken_in_time() {
    let (mut shared, [mut owner, mut sibling]) = (Shared::default(), instances());
    sibling.look(at(0), &mut shared);
    keep(&mut owner, copies(1), at(0).after(1), &mut shared);
    let taken = (0..=(ORPHAN_MS + LOOK_MS) / 1_000)
        .find(|second| !sibling.look(at(*second), &mut shared).is_empty());
    assert_eq!(taken, Some((ORPHAN_MS + LOOK_MS) / 1_000));
}
