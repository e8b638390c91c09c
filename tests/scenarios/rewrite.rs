//! Mode `rewrite`, the plain way: the request goes on as the copy, and its answer is counted.

use crate::at_a_target;
use crate::edge::{Edge, Refusal, envelope, rewriting};
use crate::sls;
use test_host::{Profile, Reply, Request};

at_a_target! {
    Envoy as core_as_envoy, module_in_envoy:
        a_request_goes_on_as_the_copy,
        the_copy_has_the_allow_list_and_its_connections_own,
        the_target_is_kept_byte_for_byte,
        the_body_streams_and_nothing_is_kept,
        what_no_rule_covers_is_answered,
        the_answer_decides,
        without_an_answer_it_has_failed,
        what_cannot_be_changed_does_not_leave,
        what_cannot_be_answered_waits,
        logs_are_made_on_the_way,
        logs_of_a_cut_request_are_not_made,
        the_logs_of_a_project_without_rum,
        a_copy_without_a_body,
        an_announced_body_that_never_comes_is_not_copied,
        books_at_the_end_of_a_drain;
    Nginx as core_as_nginx, module_in_nginx:
        a_request_goes_on_as_the_copy,
        the_target_is_kept_byte_for_byte,
        nginx_sets_the_path_and_blanks_credentials,
        a_second_cookie_line_cannot_leave,
        what_no_rule_covers_is_answered,
        the_answer_decides,
        without_an_answer_it_has_failed,
        what_cannot_be_changed_does_not_leave,
        logs_are_made_on_the_way,
        nginx_has_no_logs_without_rum;
}

fn with_logs(extra: &str) -> String {
    rewriting(&format!(", {} {extra}", sls::section("")))
}

fn a_request_goes_on_as_the_copy<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let body = envelope(42).body();
    let stream = target.upload(&Request::post("/api/42/envelope/?sentry_key=k").chunk(&body));
    let seen = target.seen(stream);
    assert_eq!(
        seen.path(),
        "/rum/sentry/ws/web@42/api/42/envelope/?sentry_key=k"
    );
    assert_eq!(
        (seen.body.clone(), seen.ended, seen.answered()),
        (body.clone(), true, None)
    );
    let edge = &mut target;
    assert_eq!(edge.books(), [1, 0, 0, 0, 1]);
    assert_eq!(
        ["in_flight", "pending_bytes", "attempts", "in_place"].map(|what| edge.rum(what)),
        [1, 0, 1, 1]
    );
    target.answer(stream, 200);
    target.close(stream);
    let edge = &mut target;
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(
        ["in_flight", "bytes", "retries"].map(|what| edge.rum(what)),
        [0, i64::try_from(body.len()).unwrap(), 0]
    );
    assert!(edge.calls().is_empty());
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn the_copy_has_the_allow_list_and_its_connections_own<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let request = envelope(42)
        .header("cookie", "sid=secret")
        .header("cookie", "second=secret")
        .header("authorization", "Bearer secret")
        .header("proxy-authorization", "Basic secret")
        .header("x-api-key", "secret")
        .header("x-envoy-internal", "true")
        .header("content-type", "application/x-sentry-envelope")
        .header("content-encoding", "")
        .header("content-length", "24")
        .header("x-sentry-auth", "Sentry sentry_key=k")
        .header("x-forwarded-for", "203.0.113.5, 192.0.2.7");
    let stream = target.upload(&request);
    let headers = target.seen(stream).headers.unwrap();
    let names: Vec<String> = headers
        .iter()
        .map(|(name, _)| String::from_utf8(name.to_vec()).unwrap())
        .collect();
    assert_eq!(
        names,
        [
            ":method",
            ":path",
            ":authority",
            "x-sentry-edge-mirror",
            "content-type",
            "content-encoding",
            "x-sentry-auth",
            "x-forwarded-for",
            ":scheme",
            "content-length"
        ]
    );
    assert_eq!(headers.text(":authority").unwrap(), "rum.example.com");
    assert_eq!(
        headers.text("x-forwarded-for").unwrap(),
        "203.0.113.5, 192.0.2.7"
    );
}

