//! What only the module shows: its imports and exports, host calls, configuration, memory.

use crate::edge::{Edge, config, config_with_rum, envelope};
use crate::module::{Module, ModuleWith};
use crate::sls;
use test_host::{Guest, Host, Options, Profile, Reply, Request, StartError, What, When};

/// What a stranger's request may cost: path and method.
#[test]
fn what_is_not_mirrored_costs_one_host_call() {
    for (method, target) in [
        ("GET", "/"),
        ("GET", "/_static/dist/app.js"),
        ("POST", "/api/0/organizations/"),
        ("OPTIONS", "/api/42/envelope/"),
        ("POST", "/api/store/"),
        ("POST", "/api/42/store/"),
        ("POST", "/api/42/envelope"),
    ] {
        let mut edge = Module::start(Profile::Envoy, &config(""));
        let exchange = edge
            .host
            .send(&Request::new(method, target).body_in(&[b'x'; 9_000], 1_000));
        exchange.assert_untouched();
        let calls = &exchange.cost.host_calls;
        assert_eq!(
            calls.get("proxy_get_header_map_pairs"),
            Some(&1),
            "{method} {target}: {calls:?}"
        );
        assert_eq!(
            exchange.cost.total_host_calls(),
            1,
            "{method} {target}: {calls:?}"
        );
        assert!(exchange.cost.bytes_to_guest < 200);
        assert!(!edge.is_ticking());
    }
}

/// Skips are published by one tick for many requests.
#[test]
fn skipped_projects_cost_no_host_call_each() {
    let mut edge = Module::start(Profile::Envoy, &config(""));
    edge.send(&envelope(7));
    let exchange = edge.host.send(&envelope(7));
    assert_eq!(exchange.cost.total_host_calls(), 1);
    edge.advance(150);
    assert_eq!(edge.rum("skipped.excluded"), 2);
    assert!(!edge.is_ticking());
}

/// One copy from the host to the guest, one back at the attempt.
#[test]
fn the_body_is_copied_once_each_way() {
    let mut edge = Module::start(Profile::Envoy, &config(""));
    let body = vec![b'x'; 200_000];
    let exchange = edge
        .host
        .send(&Request::post("/api/42/envelope/").body_in(&body, 16_384));
    let cost = exchange.cost;
    assert!(
        (200_000..201_000).contains(&cost.bytes_to_guest),
        "{cost:?}"
    );
    assert!(
        (200_000..202_000).contains(&cost.bytes_from_guest),
        "{cost:?}"
    );
}

#[test]
fn a_bad_configuration_is_refused_by_envoy_and_passed_through_by_nginx() {
    let bad = r#"{"rum": {"upstream": "rum", "authority": "a", "workspace": 5}, "mod": "tee"}"#;
    let refused = Host::try_new(
        Profile::Envoy,
        Guest::sentry_edge_mirror(),
        Options::new(bad),
    );
    let Err(StartError::Rejected { logs, .. }) = refused else {
        panic!("accepted");
    };
    let text: String = logs.iter().map(|log| log.text.as_str()).collect();
    assert!(
        text.contains("rum.workspace: unknown key") && text.contains("mod: unknown key"),
        "{text}"
    );

    let mut host = Host::new(
        Profile::Nginx,
        Guest::sentry_edge_mirror(),
        Options::new(bad),
    );
    assert!(
        host.logs()
            .iter()
            .any(|log| log.text.contains("rum.workspace: unknown key"))
    );
    host.send(&Request::post("/api/42/envelope/").chunk(b"{}"))
        .assert_untouched();
    host.advance(1_000);
    assert!(host.calls().is_empty());
}

#[test]
fn references_are_taken_from_the_environment() {
    let config = config("")
        .replace("HOST", "envoy")
        .replace("web@42", "${SERVICE}");
    let options = Options::new(config).env("SERVICE", "web@env");
    let mut host = Host::new(Profile::Envoy, Guest::sentry_edge_mirror(), options);
    host.send(&envelope(42)).assert_untouched();
    host.advance(5);
    assert_eq!(
        host.only_call().path(),
        "/rum/sentry/ws/web@env/api/42/envelope/"
    );
}

#[test]
fn nginx_spilled_a_body() {
    let options = Options {
        client_body_buffer_size: 1_000,
        ..Options::new(config("").replace("HOST", "nginx"))
    };
    let mut host = Host::new(Profile::Nginx, Guest::sentry_edge_mirror(), options);
    host.send(&Request::post("/api/42/envelope/").chunk(vec![0; 2_000]))
        .assert_untouched();
    host.advance(200);
    assert!(host.calls().is_empty());
    assert_eq!(host.metric("sentry_edge_mirror.rum.skipped.unreadable"), 1);
}

#[test]
fn a_body_that_cannot_be_read_is_no_copy() {
    for what in [What::Status(1), What::Nothing, What::Data(vec![0; 3])] {
        let mut edge = Module::start(Profile::Envoy, &config(""));
        edge.host
            .fault("proxy_get_buffer_bytes", When::Next(1), what);
        edge.send(&envelope(42));
        edge.advance(200);
        assert!(edge.calls().is_empty());
        assert_eq!(
            (edge.rum("skipped.unreadable"), edge.rum("captured")),
            (1, 0)
        );
    }
}

