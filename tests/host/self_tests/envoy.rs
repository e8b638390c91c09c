//! Envoy: ticks, calls, metrics, reload.

use super::{run, said};
use test_host::{Guest, Host, Options, Profile, Reply, Request, StartError};

/// Ticks every 10 ms; the third tick makes it 4 ms, the fifth stops.
const CHANGING_TICKS: &str = r#"
    (global $n (mut i32) (i32.const 0))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $period (i32.const 10)) (call $one))
    (func (export "proxy_on_tick") (param i32)
        (global.set $n (i32.add (global.get $n) (i32.const 1)))
        (if (i32.eq (global.get $n) (i32.const 3)) (then (call $period (i32.const 4))))
        (if (i32.eq (global.get $n) (i32.const 5)) (then (call $period (i32.const 0)))))"#;

#[test]
fn a_tick_repeats_until_it_is_changed_and_zero_stops_it() {
    let mut host = run(Profile::Envoy, CHANGING_TICKS);
    let mut at = Vec::new();
    for ms in 1..=100 {
        let before = host.ticks();
        host.advance(1);
        if host.ticks() > before {
            at.push(ms);
        }
    }
    assert_eq!(at, [10, 20, 30, 34, 38]);
    assert!(!host.is_ticking());
}

#[test]
fn one_long_advance_runs_every_due_tick_at_its_time() {
    let mut host = run(Profile::Envoy, CHANGING_TICKS);
    host.advance(1000);
    assert_eq!((host.ticks(), host.now_ms()), (5, 1000));
}

#[test]
fn an_http_context_starts_the_ticks_of_its_root() {
    let mut host = run(
        Profile::Envoy,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call $period (i32.const 7)) (call $zero))"#,
    );
    assert!(!host.is_ticking());
    host.send(&Request::get("/"));
    assert_eq!(host.tick_period(host.current_root()), Some(7));
}

/// Dispatches to `up` on every tick and says the status, then the token; says the token of each reply.
const CALLER: &str = r#"
    (data (i32.const 64) "up")
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $period (i32.const 1)) (call $one))
    (func (export "proxy_on_tick") (param i32)
        (call $say (call $dispatch (i32.const 64) (i32.const 2)))
        (call $say (i32.load (i32.const 0))))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (call $say (i32.const 9999)) (call $say (local.get 1)) (call $say (local.get 2)))"#;

#[test]
fn a_call_is_recorded_with_all_it_carries() {
    let mut host = run(Profile::Envoy, CALLER);
    host.advance(1);
    let call = host.only_call();
    assert_eq!(
        (
            call.upstream.as_str(),
            call.path().as_str(),
            call.timeout_ms
        ),
        ("up", "/", 1000)
    );
    assert_eq!(
        (call.root, call.context, call.callback, call.at_ms),
        (1, 1, "proxy_on_tick", 1)
    );
    assert_eq!(host.in_flight(), [call.token]);
}

#[test]
fn a_refused_dispatch_shows_its_status_and_is_not_recorded() {
    let mut host = run(Profile::Envoy, CALLER);
    host.refuse_dispatches(1, 10);
    host.advance(1);
    assert_eq!(said(&host), ["10", "0"]);
    assert!(host.calls().is_empty());
    host.advance(1);
    assert_eq!(said(&host)[2..], ["0", "4"]);
}

#[test]
fn an_unknown_cluster_is_a_bad_argument() {
    let options = Options {
        clusters: Some(vec!["other".into()]),
        ..Options::new("")
    };
    let mut host = Host::new(Profile::Envoy, &Guest::wat(CALLER), options);
    host.advance(1);
    assert_eq!(said(&host), ["2", "0"]);
}

#[test]
fn replies_reach_the_guest_even_twice_late_and_with_unknown_tokens() {
    let mut host = run(Profile::Envoy, CALLER);
    host.advance(1);
    let token = host.only_call().token;
    host.take_logs();
    host.reply(token, &Reply::status(200).header("retry-after", "3"));
    assert!(host.in_flight().is_empty());
    host.reply(token, &Reply::status(200));
    host.reply_empty(77);
    assert_eq!(
        said(&host),
        ["9999", "4", "2", "9999", "4", "1", "9999", "77", "0"]
    );
}

#[test]
fn timeouts_happen_by_themselves_only_when_asked_for() {
    let count = |enforce_timeouts| {
        let mut host = Host::new(
            Profile::Envoy,
            &Guest::wat(CALLER),
            Options {
                enforce_timeouts,
                ..Options::new("")
            },
        );
        host.advance(1001);
        said(&host).iter().filter(|text| *text == "9999").count()
    };
    assert_eq!((count(false), count(true)), (0, 1));
}

/// Says the statuses of: counter +1, counter -1, gauge -3, histogram +1, an unknown id.
const METRICS: &str = r#"
    (func (export "proxy_on_tick") (param i32)
        (local $c i32)
        (local.set $c (call $metric (i32.const 0)))
        (call $say (call $proxy_increment_metric (local.get $c) (i64.const 1)))
        (call $say (call $proxy_increment_metric (local.get $c) (i64.const -1)))
        (i32.store8 (i32.const 1016) (i32.const 103))
        (call $say (call $proxy_increment_metric (call $metric (i32.const 1)) (i64.const -3)))
        (i32.store8 (i32.const 1016) (i32.const 104))
        (local.set $c (call $metric (i32.const 2)))
        (call $say (call $proxy_increment_metric (local.get $c) (i64.const 1)))
        (call $say (call $proxy_record_metric (local.get $c) (i64.const 250)))
        (call $say (call $proxy_increment_metric (i32.const 4444) (i64.const 1))))"#;