fn nginx_sets_the_path_and_blanks_credentials<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let request = envelope(42)
        .header("cookie", "sid=secret")
        .header("authorization", "Bearer secret")
        .header("user-agent", "sdk");
    let stream = target.upload(&request);
    let seen = target.seen(stream);
    assert_eq!(seen.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
    assert_eq!(
        ["cookie", "authorization", "user-agent"].map(|name| seen.header(name).unwrap()),
        ["", "", "sdk"]
    );
    let sentry = "Sentry sentry_key=k";
    let stream = target.upload(&envelope(42).header("authorization", sentry));
    let seen = target.seen(stream);
    assert_eq!(seen.header("authorization").as_deref(), Some(sentry));
}

fn a_second_cookie_line_cannot_leave<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let request = envelope(42).header("cookie", "a=1").header("cookie", "b=2");
    let stream = target.upload(&request);
    target.seen(stream).assert_answered();
    assert_eq!(target.books(), [1, 0, 1, 0, 0]);
}

fn the_target_is_kept_byte_for_byte<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    for path in [
        "//api//42///envelope/",
        "/api/42/envelope/?sentry_key=a%20b&x=%zz&@=1;2",
        "/api/42/envelope/?",
    ] {
        let stream = target.upload(&Request::post(path).chunk(b"{}"));
        let sent = target.seen(stream).path();
        assert_eq!(sent, format!("/rum/sentry/ws/web@42{path}"));
    }
}

fn the_body_streams_and_nothing_is_kept<T: Edge>(profile: Profile) {
    // Far more than would be copied.
    let limits = r#", "limits": {"max_body_bytes": 1000, "max_pending_bytes": 2000}"#;
    let mut target = T::start(profile, &rewriting(limits));
    let announced = Request::post("/api/42/envelope/").header("content-length", "500000");
    let stream = target.open(&announced);
    assert!(target.seen(stream).headers.is_some());
    for n in 1..=50 {
        target.body(stream, &[b'x'; 10_000], n == 50);
        let seen = target.seen(stream);
        assert_eq!((seen.body.len(), seen.ended), (n * 10_000, n == 50));
    }
    assert_eq!(target.rum("pending_bytes"), 0);
    target.answer(stream, 204);
    assert_eq!(target.books(), [1, 1, 0, 0, 0]);
    assert_eq!(target.rum("bytes"), 500_000);
}

fn what_no_rule_covers_is_answered<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    for (method, path) in [
        ("POST", "/api/7/envelope/"),
        ("POST", "/api/42/store/"),
        ("GET", "/api/42/envelope/"),
        ("OPTIONS", "/api/42/envelope/"),
        ("GET", "/"),
        ("POST", "/rum/sentry/ws/web@42/api/42/envelope/"),
        ("POST", "/api/0/envelope/"),
    ] {
        let stream = target.upload(&Request::new(method, path).chunk(b"{}"));
        target.seen(stream).assert_answered();
        target.close(stream);
    }
    // Somebody's copy: this is where two edges that mirror to each other end.
    let marked = target.upload(&envelope(42).header("x-sentry-edge-mirror", "1"));
    target.seen(marked).assert_answered();
    let edge = &mut target;
    assert_eq!(
        ["excluded", "loop", "route", "aborted"].map(|why| edge.rum(&format!("skipped.{why}"))),
        [1, 2, 2, 0]
    );
    assert_eq!(edge.books(), [0; 5]);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn the_answer_decides<T: Edge>(profile: Profile) {
    for (status, delivered) in [
        (200, 1),
        (204, 1),
        (301, 0),
        (400, 0),
        (413, 0),
        (429, 0),
        (500, 0),
        (502, 0),
        (503, 0),
        (504, 0),
    ] {
        let mut target = T::start(profile, &rewriting(""));
        let stream = target.upload(&envelope(42));
        target.answer(stream, status);
        target.close(stream);
        let edge = &mut target;
        assert_eq!(
            edge.books(),
            [1, delivered, 1 - delivered, 0, 0],
            "{status}"
        );
        edge.advance(60_000);
        assert!(edge.calls().is_empty(), "no second attempt");
    }
}

fn without_an_answer_it_has_failed<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let whole = target.upload(&envelope(42));
    target.close(whole);
    assert_eq!(target.books(), [1, 0, 1, 0, 0]);
    let cut = target.open(&Request::post("/api/42/envelope/").header("content-length", "300"));
    target.close(cut);
    assert_eq!(target.books(), [2, 0, 2, 0, 0]);
}

fn what_cannot_be_changed_does_not_leave<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    target.fault(Refusal::Replace, 1);
    let stream = target.upload(&envelope(42).header("cookie", "sid=secret"));
    target.seen(stream).assert_answered();
    target.close(stream);
    assert_eq!(target.books(), [1, 0, 1, 0, 0]);
    assert_eq!(target.rum("attempts"), 0);
}

