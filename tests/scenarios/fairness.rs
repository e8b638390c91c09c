//! One that is dead, slow or huge does not take what the others need.

use crate::edge::{Edge, config, envelope};
use crate::everywhere;
use test_host::{Profile, Reply, Request};

everywhere!(
    a_dead_upstream_takes_nothing_from_another,
    an_upstream_that_hangs_leaves_calls_to_another,
    a_throttled_project_leaves_room_for_another,
    huge_bodies_that_trickle_leave_room_for_small_ones,
);

/// 42 goes to one upstream, 43 to another.
fn two_upstreams(limits: &str) -> String {
    let own = r#""upstream": "other.test:80", "authority": "other.example.com""#;
    format!(
        r#"{{"host": "HOST", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com", "projects": {{
            "42": {{"workspace": "ws", "service_id": "web@42"}},
            "43": {{"workspace": "ws", "service_id": "api@43", {own}}}}}}},
            "limits": {{{limits}}}, "retry": {{"max_attempts": 100}}}}"#
    )
}

fn large(project: u64) -> Request {
    Request::post(&format!("/api/{project}/envelope/")).body_in(&[b'x'; 5_000], 5_000)
}

/// Answers all calls: those of one path with `bad`, the others with 200.
fn answer<E: Edge>(edge: &mut E, bad_path: &str, bad: &Reply) -> usize {
    let mut delivered = 0;
    for call in edge.calls() {
        let is_bad = call.path().contains(bad_path);
        delivered += usize::from(!is_bad);
        let taken = Reply::status(200);
        edge.reply(call.token, if is_bad { bad } else { &taken });
    }
    delivered
}

fn a_dead_upstream_takes_nothing_from_another<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &two_upstreams(r#""max_pending_bytes": 100000"#));
    let mut delivered = 0;
    for _ in 0..60 {
        edge.send(&large(43));
        edge.send(&large(42));
        for _ in 0..20 {
            edge.advance(20);
            delivered += answer(&mut edge, "/api/43/", &Reply::status(503));
        }
    }
    assert_eq!(delivered, 60, "{:?}", edge.books());
    let [captured, taken, failed, dropped, pending] = edge.books();
    assert_eq!((captured, taken, failed), (120, 60, 0));
    assert!(dropped > 30 && pending > 10, "{:?}", edge.books());
    assert!(edge.rum("pending_bytes") <= 75_000);
    edge.check_books();
}

fn an_upstream_that_hangs_leaves_calls_to_another<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // One call at a time: the hanging one's timeout is everybody's. They take turns then.
        return;
    }
    let mut edge = E::start(profile, &two_upstreams(r#""max_in_flight": 8"#));
    for _ in 0..50 {
        edge.send(&envelope(43));
    }
    edge.advance(50);
    assert_eq!(edge.calls().len(), 6);
    for _ in 0..50 {
        edge.send(&envelope(42));
        edge.advance(5);
        let call = edge.call();
        assert!(call.path().contains("/api/42/"));
        edge.reply(call.token, &Reply::status(200));
    }
    assert_eq!(edge.books(), [100, 50, 0, 0, 50]);
}

fn a_throttled_project_leaves_room_for_another<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config(r#", "limits": {"max_pending_bytes": 100000}"#),
    );
    let throttled = Reply::status(429).header("retry-after", "60");
    let mut delivered = 0;
    for _ in 0..60 {
        edge.send(&large(43));
        edge.send(&large(42));
        edge.advance(20);
        delivered += answer(&mut edge, "/api/43/", &throttled);
        edge.advance(20);
        delivered += answer(&mut edge, "/api/43/", &throttled);
    }
    assert_eq!(delivered, 60, "{:?}", edge.books());
    let [captured, taken, failed, dropped, pending] = edge.books();
    assert_eq!((captured, taken, failed), (120, 60, 0));
    assert_eq!(dropped + pending, 60);
    assert!(dropped > 30 && edge.rum("pending_bytes") <= 75_000 + 6_000);
    edge.check_books();
}

fn huge_bodies_that_trickle_leave_room_for_small_ones<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // The body comes in one call, with the end.
        return;
    }
    let mut edge = E::start(
        profile,
        &config(r#", "limits": {"max_pending_bytes": 16777216}"#),
    );
    let huge = Request::post("/api/43/envelope/").header("content-length", "10000000");
    let streams: Vec<u32> = (0..20).map(|_| edge.open(&huge)).collect();
    let piece = vec![b'x'; 262_144];
    for _ in 0..40 {
        for stream in &streams {
            edge.body(*stream, &piece, false);
        }
        edge.send(&Request::post("/api/42/envelope/").body_in(&[b'x'; 200_000], 50_000));
        edge.advance(5);
        let call = edge.call();
        assert!(call.path().contains("/api/42/"));
        edge.reply(call.token, &Reply::status(200));
    }
    for stream in streams {
        edge.abort(stream);
    }
    let [captured, delivered, _, dropped, pending] = edge.books();
    assert_eq!((delivered, pending), (40, 0));
    assert_eq!(captured, 40 + dropped, "only huge ones were dropped");
    assert!(dropped > 0);
    edge.check_books();
}