/// NTP sets the clock back by an hour: a drain still takes ten seconds, and a retry no hour.
#[test]
fn a_clock_that_goes_back_delays_nothing() {
    let mut edge = Module::start(Profile::Envoy, &config(""));
    let call = edge.envelope();
    edge.reply(call.token, &Reply::status(429).header("retry-after", "2"));
    edge.host.jump_wall_clock(-3_600_000);
    edge.advance(4_200);
    edge.reply(
        edge.host.calls()[0].token,
        &Reply::status(429).header("retry-after", "60"),
    );
    edge.host.drain();
    edge.host.jump_wall_clock(-3_600_000);
    edge.advance(10_200);
    assert!(edge.is_gone());
    assert_eq!(edge.books(), [1, 0, 0, 1, 0]);
}

/// Answers after the end of a drain find nobody, and harm nobody.
#[test]
fn an_answer_after_the_drain_is_ignored() {
    let mut edge = Module::start(Profile::Envoy, &config(""));
    let call = edge.envelope();
    edge.host.drain();
    edge.advance(10_100);
    assert!(edge.is_gone() && !edge.is_ticking());
    let gone = call.root;
    let late = edge
        .host
        .try_reply_to(gone, call.token, &Reply::status(200));
    late.unwrap_or_else(|trap| trap.raise());
    assert_eq!(
        edge.books()[..4],
        [1, 0, 1, 0],
        "lost at its deadline, before the drain was over"
    );
}

/// A project may have a target of its own.
#[test]
fn a_project_goes_to_its_own_upstream_and_authority() {
    let own = r#""service_id": "api@43", "upstream": "other", "authority": "other.example.com""#;
    let config = config("").replace(r#""service_id": "api@43""#, own);
    let mut edge = Module::start(Profile::Envoy, &config);
    for (project, upstream, authority) in [
        (42, "rum.test:80", "rum.example.com"),
        (43, "other", "other.example.com"),
    ] {
        edge.send(&envelope(project));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.upstream, upstream);
        assert_eq!(call.header(":authority").as_deref(), Some(authority));
        edge.reply(call.token, &Reply::status(200));
    }
}

/// Two workers share the metrics: gauges must add up.
#[test]
fn gauges_of_two_workers_add_up() {
    let mut one = Module::start(Profile::Envoy, &config(""));
    let mut two = one
        .host
        .beside(config("").replace("HOST", "envoy"))
        .unwrap();
    let first = one.envelope();
    two.send(&envelope(42)).assert_untouched();
    two.advance(200);
    assert_eq!(one.books(), [2, 0, 0, 0, 2]);
    one.reply(first.token, &Reply::status(200));
    assert_eq!(one.books(), [2, 1, 0, 0, 1]);
    one.check_books();
}

#[test]
fn memory_is_flat_over_100_000_exchanges() {
    stays_flat(Module::start(Profile::Envoy, &config("")), 1_000, false);
}

#[test]
fn memory_of_both_legs_is_flat_over_30_000_exchanges() {
    stays_flat(
        Module::start(Profile::Envoy, &config(&both_legs())),
        300,
        true,
    );
}

#[test]
fn memory_of_both_legs_is_flat_on_nginx_too() {
    stays_flat(
        ModuleWith::<4>::start(Profile::Nginx, &config(&both_legs())),
        300,
        true,
    );
}

fn both_legs() -> String {
    format!(", {}", sls::section(""))
}

/// So many rounds of 100 exchanges, a tenth of whose calls is tried again.
fn stays_flat<const LANES: u8>(mut edge: ModuleWith<LANES>, rounds: usize, logs: bool) {
    let event = |length: usize| {
        let text = "x".repeat(length);
        let body = format!("{{}}\n{{\"type\":\"event\"}}\n{{\"message\":\"{text}\"}}\n");
        Request::post("/api/42/envelope/").body_in(body.as_bytes(), 16_384)
    };
    let (small, large) = (event(500), event(100_000));
    let mut after_warm_up = 0;
    for round in 0..rounds {
        for n in 0..100 {
            edge.host.send(if n % 50 == 0 { &large } else { &small });
        }
        // A batch of logs lingers for 2 s; on nginx calls wait for a lane.
        let mut answered = 0;
        while answered == 0 || edge.rum("pending") > 0 || (logs && edge.sls("pending") > 0) {
            edge.advance(100);
            for call in edge.calls() {
                answered += 1;
                let status = if answered % 10 == 0 { 503 } else { 200 };
                edge.reply(
                    call.token,
                    &Reply::status(status)
                        .header("x-envoy-upstream-service-time", "1")
                        .header("x-log-requestid", "5D"),
                );
            }
        }
        if round == rounds / 2 {
            after_warm_up = edge.host.memory_bytes();
        }
    }
    let total = i64::try_from(rounds * 100).unwrap();
    assert_eq!(edge.books(), [total, total, 0, 0, 0]);
    if logs {
        assert_eq!(edge.logs(), [total, total, 0, 0, 0]);
    }
    assert_eq!(edge.host.memory_bytes(), after_warm_up);
    assert!(after_warm_up < 8 << 20, "{after_warm_up}");
    edge.check_books();
}

