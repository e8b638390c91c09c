//! What a target refuses, and how it comes back: see `gate`.

use super::tests::{T0, dispatch, policy};
use super::{Charge, Id, Next, Outbox, Policy, Settled};
use crate::delivery::backoff::{Backoff, Jitter};
use crate::delivery::verdict::Verdict;
use crate::time::Millis;

const NOT_TAKEN: Verdict = Verdict::NotTaken {
    status: 503,
    retry_after_ms: None,
};
const THROTTLED: Verdict = Verdict::Throttled {
    retry_after_ms: None,
};

fn of(group: u64) -> Charge {
    Charge {
        size: 1,
        group,
        part: 0,
        share: 0,
    }
}

fn roomy() -> Outbox<u64> {
    Outbox::new(Policy {
        max_in_flight: 100,
        max_attempts: 50,
        max_age_ms: 600_000,
        backoff: Backoff::new(500, 30_000).unwrap(),
        ..policy()
    })
}

fn of_part(group: u64, part: u8) -> Charge {
    Charge { part, ..of(group) }
}

/// A target, and who calls it: what leaves is answered at once.
struct Calls {
    outbox: Outbox<u64>,
    jitter: Jitter,
    token: u32,
}

impl Calls {
    fn new(seed: u64) -> Self {
        Self {
            outbox: roomy(),
            jitter: Jitter::new(seed),
            token: 0,
        }
    }

    fn push(&mut self, group: u64, now: Millis) -> Id {
        self.push_part(group, 0, now)
    }

    /// What leaves is seen as `group * 10 + part`, if it has a part.
    fn push_part(&mut self, group: u64, part: u8, now: Millis) -> Id {
        let name = match part {
            0 => group,
            part => group * 10 + u64::from(part),
        };
        self.outbox
            .push(name, of_part(group, part), 0, now)
            .unwrap()
    }

    fn limit(&mut self, group: u64, part: u8, ms: u64, now: Millis) {
        self.outbox.limit(group, part, ms, now, &mut self.jitter);
    }

    /// The groups of what leaves at this moment.
    fn leave(&mut self, now: Millis, verdict: Verdict) -> Vec<u64> {
        let mut groups = Vec::new();
        loop {
            match self.outbox.next(now) {
                Next::Dispatch(id) => {
                    self.token += 1;
                    self.outbox.started(id, self.token, now.after(5_000));
                    groups.push(self.outbox.get(id).unwrap().payload);
                    let _ = self.outbox.settle(id, verdict, now, &mut self.jitter);
                }
                Next::Idle => return groups,
                other => panic!("{other:?}"),
            }
        }
    }

    /// Calls by second, from one moment to another.
    fn seconds(&mut self, from: u64, seconds: u64, verdict: Verdict) -> Vec<usize> {
        let second = |second| {
            let steps = (0..100).map(|step| T0.after(from + second * 1_000 + step * 10));
            steps.map(|now| self.leave(now, verdict).len()).sum()
        };
        (0..seconds).map(second).collect()
    }
}

#[test]
fn a_dead_target_is_called_seldom_whatever_waits() {
    let mut calls = Calls::new(1);
    for minute in 0..5 {
        for _ in 0..100 {
            calls.push(minute, T0.after(minute * 60_000));
        }
        let seen = calls.seconds(minute * 60_000, 60, NOT_TAKEN);
        let most = if minute == 0 { 40 } else { 10 };
        let sum: usize = seen.iter().sum();
        assert!(
            (1..=most + 100 * usize::from(minute == 0)).contains(&sum),
            "{seen:?}"
        );
    }
}

#[test]
fn one_call_comes_back_and_then_twice_the_pace() {
    let mut calls = Calls::new(2);
    for second in 0..60 {
        let now = T0.after(second * 1_000);
        calls.push(second % 8, now);
        calls.leave(now, NOT_TAKEN);
    }
    assert!(calls.outbox.is_held(of(0)) && calls.outbox.is_held(of(99)));
    let seen = calls.seconds(60_000, 120, Verdict::Delivered);
    let first = seen.iter().position(|count| *count > 0).unwrap();
    assert!(first <= 30, "{seen:?}");
    assert!(seen.iter().all(|count| *count <= 4), "{seen:?}");
    assert_eq!(seen.iter().sum::<usize>(), 60);
    assert!(!calls.outbox.is_held(of(0)), "open");
    assert!(calls.outbox.register.gates.is_empty() && calls.outbox.register.gates.due().is_none());
}

