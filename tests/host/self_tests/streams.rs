//! Streams: bodies, pauses, header changes, local responses, and what the exchange says of them.

use super::{run, said};
use test_host::{Action, Exchange, Guest, Headers, Host, Options, Profile, Request, Response};

/// Says how many bytes the body getter gives in each body callback; pauses until the end of the stream.
const KEEPS_THE_BODY: &str = r#"
    (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
        (drop (call $proxy_get_buffer_bytes
            (i32.const 0) (i32.const 0) (local.get $size) (i32.const 4) (i32.const 8)))
        (call $say (i32.load (i32.const 8)))
        (i32.eqz (local.get $end)))"#;

/// The same, but never pauses.
const PASSES_THE_BODY: &str = r#"
    (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
        (drop (call $proxy_get_buffer_bytes
            (i32.const 0) (i32.const 0) (local.get $size) (i32.const 4) (i32.const 8)))
        (call $say (i32.load (i32.const 8)))
        (call $zero))"#;

fn three_chunks() -> Request {
    Request::post("/").chunk(b"abc").chunk(b"de").chunk(b"f")
}

#[test]
fn the_getter_gives_the_chunk_while_the_filter_continues() {
    let mut host = run(Profile::Envoy, PASSES_THE_BODY);
    let exchange = host.send(&three_chunks());
    assert_eq!(said(&host), ["3", "2", "1"]);
    exchange.assert_untouched();
    assert_eq!(exchange.upstream.chunks, three_chunks().chunks);
}

#[test]
fn the_getter_gives_all_of_the_body_while_the_filter_pauses() {
    let mut host = run(Profile::Envoy, KEEPS_THE_BODY);
    let exchange = host.send(&three_chunks());
    assert_eq!(said(&host), ["3", "5", "6"]);
    assert_eq!(exchange.upstream.chunks, [b"abcdef"]);
    assert!(exchange.was_paused() && !exchange.is_untouched());
}

#[test]
fn the_end_of_the_stream_may_come_apart_or_with_trailers() {
    let mut host = run(Profile::Envoy, PASSES_THE_BODY);
    host.send(&three_chunks().ends_apart()).assert_untouched();
    assert_eq!(said(&host), ["3", "2", "1", "0"]);
    let exchange = host.send(&three_chunks().trailer("x", "y"));
    exchange.assert_untouched();
    let steps: Vec<_> = exchange.steps.iter().map(|step| step.callback).collect();
    assert_eq!(steps[4], "proxy_on_request_trailers");
    assert!(exchange.upstream.ended && exchange.upstream.trailers.is_some());
}

#[test]
fn a_kept_body_over_the_buffer_limit_is_answered_with_413() {
    let options = Options {
        buffer_limit: 4,
        ..Options::new("")
    };
    let mut host = Host::new(Profile::Envoy, &Guest::wat(KEEPS_THE_BODY), options);
    let exchange = host.send(&three_chunks());
    assert_eq!(
        exchange.local_response.as_ref().map(|local| local.status),
        Some(413)
    );
    assert_eq!(
        exchange
            .downstream
            .headers
            .unwrap()
            .text(":status")
            .unwrap(),
        "413"
    );
    assert_eq!(exchange.upstream.body(), b"");
}

#[test]
fn an_aborted_upload_passes_what_had_arrived() {
    let mut host = run(Profile::Envoy, PASSES_THE_BODY);
    let stream = host.open(&Request::post("/").streamed());
    host.body(stream, b"half", false);
    let exchange = host.abort(stream);
    exchange.assert_untouched();
    assert!(exchange.aborted && !exchange.upstream.ended);
}

/// Pauses on the headers and lets them go in the body callback that ends the stream.
const WAITS_FOR_THE_BODY: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $one))
    (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
        (call $say (local.get $size))
        (i32.eqz (local.get $end)))"#;

#[test]
fn paused_headers_stop_the_body_unless_envoy_allows_it() {
    let mut host = run(Profile::Envoy, WAITS_FOR_THE_BODY);
    let exchange = host.send(&three_chunks());
    assert!(said(&host).is_empty() && exchange.upstream.headers.is_none());

    let options = Options {
        allow_on_headers_stop_iteration: true,
        ..Options::new("")
    };
    let mut host = Host::new(Profile::Envoy, &Guest::wat(WAITS_FOR_THE_BODY), options);
    let exchange = host.send(&three_chunks());
    assert_eq!(said(&host), ["3", "5", "6"]);
    assert_eq!(
        (
            exchange.upstream.headers.is_some(),
            exchange.upstream.body()
        ),
        (true, b"abcdef".to_vec())
    );
}

