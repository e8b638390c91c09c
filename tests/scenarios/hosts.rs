//! Which requests are for this Sentry: `hosts` and `dsn_path`.

use crate::edge::{Edge, config, envelope, rewriting};
use crate::{at_a_target, everywhere};
use test_host::{Profile, Request};

everywhere!(
    other_hosts_requests_are_none_of_ours,
    without_hosts_every_host_is,
    the_path_of_the_dsn_is_taken_off,
    behind_a_path_that_nobody_told_us_of_nothing_is_copied,
);

mod rewriting_too {
    use super::*;

    at_a_target! {
        Envoy as core_as_envoy, module_in_envoy: other_hosts_requests_do_not_leave;
        Nginx as core_as_nginx, module_in_nginx: other_hosts_requests_do_not_leave;
    }

    fn other_hosts_requests_do_not_leave<E: Edge>(profile: Profile) {
        let hosts = r#", "hosts": ["sentry.example.com"]"#;
        let mut edge = E::start(profile, &crate::edge::for_host(profile, &rewriting(hosts)));
        let other = edge.upload(&to(envelope(42), "shop.example.com"));
        let seen = edge.seen(other);
        assert!(seen.headers.is_none() || profile == Profile::Nginx && seen.path().is_empty());
        assert_eq!(edge.rum("skipped.host"), 1);
        let own = edge.upload(&to(envelope(42), "sentry.example.com"));
        assert_eq!(
            edge.seen(own).path(),
            "/rum/sentry/ws/web@42/api/42/envelope/"
        );
    }
}

fn to(request: Request, authority: &str) -> Request {
    request.authority(authority)
}

fn other_hosts_requests_are_none_of_ours<E: Edge>(profile: Profile) {
    let hosts = r#", "hosts": ["sentry.example.com", "*.apps.example.com"]"#;
    let mut edge = E::start(profile, &config(hosts));
    for other in [
        "shop.example.com",
        "apps.example.com",
        "sentry.example.com.evil.test",
    ] {
        edge.send(&to(envelope(42), other));
        // Nobody's ingest path: not counted either.
        edge.send(&to(Request::new("GET", "/checkout"), other));
    }
    edge.advance(200);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(edge.rum("skipped.host"), 3);
    assert_eq!(edge.rum("captured"), 0);
    for own in [
        "sentry.example.com",
        "SENTRY.example.com:8443",
        "sentry.example.com.",
        "a.b.apps.example.com",
    ] {
        edge.send(&to(envelope(42), own));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
        edge.reply(call.token, &test_host::Reply::status(200));
    }
    edge.check_books();
}

fn without_hosts_every_host_is<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(&to(envelope(42), "anything.test"));
    edge.advance(5);
    assert_eq!(edge.calls().len(), 1);
    assert_eq!(edge.rum("skipped.host"), 0);
    edge.check_books();
}

fn the_path_of_the_dsn_is_taken_off<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(r#", "dsn_path": "/sentry""#));
    for (target, path) in [
        (
            "/sentry/api/42/envelope/?x=/sentry/",
            "/rum/sentry/ws/web@42/api/42/envelope/?x=/sentry/",
        ),
        (
            "/api/43/envelope/",
            "/rum/sentry/ws/api@43/api/43/envelope/",
        ),
    ] {
        edge.send(&Request::post(target).chunk(b"{}\n{\"type\":\"event\"}\n{}\n"));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.path(), path);
        edge.reply(call.token, &test_host::Reply::status(200));
    }
    edge.check_books();
}

fn behind_a_path_that_nobody_told_us_of_nothing_is_copied<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(&Request::post("/sentry/api/42/envelope/").chunk(b"{}\n"));
    edge.advance(200);
    assert_eq!(edge.calls().len(), 0);
    // Other routes are published with what comes next.
    edge.send(&envelope(7));
    assert_eq!(edge.rum("skipped.route"), 1);
    edge.check_books();
}
