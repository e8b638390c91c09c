//! Bodies in every framing, and the ones that do not become a copy.

use crate::edge::{Edge, config, envelope};
use crate::everywhere;
use test_host::{Profile, Reply, Request};

everywhere!(
    a_body_in_any_pieces_is_the_same_body,
    a_request_without_a_body_is_copied,
    the_limit_is_exact,
    an_announced_length_over_the_limit_is_skipped_at_once,
    an_announced_length_that_lies_does_no_harm,
    an_announced_body_that_never_comes_is_not_copied,
    a_client_that_goes_away_leaves_nothing,
    interleaved_requests_do_not_mix,
);

const SMALL: &str = r#", "limits": {"max_body_bytes": 1000}"#;

fn body(size: usize) -> Vec<u8> {
    (0..=255).cycle().take(size).collect()
}

fn a_body_in_any_pieces_is_the_same_body<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let body = body(3_000);
    for size in [1, 7, 1_024, 2_999, 3_000] {
        let request = Request::post("/api/42/envelope/").body_in(&body, size);
        for request in [
            request.clone(),
            request.clone().ends_apart(),
            request.clone().header("content-length", "3000"),
            request.trailer("x-checksum", "1"),
        ] {
            edge.send(&request);
            edge.advance(5);
            let call = edge.call();
            assert!(call.body == body, "pieces of {size}");
            edge.reply(call.token, &Reply::status(200));
        }
    }
    edge.check_books();
}

fn a_request_without_a_body_is_copied<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let bare = Request::post("/api/42/envelope/");
    for request in [
        bare.clone().chunk(b""),
        bare.header("content-length", "0").chunk(b""),
    ] {
        edge.send(&request);
        edge.advance(5);
        let call = edge.call();
        assert!(call.body.is_empty());
        edge.reply(call.token, &Reply::status(400));
    }
    assert_eq!(edge.books(), [2, 0, 2, 0, 0]);
}

fn the_limit_is_exact<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(SMALL));
    for (size, sent) in [(999, true), (1_000, true), (1_001, false)] {
        for pieces in [size, 100, 1] {
            edge.send(&Request::post("/api/42/envelope/").body_in(&body(size), pieces));
            edge.advance(200);
            let calls = edge.calls();
            assert_eq!(
                calls.len(),
                usize::from(sent),
                "{size} in pieces of {pieces}"
            );
            for call in calls {
                assert!(call.body == body(size));
                edge.reply(call.token, &Reply::status(200));
            }
        }
    }
    assert_eq!(edge.rum("skipped.too_large"), 3);
    assert_eq!(edge.books(), [6, 6, 0, 0, 0]);
}

fn an_announced_length_over_the_limit_is_skipped_at_once<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(SMALL));
    let request = Request::post("/api/42/envelope/").header("content-length", "1001");
    edge.send(&request.body_in(&body(1_001), 100));
    edge.advance(200);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(
        (edge.rum("skipped.too_large"), edge.rum("captured")),
        (1, 0)
    );
}

fn an_announced_length_that_lies_does_no_harm<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    for length in ["1", "10000000", "99999999999999999999", "-5", "x", "5, 5"] {
        let request = Request::post("/api/42/envelope/").header("content-length", length);
        edge.send(&request.body_in(&body(300), 100));
        edge.advance(5);
        let call = edge.call();
        assert!(call.body == body(300), "{length}");
        edge.reply(call.token, &Reply::status(200));
    }
    edge.check_books();
}

/// Envoy 1.36 shows its filters such a request, and refuses it then.
fn an_announced_body_that_never_comes_is_not_copied<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    if edge.is_nginx() {
        return;
    }
    edge.headers(
        &Request::post("/api/42/envelope/").header("content-length", "2"),
        true,
    );
    edge.advance(200);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!((edge.rum("skipped.aborted"), edge.rum("captured")), (1, 0));
}

fn a_client_that_goes_away_leaves_nothing<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let stream = edge.open(&Request::post("/api/42/envelope/").header("content-length", "300"));
    if !edge.is_nginx() {
        edge.body(stream, &body(100), false);
    }
    edge.abort(stream);
    edge.advance(200);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!((edge.rum("skipped.aborted"), edge.rum("captured")), (1, 0));
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn interleaved_requests_do_not_mix<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // One call with the whole body: nothing to interleave.
        return;
    }
    let mut edge = E::start(profile, &config(""));
    let streams: Vec<u32> = (0..10)
        .map(|_| edge.open(&Request::post("/api/42/envelope/")))
        .collect();
    for part in 0..3_u8 {
        for (index, stream) in streams.iter().enumerate() {
            edge.body(*stream, &[part, u8::try_from(index).unwrap()], part == 2);
        }
    }
    edge.advance(5);
    let mut bodies: Vec<Vec<u8>> = edge.calls().into_iter().map(|call| call.body).collect();
    bodies.sort();
    let expected: Vec<Vec<u8>> = (0..10).map(|n| vec![0, n, 1, n, 2, n]).collect();
    assert_eq!(bodies, expected);
    edge.send(&envelope(42));
    edge.check_books();
}