#[test]
fn continue_stream_lets_the_waiting_request_go() {
    let mut host = run(
        Profile::Envoy,
        r#"(global $stream (mut i32) (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (global.set $stream (local.get 0)) (call $one))
           (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
               (call $say (local.get 1)) (call $zero))
           (func (export "proxy_on_tick") (param i32)
               (drop (call $proxy_set_effective_context (global.get $stream)))
               (drop (call $proxy_continue_stream (i32.const 0))))"#,
    );
    let stream = host.open(&Request::post("/").streamed());
    host.body(stream, b"ab", false);
    host.body(stream, b"c", true);
    assert!(said(&host).is_empty());
    host.try_tick(1).unwrap();
    assert_eq!(said(&host), ["3"], "what waited arrives as one chunk");
    let exchange = host.close(stream);
    assert_eq!(
        (exchange.upstream.body(), exchange.upstream.ended),
        (b"abc".to_vec(), true)
    );
}

/// Keeps every body; its tick reads 2 bytes from the second one on, in the name of the last stream, says what came of it and
/// how many there were, and then does `act`.
fn acts_in_a_tick(act: &str) -> String {
    format!(
        r#"(global $stream (mut i32) (i32.const 0))
           (data (i32.const 64) "\01\00\00\00\05\00\00\00\02\00\00\00:path\00/n\00")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (global.set $stream (local.get 0)) (call $one))
           (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (call $one))
           (func (export "proxy_on_tick") (param $root i32)
               (call $say (call $proxy_set_effective_context (global.get $stream)))
               (call $say (call $proxy_get_buffer_bytes
                   (i32.const 0) (i32.const 1) (i32.const 2) (i32.const 4) (i32.const 8)))
               (call $say (i32.load (i32.const 8)))
               {act}
               (call $say (call $proxy_set_effective_context (local.get $root))))"#
    )
}

fn kept(act: &str) -> (Host, u32) {
    let options = Options {
        allow_on_headers_stop_iteration: true,
        ..Options::new("")
    };
    let mut host = Host::new(Profile::Envoy, &Guest::wat(&acts_in_a_tick(act)), options);
    let stream = host.open(&Request::post("/").streamed());
    host.body(stream, b"ab", false);
    host.body(stream, b"c", true);
    (host, stream)
}

/// As measured in Envoy 1.40: a held request can be read, changed and let go from a tick of its root context.
#[test]
fn a_tick_reads_changes_and_lets_go_what_is_held() {
    let (mut host, stream) = kept(
        r#"(call $say (call $proxy_set_header_map_pairs (i32.const 0) (i32.const 64) (i32.const 21)))
           (call $say (call $proxy_continue_stream (i32.const 0)))"#,
    );
    host.try_tick(1).unwrap();
    assert_eq!(said(&host), ["0", "0", "2", "0", "0", "0"]);
    let so_far = host.so_far(stream);
    assert_eq!(
        so_far.upstream.headers,
        Some(Headers::from_iter([(":path", "/n")]))
    );
    assert_eq!(
        (so_far.upstream.body(), so_far.upstream.ended),
        (b"abc".to_vec(), true)
    );
    // Once it went on, there is nothing to read.
    host.try_tick(1).unwrap();
    assert_eq!(said(&host)[6..8], ["0", "1"]);
    // A stream that is not there is nobody's name.
    host.close(stream);
    let before = said(&host).len();
    host.try_tick(1).unwrap();
    assert_eq!(said(&host)[before..before + 2], ["2", "1"]);
}

#[test]
fn a_tick_answers_what_is_held() {
    let (mut host, stream) = kept(
        r#"(drop (call $proxy_send_local_response (i32.const 403) (i32.const 0) (i32.const 0)
               (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))"#,
    );
    host.try_tick(1).unwrap();
    let exchange = host.close(stream);
    assert_eq!(exchange.upstream.headers, None);
    let told = exchange.downstream.headers.unwrap();
    assert_eq!(told.text(":status").as_deref(), Some("403"));
}

