//! A second Sentry: who gets what, under which name, and what it may ask for.

use crate::edge::{Edge, config, envelope};
use crate::everywhere;
use crate::sls;
use test_host::{Call, Profile, Reply, Request, Response};

everywhere!(
    a_copy_is_addressed_to_the_second_sentry,
    every_kind_of_credential_is_replaced,
    the_header_of_an_envelope_names_the_second_sentry,
    a_compressed_envelope_is_touched_only_if_it_must_be,
    other_routes_go_if_they_are_asked_for,
    projects_that_are_not_listed_stay,
    a_limit_holds_back_its_category_alone,
    a_limit_of_everything_holds_back_the_project,
    a_429_about_another_category_is_a_delivery,
    a_429_that_says_nothing_is_about_everything,
    what_waits_for_a_limit_leaves_room_for_the_rest,
    a_limit_for_a_day_closes_its_category,
    its_rules_are_its_own,
    each_leg_waits_for_the_primary_by_itself,
    a_dead_second_sentry_takes_nothing_from_the_others,
    its_budget_is_its_own,
    two_targets_are_two_legs,
);

const UPSTREAM: &str = "second.test:443";
const KEY: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";

fn section(more: &str) -> String {
    format!(
        r#""sentry": {{"saas": {{"upstream": "{UPSTREAM}",
            "projects": {{"42": "https://{KEY}@second.example.com/sentry/7", "43": "https://{KEY}@second.example.com/8"}} {more}}}}}"#
    )
}

/// RUM, and a second Sentry.
fn with(more: &str) -> String {
    config(&format!(", {}", section(more)))
}

/// A second Sentry alone.
fn alone(more: &str) -> String {
    format!(r#"{{"host": "HOST", {}}}"#, section(more))
}

fn saas<E: Edge>(edge: &mut E, what: &str) -> i64 {
    edge.advance(crate::edge::PUBLISH_MS);
    edge.metric(&format!("sentry_edge_mirror.sentry.saas.{what}"))
}

/// Captured, delivered, failed, dropped, pending; they add up.
fn books<E: Edge>(edge: &mut E) -> [i64; 5] {
    let books = ["captured", "delivered", "failed", "dropped", "pending"];
    let books = books.map(|what| saas(edge, what));
    let [captured, ended @ ..] = books;
    assert_eq!(captured, ended.iter().sum::<i64>(), "{books:?}");
    books
}

/// Answers what comes within so many milliseconds; gives the calls to the second Sentry.
fn answered_with<E: Edge>(edge: &mut E, ms: u64, reply: &Reply) -> Vec<Call> {
    let mut all = Vec::new();
    for _ in 0..ms.div_ceil(5) {
        for call in edge.calls() {
            if call.upstream == UPSTREAM {
                edge.reply(call.token, reply);
                all.push(call);
            } else if call.upstream == sls::UPSTREAM {
                edge.reply(call.token, &sls::taken());
            } else {
                edge.reply(call.token, &Reply::status(200));
            }
        }
        edge.advance(5);
    }
    all
}

fn answered<E: Edge>(edge: &mut E, ms: u64) -> Vec<Call> {
    answered_with(edge, ms, &Reply::status(200))
}

/// The one call of a request.
fn sent<E: Edge>(edge: &mut E, request: &Request) -> Call {
    edge.send(request);
    let calls = answered(edge, 60);
    assert_eq!(calls.len(), 1, "{calls:#?}");
    calls.into_iter().next().unwrap()
}

fn items(types: &[&str]) -> String {
    let items = types
        .iter()
        .map(|ty| format!("{{\"type\":\"{ty}\"}}\n{{}}\n"));
    format!("{{}}\n{}", items.collect::<String>())
}

fn of_type(ty: &str) -> Request {
    Request::post("/api/42/envelope/").chunk(items(&[ty]))
}

fn a_copy_is_addressed_to_the_second_sentry<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(""));
    let request = Request::post("/api/42/envelope/?sentry_version=7&sentry_key=first")
        .header("cookie", "session=1")
        .header("user-agent", "sdk/1")
        .chunk(items(&["event"]));
    let call = sent(&mut edge, &request);
    assert_eq!(
        call.path(),
        format!("/sentry/api/7/envelope/?sentry_version=7&sentry_key={KEY}")
    );
    assert_eq!(
        call.header(":authority").as_deref(),
        Some("second.example.com")
    );
    assert_eq!(call.header("user-agent").as_deref(), Some("sdk/1"));
    assert_eq!(call.header("cookie"), None);
    assert_eq!(call.body, request.body(), "byte for byte");
    assert_eq!(books(&mut edge), [1, 1, 0, 0, 0]);
    // RUM got its own.
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn every_kind_of_credential_is_replaced<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    let basic = "Basic MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA6cGFzcw==";
    for (name, value, becomes) in [
        (
            "x-sentry-auth",
            "Sentry sentry_version=7, sentry_key=first, sentry_secret=old",
            Some(format!("Sentry sentry_version=7, sentry_key={KEY}")),
        ),
        (
            "authorization",
            "Sentry sentry_key=first",
            Some(format!("Sentry sentry_key={KEY}")),
        ),
        ("authorization", "Bearer somebody's", None),
        (
            "authorization",
            basic,
            Some("Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6".to_owned()),
        ),
    ] {
        let call = sent(&mut edge, &envelope(42).header(name, value));
        assert_eq!(call.header(name).as_deref(), becomes.as_deref(), "{value}");
        assert_eq!(call.path(), "/sentry/api/7/envelope/");
    }
}

