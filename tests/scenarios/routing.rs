//! Which requests are copied, where the copies go and what they carry.

use crate::edge::{Edge, config, config_with_rum, envelope};
use crate::everywhere;
use test_host::{Profile, Reply, Request};

everywhere!(
    a_copy_leaves_soon_and_then_nothing_ticks,
    every_project_goes_where_it_belongs,
    what_is_not_mirrored_is_not_sent,
    all_routes_take_every_method,
    the_target_is_kept_byte_for_byte,
    the_copy_carries_the_allow_list,
    a_basic_user_is_sentrys_only_if_the_envelope_has_no_dsn,
    a_header_that_is_not_utf8_is_left_out,
);

fn a_copy_leaves_soon_and_then_nothing_ticks<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    assert_eq!(edge.is_ticking(), edge.is_nginx());
    edge.send(&envelope(42));
    edge.advance(5);
    let call = edge.call();
    assert_eq!(call.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
    assert_eq!(
        call.header(":authority").as_deref(),
        Some("rum.example.com")
    );
    assert_eq!(call.upstream, "rum.test:80");
    assert_eq!(call.timeout_ms, 5_000);
    assert_eq!(call.body, envelope(42).body());
    assert_eq!(edge.books(), [1, 0, 0, 0, 1]);
    edge.reply(call.token, &Reply::status(200));
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
    assert_eq!(
        edge.rum("bytes"),
        i64::try_from(envelope(42).body().len()).unwrap()
    );
    edge.check_books();
}

fn every_project_goes_where_it_belongs<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    for (target, prefix) in [
        ("/api/42/envelope/", "/rum/sentry/ws/web@42"),
        ("/api/0042/envelope/", "/rum/sentry/ws/web@42"),
        ("/api/43/envelope/?sentry_key=k", "/rum/sentry/ws/api@43"),
        (
            "/api/18446744073709551615/envelope/",
            "/rum/sentry/ws/rest@0",
        ),
    ] {
        edge.send(&Request::post(target).chunk(b"{}"));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.path(), format!("{prefix}{target}"));
        edge.reply(call.token, &Reply::status(200));
    }
    assert_eq!(edge.rum("delivered"), 4);
    edge.check_books();
}

fn what_is_not_mirrored_is_not_sent<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    for (method, target) in [
        ("POST", "/api/7/envelope/"),
        ("POST", "/api/0/envelope/"),
        ("POST", "/api/store/"),
        ("POST", "/api/42/store/"),
        ("POST", "/api/42/envelope"),
        ("GET", "/api/42/envelope/"),
        ("OPTIONS", "/api/42/envelope/"),
        ("POST", "/api/%34%32/envelope/"),
        ("POST", "/rum/sentry/ws/web@42/api/42/envelope/"),
        ("POST", "/api/18446744073709551616/envelope/"),
        ("GET", "/organizations/sentry/issues/"),
    ] {
        edge.send(&Request::new(method, target).chunk(b"{}"));
    }
    edge.advance(200);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(edge.rum("captured"), 0);
    assert_eq!(edge.rum("skipped.excluded"), 1);
    assert_eq!(edge.rum("skipped.loop"), 1);
    assert_eq!(edge.rum("skipped.route"), 3);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn all_routes_take_every_method<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config_with_rum(r#", "routes": "all""#, ""));
    for (method, target) in [
        ("POST", "/api/42/store/"),
        ("PUT", "/api/42/something/new"),
        ("PATCH", "/api/42/upload/abc/?x=1"),
    ] {
        edge.send(&Request::new(method, target).chunk(b"{}"));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.header(":method").as_deref(), Some(method));
        assert_eq!(call.path(), format!("/rum/sentry/ws/web@42{target}"));
        edge.reply(call.token, &Reply::status(200));
    }
    edge.send(&Request::new("OPTIONS", "/api/42/store/").chunk(b"{}"));
    edge.advance(5);
    assert_eq!(edge.calls().len(), 0);
    edge.check_books();
}

fn the_target_is_kept_byte_for_byte<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    for target in [
        "//api//42///envelope/",
        "/api/42/envelope/?sentry_key=a%20b&x=%zz&@=1;2",
        "/api/42/envelope/?/api/43/envelope/",
    ] {
        edge.send(&Request::post(target).chunk(b"{}"));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.path(), format!("/rum/sentry/ws/web@42{target}"));
        edge.reply(call.token, &Reply::status(200));
    }
}

fn the_copy_carries_the_allow_list<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    let request = envelope(42)
        .header("cookie", "sid=secret")
        .header("authorization", "Bearer secret")
        .header("proxy-authorization", "Basic secret")
        .header("connection", "keep-alive")
        .header("x-envoy-external-address", "192.0.2.7")
        .header("content-type", "application/x-sentry-envelope")
        .header("content-encoding", "")
        .header("user-agent", "sentry.python/2.75.0")
        .header("x-sentry-auth", "Sentry sentry_key=k")
        .header("x-forwarded-for", "203.0.113.5,192.0.2.7");
    edge.send(&request);
    edge.advance(5);
    let call = edge.call();
    let names: Vec<String> = call
        .headers
        .iter()
        .map(|(name, _)| String::from_utf8(name.to_vec()).unwrap())
        // nginx does not set X-Forwarded-Proto by itself, the scenarios' Envoy would have.
        .filter(|name| !name.starts_with(':') && name != "x-forwarded-proto")
        .collect();
    assert_eq!(
        names,
        [
            "x-sentry-edge-mirror",
            "content-type",
            "content-encoding",
            "user-agent",
            "x-sentry-auth",
            "x-forwarded-for"
        ]
    );
    assert_eq!(call.header("content-encoding").as_deref(), Some(""));
    assert_eq!(
        call.header("x-forwarded-for").as_deref(),
        Some("203.0.113.5,192.0.2.7")
    );
}

fn a_basic_user_is_sentrys_only_if_the_envelope_has_no_dsn<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    // 32 hexadecimal digits and a colon.
    let basic = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6";
    for (body, kept) in [
        (&b"{}\n"[..], Some(basic)),
        (
            &b"{\"dsn\":\"https://k@sentry.example.com/42\"}\n"[..],
            None,
        ),
    ] {
        let request = Request::post("/api/42/envelope/").header("authorization", basic);
        edge.send(&request.chunk(body));
        edge.advance(5);
        let call = edge.call();
        assert_eq!(call.header("authorization").as_deref(), kept);
        edge.reply(call.token, &Reply::status(200));
    }
}

fn a_header_that_is_not_utf8_is_left_out<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config(""));
    edge.send(
        &envelope(42)
            .header("user-agent", b"caf\xe9")
            .header("referer", "https://app/"),
    );
    edge.advance(5);
    let call = edge.call();
    assert_eq!(call.header("user-agent"), None);
    assert_eq!(call.header("referer").as_deref(), Some("https://app/"));
    assert_eq!(edge.rum("headers_omitted"), 1);
    edge.reply(call.token, &Reply::status(200));
    edge.check_books();
}