/// `Grpc::Common::isGrpcRequestHeaders`, and what becomes of a local response then; it passes the filters first.
#[test]
fn a_local_response_to_grpc_has_status_200() {
    let answers = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $proxy_send_local_response (i32.const 403) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (call $one))"#;
    for (kind, status) in [
        ("application/grpc", "200"),
        ("application/grpc+proto", "200"),
        ("application/grpc-web", "403"),
        ("application/grpc;a", "403"),
    ] {
        let request = Request::post("/").header("content-type", kind);
        let exchange = run(Profile::Envoy, answers).send(&request);
        let told = exchange.downstream.headers.unwrap();
        assert_eq!(told.text(":status").as_deref(), Some(status), "{kind}");
        assert_eq!(told.get("grpc-status").is_some(), status == "200");
    }
}

/// `path` becomes `/n`, `cookie` goes, `added: 1` is added.
const CHANGES_HEADERS: &str = r#"
    (data (i32.const 64) ":path/ncookieadded1")
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $proxy_replace_header_map_value
            (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 69) (i32.const 2)))
        (drop (call $proxy_remove_header_map_value (i32.const 0) (i32.const 71) (i32.const 6)))
        (drop (call $proxy_add_header_map_value
            (i32.const 0) (i32.const 77) (i32.const 5) (i32.const 82) (i32.const 1)))
        (call $zero))"#;

fn sent_headers(profile: Profile, request: &Request) -> Headers {
    run(profile, CHANGES_HEADERS)
        .send(request)
        .upstream
        .headers
        .unwrap()
}

#[test]
fn header_changes_reach_the_upstream_and_count_as_a_touch() {
    let request = Request::get("/old").header("Cookie", "c");
    let headers = sent_headers(Profile::Envoy, &request);
    assert_eq!(headers.text(":path").unwrap(), "/n");
    assert_eq!(
        (headers.get("cookie"), headers.get("added")),
        (None, Some(&b"1"[..]))
    );
    assert!(
        !run(Profile::Envoy, CHANGES_HEADERS)
            .send(&request)
            .is_untouched()
    );
}

#[test]
fn nginx_still_sends_a_removed_header_and_a_mirror_subrequest_sends_no_added_one() {
    let request = Request::get("/old").header("Cookie", "c");
    let headers = sent_headers(Profile::Nginx, &request);
    assert_eq!(
        (headers.get("cookie"), headers.get("added")),
        (Some(&b"c"[..]), Some(&b"1"[..]))
    );
    let headers = sent_headers(Profile::Nginx, &request.mirrored_to("/_mirror"));
    assert_eq!(
        (
            headers.text(":path").unwrap().as_str(),
            headers.get("added")
        ),
        ("/n", None)
    );
}

#[test]
#[should_panic(expected = "the primary was touched: request headers differ")]
fn assert_untouched_can_fail() {
    run(Profile::Envoy, CHANGES_HEADERS)
        .send(&Request::get("/"))
        .assert_untouched();
}

#[test]
fn a_replaced_body_goes_upstream_in_its_place() {
    let mut host = run(
        Profile::Envoy,
        r#"(data (i32.const 64) "new")
           (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32)
               (drop (call $proxy_set_buffer_bytes
                   (i32.const 0) (i32.const 0) (local.get 1) (i32.const 64) (i32.const 3)))
               (call $zero))"#,
    );
    assert_eq!(
        host.send(&Request::post("/").chunk("older"))
            .upstream
            .body(),
        b"new"
    );
}

#[test]
fn a_local_response_ends_the_request_and_passes_the_response_callbacks() {
    let mut host = run(
        Profile::Envoy,
        r#"(data (i32.const 64) "no")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $proxy_send_local_response (i32.const 403) (i32.const 0) (i32.const 0)
                   (i32.const 64) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1)))
               (call $zero))"#,
    );
    let exchange = host.send(&three_chunks());
    let local = exchange.local_response.unwrap();
    assert_eq!((local.status, local.body.as_slice()), (403, &b"no"[..]));
    assert_eq!(
        (exchange.upstream.headers, exchange.downstream.body()),
        (None, b"no".to_vec())
    );
    let steps: Vec<_> = exchange
        .steps
        .iter()
        .map(|step| (step.callback, step.action))
        .collect();
    let expected = [
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_response_body",
    ];
    assert_eq!(steps, expected.map(|callback| (callback, Action::Continue)));
}

#[test]
fn responses_pass_through_their_callbacks() {
    let mut host = run(Profile::Envoy, PASSES_THE_BODY);
    let stream = host.open(&Request::get("/"));
    host.respond(
        stream,
        &Response::status(200)
            .header("x", "y")
            .chunk("one")
            .chunk("two"),
    );
    let exchange = host.close(stream);
    exchange.assert_untouched();
    assert_eq!(exchange.downstream.body(), b"onetwo");
}