fn the_header_of_an_envelope_names_the_second_sentry<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    let rest = "\n{\"type\":\"attachment\",\"length\":5}\na\n\nb\n\n{\"type\":\"event\"}\n{ }";
    for (header, becomes) in [
        (
            r#"{"dsn":"https://first@first.example.com/42","event_id":"771a43a4192642f0b136d5159a501700"}"#,
            format!(
                r#"{{"dsn":"https://{KEY}@second.example.com/sentry/7","event_id":"771a43a4192642f0b136d5159a501700"}}"#
            ),
        ),
        (
            r#"{"trace":{"trace_id":"771a43a4192642f0b136d5159a501700","public_key":"first"}}"#,
            format!(
                r#"{{"trace":{{"trace_id":"771a43a4192642f0b136d5159a501700","public_key":"{KEY}"}}}}"#
            ),
        ),
        // It ends with its third line.
        (
            "{\n\"dsn\":\"https://first@first.example.com/42\"\n}",
            format!("{{\n\"dsn\":\"https://{KEY}@second.example.com/sentry/7\"\n}}"),
        ),
    ] {
        let request = Request::post("/api/42/envelope/").header("content-encoding", "identity");
        let call = sent(&mut edge, &request.chunk(format!("{header}{rest}")));
        assert_eq!(
            String::from_utf8(call.body.clone()).unwrap(),
            format!("{becomes}{rest}")
        );
        assert_eq!(call.header("content-encoding"), None);
    }
    assert_eq!(books(&mut edge), [3, 3, 0, 0, 0]);
}

