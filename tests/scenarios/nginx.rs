//! What only the module in nginx shows: each of these was wrong on the real host once.

use crate::edge::rewriting;
use crate::edge::{Edge, config, config_with_rum, envelope, for_host};
use crate::module::Module;
use crate::sls;
use test_host::{Guest, Host, Options, Profile, Reply, Request, StartError};

const NGINX: Profile = Profile::Nginx;

/// The path that a filter is shown has its escapes decoded: a line break there would split the copy's request.
#[test]
fn the_target_is_what_was_received_not_what_nginx_made_of_it() {
    let mut edge = Module::start(NGINX, &config_with_rum(r#", "routes": "all""#, ""));
    for target in [
        "/api/42/envelope/%3Fx%20HTTP/1.1%0d%0aX-Injected:%20yes",
        "/api/42/envelope/x..%2f",
        "//api/42/x./envelope/?",
    ] {
        edge.send(&Request::post(target).chunk(b"{}"));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.path(), format!("/rum/sentry/ws/web@42{target}"));
        edge.reply(call.token, &Reply::status(200));
    }
    // nginx reads an envelope of project 42 in these; Envoy, Relay and the primary's log do not. The second one is counted,
    // as an envelope behind a path.
    for target in ["/api/%34%32/envelope/", "/x/../api/42/envelope/"] {
        edge.send(&Request::post(target).chunk(b"{}"));
    }
    // Whoever takes these for a step up is led out of the prefix.
    for target in [
        "/api/42/envelope/..%2f",
        "//api/42/./envelope/?",
        "/api/42/x%5C%2e%2e",
    ] {
        edge.send(&Request::post(target).chunk(b"{}"));
    }
    edge.advance(5);
    assert!(edge.calls().is_empty());
    edge.send(&envelope(44));
    assert_eq!(edge.rum("skipped.route"), 4);
    edge.check_books();
}

#[test]
fn the_client_has_no_port_and_is_added_to_the_chain() {
    let mut edge = Module::start(NGINX, &config(""));
    for (source, chain, expected) in [
        ("192.0.2.7:50000", None, "192.0.2.7"),
        ("[2001:db8::1]:50000", None, "2001:db8::1"),
        (
            "192.0.2.7:50000",
            Some("203.0.113.5"),
            "203.0.113.5, 192.0.2.7",
        ),
    ] {
        let mut request = envelope(42).property("source.address", source);
        if let Some(chain) = chain {
            request = request.header("X-Forwarded-For", chain);
        }
        edge.send(&request);
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.header("x-forwarded-for").as_deref(), Some(expected));
        edge.reply(call.token, &Reply::status(200));
    }
}

/// A 204 may have no header at all, and nginx does not count the status.
#[test]
fn an_answer_without_headers_is_an_answer() {
    let mut edge = Module::start(NGINX, &config(""));
    for status in [204, 200] {
        let call = edge.envelope();
        edge.reply(call.token, &Reply::status(status));
    }
    let call = edge.envelope();
    // The connection ended without an answer.
    edge.reply(call.token, &Reply::failed("ok"));
    assert_eq!(edge.books(), [3, 2, 1, 0, 0]);
}

/// With the rules of Envoy every request would end in a trap, and every client get 500.
#[test]
fn the_other_proxys_configuration_is_a_bad_one() {
    let options = Options::new(for_host(Profile::Envoy, &config("")));
    let mut host = Host::new(NGINX, Guest::sentry_edge_mirror(), options);
    let said = |text: &str| host.logs().iter().any(|log| log.text.contains(text));
    assert!(said(
        "host: expected nginx, which is the proxy here, got envoy"
    ));
    host.send(&envelope(42)).assert_untouched();
    host.advance(1_000);
    assert!(host.calls().is_empty());

    let options = Options::new(for_host(NGINX, &config("")));
    let refused = Host::try_new(Profile::Envoy, Guest::sentry_edge_mirror(), options);
    assert!(matches!(refused, Err(StartError::Rejected { .. })));
}

