//! nginx: every rule is broken once and must fail with its text; then how the host behaves to a filter that obeys.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{run, said};
use test_host::{Guest, Host, Options, Profile, Reply, Request, Rule};

const NGINX: Profile = Profile::Nginx;

/// The scenario must panic with the text of the rule.
fn breaks(rule: Rule, scenario: impl FnOnce()) {
    let panic = catch_unwind(AssertUnwindSafe(scenario)).expect_err("the rule was not enforced");
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(
        message.contains(rule.text()),
        "expected {rule:?}, got: {message}"
    );
}

fn on_tick(body: &str) -> String {
    format!(
        r#"(data (i32.const 64) "up.test:80") (func (export "proxy_on_tick") (param i32) {body})"#
    )
}

fn on_headers(body: &str) -> String {
    format!(
        r#"(data (i32.const 64) "up.test:80")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) {body} (call $zero))"#
    )
}

const DISPATCH: &str = "(drop (call $dispatch (i32.const 64) (i32.const 10)))";

fn breaks_on_tick(rule: Rule, body: &str) {
    let mut host = run(NGINX, &on_tick(body));
    breaks(rule, || host.try_tick(1).unwrap());
}

fn breaks_on_headers(rule: Rule, body: &str) {
    let mut host = run(NGINX, &on_headers(body));
    breaks(rule, || drop(host.send(&Request::post("/").chunk("x"))));
}

#[test]
fn the_tick_period_is_set_once_and_by_a_root_context() {
    breaks_on_tick(
        Rule::SecondTickPeriod,
        "(call $period (i32.const 5)) (call $period (i32.const 5))",
    );
    breaks_on_tick(
        Rule::SecondTickPeriod,
        "(call $period (i32.const 5)) (call $period (i32.const 0)) (call $period (i32.const 1))",
    );
    breaks_on_headers(Rule::TickFromHttp, "(call $period (i32.const 5))");
    breaks_on_headers(Rule::TickFromHttp, "(call $period (i32.const 0))");
}

#[test]
fn only_a_tick_of_a_root_context_dispatches() {
    breaks_on_headers(Rule::DispatchFromHttp, DISPATCH);
    let reply = format!(
        r#"(data (i32.const 64) "up.test:80")
           (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) {DISPATCH})"#
    );
    breaks(Rule::DispatchFromReply, || {
        run(NGINX, &reply).reply(1, &Reply::status(200))
    });
    let configure = format!(
        r#"(data (i32.const 64) "up.test:80")
           (func (export "proxy_on_configure") (param i32 i32) (result i32) {DISPATCH} (call $one))"#
    );
    breaks(Rule::DispatchOutsideTick, || drop(run(NGINX, &configure)));
}

#[test]
fn one_dispatch_is_in_flight_per_root_context() {
    breaks_on_tick(Rule::DispatchInFlight, &DISPATCH.repeat(2));
    let mut host = run(NGINX, &on_tick(DISPATCH));
    let lane = host.add_root("lane");
    host.try_tick(1).unwrap();
    host.try_tick(lane).unwrap();
    assert_eq!(host.in_flight(), [0, 1], "lanes have one each");
    host.reply(0, &Reply::status(200));
    host.try_tick(1).unwrap();
    breaks(Rule::DispatchInFlight, || host.try_tick(lane).unwrap());
}

#[test]
fn a_dispatch_has_a_valid_target_and_few_headers() {
    for target in [
        "cluster", ":80", "h:", "h:0", "h:65536", "h:+1", "a b:80", "a:b:80",
    ] {
        let guest = on_tick(&format!(
            "(drop (call $dispatch (i32.const 96) (i32.const {})))",
            target.len()
        )) + &format!(r#"(data (i32.const 96) "{target}")"#);
        breaks(Rule::DispatchTarget, || {
            run(NGINX, &guest).try_tick(1).unwrap()
        });
    }
    let ipv6 = on_tick("(drop (call $dispatch (i32.const 96) (i32.const 8)))")
        + r#"(data (i32.const 96) "[::1]:80")"#;
    run(NGINX, &ipv6).try_tick(1).unwrap();
    let bare = "(drop (call $proxy_http_call (i32.const 64) (i32.const 10) (i32.const 0) (i32.const 0) (i32.const 0)
        (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)))";
    breaks_on_tick(Rule::DispatchHeaders, bare);
    let options = Options {
        max_dispatch_headers: 2,
        ..Options::new("")
    };
    let mut host = Host::new(NGINX, &Guest::wat(&on_tick(DISPATCH)), options);
    breaks(Rule::DispatchHeaderCount, || host.try_tick(1).unwrap());
}

