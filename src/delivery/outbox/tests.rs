use super::{Charge, Id, Next, Outbox, Policy, Settled};
use crate::delivery::backoff::{Backoff, Jitter};
use crate::delivery::verdict::Verdict;
use crate::time::Millis;

pub(super) const T0: Millis = Millis(1_000_000);
const NOT_TAKEN: Verdict = Verdict::NotTaken {
    status: 503,
    retry_after_ms: None,
};

fn outbox() -> Outbox<&'static str> {
    Outbox::new(policy())
}

pub(super) fn policy() -> Policy {
    Policy {
        max_bytes: 1_000,
        max_held_bytes: 750,
        shares: 1,
        max_in_flight: 2,
        max_attempts: 3,
        backoff: Backoff::new(100, 1_000).unwrap(),
        max_age_ms: 10_000,
        retry_ambiguous: false,
    }
}

fn charge(size: usize, group: u64) -> Charge {
    Charge {
        size,
        group,
        part: 0,
        share: 0,
    }
}

pub(super) fn dispatch(outbox: &mut Outbox<&'static str>, token: u32, now: Millis) -> Id {
    match outbox.next(now) {
        Next::Dispatch(id) => {
            outbox.started(id, token, now.after(5_000));
            id
        }
        other => panic!("{other:?}"),
    }
}

fn settle(
    outbox: &mut Outbox<&'static str>,
    id: Id,
    verdict: Verdict,
    now: Millis,
) -> &'static str {
    match outbox.settle(id, verdict, now, &mut Jitter::new(1)) {
        Settled::Delivered(_) => "delivered",
        Settled::Failed(_) => "failed",
        Settled::Retrying => "retrying",
        Settled::Unknown => "unknown",
    }
}

#[test]
fn the_byte_budget_counts_what_the_caller_reserves() {
    let mut outbox = outbox();
    assert!(outbox.push("a", charge(600, 1), 0, T0).is_ok());
    assert_eq!(outbox.push("b", charge(401, 1), 0, T0), Err("b"));
    assert_eq!(outbox.push("b", charge(400, 1), 1, T0), Err("b"));
    assert!(outbox.push("b", charge(400, 1), 0, T0).is_ok());
    let id = dispatch(&mut outbox, 1, T0);
    assert_eq!(
        outbox.push("c", charge(1, 1), 0, T0),
        Err("c"),
        "in flight is pending"
    );
    assert_eq!(settle(&mut outbox, id, Verdict::Delivered, T0), "delivered");
    assert_eq!(
        (outbox.bytes(), outbox.len(), outbox.in_flight()),
        (400, 1, 0)
    );
}

#[test]
fn calls_and_bytes_in_flight_are_bounded_but_one_call_always_goes() {
    let mut outbox = outbox();
    for name in ["a", "b", "c"] {
        outbox.push(name, charge(100, 1), 0, T0).unwrap();
    }
    let first = dispatch(&mut outbox, 1, T0);
    dispatch(&mut outbox, 2, T0);
    assert!(matches!(outbox.next(T0), Next::Idle), "two calls at most");
    settle(&mut outbox, first, Verdict::Delivered, T0);
    dispatch(&mut outbox, 3, T0);

    let mut outbox = self::outbox();
    outbox.push("huge", charge(900, 1), 0, T0).unwrap();
    outbox.push("small", charge(10, 1), 0, T0).unwrap();
    let huge = dispatch(&mut outbox, 1, T0);
    assert!(
        matches!(outbox.next(T0), Next::Idle),
        "a quarter of the bytes"
    );
    assert_eq!(outbox.due(T0), Some(T0.after(5_000)), "only the deadline");
    settle(&mut outbox, huge, Verdict::Delivered, T0);
    dispatch(&mut outbox, 2, T0);
}

