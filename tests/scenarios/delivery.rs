//! Attempts, retries, rate limits and answers that are late, missing or too many.

use crate::edge::{Edge, config, envelope};
use crate::everywhere;
use test_host::{Profile, Reply};

everywhere!(
    what_the_target_says_decides,
    three_attempts_then_failed,
    a_refused_dispatch_is_tried_again,
    a_retry_sends_the_same_bytes,
    an_ambiguous_end_is_tried_again_only_on_request,
    a_429_holds_back_its_project_only,
    an_answer_that_never_comes_is_given_up,
    answers_that_nobody_waits_for_are_counted,
    an_old_copy_is_given_up,
);

fn from_target(status: u16) -> Reply {
    Reply::status(status).header("x-envoy-upstream-service-time", "1")
}

fn what_the_target_says_decides<E: Edge>(profile: Profile) {
    for (status, [delivered, failed, pending]) in [
        (200, [1, 0, 0]),
        (204, [1, 0, 0]),
        (301, [0, 1, 0]),
        (400, [0, 1, 0]),
        (401, [0, 1, 0]),
        (413, [0, 1, 0]),
        (500, [0, 1, 0]),
        (504, [0, 1, 0]),
        (429, [0, 0, 1]),
        (502, [0, 0, 1]),
        (503, [0, 0, 1]),
    ] {
        let mut edge = E::start(profile, &config(""));
        let call = edge.envelope();
        edge.reply(call.token, &from_target(status));
        assert_eq!(edge.books(), [1, delivered, failed, 0, pending], "{status}");
    }
}

fn three_attempts_then_failed<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(&envelope(42));
    for attempt in 1..=3 {
        edge.advance(2_500);
        let call = edge.call();
        assert_eq!(edge.rum("attempts"), attempt);
        edge.reply(call.token, &from_target(503));
    }
    assert_eq!(edge.books(), [1, 0, 1, 0, 0]);
    assert_eq!(edge.rum("retries"), 2);
    edge.advance(60_000);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn a_refused_dispatch_is_tried_again<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    // More often than there are attempts: nothing was sent.
    edge.refuse(5);
    edge.send(&envelope(42));
    edge.advance(5);
    assert_eq!((edge.calls().len(), edge.rum("pending")), (0, 1));
    let call = (0..40)
        .find_map(|_| {
            edge.advance(500);
            edge.calls().pop()
        })
        .expect("another try");
    edge.reply(call.token, &Reply::status(200));
    assert_eq!((edge.rum("attempts"), edge.rum("delivered")), (6, 1));
    edge.check_books();
}

fn a_retry_sends_the_same_bytes<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let first = edge.envelope();
    edge.reply(first.token, &from_target(502));
    edge.advance(500);
    let second = edge.call();
    assert_eq!((second.headers, second.body), (first.headers, first.body));
    edge.reply(second.token, &Reply::status(200));
    edge.check_books();
}

fn an_ambiguous_end_is_tried_again_only_on_request<E: Edge>(profile: Profile) {
    let timeout = || Reply::status(504).body("upstream request timeout");
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &timeout());
    assert_eq!(edge.books(), [1, 0, 1, 0, 0]);

    let mut edge = E::start(profile, &config(r#", "retry": {"ambiguous": true}"#));
    let call = edge.envelope();
    edge.reply(call.token, &timeout());
    edge.advance(500);
    let call = edge.call();
    edge.reply(call.token, &Reply::empty());
    edge.advance(1_000);
    let call = edge.call();
    edge.reply(call.token, &Reply::status(200));
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}

fn a_429_holds_back_its_project_only<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &from_target(429).header("retry-after", "10"));
    edge.send(&envelope(42));
    edge.send(&envelope(43));
    edge.advance(5);
    let other = edge.call();
    assert_eq!(other.path(), "/rum/sentry/ws/api@43/api/43/envelope/");
    edge.reply(other.token, &Reply::status(200));
    edge.advance(9_000);
    assert_eq!(edge.calls().len(), 0);
    // As much again at random comes on top.
    let mut sent = 0;
    for _ in 0..24 {
        edge.advance(500);
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(200));
            sent += 1;
        }
    }
    assert_eq!(sent, 2);
    assert_eq!(edge.books(), [3, 3, 0, 0, 0]);
}

fn an_answer_that_never_comes_is_given_up<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    if profile == Profile::Nginx {
        // It always tells, and the slot is taken until then.
        edge.advance(60_000);
        assert_eq!(edge.books(), [1, 0, 0, 0, 1]);
        edge.reply(call.token, &Reply::failed("timeout"));
        assert_eq!(edge.books(), [1, 0, 1, 0, 0]);
        return;
    }
    edge.advance(6_800);
    assert_eq!(edge.books(), [1, 0, 0, 0, 1]);
    edge.advance(200);
    assert_eq!(edge.books(), [1, 0, 1, 0, 0]);
    assert_eq!((edge.rum("in_flight"), edge.is_ticking()), (0, false));
    edge.reply(call.token, &Reply::status(200));
    assert_eq!(edge.books(), [1, 0, 1, 0, 0], "too late");
    assert_eq!(edge.rum("unexpected_replies"), 1);
}

fn answers_that_nobody_waits_for_are_counted<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &Reply::status(200));
    edge.reply(call.token, &Reply::status(200));
    edge.reply(4_711, &Reply::empty());
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.rum("unexpected_replies"), 2);
}

fn an_old_copy_is_given_up<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(r#", "retry": {"max_age_ms": 2000}"#));
    let call = edge.envelope();
    edge.reply(call.token, &from_target(429).header("retry-after", "1"));
    // Held back with the first one, and then it would be sent after three more seconds.
    edge.send(&envelope(42));
    for _ in 0..21 {
        edge.advance(100);
        for call in edge.calls() {
            edge.reply(call.token, &from_target(429).header("retry-after", "3"));
        }
    }
    edge.advance(5_000);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(edge.books(), [2, 0, 2, 0, 0]);
}