#[test]
fn metrics_are_used_as_their_kind_allows() {
    let id = |kind| format!("(call $metric (i32.const {kind}))");
    breaks_on_tick(
        Rule::HistogramRead,
        &format!("(drop (call $proxy_get_metric {} (i32.const 4)))", id(2)),
    );
    breaks_on_tick(
        Rule::MetricKind,
        &format!(
            "(drop (call $proxy_increment_metric {} (i64.const 1)))",
            id(1)
        ),
    );
    breaks_on_tick(
        Rule::MetricKind,
        &format!("(drop (call $proxy_record_metric {} (i64.const 1)))", id(0)),
    );
    breaks_on_tick(
        Rule::MetricUnknown,
        "(drop (call $proxy_get_metric (i32.const 77) (i32.const 4)))",
    );
}

#[test]
fn shared_data_needs_a_zone() {
    let get = "(drop (call $proxy_get_shared_data (i32.const 64) (i32.const 2) (i32.const 4) (i32.const 8) (i32.const 12)))";
    breaks_on_tick(Rule::SharedDataZone, get);
    let options = Options {
        shm_zone: true,
        ..Options::new("")
    };
    Host::new(NGINX, &Guest::wat(&on_tick(get)), options)
        .try_tick(1)
        .unwrap();
}

#[test]
fn a_refused_configuration_is_the_end() {
    let refuses =
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (call $zero))"#;
    breaks(Rule::ConfigureRefused, || drop(run(NGINX, refuses)));
}

#[test]
fn a_body_is_read_from_its_start_and_in_time() {
    let read = |start: u32| {
        format!(
            "(drop (call $proxy_get_buffer_bytes (i32.const 0) (i32.const {start}) (i32.const 9) (i32.const 4) (i32.const 8)))"
        )
    };
    breaks_on_headers(Rule::BodyStart, &read(1));
    breaks_on_tick(Rule::BodyOutsideRequest, &read(0));
}

#[test]
fn headers_are_changed_before_the_response() {
    let late = r#"(data (i32.const 64) "x")
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $proxy_remove_header_map_value (i32.const 0) (i32.const 64) (i32.const 1)))
            (call $zero))"#;
    breaks(Rule::HeadersAfterResponse, || {
        drop(run(NGINX, late).send(&Request::get("/")))
    });
}

#[test]
fn a_root_context_has_two_properties() {
    let get = |len: u32| {
        format!(
            "(call $say (call $proxy_get_property (i32.const 96) (i32.const {len}) (i32.const 4) (i32.const 8)))"
        )
    };
    let plain = on_tick(&get(11)) + r#"(data (i32.const 96) "plugin_name")"#;
    let mut host = run(NGINX, &plain);
    host.try_tick(1).unwrap();
    assert_eq!(said(&host), ["0"]);

    let envoys = on_tick(&get(12)) + r#"(data (i32.const 96) "plugin_vm_id")"#;
    breaks(Rule::PropertyUnsupported, || {
        run(NGINX, &envoys).try_tick(1).unwrap()
    });
    // In a debug build only.
    let own = on_tick(&get(9)) + r#"(data (i32.const 96) "worker_id")"#;
    let mut host = run(NGINX, &own);
    host.try_tick(1).unwrap();
    assert_eq!(said(&host), ["1"]);

    let dotted = on_tick(&get(14)) + r#"(data (i32.const 96) "source\00address")"#;
    breaks(Rule::RootProperty, || {
        run(NGINX, &dotted).try_tick(1).unwrap()
    });
    let tolerant = Options {
        tolerate: vec![Rule::RootProperty],
        ..Options::new("")
    };
    let mut host = Host::new(NGINX, &Guest::wat(&dotted), tolerant);
    host.try_tick(1).unwrap();
    assert_eq!(said(&host), ["10"]);
}

#[test]
fn what_is_not_implemented_traps() {
    breaks_on_tick(Rule::NotImplemented, "(drop (call $proxy_done))");
    breaks_on_tick(
        Rule::NotImplemented,
        "(drop (call $proxy_get_log_level (i32.const 4)))",
    );
}

#[test]
fn a_tolerated_rule_is_the_trap_of_the_real_host() {
    let options = Options {
        tolerate: vec![Rule::DispatchFromHttp],
        ..Options::new("")
    };
    let mut host = Host::new(NGINX, &Guest::wat(&on_headers(DISPATCH)), options);
    let trap = host.try_send(&Request::get("/")).unwrap_err();
    assert!(
        trap.reason.contains(Rule::DispatchFromHttp.text()),
        "{trap}"
    );
}

/// Says end of stream on headers; size, end and readable bytes of each body callback.
const LISTENS: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $say (local.get 2)) (call $zero))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
        (call $say (local.get 1)) (call $say (local.get 2))
        (call $say (call $proxy_get_buffer_bytes
            (i32.const 0) (i32.const 0) (local.get 1) (i32.const 4) (i32.const 8)))
        (call $zero))"#;

