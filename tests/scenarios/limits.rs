//! Budgets: pending bytes, collected bytes, calls in flight.

use crate::edge::{Edge, config, envelope};
use crate::everywhere;
use test_host::{Profile, Reply, Request};

everywhere!(
    a_full_outbox_drops_the_new_copy,
    calls_in_flight_are_bounded,
    bodies_that_are_collected_count_too,
    open_requests_are_bounded_too,
    copies_without_a_body_are_bounded_too,
    a_backlog_leaves_in_small_groups,
);

const BUDGET: i64 = 100_000;

fn full() -> String {
    config(r#", "limits": {"max_pending_bytes": 100000}"#)
}

fn a_full_outbox_drops_the_new_copy<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &full());
    for _ in 0..20 {
        edge.send(&Request::post("/api/42/envelope/").body_in(&[b'x'; 10_000], 3_000));
        edge.advance(5);
        assert!(edge.rum("pending_bytes") <= BUDGET);
        edge.check_books();
    }
    let [captured, .., dropped, pending] = edge.books();
    assert_eq!((captured, dropped + pending), (20, 20));
    assert!(dropped > 0 && pending > 5, "{:?}", edge.books());
    // Every answer makes room.
    for _ in 0..40 {
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(200));
        }
        edge.advance(5);
    }
    assert_eq!(edge.books(), [20, pending, 0, dropped, 0]);
    edge.envelope();
}

fn calls_in_flight_are_bounded<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(r#", "limits": {"max_in_flight": 3}"#));
    for _ in 0..10 {
        edge.send(&envelope(42));
    }
    edge.advance(10);
    let bound = if edge.is_nginx() {
        usize::from(E::LANES.min(3))
    } else {
        3
    };
    let mut sent = 0;
    while sent < 10 {
        let calls = edge.calls();
        assert!(!calls.is_empty() && calls.len() <= bound, "{}", calls.len());
        assert_eq!(edge.rum("in_flight"), i64::try_from(calls.len()).unwrap());
        for call in calls {
            edge.reply(call.token, &Reply::status(200));
            sent += 1;
        }
        edge.advance(5);
    }
    assert_eq!(edge.books(), [10, 10, 0, 0, 0]);
}

fn bodies_that_are_collected_count_too<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // One call with the whole body: nothing is ever half collected.
        return;
    }
    let mut edge = E::start(profile, &full());
    let streams: Vec<u32> = (0..12)
        .map(|_| edge.open(&Request::post("/api/42/envelope/")))
        .collect();
    for stream in &streams {
        edge.body(*stream, &[b'x'; 10_000], false);
    }
    edge.advance(200);
    let dropped = edge.rum("dropped");
    // Together they may hold half of the budget.
    assert!((7..=9).contains(&dropped), "{dropped}");
    let held = edge.rum("collecting_bytes");
    assert!((40_000..=BUDGET / 2).contains(&held), "{held}");
    for stream in streams {
        edge.abort(stream);
    }
    edge.advance(200);
    assert_eq!(edge.rum("skipped.aborted"), 12 - dropped);
    edge.check_books();
    // Everything was given back.
    assert_eq!(edge.rum("collecting_bytes"), 0);
    edge.send(&Request::post("/api/42/envelope/").body_in(&[b'x'; 45_000], 9_000));
    edge.advance(5);
    assert_eq!(edge.calls().len(), 1);
}

/// Clients that open requests and send nothing.
fn open_requests_are_bounded_too<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &full());
    let streams: Vec<u32> = (0..1_000)
        .map(|_| edge.open(&Request::post("/api/42/envelope/").header("content-length", "10")))
        .collect();
    let dropped = edge.rum("dropped");
    assert!(dropped > 800, "{dropped}");
    for stream in streams {
        edge.abort(stream);
    }
    assert_eq!(edge.rum("skipped.aborted"), 1_000 - dropped);
    edge.check_books();
    edge.envelope();
}

fn copies_without_a_body_are_bounded_too<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &full());
    for _ in 0..1_000 {
        edge.send(&Request::post("/api/42/envelope/").chunk(b""));
    }
    edge.advance(5);
    let [captured, .., dropped, pending] = edge.books();
    assert_eq!(captured, 1_000);
    assert!(pending < 200 && dropped > 800, "{:?}", edge.books());
    edge.check_books();
}

/// What was held back together does not leave together: the worker has other clients.
fn a_backlog_leaves_in_small_groups<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &Reply::status(429).header("retry-after", "1"));
    for _ in 0..100 {
        edge.send(&envelope(42));
    }
    let (mut sent, mut most) = (0, 0);
    for _ in 0..2_600 {
        edge.advance(1);
        let calls = edge.calls();
        most = most.max(calls.len());
        for call in calls {
            edge.reply(call.token, &Reply::status(200));
            sent += 1 + edge
                .calls()
                .into_iter()
                .map(|call| edge.reply(call.token, &Reply::status(200)))
                .count();
        }
    }
    assert_eq!(sent, 101);
    assert!(most <= 16, "{most} in a millisecond");
    assert_eq!(edge.books(), [101, 101, 0, 0, 0]);
}