/// An envelope without a DSN in its header, and one with, as gzip.
fn gzip(text: &str) -> Vec<u8> {
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn a_compressed_envelope_is_touched_only_if_it_must_be<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    let request = || Request::post("/api/42/envelope/").header("content-encoding", "gzip");
    let plain = gzip(&items(&["event", "attachment"]));
    let call = sent(&mut edge, &request().chunk(&plain));
    assert_eq!(call.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(call.body, plain);
    let rest = "\n{\"type\":\"event\"}\n{}\n";
    let named = gzip(&format!("{{\"dsn\":\"https://first@h/42\"}}{rest}"));
    let call = sent(&mut edge, &request().chunk(&named));
    assert_eq!(call.header("content-encoding"), None);
    let becomes = format!("{{\"dsn\":\"https://{KEY}@second.example.com/sentry/7\"}}{rest}");
    assert_eq!(call.body, becomes.as_bytes());
    // What cannot be read goes as it came: the second Sentry says what it thinks of it.
    for (encoding, body) in [
        ("gzip", "no gzip"),
        ("unheard-of", "x"),
        ("", "no envelope"),
    ] {
        let request = Request::post("/api/42/envelope/").header("content-encoding", encoding);
        let call = sent(&mut edge, &request.chunk(body));
        assert_eq!(call.body, body.as_bytes());
    }
    assert_eq!(books(&mut edge), [5, 5, 0, 0, 0]);
}

fn other_routes_go_if_they_are_asked_for<E: Edge>(profile: Profile) {
    let store = Request::post("/api/42/store/?sentry_key=first").chunk("{}");
    let mut edge = E::start(profile, &alone(""));
    edge.send(&store);
    assert_eq!(answered(&mut edge, 60).len(), 0);
    let mut edge = E::start(profile, &alone(r#", "routes": "all""#));
    let call = sent(&mut edge, &store);
    assert_eq!(
        call.path(),
        format!("/sentry/api/7/store/?sentry_key={KEY}")
    );
    let call = sent(
        &mut edge,
        &Request::post("/api/42/cron/nightly/first/").chunk("{}"),
    );
    assert_eq!(call.path(), format!("/sentry/api/7/cron/nightly/{KEY}/"));
}

fn projects_that_are_not_listed_stay<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    for _ in 0..64 {
        edge.send(&envelope(44));
    }
    assert_eq!(answered(&mut edge, 200).len(), 0);
    assert_eq!(saas(&mut edge, "skipped.unmapped"), 64);
    let default = format!(r#", "default": "https://{KEY}@second.example.com/9", "exclude": [45]"#);
    let mut edge = E::start(profile, &alone(&default));
    assert_eq!(sent(&mut edge, &envelope(44)).path(), "/api/9/envelope/");
    assert_eq!(sent(&mut edge, &envelope(43)).path(), "/api/8/envelope/");
    edge.send(&envelope(45));
    assert_eq!(answered(&mut edge, 60).len(), 0);
    assert_eq!(saas(&mut edge, "skipped.excluded"), 1);
}

const LIMITS: &str = "x-sentry-rate-limits";

fn a_limit_holds_back_its_category_alone<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    let limited = Reply::status(429).header(LIMITS, "3:transaction;profile:organization");
    edge.send(&of_type("transaction"));
    assert_eq!(answered_with(&mut edge, 60, &limited).len(), 1);
    for ty in ["transaction", "event", "session", "profile"] {
        edge.send(&of_type(ty));
    }
    edge.send(&Request::post("/api/43/envelope/").chunk(items(&["transaction"])));
    let calls = answered(&mut edge, 200);
    let paths: Vec<String> = calls.iter().map(|call| call.path().to_owned()).collect();
    assert_eq!(calls.len(), 3, "{paths:?}");
    assert!(
        paths.contains(&"/api/8/envelope/".to_owned()),
        "another project"
    );
    assert_eq!(saas(&mut edge, "pending"), 3, "two transactions, a profile");
    assert_eq!(answered(&mut edge, 2_700).len(), 0, "not before it is over");
    // As much again at random comes on top, for each category by itself.
    assert_eq!(answered(&mut edge, 3_500).len(), 3, "when it is over");
    assert_eq!(books(&mut edge), [6, 6, 0, 0, 0]);
}

fn a_limit_of_everything_holds_back_the_project<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    // Also with a 200, which has taken the envelope.
    let limited = Reply::status(200).header(LIMITS, "2::key");
    edge.send(&of_type("event"));
    assert_eq!(answered_with(&mut edge, 60, &limited).len(), 1);
    edge.send(&of_type("session"));
    edge.send(&Request::post("/api/43/envelope/").chunk(items(&["event"])));
    assert_eq!(answered(&mut edge, 200).len(), 1, "another project's");
    assert_eq!(answered(&mut edge, 4_000).len(), 1);
    assert_eq!(books(&mut edge), [3, 3, 0, 0, 0]);
}

fn a_429_about_another_category_is_a_delivery<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    let limited = Reply::status(429).header(LIMITS, "2:attachment:key");
    edge.send(&Request::post("/api/42/envelope/").chunk(items(&["event", "attachment"])));
    assert_eq!(answered_with(&mut edge, 60, &limited).len(), 1);
    assert_eq!(answered(&mut edge, 3_000).len(), 0, "the event is there");
    assert_eq!(books(&mut edge), [1, 1, 0, 0, 0]);
}