#[test]
fn the_whole_body_comes_in_one_call_and_headers_never_end_the_stream() {
    let mut host = run(NGINX, LISTENS);
    host.send(&Request::post("/").chunk("ab").chunk("c").trailer("t", "u"))
        .assert_untouched();
    assert_eq!(said(&host), ["0", "3", "1", "0"]);
    host.take_logs();
    host.send(&Request::get("/")).assert_untouched();
    assert_eq!(said(&host), ["0"], "no body, no body callback");
}

#[test]
fn a_spilled_body_has_a_size_but_cannot_be_read() {
    let options = Options {
        client_body_buffer_size: 2,
        ..Options::new("")
    };
    let mut host = Host::new(NGINX, &Guest::wat(LISTENS), options);
    host.send(&Request::post("/").chunk("abc"))
        .assert_untouched();
    assert_eq!(said(&host), ["0", "3", "1", "1"]);
}

#[test]
fn authority_is_the_server_and_host_the_client() {
    let mut host = run(
        NGINX,
        r#"(data (i32.const 64) ":authorityhost")
           (func $read (param i32 i32)
               (drop (call $proxy_get_header_map_value
                   (i32.const 0) (local.get 0) (local.get 1) (i32.const 4) (i32.const 8)))
               (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 4)) (i32.load (i32.const 8)))))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call $read (i32.const 64) (i32.const 10)) (call $read (i32.const 74) (i32.const 4)) (call $zero))"#,
    );
    host.send(&Request::get("/").authority("client.test"))
        .assert_untouched();
    assert_eq!(said(&host), ["edge.test:80", "client.test"]);
}

/// Reads `:path`, then properties `ngx.request_uri` and `source.address`.
#[test]
fn the_path_is_decoded_and_the_peer_has_no_port() {
    let mut host = run(
        NGINX,
        r#"(data (i32.const 64) ":pathngx\00request_urisource\00address")
           (func $show (param i32)
               (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 4)) (i32.load (i32.const 8)))))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call $show (call $proxy_get_header_map_value
                   (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 4) (i32.const 8)))
               (call $show (call $proxy_get_property (i32.const 69) (i32.const 15) (i32.const 4) (i32.const 8)))
               (call $show (call $proxy_get_property (i32.const 84) (i32.const 14) (i32.const 4) (i32.const 8)))
               (call $zero))"#,
    );
    host.send(&Request::get("//a/%0d%0a?q=%20").property("source.address", "[2001:db8::1]:50000"))
        .assert_untouched();
    assert_eq!(
        said(&host),
        ["/a/\r\n?q=%20", "//a/%0d%0a?q=%20", "2001:db8::1"]
    );
}

#[test]
fn a_failed_call_has_no_headers_but_a_dispatch_status_and_the_status_is_not_counted() {
    let mut host = run(
        NGINX,
        r#"(data (i32.const 64) ":dispatch_status")
           (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
               (call $say (local.get 2))
               (drop (call $proxy_get_header_map_value
                   (i32.const 6) (i32.const 64) (i32.const 16) (i32.const 4) (i32.const 8)))
               (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 4)) (i32.load (i32.const 8)))))"#,
    );
    host.time_out(1).unwrap();
    host.reply(2, &Reply::status(200));
    host.reply(3, &Reply::status(200).header("content-length", "0"));
    assert_eq!(said(&host), ["0", "timeout", "0", "ok", "1", "ok"]);
}

/// Ticks every 3 ms in every lane and says which.
const LANES: &str = r#"
    (func (export "proxy_on_configure") (param i32 i32) (result i32) (call $period (i32.const 3)) (call $one))
    (func (export "proxy_on_done") (param i32) (result i32) (call $say (i32.const 500)) (call $one))
    (func (export "proxy_on_tick") (param i32) (call $say (local.get 0)))"#;

#[test]
fn lanes_tick_for_themselves_until_the_worker_stops_without_a_word() {
    let mut host = run(NGINX, LANES);
    host.advance(1);
    let lane = host.add_root("lane");
    host.advance(6);
    assert_eq!(
        (said(&host), lane),
        (vec!["1".into(), "2".into(), "1".into(), "2".into()], 2)
    );
    host.stop();
    assert!(!host.is_ticking());
    host.advance(100);
    assert_eq!(
        said(&host).len(),
        4,
        "no tick and no on_done after the stop"
    );
    assert_eq!(host.beside("config").unwrap().ticks(), 0);
}

#[test]
fn a_mirror_subrequest_is_not_answered_by_a_filter() {
    let answer = on_headers(
        "(drop (call $proxy_send_local_response (i32.const 204) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))",
    );
    let mut host = run(NGINX, &answer);
    let mirrored = Request::post("/").mirrored_to("/_mirror");
    breaks(Rule::LocalResponseInMirror, || drop(host.send(&mirrored)));
    let exchange = run(NGINX, &answer).send(&Request::post("/"));
    assert_eq!(exchange.local_response.unwrap().status, 204);
}