/// Gauges outlive the instance that set them: what it had pending is not pending any more.
#[test]
fn a_new_worker_takes_over_the_gauges() {
    let mut edge = Module::start(NGINX, &config(""));
    edge.envelope();
    assert_eq!((edge.rum("pending"), edge.rum("in_flight")), (1, 1));
    edge.host.stop();
    let mut next = edge.host.beside(for_host(NGINX, &config(""))).unwrap();
    next.advance(200);
    for gauge in ["pending", "pending_bytes", "in_flight"] {
        assert_eq!(next.metric(&format!("sentry_edge_mirror.rum.{gauge}")), 0);
    }
}

fn rewriting_host(target_variable: Option<&str>) -> Host {
    let options = Options {
        target_variable: target_variable.map(Into::into),
        ..Options::new(for_host(NGINX, &rewriting("")))
    };
    Host::new(NGINX, Guest::sentry_edge_mirror(), options)
}

/// A mirror of another machine sends requests, not subrequests: those a filter may answer.
#[test]
fn what_no_rule_covers_is_answered_where_it_was_sent_to() {
    let mut host = rewriting_host(Some("sentry_edge_mirror"));
    for target in ["/api/42/store/", "/", "/rum/sentry/w/s/api/42/envelope/"] {
        let exchange = host.send(&Request::post(target).chunk(b"{}"));
        assert_eq!(exchange.upstream.headers, None, "{target}");
        assert_eq!(exchange.local_response.unwrap().status, 204);
    }
    let exchange = host.send(&envelope(42));
    let path = exchange.upstream.headers.unwrap().text(":path");
    assert_eq!(path.unwrap(), "/rum/sentry/ws/web@42/api/42/envelope/");
}

/// A location that does not have the sample's variable still gets the path, and the log says what it lacks.
#[test]
fn a_location_without_the_variable_is_reported() {
    let mut host = rewriting_host(None);
    let exchange = host.send(&envelope(42).mirrored_to("/_mirror"));
    let path = exchange.upstream.headers.unwrap().text(":path");
    assert_eq!(path.unwrap(), "/rum/sentry/ws/web@42/api/42/envelope/");
    host.advance(1_000);
    let logs = host.logs();
    assert!(
        logs.iter()
            .any(|log| log.text.contains("$sentry_edge_mirror")),
        "{logs:#?}"
    );
}

/// `mirror` sends a body that went through a file all the same; only the logs cannot be made of it.
#[test]
fn a_spilled_body_goes_on_without_logs() {
    let options = Options {
        client_body_buffer_size: 1_000,
        target_variable: Some("sentry_edge_mirror".into()),
        ..Options::new(for_host(
            NGINX,
            &rewriting(&format!(", {}", sls::section(""))),
        ))
    };
    let mut host = Host::new(NGINX, Guest::sentry_edge_mirror(), options);
    let body = sls::events(&[&"x".repeat(2_000)]).body();
    let request = Request::post("/api/42/envelope/").chunk(&body);
    let exchange = host.send(&request.mirrored_to("/_mirror"));
    assert!(exchange.upstream.body() == body, "the whole body");
    host.advance(5_000);
    let count = |what: &str| host.metric(&format!("sentry_edge_mirror.{what}"));
    assert_eq!(
        ["rum.delivered", "sls.skipped.unreadable", "sls.captured"].map(count),
        [1, 1, 0]
    );
}

/// Without a `resolver` in the `wasm` block, or one that does not know the name: nothing was sent, so it is tried again.
#[test]
fn a_name_that_is_not_resolved_is_tried_again_and_counted() {
    let retry = r#", "retry": {"max_attempts": 2}"#;
    let mut edge = Module::start(NGINX, &config(retry));
    let call = edge.envelope();
    edge.reply(call.token, &Reply::failed("resolver failure"));
    edge.advance(2_000);
    let call = edge.call();
    edge.reply(call.token, &Reply::failed("resolver failure"));
    assert_eq!(edge.books(), [1, 0, 1, 0, 0]);
    assert_eq!((edge.rum("attempts"), edge.rum("retries")), (2, 1));
    let logs = edge.host.logs();
    let said = |text: &str| logs.iter().any(|log| log.text.contains(text));
    assert!(said("rum.test"), "{logs:#?}");
}
