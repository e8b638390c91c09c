//! Contexts that end in an order in which no host ends them, and callbacks for contexts that are not there.

use super::mode::{EVERYWHERE, Mode};
use crate::edge::Edge;
use crate::module::Module;
use std::collections::BTreeMap;
use test_host::{Profile, Reply, Request, Response};

/// How far a stream has come when its root context ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Headers,
    Body,
    /// The request is complete.
    Complete,
    /// The target has answered.
    Answered,
}

const STAGES: [Stage; 4] = [
    Stage::Headers,
    Stage::Body,
    Stage::Complete,
    Stage::Answered,
];

/// A worker that has its key.
fn ready(mode: Mode, profile: Profile) -> Module {
    let mut edge = mode.start(profile);
    edge.advance(5);
    mode.fetch_keys(&mut edge);
    edge
}

fn open(edge: &mut Module, mode: Mode, stage: Stage) -> u32 {
    let request = mode.ordinary(edge.profile());
    let body = request.body();
    let stream = edge.host.open(&Request {
        chunks: Vec::new(),
        ..request.streamed()
    });
    if stage != Stage::Headers {
        edge.host.body(stream, &body[..2], false);
    }
    if matches!(stage, Stage::Complete | Stage::Answered) {
        edge.host.body(stream, &body[2..], true);
    }
    if stage == Stage::Answered && mode.has_left(&edge.host.so_far(stream)) {
        edge.host.respond(stream, &Response::status(200));
    }
    stream
}

/// What is to come of a stream comes after its root context.
fn go_on(edge: &mut Module, mode: Mode, stage: Stage, stream: u32) {
    let had_left = edge.host.so_far(stream).upstream.headers.is_some();
    if matches!(stage, Stage::Headers | Stage::Body) {
        edge.host.body(stream, b"{}", false);
        edge.host.body(stream, b"\n", true);
    }
    if mode.has_left(&edge.host.so_far(stream)) {
        edge.host.respond(stream, &Response::status(200));
    }
    let seen = edge.host.close(stream);
    mode.check_exchange(&seen, true);
    assert_eq!(
        seen.upstream.headers.is_some(),
        had_left,
        "{mode:?} {stage:?}"
    );
    assert!(
        !had_left || seen.upstream.ended,
        "{mode:?} {stage:?}: held in the middle"
    );
    assert_eq!(
        seen.downstream.headers.is_some(),
        had_left || seen.local_response.is_some()
    );
}

/// Whether a request that nothing is known of waits. On nginx the location answers what was not put in place, and after a
/// trap all requests under way are unknown: they go on.
fn waits(mode: Mode, profile: Profile) -> bool {
    mode.holds() && profile == Profile::Envoy
}

/// Nothing waits, is held, or is on its way any more.
fn assert_at_rest(metrics: &BTreeMap<String, i64>) {
    let gauges = ["pending", "pending_bytes", "in_flight", "queued"];
    for (name, value) in metrics {
        let (_, what) = name.rsplit_once('.').unwrap();
        assert!(
            *value == 0 || !gauges.contains(&what),
            "{name} is {value}: {metrics:#?}"
        );
    }
}

fn ends_first(mode: Mode, profile: Profile, with_done: bool) {
    let mut edge = ready(mode, profile);
    let streams = STAGES.map(|stage| (stage, open(&mut edge, mode, stage)));
    let root = edge.host.current_root();
    edge.host.end_root_first(root, with_done);

    let metrics = edge.host.metrics();
    assert_at_rest(&metrics);
    let count = |name: &str| metrics[&format!("sentry_edge_mirror.{name}")];
    match mode {
        Mode::Sign | Mode::SignWithRole => {
            let books = ["received", "signed", "aborted", "unanswered"];
            assert_eq!(
                books.map(|what| count(&format!("sign.{what}"))),
                [4, 2, 2, 1]
            );
        }
        Mode::Rewrite | Mode::RewriteWithLogs => {
            let books = ["captured", "delivered", "failed", "dropped"];
            assert_eq!(
                books.map(|what| count(&format!("rum.{what}"))),
                [4, 1, 3, 0]
            );
        }
        Mode::FastAck | Mode::Rum | Mode::Both | Mode::Role => {}
    }
    let aborted = |leg: &str| count(&format!("{leg}.skipped.aborted"));
    if mode.has_rum() && !matches!(mode, Mode::Rewrite | Mode::RewriteWithLogs) {
        assert_eq!(aborted("rum"), 2, "{mode:?} {profile:?}");
        assert_eq!(
            (count("rum.captured"), count("rum.dropped")),
            (2, 2),
            "{mode:?} {profile:?}"
        );
    }
    if mode.has_logs() {
        assert_eq!(aborted("sls"), 2, "{mode:?} {profile:?}");
    }
    assert_eq!(mode.check_books(&mut edge), 0);

    for call in edge.host.take_calls() {
        let answered = edge
            .host
            .try_reply_to(root, call.token, &Reply::status(200));
        answered.unwrap_or_else(|trap| trap.raise());
    }
    for (stage, stream) in streams {
        go_on(&mut edge, mode, stage, stream);
    }
    edge.advance(20_000);
    assert_eq!(
        edge.host.metrics(),
        metrics,
        "what is over is not counted again"
    );
}