#[test]
fn counters_refuse_to_fall_and_gauges_may_be_negative() {
    let mut host = run(Profile::Envoy, METRICS);
    host.try_tick(1).unwrap();
    assert_eq!(said(&host), ["0", "2", "0", "2", "0", "1"]);
    assert_eq!(
        (host.metric("m"), host.metric("g"), host.samples("h")),
        (1, -3, vec![250])
    );
    assert_eq!(host.find_metric("never"), None);
}

#[test]
#[should_panic(expected = "was never defined")]
fn a_misspelt_metric_fails_the_test() {
    run(Profile::Envoy, METRICS).metric("mm");
}

/// A root context whose `on_done` says "not yet" and that is done when the reply to its call comes.
const SLOW_TO_END: &str = r#"
    (data (i32.const 64) "up")
    (func (export "proxy_on_tick") (param i32) (drop (call $dispatch (i32.const 64) (i32.const 2))))
    (func (export "proxy_on_done") (param $id i32) (result i32)
        (call $say (i32.const 500))
        (i32.gt_u (local.get $id) (i32.const 2)))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) (call $say (call $proxy_done)))
    (func (export "proxy_on_delete") (param $id i32) (call $say (i32.add (i32.const 600) (local.get $id))))"#;

#[test]
fn a_reload_ends_the_old_root_when_its_streams_and_its_calls_have() {
    let mut host = run(Profile::Envoy, SLOW_TO_END);
    let old = host.current_root();
    host.try_tick(old).unwrap();
    let stream = host.open(&Request::post("/").streamed());

    let new = host.reload("other").unwrap();
    assert_ne!(old, new);
    assert!(
        said(&host).is_empty(),
        "the old root still has a stream: {:?}",
        said(&host)
    );
    assert_eq!(host.close(stream).root, old);
    assert_eq!(
        said(&host),
        ["500", "602", "500"],
        "on_done of the stream, on_delete of it, on_done of the root"
    );
    assert!(!host.is_gone(old));

    host.reply(host.only_call().token, &Reply::status(200));
    assert!(host.is_gone(old) && !host.is_gone(new));
    assert_eq!(said(&host)[3..], ["0", "601"]);
    assert_eq!(host.send(&Request::get("/")).root, new);
}

#[test]
fn proxy_done_without_a_pending_on_done_is_not_found() {
    let mut host = run(Profile::Envoy, SLOW_TO_END);
    host.try_tick(1).unwrap();
    host.reply(1, &Reply::status(200));
    assert_eq!(said(&host), ["1"]);
}

/// Refuses a configuration of 3 bytes.
const CHOOSY: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.ne (local.get 1) (i32.const 3)))"#;

#[test]
fn a_rejected_reload_leaves_the_old_root_alone() {
    let mut host = run(Profile::Envoy, CHOOSY);
    let old = host.current_root();
    assert!(matches!(
        host.reload("bad"),
        Err(StartError::Rejected {
            callback: "proxy_on_configure",
            ..
        })
    ));
    assert_eq!(host.current_root(), old);
    host.send(&Request::get("/")).assert_untouched();
}

#[test]
fn instances_beside_each_other_share_metrics() {
    let mut one = run(Profile::Envoy, METRICS);
    one.advance(5);
    let mut two = one.beside("config").unwrap();
    assert_eq!(two.now_ms(), 5);
    one.try_tick(1).unwrap();
    two.try_tick(1).unwrap();
    assert_eq!((one.metric("m"), two.metric("g")), (2, -6));
}

/// Writes `v` under `k` at each tick, if it still has version 7, or is not there, and says how that went.
const SHARING: &str = r#"(data (i32.const 64) "kv")
    (func (export "proxy_on_tick") (param i32)
        (i32.store8 (i32.const 80) (i32.add (i32.const 48)
            (call $proxy_set_shared_data (i32.const 64) (i32.const 1) (i32.const 65) (i32.const 1) (i32.const 7))))
        (drop (call $proxy_log (i32.const 2) (i32.const 80) (i32.const 1))))"#;

#[test]
fn shared_data_is_created_whatever_the_version_and_outlives_the_instance() {
    let mut one = run(Profile::Envoy, SHARING);
    let mut two = one.beside("config").unwrap();
    one.try_tick(1).unwrap();
    two.try_tick(1).unwrap();
    assert_eq!(said(&one), ["0"]);
    assert_eq!(said(&two), ["8"], "a mismatch");
    // Versions count the writes of all keys.
    for _ in 2..7 {
        two.share("other", "x");
    }
    two.share("k", "theirs");
    one.restart().unwrap();
    one.try_tick(1).unwrap();
    assert_eq!(one.shared_data()["k"], b"v");
    two.try_tick(1).unwrap();
    assert_eq!(said(&two), ["8", "8"]);
}

#[test]
fn the_wall_clock_may_jump_without_disturbing_the_ticks() {
    let mut host = run(Profile::Envoy, CHANGING_TICKS);
    let start = host.wall_ms();
    host.jump_wall_clock(-5000);
    host.advance(10);
    assert_eq!((host.ticks(), host.wall_ms()), (1, start - 4990));
}