#[test]
fn what_was_surely_not_taken_is_tried_max_attempts_times() {
    let mut outbox = outbox();
    outbox.push("a", charge(10, 1), 0, T0).unwrap();
    let mut now = T0;
    for (attempt, end) in [(1, "retrying"), (2, "retrying"), (3, "failed")] {
        let id = dispatch(&mut outbox, attempt, now);
        assert_eq!(settle(&mut outbox, id, NOT_TAKEN, now), end);
        now = outbox.due(now).unwrap_or(now);
    }
    assert!(outbox.is_empty());
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn a_refused_dispatch_is_no_attempt_but_ages() {
    let mut outbox = outbox();
    outbox.push("a", charge(10, 1), 0, T0).unwrap();
    let (mut now, mut refusals) = (T0, 0);
    loop {
        let Next::Dispatch(id) = outbox.next(now) else {
            panic!()
        };
        match outbox.refused(id, now, &mut Jitter::new(refusals)) {
            Settled::Retrying => assert_eq!(outbox.get(id).map(|entry| entry.attempts), Some(0)),
            Settled::Failed(_) => break,
            other => panic!("{other:?}"),
        }
        refusals += 1;
        now = outbox.due(now).unwrap();
    }
    assert!(refusals > 9, "{refusals}");
    assert!(now.since(T0) <= 10_000 && outbox.is_empty() && outbox.in_flight() == 0);
}

#[test]
fn a_backlog_is_moved_in_small_portions() {
    let mut outbox = Outbox::new(Policy {
        max_bytes: 1_000_000,
        max_held_bytes: 1_000_000,
        ..policy()
    });
    for _ in 0..1_000 {
        outbox.push("a", charge(10, 1), 0, T0).unwrap();
    }
    let id = dispatch(&mut outbox, 1, T0);
    let throttled = Verdict::Throttled {
        retry_after_ms: Some(2_000),
    };
    settle(&mut outbox, id, throttled, T0);
    let most = usize::try_from(super::register::MAX_MOVES).unwrap();
    let mut now = T0;
    for moment in 1.. {
        // However often it is asked.
        for _ in 0..64 {
            assert!(matches!(outbox.next(now), Next::Idle));
        }
        let ready = outbox.register.ready[0].len();
        assert_eq!(ready, 999_usize.saturating_sub(most * moment));
        if ready == 0 {
            break;
        }
        assert_eq!(outbox.due(now), Some(now), "there is more");
        now = now.after(1);
    }
}

#[test]
fn ambiguous_ends_are_tried_again_only_on_request() {
    let mut outbox = outbox();
    outbox.push("a", charge(10, 1), 0, T0).unwrap();
    let id = dispatch(&mut outbox, 1, T0);
    assert_eq!(
        settle(&mut outbox, id, Verdict::Ambiguous(504), T0),
        "failed"
    );
    outbox.register.policy.retry_ambiguous = true;
    outbox.push("b", charge(10, 1), 0, T0).unwrap();
    let id = dispatch(&mut outbox, 2, T0);
    assert_eq!(
        settle(&mut outbox, id, Verdict::Ambiguous(504), T0),
        "retrying"
    );
}

#[test]
fn a_429_holds_back_its_own_group_only() {
    let mut outbox = outbox();
    for (name, group) in [("a1", 1), ("a2", 1), ("b1", 2)] {
        outbox.push(name, charge(10, group), 0, T0).unwrap();
    }
    let id = dispatch(&mut outbox, 1, T0);
    let throttled = Verdict::Throttled {
        retry_after_ms: Some(3_000),
    };
    assert_eq!(settle(&mut outbox, id, throttled, T0), "retrying");
    let id = dispatch(&mut outbox, 2, T0);
    assert_eq!(outbox.get(id).unwrap().payload, "b1");
    assert!(matches!(outbox.next(T0.after(2_999)), Next::Idle));
    // As much again at random, but no more than the longest backoff.
    dispatch(&mut outbox, 3, T0.after(4_000));
}

#[test]
fn old_entries_expire_instead_of_waiting_beyond_their_age() {
    let mut outbox = outbox();
    outbox.push("a", charge(10, 1), 0, T0).unwrap();
    assert!(matches!(outbox.next(T0.after(10_001)), Next::Expired(_)));
    assert_eq!(outbox.bytes(), 0);
    outbox.push("b", charge(10, 1), 0, T0).unwrap();
    let id = dispatch(&mut outbox, 1, T0);
    let throttled = Verdict::Throttled {
        retry_after_ms: Some(10_001),
    };
    assert_eq!(settle(&mut outbox, id, throttled, T0), "failed");
}

#[test]
fn an_answer_that_never_comes_is_lost_at_the_deadline() {
    let mut outbox = outbox();
    outbox.push("a", charge(10, 1), 0, T0).unwrap();
    let id = dispatch(&mut outbox, 7, T0);
    assert!(matches!(outbox.next(T0.after(4_999)), Next::Idle));
    let Next::Lost(lost) = outbox.next(T0.after(5_000)) else {
        panic!()
    };
    assert_eq!(lost, id);
    settle(&mut outbox, lost, Verdict::Ambiguous(0), T0.after(5_000));
    assert_eq!(outbox.call(7), None, "a late answer finds nothing");
    assert_eq!((outbox.in_flight(), outbox.len()), (0, 0));
}

#[test]
fn a_token_given_twice_orphans_the_older_call_only() {
    let mut outbox = outbox();
    outbox.push("a", charge(10, 1), 0, T0).unwrap();
    outbox.push("b", charge(10, 1), 0, T0).unwrap();
    let a = dispatch(&mut outbox, 7, T0);
    let b = dispatch(&mut outbox, 7, T0.after(1));
    assert_eq!(outbox.call(7), Some(b));
    settle(&mut outbox, b, Verdict::Delivered, T0);
    assert!(matches!(outbox.next(T0.after(5_000)), Next::Lost(id) if id == a));
    settle(&mut outbox, a, Verdict::Ambiguous(0), T0);
    assert_eq!(outbox.in_flight(), 0);
}

#[test]
fn giving_up_gives_everything_back_once() {
    let mut outbox = outbox();
    for name in ["a", "b", "c"] {
        outbox.push(name, charge(10, 1), 0, T0).unwrap();
    }
    let id = dispatch(&mut outbox, 1, T0);
    assert_eq!(std::iter::from_fn(|| outbox.give_up()).count(), 3);
    assert_eq!(
        (outbox.bytes(), outbox.len(), outbox.in_flight()),
        (0, 0, 0)
    );
    assert_eq!(settle(&mut outbox, id, Verdict::Delivered, T0), "unknown");
    assert_eq!(outbox.due(T0), None);
    assert_ne!(
        outbox.push("d", charge(10, 1), 0, T0),
        Ok(id),
        "ids are never used twice"
    );
}

#[test]
fn a_target_cannot_hold_a_group_back_for_ever_nor_fill_the_memory_with_groups() {
    let mut outbox = outbox();
    let throttled = Verdict::Throttled {
        retry_after_ms: Some(u64::MAX),
    };
    for group in 0..2_000 {
        outbox.push("a", charge(10, group), 0, T0).unwrap();
        let id = dispatch(&mut outbox, 1, T0);
        assert_eq!(
            settle(&mut outbox, id, throttled, T0),
            "failed",
            "too old by then"
        );
    }
    assert_eq!(outbox.register.gates.len(), super::gates::MAX_GATES);
    outbox
        .push("b", charge(10, 1), 0, T0.after(10_001))
        .unwrap();
    dispatch(&mut outbox, 2, T0.after(10_001));
}

#[test]
fn behind_a_throttled_entry_the_others_come_first() {
    let mut outbox = outbox();
    let first = outbox.push("first", charge(1, 1), 0, T0).unwrap();
    outbox.push("second", charge(1, 1), 0, T0).unwrap();
    dispatch(&mut outbox, 1, T0);
    let throttled = Verdict::Throttled {
        retry_after_ms: Some(1_000),
    };
    assert_eq!(settle(&mut outbox, first, throttled, T0), "retrying");
    assert!(matches!(outbox.next(T0.after(999)), Next::Idle));
    let next = dispatch(&mut outbox, 2, T0.after(2_000));
    assert_eq!(outbox.get(next).unwrap().payload, "second");
}

#[test]
fn what_may_not_leave_still_grows_old() {
    let mut outbox = outbox();
    outbox.push("a", charge(1, 1), 0, T0).unwrap();
    assert!(matches!(outbox.next_if(T0, false), Next::Idle));
    let expires = outbox.due_closed().unwrap();
    assert_eq!(expires, T0.after(10_001));
    assert!(matches!(outbox.next_if(expires, false), Next::Expired(_)));
    assert_eq!(outbox.due_closed(), None);
}

#[test]
fn again_means_at_once_but_not_for_ever() {
    let mut outbox = outbox();
    let id = outbox.push("a", charge(1, 1), 0, T0).unwrap();
    for attempt in 1..=3 {
        dispatch(&mut outbox, attempt, T0);
        let end = settle(&mut outbox, id, Verdict::Again, T0);
        assert_eq!(end, if attempt < 3 { "retrying" } else { "failed" });
    }
}

#[test]
fn what_a_429_holds_back_leaves_room_for_other_groups() {
    let mut outbox = outbox();
    outbox.push("a", charge(100, 1), 0, T0).unwrap();
    let id = dispatch(&mut outbox, 1, T0);
    let throttled = Verdict::Throttled {
        retry_after_ms: Some(3_000),
    };
    settle(&mut outbox, id, throttled, T0);
    assert_eq!(outbox.register.held_bytes, 100);
    assert!(outbox.push("a", charge(650, 1), 0, T0).is_ok());
    assert_eq!(outbox.push("a", charge(1, 1), 0, T0), Err("a"));
    assert!(
        matches!(outbox.next(T0), Next::Idle),
        "moved behind the gate"
    );
    assert_eq!(outbox.register.held_bytes, 750, "counted once");
    assert!(outbox.push("b", charge(250, 2), 0, T0).is_ok());
    let later = T0.after(4_000);
    for token in 2..4 {
        let id = dispatch(&mut outbox, token, later);
        settle(&mut outbox, id, Verdict::Delivered, later);
    }
    let id = dispatch(&mut outbox, 4, later);
    settle(&mut outbox, id, Verdict::Delivered, later);
    assert_eq!(
        (outbox.register.held_bytes, outbox.len(), outbox.bytes()),
        (0, 0, 0)
    );
}