#[test]
fn two_refusals_are_a_matter_of_the_entries() {
    let mut calls = Calls::new(3);
    for group in 0..5 {
        calls.push(group, T0);
    }
    let refused = |calls: &mut Calls, verdict| {
        let id = dispatch_any(&mut calls.outbox);
        let _ = calls.outbox.settle(id, verdict, T0, &mut Jitter::new(1));
    };
    refused(&mut calls, NOT_TAKEN);
    refused(&mut calls, NOT_TAKEN);
    refused(&mut calls, Verdict::Delivered);
    refused(&mut calls, NOT_TAKEN);
    assert!(!calls.outbox.is_held(of(0)));
    refused(&mut calls, NOT_TAKEN);
    calls.push(9, T0);
    refused(&mut calls, NOT_TAKEN);
    assert!(calls.outbox.is_held(of(0)), "the third in a row");
}

fn dispatch_any(outbox: &mut Outbox<u64>) -> Id {
    let Next::Dispatch(id) = outbox.next(T0) else {
        panic!()
    };
    outbox.started(id, 1, T0.after(5_000));
    id
}

/// All workers are told the same moment: they do not come back at the same one.
#[test]
fn workers_that_are_told_a_moment_spread() {
    let until = Verdict::Throttled {
        retry_after_ms: Some(60_000),
    };
    let mut firsts: Vec<u64> = (0..100)
        .map(|seed| {
            let mut calls = Calls::new(seed);
            calls.push(1, T0);
            calls.leave(T0, until);
            let due = calls.outbox.due(T0).unwrap().since(T0);
            assert!((60_000..=90_000).contains(&due), "{due}");
            due / 1_000
        })
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 20, "{firsts:?}");
}

/// The probe of a target belongs to a project that a 429 holds back for long: another one is it.
#[test]
fn a_group_that_is_held_back_does_not_hold_up_the_target() {
    let mut calls = Calls::new(4);
    calls.push(1, T0);
    calls.leave(
        T0,
        Verdict::Throttled {
            retry_after_ms: Some(500_000),
        },
    );
    for group in [1, 1, 2, 3, 4] {
        calls.push(group, T0);
    }
    calls.leave(T0, NOT_TAKEN);
    assert!(calls.outbox.is_held(of(2)), "three in a row");
    calls.push(1, T0);
    calls.push(2, T0);
    let seen = calls.seconds(0, 120, Verdict::Delivered);
    assert_eq!(seen.iter().sum::<usize>(), 4, "all but those of project 1");
    assert!(!calls.outbox.is_held(of(2)) && calls.outbox.is_held(of(1)));
}

#[test]
fn waits_grow_when_much_is_refused_and_shrink_when_little_is() {
    let run = |refused: usize| {
        let mut calls = Calls::new(5);
        let (mut sent, mut refusals) = (0, 0);
        for step in 0..12_000_u64 {
            let now = T0.after(step * 10);
            if step < 6_000 && step % 10 == 0 {
                calls.push(1, now);
            }
            let verdict = if sent % 12 < refused {
                THROTTLED
            } else {
                Verdict::Delivered
            };
            let left = calls.leave(now, verdict).len();
            sent += left;
            refusals += usize::from(verdict == THROTTLED) * left;
        }
        (calls.outbox.len(), refusals)
    };
    let (left, refusals) = run(1);
    assert!(
        left == 0 && refusals < 70,
        "one of twelve: {left} {refusals}"
    );
    let (left, refusals) = run(6);
    assert!(left > 0 && refusals < 70, "half of them: {left} {refusals}");
}

#[test]
fn what_is_given_up_or_refused_by_the_proxy_leaves_no_gate_without_a_probe() {
    let mut calls = Calls::new(6);
    for _ in 0..10 {
        calls.push(1, T0);
    }
    calls.leave(T0, THROTTLED);
    let later = calls.outbox.due(T0).unwrap();
    let Next::Dispatch(probe) = calls.outbox.next(later) else {
        panic!()
    };
    let refused = calls.outbox.refused(probe, later, &mut Jitter::new(1));
    assert!(matches!(refused, Settled::Retrying));
    assert!(
        matches!(calls.outbox.next(later), Next::Idle),
        "it is the probe"
    );
    let due = calls.outbox.due(later).unwrap();
    assert_eq!(calls.outbox.take(probe).unwrap().refusals, 1);
    assert!(
        matches!(calls.outbox.next(due), Next::Dispatch(_)),
        "another one"
    );
}

#[test]
fn at_the_end_nothing_waits_for_its_turn() {
    let mut outbox = Outbox::new(policy());
    for at in 0..10 {
        outbox.push("a", of(1), 0, T0.after(at * 100)).unwrap();
    }
    let id = dispatch(&mut outbox, 1, T0.after(900));
    let _ = outbox.settle(id, THROTTLED, T0.after(900), &mut Jitter::new(1));
    outbox.hurry();
    assert!(matches!(outbox.next(T0.after(900)), Next::Idle));
    let later = outbox.due(T0.after(900)).unwrap();
    for token in 2..11 {
        let id = dispatch(&mut outbox, token, later);
        let settled = outbox.settle(id, Verdict::Delivered, later, &mut Jitter::new(1));
        assert!(matches!(settled, Settled::Delivered(_)));
    }
}