#[test]
fn bytes_that_are_no_text_arrive_in_headers() {
    let mut host = run(
        Profile::Envoy,
        r#"(data (i32.const 64) "odd")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $proxy_get_header_map_value
                   (i32.const 0) (i32.const 64) (i32.const 3) (i32.const 4) (i32.const 8)))
               (call $say (i32.load8_u (i32.load (i32.const 4))))
               (call $say (i32.load (i32.const 8)))
               (call $zero))"#,
    );
    host.send(&Request::get("/").header("Odd", [0xff, 0xfe]));
    assert_eq!(said(&host), ["255", "2"]);
}

/// Says the status of reading `h` in each callback.
const READS_LATER: &str = r#"
    (data (i32.const 64) "h")
    (func $read (call $say (call $proxy_get_header_map_value
        (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 4) (i32.const 8))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $read) (call $zero))
    (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (call $read) (call $zero))
    (func (export "proxy_on_log") (param i32) (call $read))
    (func (export "proxy_on_done") (param i32) (result i32) (call $read) (call $one))"#;

#[test]
fn envoy_forgets_the_headers_once_they_went_on_and_nginx_does_not() {
    let request = Request::post("/").header("h", "1").chunk("x");
    let mut host = run(Profile::Envoy, READS_LATER);
    host.send(&request).assert_untouched();
    assert_eq!(
        said(&host),
        ["0", "2", "0", "2"],
        "headers, body, log, done"
    );
    let mut host = run(Profile::Nginx, READS_LATER);
    host.send(&request).assert_untouched();
    assert_eq!(
        said(&host),
        ["0", "0", "0", "0"],
        "headers, body, done, log"
    );
}

#[test]
fn a_request_answered_before_the_filter_is_only_logged() {
    let mut host = run(Profile::Envoy, READS_LATER);
    let exchange = host.answered_before_filter();
    assert_eq!(said(&host), ["2", "2"]);
    assert!(exchange.steps.is_empty());
}

#[test]
fn costs_are_exact_and_the_same_every_time() {
    let run_once = || {
        let mut host = run(Profile::Envoy, PASSES_THE_BODY);
        host.reset_cost();
        let exchange = host.send(&three_chunks());
        (
            exchange.cost,
            host.cost().clone(),
            host.cost_of("proxy_on_request_body"),
        )
    };
    let (exchange, total, body) = run_once();
    assert_eq!((exchange.clone(), total.clone(), body.clone()), run_once());
    assert_eq!(
        (
            body.callbacks,
            body.host_calls_of("proxy_get_buffer_bytes"),
            body.bytes_to_guest
        ),
        (3, 3, 6)
    );
    assert_eq!(
        (
            body.allocations,
            body.allocated_bytes,
            body.bytes_from_guest
        ),
        (3, 6, 3)
    );
    assert!(body.fuel > 0 && body.fuel < exchange.fuel && exchange.fuel == total.fuel);
}

/// Holds a request until it is complete, then gives it a whole new header map; says the call's status.
const HOLDS_AND_REPLACES: &str = r#"
    (data (i32.const 64) "\02\00\00\00\05\00\00\00\02\00\00\00\05\00\00\00\01\00\00\00:path\00/n\00added\001\00")
    (func $replace (result i32)
        (call $say (call $proxy_set_header_map_pairs (i32.const 0) (i32.const 64) (i32.const 37)))
        (call $zero))
    (func (export "proxy_on_request_headers") (param $id i32) (param $count i32) (param $end i32) (result i32)
        (if (result i32) (local.get $end) (then (call $replace)) (else (call $one))))
    (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
        (if (result i32) (local.get $end) (then (call $replace)) (else (call $one))))
    (func (export "proxy_on_request_trailers") (param i32 i32) (result i32) (call $replace))"#;

fn holding(functions: &str) -> Host {
    let options = Options {
        allow_on_headers_stop_iteration: true,
        ..Options::new("")
    };
    Host::new(Profile::Envoy, &Guest::wat(functions), options)
}

#[test]
fn a_held_request_takes_a_new_header_map_at_its_end() {
    let expected = Headers::from_iter([(":path", "/n"), ("added", "1")]);
    for request in [
        Request::post("/"),
        three_chunks(),
        three_chunks().ends_apart(),
        three_chunks().trailer("x", "y"),
    ] {
        let mut host = holding(HOLDS_AND_REPLACES);
        let exchange = host.send(&request);
        assert_eq!(exchange.upstream.headers, Some(expected.clone()));
        assert_eq!(exchange.upstream.body(), request.body());
        assert!(exchange.upstream.ended);
        assert_eq!(said(&host), ["0"]);
    }
}