#[test]
fn a_root_context_may_end_before_its_streams() {
    for (mode, profile) in EVERYWHERE {
        for with_done in [false, true] {
            ends_first(mode, profile, with_done);
        }
    }
}

/// Streams of the one that ended are not those of the next.
#[test]
fn another_root_context_serves_new_streams_meanwhile() {
    for (mode, profile) in EVERYWHERE {
        let mut edge = ready(mode, profile);
        let stages = [Stage::Headers, Stage::Complete];
        let streams = stages.map(|stage| (stage, open(&mut edge, mode, stage)));
        let root = edge.host.current_root();
        edge.host.end_root_first(root, true);
        edge.host.add_root(mode.config_for(profile));
        let seen = super::exchange(&mut edge, mode, &mode.ordinary(profile), 200);
        mode.check_exchange(&seen, true);
        for (stage, stream) in streams {
            go_on(&mut edge, mode, stage, stream);
        }
        edge.advance(10);
        super::end_with_books(&mut edge, mode);
    }
}

/// No host does that either: what the first configuration had open ends with it.
#[test]
fn a_root_context_may_be_configured_twice() {
    // nginx's tick can be set once only.
    for (mode, profile) in EVERYWHERE
        .into_iter()
        .filter(|(_, profile)| *profile == Profile::Envoy)
    {
        let mut edge = ready(mode, profile);
        let streams = STAGES.map(|stage| (stage, open(&mut edge, mode, stage)));
        let (root, size) = (edge.host.current_root(), mode.config_for(profile).len());
        let configured = edge
            .host
            .try_raw("proxy_on_configure", &[root, u32::try_from(size).unwrap()]);
        assert_eq!(configured.unwrap_or_else(|trap| trap.raise()), Some(1));
        assert_at_rest(&edge.host.metrics());
        for (stage, stream) in streams {
            go_on(&mut edge, mode, stage, stream);
        }
        super::exchange(&mut edge, mode, &mode.ordinary(profile), 200);
        edge.advance(10);
        super::end_with_books(&mut edge, mode);
    }
}

#[test]
fn callbacks_for_contexts_that_are_not_there() {
    for (mode, profile) in EVERYWHERE {
        let mut edge = mode.start(profile);
        super::exchange(&mut edge, mode, &mode.ordinary(profile), 200);
        edge.advance(5);
        let token = edge.calls().first().map_or(1, |call| call.token);
        mode.check_books(&mut edge);
        let before = edge.host.metrics();
        // What might be a held request waits.
        let waits = u32::from(waits(mode, profile));
        // Envoy's artefact has no such entry point.
        let goes_on = (profile == Profile::Nginx).then_some(0);
        for (callback, arguments, result) in [
            ("proxy_on_request_headers", &[99, 3, 0][..], Some(waits)),
            ("proxy_on_request_body", &[99, 3, 1], Some(waits)),
            ("proxy_on_request_trailers", &[99, 1], Some(waits)),
            ("proxy_on_response_headers", &[99, 1, 0], Some(0)),
            ("proxy_on_response_body", &[99, 1, 1], goes_on),
            ("proxy_on_log", &[99], None),
            ("proxy_on_tick", &[99], None),
            ("proxy_on_done", &[99], Some(1)),
            ("proxy_on_delete", &[99], None),
            ("proxy_on_http_call_response", &[99, token, 1, 0, 0], None),
            // A stream of a root context that is not there.
            ("proxy_on_context_create", &[99, 98], None),
            ("proxy_on_request_headers", &[99, 3, 1], Some(waits)),
            ("proxy_on_request_body", &[99, 3, 1], Some(waits)),
            ("proxy_on_done", &[99], Some(1)),
            ("proxy_on_delete", &[99], None),
        ] {
            let told = edge.host.try_raw(callback, arguments);
            let told = told.unwrap_or_else(|trap| trap.raise());
            assert_eq!(told, result, "{callback} in {mode:?}");
        }
        assert_eq!(edge.host.metrics(), before, "{mode:?} {profile:?}");
        edge.reply(token, &Reply::status(200));
        mode.check_books(&mut edge);
    }
}

/// A body without headers, and one after the end of its stream.
#[test]
fn a_body_at_the_wrong_time_does_not_go_on() {
    for (mode, profile) in EVERYWHERE {
        let mut edge = ready(mode, profile);
        let (root, early) = (edge.host.current_root(), 99);
        let late = open(&mut edge, mode, Stage::Headers);
        for (callback, arguments) in [
            ("proxy_on_context_create", &[early, root][..]),
            ("proxy_on_done", &[late]),
        ] {
            let told = edge.host.try_raw(callback, arguments);
            told.unwrap_or_else(|trap| trap.raise());
        }
        for stream in [early, late] {
            let told = edge.host.try_raw("proxy_on_request_body", &[stream, 2, 1]);
            let told = told.unwrap_or_else(|trap| trap.raise());
            let waits = u32::from(waits(mode, profile));
            assert_eq!(told, Some(waits), "{mode:?} {profile:?}");
        }
    }
}