fn what_cannot_be_answered_waits<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    target.fault(Refusal::Answer, 2);
    target.fault(Refusal::Replace, 1);
    for request in [envelope(7), envelope(42)] {
        let stream = target.upload(&request.header("cookie", "sid=secret"));
        let seen = target.seen(stream);
        assert_eq!((seen.headers.as_ref(), seen.answered()), (None, None));
        target.close(stream);
    }
    assert_eq!(target.books(), [1, 0, 1, 0, 0]);
}

fn logs_are_made_on_the_way<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &with_logs(""));
    let stream = target.upload(&sls::events(&["one", "two"]));
    assert_eq!(
        target.seen(stream).path(),
        "/rum/sentry/ws/web@42/api/42/envelope/"
    );
    target.answer(stream, 200);
    target.close(stream);
    let edge = &mut target;
    edge.advance(2_020);
    let call = edge.call();
    assert_eq!(call.upstream, sls::UPSTREAM);
    let logs = sls::logs(&call);
    assert_eq!(logs.len(), 2);
    assert!(logs[0].contains("one") && logs[1].contains("two"));
    edge.reply(call.token, &sls::taken());
    assert_eq!(edge.logs(), [2, 2, 0, 0, 0]);
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
}

fn logs_of_a_cut_request_are_not_made<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &with_logs(""));
    let stream = target.open(&Request::post("/api/42/envelope/"));
    target.body(stream, b"{}\n{\"type\":\"event\"}\n", false);
    target.close(stream);
    let edge = &mut target;
    edge.advance(3_000);
    assert!(edge.calls().is_empty());
    assert_eq!(edge.sls("skipped.aborted"), 1);
    assert_eq!(edge.books(), [1, 0, 1, 0, 0]);
}

fn the_logs_of_a_project_without_rum<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &with_logs(""));
    let request = Request::post("/api/7/envelope/").chunk(sls::events(&["one"]).body());
    let stream = target.upload(&request);
    target.seen(stream).assert_answered();
    let edge = &mut target;
    edge.advance(2_020);
    let call = edge.call();
    assert_eq!(sls::logs(&call).len(), 1);
    edge.reply(call.token, &sls::taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    assert_eq!((edge.rum("skipped.excluded"), edge.rum("captured")), (1, 0));
}

/// A location that answers by itself never reads a body.
fn nginx_has_no_logs_without_rum<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &with_logs(""));
    let stream = target.upload(&envelope(7));
    target.seen(stream).assert_answered();
    target.close(stream);
    assert_eq!(target.sls("skipped.unreadable"), 1);
}

fn a_copy_without_a_body<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let stream = target.upload(&Request::post("/api/42/envelope/"));
    assert!(target.seen(stream).ended);
    target.answer(stream, 400);
    assert_eq!(target.books(), [1, 0, 1, 0, 0]);
}

fn an_announced_body_that_never_comes_is_not_copied<T: Edge>(profile: Profile) {
    no_body_comes(T::start(profile, &with_logs("")));
}

/// Envoy 1.36 shows its filters such a request, and refuses it then.
pub(crate) fn no_body_comes<T: Edge>(mut target: T) {
    let request = Request::post("/api/42/envelope/").header("content-length", "2");
    let stream = target.headers(&request, true);
    target.seen(stream).assert_answered();
    target.close(stream);
    target.advance(200);
    assert_eq!(target.calls().len(), 0);
    assert_eq!(target.books(), [0; 5]);
    assert_eq!(
        (target.rum("skipped.aborted"), target.sls("skipped.aborted")),
        (1, 1)
    );
}

/// Streams may outlive the drain by far; what they come to then is counted already.
fn books_at_the_end_of_a_drain<T: Edge>(profile: Profile) {
    let mut target = T::start(profile, &rewriting(""));
    let first = target.upload(&envelope(42));
    let second = target.upload(&envelope(42));
    target.answer(first, 200);
    target.close(first);
    assert_eq!(target.books(), [2, 1, 0, 0, 1]);
    target.drain();
    target.answer(second, 200);
    target.close(second);
    target.advance(11_000);
    assert_eq!(target.books(), [2, 2, 0, 0, 0]);
    assert!(target.is_gone());
    target.reply(1, &Reply::status(200));
}