#[test]
fn a_held_body_is_read_from_where_the_last_read_ended() {
    let mut host = holding(
        r#"(global $known (mut i32) (i32.const 0))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $one))
           (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
               (drop (call $proxy_get_buffer_bytes (i32.const 0) (global.get $known)
                   (i32.sub (local.get $size) (global.get $known)) (i32.const 4) (i32.const 8)))
               (global.set $known (local.get $size))
               (call $say (i32.load (i32.const 8)))
               (call $say (i32.load8_u (i32.load (i32.const 4))))
               (i32.eqz (local.get $end)))"#,
    );
    assert_eq!(host.send(&three_chunks()).upstream.chunks, [b"abcdef"]);
    assert_eq!(said(&host), ["3", "97", "2", "100", "1", "102"]);
}

#[test]
fn a_held_request_that_is_answered_never_is_rewritten() {
    let mut host = holding(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (call $one))
           (func (export "proxy_on_request_body") (param $id i32) (param $size i32) (param $end i32) (result i32)
               (call $say (local.get $size))
               (drop (call $proxy_send_local_response (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0)
                   (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
               (call $zero))"#,
    );
    let stream = host.open(&Request::post("/").streamed());
    for (chunk, end) in [(b"ab", false), (b"cd", false), (b"ef", true)] {
        host.body(stream, chunk, end);
    }
    let seen = host.so_far(stream);
    assert_eq!(
        seen.local_response.as_ref().map(|local| local.status),
        Some(403)
    );
    assert_eq!((seen.upstream.headers, seen.upstream.ended), (None, false));
    assert_eq!(said(&host), ["2"], "no callback comes after the answer");
    assert_eq!(
        host.close(stream)
            .downstream
            .headers
            .unwrap()
            .text(":status")
            .unwrap(),
        "403"
    );
}

/// `path` becomes `/n` and the first `cookie` nothing; a variable is set when `sets` says so.
fn changes(sets: bool) -> String {
    let set = if sets {
        "(call $proxy_set_property (i32.const 80) (i32.const 10) (i32.const 90) (i32.const 5))"
    } else {
        "(i32.const 0)"
    };
    format!(
        r#"(data (i32.const 64) ":path/ncookie") (data (i32.const 80) "ngx\00target/t?a=")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $proxy_replace_header_map_value
                   (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 69) (i32.const 2)))
               (drop (call $proxy_replace_header_map_value
                   (i32.const 0) (i32.const 71) (i32.const 6) (i32.const 64) (i32.const 0)))
               (drop {set})
               (call $zero))"#
    )
}

fn mirrored(sets: bool, variable: Option<&str>, path: &str) -> Exchange {
    let options = Options {
        target_variable: variable.map(Into::into),
        ..Options::new("")
    };
    let request = Request::post(path)
        .header("Cookie", "a")
        .header("Cookie", "b")
        .chunk("x");
    Host::new(Profile::Nginx, &Guest::wat(&changes(sets)), options)
        .send(&request.mirrored_to("/_mirror"))
}

#[test]
fn nginx_sends_the_other_lines_of_a_replaced_header_and_keeps_old_arguments() {
    let headers = mirrored(false, None, "/old?a=1").upstream.headers.unwrap();
    assert_eq!(headers.text(":path").unwrap(), "/n?a=1");
    let cookies: Vec<_> = headers.all(b"cookie").collect();
    assert_eq!(cookies, [&b""[..], b"b"]);
}

#[test]
fn a_guarded_location_of_nginx_answers_unless_its_variable_is_set() {
    let refused = mirrored(false, Some("target"), "/old");
    assert_eq!(refused.upstream.headers, None);
    assert_eq!(refused.local_response.unwrap().status, 204);
    let passed = mirrored(true, Some("target"), "/old");
    assert_eq!(passed.upstream.body(), b"x");
    let path = passed.upstream.headers.unwrap().text(":path");
    assert_eq!(path.unwrap(), "/t?a=");
    assert_eq!(passed.local_response, None);
    // A variable that the configuration does not declare cannot be set.
    let unknown = mirrored(true, Some("other"), "/old");
    assert_eq!(unknown.upstream.headers, None);
}
