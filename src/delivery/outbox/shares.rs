//! Fairness between the shares of an outbox.

use super::tests::{T0, dispatch, policy};
use super::{Charge, Id, Next, Outbox, Policy};
use crate::delivery::backoff::Jitter;
use crate::delivery::verdict::Verdict;
use crate::time::Millis;
use proptest::prelude::*;
use std::collections::VecDeque;

/// Two targets, eight calls.
fn shared() -> Outbox<&'static str> {
    Outbox::new(Policy {
        max_in_flight: 8,
        shares: 2,
        ..policy()
    })
}

fn of(share: usize, size: usize) -> Charge {
    Charge {
        size,
        group: 1,
        part: 0,
        share,
    }
}

#[test]
fn a_share_leaves_the_other_its_quarter_of_the_bytes() {
    let mut outbox = shared();
    assert!(outbox.push("a", of(0, 750), 0, T0).is_ok());
    assert_eq!(outbox.push("a", of(0, 1), 0, T0), Err("a"));
    assert!(outbox.push("b", of(1, 250), 0, T0).is_ok());
    assert_eq!((outbox.room(0), outbox.room(1)), (0, 0));
    assert_eq!(
        outbox.push("c", of(2, 1), 0, T0),
        Err("c"),
        "nobody's share"
    );
}

#[test]
fn a_target_that_hangs_leaves_the_other_its_calls() {
    let mut outbox = shared();
    for _ in 0..10 {
        outbox.push("hangs", of(0, 1), 0, T0).unwrap();
    }
    for token in 0..6 {
        dispatch(&mut outbox, token, T0);
    }
    assert!(matches!(outbox.next(T0), Next::Idle), "two are kept free");
    assert!(!outbox.has_ready());
    for token in 6..8 {
        outbox.push("lives", of(1, 1), 0, T0).unwrap();
        let id = dispatch(&mut outbox, token, T0);
        assert_eq!(outbox.get(id).unwrap().payload, "lives");
    }
    outbox.push("lives", of(1, 1), 0, T0).unwrap();
    assert!(matches!(outbox.next(T0), Next::Idle), "eight calls");
}

#[test]
fn a_huge_entry_of_one_share_does_not_stop_the_other() {
    let mut outbox = shared();
    outbox.push("huge", of(0, 300), 0, T0).unwrap();
    outbox.push("huge", of(0, 300), 0, T0).unwrap();
    dispatch(&mut outbox, 1, T0);
    assert!(matches!(outbox.next(T0), Next::Idle));
    outbox.push("small", of(1, 10), 0, T0).unwrap();
    let id = dispatch(&mut outbox, 2, T0);
    assert_eq!(outbox.get(id).unwrap().payload, "small");
}

#[test]
fn with_more_shares_than_half_the_calls_each_still_has_one() {
    let mut outbox = Outbox::new(Policy {
        max_in_flight: 4,
        shares: 3,
        ..policy()
    });
    for _ in 0..5 {
        outbox.push("hangs", of(0, 1), 0, T0).unwrap();
    }
    dispatch(&mut outbox, 1, T0);
    dispatch(&mut outbox, 2, T0);
    assert!(matches!(outbox.next(T0), Next::Idle));
    for share in 1..3 {
        outbox.push("lives", of(share, 1), 0, T0).unwrap();
        dispatch(&mut outbox, 2 + u32::try_from(share).unwrap(), T0);
    }
}

#[test]
fn shares_take_turns_and_within_one_the_eldest_leaves_first() {
    let mut outbox = shared();
    for name in ["a1", "a2", "a3", "a4"] {
        outbox.push(name, of(0, 1), 0, T0).unwrap();
    }
    for name in ["b1", "b2"] {
        outbox.push(name, of(1, 1), 0, T0).unwrap();
    }
    let order: Vec<&str> = (0..6)
        .map(|token| {
            let id = dispatch(&mut outbox, token, T0);
            outbox.get(id).unwrap().payload
        })
        .collect();
    assert_eq!(order, ["a1", "b1", "a2", "b2", "a3", "a4"]);
}

#[test]
fn the_eldest_of_any_share_expires() {
    let mut outbox = shared();
    outbox.push("b", of(1, 1), 0, T0).unwrap();
    outbox.push("a", of(0, 1), 0, T0.after(5)).unwrap();
    assert_eq!(outbox.expires(), Some(T0.after(10_001)));
    assert!(matches!(
        outbox.next_if(T0.after(10_001), false),
        Next::Expired(entry) if entry.payload == "b"
    ));
}

