//! Mode `rewrite` with `fast_ack`: the request is answered when it is complete, and delivered from the outbox. Where that
//! is not possible it goes on in place.

use crate::at_a_target;
use crate::edge::{Edge, Refusal, envelope, rewriting};
use crate::rewrite;
use crate::sls;
use test_host::{Profile, Reply, Request};

at_a_target! {
    Envoy as core_as_envoy, module_in_envoy:
        it_is_answered_before_rum_is_asked,
        it_is_tried_again_as_in_tee,
        it_waits_for_its_end,
        a_copy_without_a_body,
        an_announced_body_that_never_comes_is_not_copied,
        without_room_it_goes_on_in_place,
        room_that_ends_in_the_middle,
        a_large_one_goes_on_in_place,
        a_body_that_cannot_be_read_goes_on_in_place,
        an_answer_that_is_refused_lets_it_go,
        one_that_goes_away_leaves_nothing,
        one_whose_body_never_comes_is_explained,
        one_that_is_slow_is_answered_and_not_delivered,
        the_proxy_ends_it_itself,
        both_legs_share_the_body,
        without_room_for_rum_the_logs_are_made_all_the_same,
        a_basic_user_is_judged_as_in_tee;
}

fn fast(extra: &str) -> String {
    rewriting(&format!(r#", "fast_ack": true {extra}"#)).replace(
        r#""authority": "rum.example.com""#,
        r#""authority": "rum.example.com", "upstream": "rum.test:80""#,
    )
}

const SMALL: &str = r#", "limits": {"max_pending_bytes": 6000}"#;

fn it_is_answered_before_rum_is_asked<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let stream = target.upload(&envelope(42).header("cookie", "sid=secret"));
    target.seen(stream).assert_answered();
    target.close(stream);
    let edge = &mut target;
    let call = edge.call();
    assert_eq!(call.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
    assert_eq!(
        (call.body, call.upstream.as_str()),
        (envelope(42).body(), "rum.test:80")
    );
    assert_eq!(call.headers.get("cookie"), None);
    assert_eq!(edge.books(), [1, 0, 0, 0, 1]);
    edge.reply(call.token, &Reply::status(200));
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.rum("in_place"), 0);
    edge.check_books();
}

fn it_is_tried_again_as_in_tee<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    target.upload(&envelope(42));
    let edge = &mut target;
    for status in [502, 503, 200] {
        edge.advance(2_500);
        let call = edge.call();
        edge.reply(
            call.token,
            &Reply::status(status).header("x-envoy-upstream-service-time", "1"),
        );
    }
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.rum("retries"), 2);
}

fn it_waits_for_its_end<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let stream = target.open(&Request::post("/api/42/envelope/"));
    for piece in [&b"{}\n"[..], b"{\"type\":\"event\"}\n"] {
        target.body(stream, piece, false);
        let seen = target.seen(stream);
        assert_eq!((seen.headers.as_ref(), seen.answered()), (None, None));
    }
    target.body(stream, b"{}\n", true);
    target.seen(stream).assert_answered();
    let call = target.call();
    assert_eq!(call.body, b"{}\n{\"type\":\"event\"}\n{}\n");
    // The end alone.
    let stream = target.open(&Request::post("/api/42/envelope/"));
    target.body(stream, b"{}\n", false);
    target.body(stream, b"", true);
    target.seen(stream).assert_answered();
    assert_eq!(target.call().body, b"{}\n");
}

fn a_copy_without_a_body<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let stream = target.upload(&Request::post("/api/42/envelope/"));
    target.seen(stream).assert_answered();
    assert!(target.call().body.is_empty());
}

fn an_announced_body_that_never_comes_is_not_copied<T: Edge>(profile: Profile) {
    let config = fast(&format!(", {}", sls::section("")));
    rewrite::no_body_comes(T::start(profile, &config));
}

/// Fills the budget with a copy that RUM does not answer.
fn fill<T: Edge>(target: &mut T) {
    let stream = target.upload(&Request::post("/api/42/envelope/").chunk(vec![b'x'; 3_000]));
    target.seen(stream).assert_answered();
    target.close(stream);
    target.call();
}