fn a_429_that_says_nothing_is_about_everything<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(""));
    edge.send(&of_type("event"));
    assert_eq!(answered_with(&mut edge, 60, &Reply::status(429)).len(), 1);
    edge.send(&of_type("session"));
    assert_eq!(answered(&mut edge, 59_000).len(), 0, "as SDKs do");
    assert_eq!(answered(&mut edge, 32_000).len(), 2);
    let asked = Reply::status(429).header("retry-after", "2");
    edge.send(&of_type("event"));
    assert_eq!(answered_with(&mut edge, 60, &asked).len(), 1);
    assert_eq!(answered(&mut edge, 1_900).len(), 0);
    assert_eq!(answered(&mut edge, 2_200).len(), 1);
    assert_eq!(books(&mut edge), [3, 3, 0, 0, 0]);
}

fn what_waits_for_a_limit_leaves_room_for_the_rest<E: Edge>(profile: Profile) {
    let limits = r#", "limits": {"max_pending_bytes": 40000}"#;
    let mut edge = E::start(profile, &alone(limits));
    let limited = Reply::status(200).header(LIMITS, "60:transaction:organization");
    edge.send(&of_type("event"));
    assert_eq!(answered_with(&mut edge, 60, &limited).len(), 1);
    for _ in 0..60 {
        edge.send(&of_type("transaction"));
        answered(&mut edge, 5);
    }
    answered(&mut edge, 500);
    assert!(saas(&mut edge, "pending_bytes") <= 30_000);
    let dropped = saas(&mut edge, "dropped");
    assert!(dropped > 0);
    for _ in 0..10 {
        edge.send(&of_type("event"));
        assert_eq!(answered(&mut edge, 60).len(), 1);
    }
    assert_eq!(saas(&mut edge, "dropped"), dropped);
    let waited = usize::try_from(saas(&mut edge, "pending")).unwrap();
    assert_eq!(answered(&mut edge, 91_000).len(), waited);
    books(&mut edge);
}

fn a_limit_for_a_day_closes_its_category<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &alone(r#", "routes": "all""#));
    // As Bugsink says it with every answer.
    let limited = Reply::status(200).header(LIMITS, "86400:transaction;span:organization");
    edge.send(&of_type("event"));
    assert_eq!(answered_with(&mut edge, 60, &limited).len(), 1);
    for ty in ["transaction", "event", "span", "session"] {
        edge.send(&of_type(ty));
    }
    edge.send(&Request::post("/api/42/store/").chunk("{}"));
    assert_eq!(answered(&mut edge, 200).len(), 3);
    assert_eq!(saas(&mut edge, "skipped.limited"), 2);
    assert_eq!(books(&mut edge), [4, 4, 0, 0, 0], "nothing waits");
}

fn its_rules_are_its_own<E: Edge>(profile: Profile) {
    let rules = r#", "items": {"not": ["attachment"]}, "client_ip": "none", "rate": {"copies_per_s": 2}, "scrub": true"#;
    let mut edge = E::start(profile, &with(rules));
    let header = r#"{"dsn":"https://first@h/42"}"#;
    let event = "{\"type\":\"event\"}\n{\"password\":\"hunter2\"}\n";
    let body = format!("{header}\n{event}{{\"type\":\"attachment\"}}\nx\n");
    let request = Request::post("/api/42/envelope/").header("x-forwarded-for", "203.0.113.9");
    edge.send(&request.chunk(&body));
    let mut rum = None;
    let mut second = None;
    for _ in 0..20 {
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(200));
            if call.upstream == UPSTREAM {
                second = Some(call);
            } else {
                rum = Some(call);
            }
        }
        edge.advance(5);
    }
    let (rum, second) = (rum.unwrap(), second.unwrap());
    assert_eq!(rum.body, body.as_bytes(), "RUM's copy is as it came");
    assert!(rum.header("x-forwarded-for").is_some());
    assert_eq!(second.header("x-forwarded-for"), None);
    let becomes = format!(
        "{{\"dsn\":\"https://{KEY}@second.example.com/sentry/7\"}}\n{{\"type\":\"event\"}}\n{{\"password\":\"[Filtered]\"}}\n"
    );
    assert_eq!(String::from_utf8(second.body).unwrap(), becomes);
    for _ in 0..3 {
        edge.send(&of_type("event"));
    }
    answered(&mut edge, 100);
    assert!(saas(&mut edge, "skipped.limited") >= 1);
    assert_eq!(edge.rum("skipped.limited"), 0);
    edge.send(&of_type("attachment"));
    answered(&mut edge, 100);
    assert_eq!(saas(&mut edge, "skipped.items"), 1);
    books(&mut edge);
    edge.check_books();
}