/// What happens to an outbox. Numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Push { share: usize, size: usize },
    Send,
    Answer { which: usize, taken: bool },
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..4, 1_usize..400).prop_map(|(share, size)| Step::Push { share, size }),
        3 => Just(Step::Send),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(which, taken)| Step::Answer { which, taken }),
        1 => (1_u64..3_000).prop_map(Step::Pass),
    ]
}

/// An outbox of so many shares, and what is known of it from outside.
struct Watched {
    outbox: Outbox<usize>,
    shares: usize,
    now: Millis,
    /// Entries that have never left, by share: those that wait for a retry have no place in the order.
    fresh: Vec<VecDeque<Id>>,
    calls: Vec<(Id, usize)>,
    token: u32,
}

impl Watched {
    const BYTES: usize = 2_000;
    const CALLS: usize = 9;

    fn new(shares: usize) -> Self {
        let outbox = Outbox::new(Policy {
            max_bytes: Self::BYTES,
            max_in_flight: Self::CALLS,
            max_attempts: 100,
            shares,
            ..policy()
        });
        Self {
            outbox,
            shares,
            now: T0,
            fresh: vec![VecDeque::new(); shares],
            calls: Vec::new(),
            token: 0,
        }
    }

    fn used(&self, share: usize) -> usize {
        let all = self.outbox.iter().filter(|entry| entry.payload == share);
        all.map(|entry| entry.charge.size).sum()
    }

    fn push(&mut self, share: usize, size: usize) {
        let used = self.used(share);
        let charge = of(share, size);
        match self.outbox.push(share, charge, 0, self.now) {
            Ok(id) => self.fresh[share].push_back(id),
            Err(_) => assert!(
                used + size > Self::BYTES / 2 / self.shares,
                "share {share} uses {used} and has no room for {size}"
            ),
        }
        assert!(self.outbox.bytes() <= Self::BYTES);
    }

    /// All that may leave does.
    fn send(&mut self) {
        loop {
            match self.outbox.next(self.now) {
                Next::Dispatch(id) => {
                    let share = self.outbox.get(id).unwrap().payload;
                    if self.fresh[share].contains(&id) {
                        assert_eq!(self.fresh[share].pop_front(), Some(id), "not the eldest");
                    }
                    self.token += 1;
                    self.outbox.started(id, self.token, Millis(u64::MAX));
                    self.calls.push((id, share));
                }
                Next::Expired(entry) => {
                    let pending: Vec<Id> = self.outbox.entries.keys().copied().collect();
                    self.fresh[entry.payload].retain(|id| pending.contains(id));
                }
                Next::Lost(_) => panic!("no call has a deadline"),
                Next::Idle => break,
            }
        }
        assert!(self.outbox.in_flight() <= Self::CALLS);
        for share in 0..self.shares {
            let calls = self.calls.iter().filter(|(_, of)| *of == share).count();
            assert!(
                self.fresh[share].is_empty() || calls > 0 || self.outbox.is_held(of(share, 1)),
                "share {share} has work and no call"
            );
        }
    }

    fn answer(&mut self, which: usize, taken: bool) {
        if self.calls.is_empty() {
            return;
        }
        let (id, _) = self.calls.swap_remove(which % self.calls.len());
        let verdict = if taken {
            Verdict::Delivered
        } else {
            Verdict::NotTaken {
                status: 503,
                retry_after_ms: None,
            }
        };
        let _ = self
            .outbox
            .settle(id, verdict, self.now, &mut Jitter::new(1));
    }
}

proptest! {
    /// Whatever the others do: within its guarantee a share has room, with work it has a call, and what has not been
    /// tried yet leaves in the order in which it came.
    #[test]
    fn no_share_takes_what_another_is_guaranteed(
        shares in 1_usize..5,
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut watched = Watched::new(shares);
        for step in steps {
            match step {
                Step::Push { share, size } => watched.push(share % shares, size),
                Step::Send => watched.send(),
                Step::Answer { which, taken } => watched.answer(which, taken),
                Step::Pass(ms) => watched.now = watched.now.after(ms),
            }
        }
    }
}