/// What is too old to be sent says nothing of the pace.
#[test]
fn a_machine_that_slept_does_not_come_back_slowly() {
    let mut calls = Calls::new(10);
    for _ in 0..2 {
        calls.push(1, T0);
    }
    calls.leave(T0, THROTTLED);
    let soon = calls.outbox.due(T0).unwrap();
    let Next::Dispatch(probe) = calls.outbox.next(soon) else {
        panic!()
    };
    calls.outbox.started(probe, 99, Millis(u64::MAX));
    let awake = soon.after(1 << 50);
    for _ in 0..4 {
        calls.push(1, awake);
    }
    let taken = Verdict::Delivered;
    let _ = calls.outbox.settle(probe, taken, awake, &mut calls.jitter);
    let mut left = Vec::new();
    for second in 0..700 {
        let now = awake.after(second * 1_000);
        while let Next::Expired(_) = calls.outbox.next_if(now, false) {}
        left.extend(calls.leave(now, taken));
    }
    assert_eq!(left, [1; 4]);
}

/// A limit of one part: the others of its group, other groups with that part and what has none go on.
#[test]
fn a_limit_holds_back_one_part_of_one_group() {
    let mut calls = Calls::new(7);
    calls.limit(1, 2, 3_000, T0);
    for (group, part) in [(1, 2), (1, 3), (1, 0), (2, 2), (1, 2)] {
        calls.push_part(group, part, T0);
    }
    assert!(calls.outbox.is_held(of_part(1, 2)));
    assert!(!calls.outbox.is_held(of_part(1, 3)) && !calls.outbox.is_held(of_part(2, 2)));
    assert_eq!(calls.leave(T0, Verdict::Delivered), [13, 1, 22]);
    assert_eq!(calls.outbox.register.held_bytes, 2);
    assert!(calls.leave(T0.after(2_999), Verdict::Delivered).is_empty());
    let mut left = Vec::new();
    for ms in 3_000..6_100 {
        left.extend(calls.leave(T0.after(ms), Verdict::Delivered));
    }
    assert_eq!(left, [12, 12], "as much again at random");
    assert_eq!(
        (
            calls.outbox.register.gates.len(),
            calls.outbox.register.held_bytes
        ),
        (0, 0)
    );
}

/// A 429 about a part says that the rest of the group is taken, also to a gate that probes the group.
#[test]
fn a_part_that_is_limited_is_an_answer_to_its_group() {
    let mut calls = Calls::new(8);
    calls.limit(1, 0, 1_000, T0);
    for part in [2, 2, 3, 3] {
        calls.push_part(1, part, T0);
    }
    calls.push_part(1, 3, T0.after(10));
    let opens = calls.outbox.due(T0).unwrap();
    assert_eq!(calls.leave(opens, Verdict::Limited { ms: 60_000 })[0], 12);
    let mut left = Vec::new();
    for ms in 0..100 {
        left.extend(calls.leave(opens.after(ms), Verdict::Delivered));
    }
    assert_eq!(left, [13, 13, 13], "those of the other part");
    assert!(!calls.outbox.is_held(of_part(1, 0)) && calls.outbox.is_held(of_part(1, 2)));
    assert_eq!(calls.outbox.register.held_bytes, 2);
}

/// Relays tell what is left of a limit with every answer: a random part for each would end at the longest for all workers.
#[test]
fn a_limit_that_is_told_again_stays_as_it_is() {
    let mut ends: Vec<u64> = (0..100)
        .map(|seed| {
            let mut calls = Calls::new(seed);
            for second in 0..60 {
                calls.limit(1, 2, 60_000 - second * 1_000, T0.after(second * 1_000));
            }
            calls.outbox.register.gates.due().unwrap().since(T0) / 1_000
        })
        .collect();
    assert!(ends.iter().all(|end| (60..=90).contains(end)), "{ends:?}");
    ends.sort_unstable();
    ends.dedup();
    assert!(ends.len() > 20, "{ends:?}");
}

/// What is ready behind a full target counts as held, before it comes to the gate.
#[test]
fn what_is_not_at_its_gate_yet_is_within_the_bound() {
    let mut calls = Calls::new(9);
    let mut token = 1_000;
    for _ in 0..100 {
        calls.push(2, T0);
        dispatch_as(&mut calls.outbox, &mut token);
    }
    calls.push(2, T0);
    calls.limit(1, 2, 3_000, T0);
    let mut taken = 0;
    while calls.outbox.push(12, of_part(1, 2), 0, T0).is_ok() {
        taken += 1;
    }
    assert_eq!((taken, calls.outbox.register.held_bytes), (750, 750));
}

fn dispatch_as(outbox: &mut Outbox<u64>, token: &mut u32) {
    let Next::Dispatch(id) = outbox.next(T0) else {
        panic!()
    };
    *token += 1;
    outbox.started(id, *token, T0.after(5_000));
}