fn each_leg_waits_for_the_primary_by_itself<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#", "only_accepted": true"#));
    for (status, goes) in [(403, 0), (200, 1)] {
        let stream = edge.upload(&envelope(42));
        let calls = answered(&mut edge, 100);
        assert_eq!(calls.len(), 0, "before the answer {status}: {calls:#?}");
        edge.respond(stream, &Response::status(status));
        edge.close(stream);
        assert_eq!(answered(&mut edge, 100).len(), goes, "{status}");
    }
    assert_eq!(saas(&mut edge, "skipped.refused"), 1);
    assert_eq!(edge.books(), [2, 2, 0, 0, 0], "RUM did not wait");
    assert_eq!(books(&mut edge), [1, 1, 0, 0, 0]);
}

fn a_dead_second_sentry_takes_nothing_from_the_others<E: Edge>(profile: Profile) {
    let limits = r#", "limits": {"max_pending_bytes": 20000}"#;
    let config = with(limits).replacen('{', &format!("{{{},", sls::section("")), 1);
    let mut edge = E::start(profile, &config);
    let mut rum = 0;
    for _ in 0..60 {
        edge.send(&envelope(42));
        for call in edge.calls() {
            match call.upstream.as_str() {
                UPSTREAM => edge.reply(call.token, &Reply::status(503)),
                sls::UPSTREAM => edge.reply(call.token, &sls::taken()),
                _ => {
                    rum += 1;
                    edge.reply(call.token, &Reply::status(200));
                }
            }
        }
        edge.advance(20);
    }
    for _ in 0..500 {
        for call in edge.calls() {
            match call.upstream.as_str() {
                UPSTREAM => edge.reply(call.token, &Reply::status(503)),
                sls::UPSTREAM => edge.reply(call.token, &sls::taken()),
                _ => {
                    rum += 1;
                    edge.reply(call.token, &Reply::status(200));
                }
            }
        }
        edge.advance(20);
    }
    assert_eq!(rum, 60);
    assert_eq!(edge.books(), [60, 60, 0, 0, 0]);
    assert_eq!(edge.logs(), [60, 60, 0, 0, 0]);
    let [captured, delivered, failed, dropped, pending] = books(&mut edge);
    assert_eq!((captured, delivered), (60, 0));
    assert!(dropped > 10, "beyond its budget: {dropped}");
    assert_eq!(failed + dropped + pending, 60);
}

fn its_budget_is_its_own<E: Edge>(profile: Profile) {
    let limits = r#", "limits": {"max_pending_bytes": 20000}"#;
    let mut edge = E::start(profile, &alone(limits));
    let large = Request::post("/api/42/envelope/").body_in(&[b'x'; 30_000], 10_000);
    edge.send(&large);
    assert_eq!(answered(&mut edge, 100).len(), 0);
    assert_eq!(books(&mut edge), [1, 0, 0, 1, 0]);
    assert!(
        edge.log_lines().contains("sentry.saas"),
        "{}",
        edge.log_lines()
    );
}

fn two_targets_are_two_legs<E: Edge>(profile: Profile) {
    let other = r#""other": {"upstream": "other.test:80", "projects": {"42": "http://k@other.example.com/1"}}, "saas""#;
    let mut edge = E::start(profile, &with("").replace(r#""saas""#, other));
    edge.send(&envelope(42));
    let mut upstreams = Vec::new();
    for _ in 0..20 {
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(200));
            upstreams.push(call.upstream);
        }
        edge.advance(5);
    }
    upstreams.sort();
    assert_eq!(upstreams, ["other.test:80", "rum.test:80", UPSTREAM]);
    assert_eq!(books(&mut edge), [1, 1, 0, 0, 0]);
    let name = "sentry_edge_mirror.sentry.other.delivered";
    assert_eq!(edge.metric(name), 1);
}