fn without_room_it_goes_on_in_place<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(SMALL));
    fill(&mut target);
    // Known from the beginning, and known at the end.
    let body = vec![b'y'; 3_000];
    for request in [
        Request::post("/api/42/envelope/").header("content-length", "3000"),
        Request::post("/api/42/envelope/"),
    ] {
        let stream = target.upload(&request.chunk(&body).header("cookie", "sid=secret"));
        let seen = target.seen(stream);
        assert_eq!(seen.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
        assert_eq!((seen.header("cookie"), seen.answered()), (None, None));
        assert!(seen.body == body && seen.ended);
        target.answer(stream, 200);
        target.close(stream);
    }
    let edge = &mut target;
    assert_eq!(edge.books(), [3, 2, 0, 0, 1]);
    assert_eq!((edge.rum("in_place"), edge.rum("dropped")), (2, 0));
}

fn room_that_ends_in_the_middle<T: Edge>(profile: Profile) {
    let limits = r#", "limits": {"max_pending_bytes": 8000}"#;
    let mut target = T::start(profile, &fast(limits));
    fill(&mut target);
    let stream = target.open(&Request::post("/api/42/envelope/"));
    target.body(stream, &[b'a'; 500], false);
    assert_eq!(target.seen(stream).headers, None);
    target.body(stream, &[b'b'; 2_000], false);
    let seen = target.seen(stream);
    assert_eq!((seen.body.len(), seen.ended), (2_500, false));
    assert_eq!(seen.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
    target.body(stream, &[b'c'; 500], true);
    let seen = target.seen(stream);
    assert_eq!((seen.body.len(), seen.ended), (3_000, true));
    target.answer(stream, 503);
    assert_eq!(target.books(), [2, 0, 1, 0, 1]);
    assert_eq!(target.rum("bytes"), 3_000 + 3_000);
}

fn a_large_one_goes_on_in_place<T: Edge>(profile: Profile) {
    let limits = r#", "limits": {"max_body_bytes": 1000}"#;
    let mut target = T::start(profile, &fast(limits));
    let large = Request::post("/api/42/envelope/").body_in(&[b'x'; 1_001], 400);
    for request in [large.clone(), large.header("content-length", "1001")] {
        let stream = target.upload(&request);
        let seen = target.seen(stream);
        assert_eq!(
            (seen.body.len(), seen.ended, seen.answered()),
            (1_001, true, None)
        );
        target.answer(stream, 200);
    }
    assert_eq!(target.books(), [2, 2, 0, 0, 0]);
    assert_eq!(target.rum("skipped.too_large"), 0);
}

fn a_body_that_cannot_be_read_goes_on_in_place<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    target.fault(Refusal::Body, 1);
    let stream = target.upload(&envelope(42));
    let seen = target.seen(stream);
    assert_eq!(
        (seen.body.clone(), seen.answered()),
        (envelope(42).body(), None)
    );
    target.answer(stream, 200);
    assert_eq!(target.books(), [1, 1, 0, 0, 0]);
}

fn an_answer_that_is_refused_lets_it_go<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    target.fault(Refusal::Answer, 1);
    let stream = target.upload(&envelope(42));
    let seen = target.seen(stream);
    assert_eq!((seen.body, seen.ended), (envelope(42).body(), true));
    assert!(target.calls().is_empty(), "once, not twice");
    target.answer(stream, 200);
    assert_eq!(target.books(), [1, 1, 0, 0, 0]);
}

fn one_that_goes_away_leaves_nothing<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let stream = target.open(&Request::post("/api/42/envelope/"));
    target.body(stream, b"{}\n", false);
    target.close(stream);
    let edge = &mut target;
    assert_eq!((edge.rum("skipped.aborted"), edge.rum("captured")), (1, 0));
    assert!(!edge.is_ticking());
    edge.check_books();
}