/// Whatever a client writes into the head of a request, its callback is no long one.
#[test]
fn no_head_is_much_work() {
    const MOST: u64 = 10_000_000;
    let legs = format!(", {}", sls::section(""));
    let rum = config_with_rum(r#", "routes": "all""#, &legs);
    let large = "x".repeat(8 << 20);
    let many = |name: &str, value: &str| {
        let lines = (0..100_000).fold(Request::post("/api/42/envelope/"), |request, _| {
            request.header(name, value)
        });
        lines.chunk(b"{}")
    };
    let post = |target: &str| Request::post(target).chunk(b"{}");
    let one = |name: &str, value: &str| post("/api/42/envelope/").header(name, value);
    let basic = format!("Basic {}", "QUFB".repeat(2 << 20));
    for (what, request, reason) in [
        ("a target of nobody", post(&format!("/{large}")), None),
        ("a target", post(&format!("/api/42/{large}")), Some("route")),
        (
            "slashes",
            post(&format!("/api/42/{}", "/".repeat(8 << 20))),
            Some("route"),
        ),
        (
            "escapes",
            post(&format!("/api/42/{}", "%25".repeat(20_000))),
            None,
        ),
        (
            "a query",
            post(&format!("/api/42/envelope/?{large}")),
            Some("route"),
        ),
        (
            "a long query",
            post(&format!("/api/42/envelope/?{}", "sentry".repeat(10_000))),
            None,
        ),
        ("a name", one(&large, "x"), None),
        ("a value", one("cookie", &large), None),
        (
            "a value of the copy",
            one("baggage", &large),
            Some("too_large"),
        ),
        (
            "the chain",
            one("x-forwarded-for", &"1,".repeat(60_000)),
            None,
        ),
        (
            "a credential",
            one("authorization", &basic),
            Some("too_large"),
        ),
        (
            "a smaller one",
            one("authorization", &basic[..130_002]),
            None,
        ),
        ("lines", many("x", "y"), Some("too_large")),
        ("lines of the copy", many("baggage", "y"), Some("too_large")),
        (
            "lines of the chain",
            many("x-forwarded-for", "y"),
            Some("too_large"),
        ),
    ] {
        let mut edge = Module::start(Profile::Envoy, &rum);
        edge.host.reset_cost();
        edge.send(&request);
        let fuel = edge.host.cost_of("proxy_on_request_headers").fuel;
        assert!(fuel < MOST, "{what}: {fuel}");
        // Other routes are counted with the next thing that happens.
        edge.send(&envelope(42));
        if let Some(reason) = reason {
            assert_eq!(edge.rum(&format!("skipped.{reason}")), 1, "{what}");
        }
        edge.check_books();
    }
}

/// However many bodies are being received, the callback that makes room, and the ticks that give them up, do a little.
#[test]
fn no_crowd_is_much_work() {
    const MOST: u64 = 1_000_000;
    let limits = r#", "limits": {"max_pending_bytes": 40000000}"#;
    let mut edge = Module::start(Profile::Envoy, &config(limits));
    let slow = Request::post("/api/43/envelope/").header("content-length", "4000");
    let streams: Vec<u32> = (0..5_000).map(|_| edge.open(&slow)).collect();
    for stream in &streams {
        edge.body(*stream, b"x", false);
    }
    edge.advance(5_000);
    let large = edge.open(&Request::post("/api/42/envelope/").header("content-length", "9000000"));
    let dropped = edge.rum("dropped");
    edge.host.reset_cost();
    edge.body(large, &vec![b'x'; 200_000], false);
    let room = edge.host.cost_of("proxy_on_request_body").fuel;
    let ticks = |edge: &mut Module| {
        edge.host.reset_cost();
        edge.advance(1);
        edge.host.cost_of("proxy_on_tick").fuel
    };
    assert!(edge.rum("dropped") >= dropped + 30, "they give way");
    let most = (0..40_000).map(|_| ticks(&mut edge)).max().unwrap();
    assert!(
        room < MOST && most < MOST,
        "{room} for room, {most} in a tick"
    );
    assert_eq!(edge.rum("collecting_bytes"), 0);
    assert!(edge.rum("skipped.slow") > 3_000);
}

#[test]
fn the_module_is_small_and_imports_only_what_hosts_have() {
    // `Guest` checks imports and exports when it is instantiated; the size is what every worker compiles.
    // Half of it reads what the SLS leg gets: four decoders (brotli's dictionary alone has 58 KB, packed), the scrubber.
    let size = std::fs::metadata(Guest::path(Profile::Envoy))
        .unwrap()
        .len();
    assert!(size <= 1_130_000, "{size} bytes");
    Module::start(Profile::Envoy, &config(""));
}