fn one_that_is_slow_is_answered_and_not_delivered<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let [slow, gone] = [(); 2].map(|()| {
        let stream = target.open(&Request::post("/api/42/envelope/"));
        target.body(stream, b"{}\n", false);
        stream
    });
    target.advance(29_500);
    assert_eq!(target.rum("skipped.slow"), 0);
    target.advance(4_000);
    assert_eq!(target.rum("skipped.slow"), 2);
    assert_eq!(target.rum("collecting_bytes"), 0);
    target.body(slow, b"{\"type\":\"event\"}\n", false);
    target.seen(slow).assert_answered();
    target.close(slow);
    target.close(gone);
    let edge = &mut target;
    edge.advance(1_000);
    assert!(edge.calls().is_empty());
    assert_eq!(
        (edge.rum("skipped.slow"), edge.rum("skipped.aborted")),
        (2, 0)
    );
    assert_eq!(edge.books(), [0; 5]);
}

/// Envoy's own buffer may be smaller than `max_body_bytes`: then it answers 413.
fn the_proxy_ends_it_itself<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    for (status, reason) in [(413, "too_large"), (408, "aborted")] {
        let stream = target.open(&Request::post("/api/42/envelope/"));
        target.body(stream, b"{}\n", false);
        target.answer(stream, status);
        target.close(stream);
        assert_eq!(target.rum(&format!("skipped.{reason}")), 1);
    }
    assert_eq!(target.books(), [0; 5]);
}

fn both_legs_share_the_body<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(&format!(", {}", sls::section(""))));
    let stream = target.upload(&sls::events(&["one"]));
    target.seen(stream).assert_answered();
    let edge = &mut target;
    let copy = edge.call();
    assert_eq!(copy.body, sls::events(&["one"]).body());
    edge.reply(copy.token, &Reply::status(200));
    edge.advance(2_020);
    let write = edge.call();
    assert_eq!(sls::logs(&write).len(), 1);
    edge.reply(write.token, &sls::taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}

fn without_room_for_rum_the_logs_are_made_all_the_same<T: Edge>(profile: Profile) {
    let limits = r#", "limits": {"max_pending_bytes": 80000}"#;
    let config = fast(&format!("{limits}, {}", sls::section("")));
    let mut target = T::start(profile, &config);
    // RUM's half is used up, the other half is read and written: a log of this size does not linger.
    let padding = "x".repeat(7_000);
    for _ in 0..4 {
        let stream = target.upload(&sls::events(&[&padding]));
        target.seen(stream).assert_answered();
        target.advance(50);
        // RUM gives no answer, so its further copies may not even leave.
        for call in target.calls() {
            if call.upstream != "rum.test:80" {
                target.reply(call.token, &sls::taken());
            }
        }
    }
    for pieces in [10_000, 500] {
        let body = sls::events(&[&padding]).body();
        let stream = target.upload(&Request::post("/api/42/envelope/").body_in(&body, pieces));
        assert!(target.seen(stream).body == body, "it goes on");
        target.answer(stream, 200);
        target.advance(50);
        let write = target.call();
        assert!(sls::logs(&write)[0].contains(&padding), "the whole body");
        target.reply(write.token, &sls::taken());
    }
    assert_eq!(target.logs(), [6, 6, 0, 0, 0]);
    let [captured, delivered, _, dropped, _] = target.books();
    assert_eq!((captured, delivered, dropped), (6, 2, 0));
}

fn a_basic_user_is_judged_as_in_tee<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let basic = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6";
    target.upload(&envelope(42).header("authorization", basic));
    let call = target.call();
    assert_eq!(call.header("authorization").as_deref(), Some(basic));
}

/// Without the filter's option Envoy keeps the body from the module, and the request hangs: the log says why.
fn one_whose_body_never_comes_is_explained<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &fast(""));
    let stream = target.open(&Request::post("/api/42/envelope/"));
    target.close(stream);
    target.advance(200);
    let log = target.log_lines();
    let line = "rewrite: a request ended before any of its body was seen";
    assert!(
        log.contains(line) && log.contains("allow_on_headers_stop_iteration"),
        "{log}"
    );
}
