//! Rules for copies: whether they go, how many, and what they tell of the client.

use crate::edge::{Edge, config, config_with_rum, envelope};
use crate::everywhere;
use crate::sls;
use test_host::{Profile, Reply, Request, Response};

everywhere!(
    a_copy_tells_of_the_client_what_it_may,
    logs_tell_of_the_client_what_they_may,
    a_project_over_its_rate_is_limited,
    bytes_are_limited_too,
    a_trace_is_in_the_sample_as_a_whole,
    what_is_read_is_bounded_and_counted,
    what_the_primary_refuses_is_not_mirrored,
    a_refusal_that_comes_early_ends_the_copy,
    without_an_answer_a_copy_goes,
    what_waits_for_the_primary_is_bounded,
    what_is_read_at_the_end_goes_first,
    the_other_leg_is_not_held_up,
    projects_have_rules_of_their_own,
    items_that_stay_are_left_out,
    what_becomes_larger_has_to_find_room,
    copies_are_scrubbed_as_logs_are,
    what_is_put_together_anew_goes_as_gzip,
    what_cannot_be_scrubbed_goes_if_that_is_asked_for,
);

/// With sample 0.25: not in it, and in it.
const OUT: &str = "771a43a4192642f0b136d5159a501700";
const IN: &str = "e4b06ce60741c7a87ce42c8218072e8c";

fn with(rules: &str) -> String {
    config_with_rum(&format!(", {rules}"), "")
}

/// Answers what has come with 200, and what follows; gives the calls.
fn answered<E: Edge>(edge: &mut E, ms: u64) -> Vec<test_host::Call> {
    let mut all = Vec::new();
    for _ in 0..ms.div_ceil(5) {
        for call in edge.calls() {
            edge.reply(call.token, &Reply::status(200));
            all.push(call);
        }
        edge.advance(5);
    }
    all
}

fn a_copy_tells_of_the_client_what_it_may<E: Edge>(profile: Profile) {
    for (client_ip, seen) in [
        ("full", Some("203.0.113.9, 2001:db8:1:2::3")),
        ("truncated", Some("203.0.113.0, 2001:db8:1::")),
        ("none", None),
    ] {
        let mut edge = E::start(profile, &with(&format!(r#""client_ip": "{client_ip}""#)));
        edge.send(&envelope(42).header("x-forwarded-for", "203.0.113.9, 2001:db8:1:2::3"));
        edge.advance(5);
        let call = edge.call();
        let found = call.header("x-forwarded-for");
        // nginx appends the peer itself.
        assert_eq!(found.is_some(), seen.is_some(), "{found:?}");
        assert!(
            found
                .unwrap_or_default()
                .starts_with(seen.unwrap_or_default())
        );
        let addresses = call.headers.iter().filter(|(_, value)| {
            let value = String::from_utf8_lossy(value);
            value.contains("203.0.113.9") || value.contains(":2::3")
        });
        assert_eq!(addresses.count() > 0, client_ip == "full");
        assert_eq!(call.body, envelope(42).body(), "as it came");
        edge.check_books();
    }
}

fn logs_tell_of_the_client_what_they_may<E: Edge>(profile: Profile) {
    for (client_ip, seen) in [
        ("full", "203.0.113.9"),
        ("truncated", "203.0.113.0"),
        ("none", "[Filtered]"),
    ] {
        for scrub in ["true", "false"] {
            let section = format!(r#", "client_ip": "{client_ip}", "scrub": {scrub}"#);
            let mut edge = E::start(profile, &sls::config(&section, ""));
            let event = r#"{"user":{"ip_address":"203.0.113.9"},"request":{"env":{"REMOTE_ADDR":"203.0.113.9"}}}"#;
            let body = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
            edge.send(&Request::post("/api/42/envelope/").chunk(body));
            edge.advance(2_020);
            let log = sls::logs(&edge.call()).concat();
            assert_eq!(log.contains("203.0.113.9"), client_ip == "full", "{log}");
            assert!(log.contains(&format!(r#"ip_address":"{seen}""#)), "{log}");
            assert!(log.contains(&format!(r#"REMOTE_ADDR":"{seen}""#)), "{log}");
        }
    }
}

fn a_project_over_its_rate_is_limited<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#""rate": {"copies_per_s": 3}"#));
    for project in [42, 43, 42, 42, 42, 42, 43, 42] {
        edge.send(&envelope(project));
    }
    let calls = answered(&mut edge, 100);
    let of = |project: u32| {
        let path = format!("/api/{project}/envelope/");
        calls
            .iter()
            .filter(|call| call.path().ends_with(&path))
            .count()
    };
    assert_eq!((of(42), of(43)), (3, 2));
    assert_eq!(edge.rum("skipped.limited"), 3);
    assert_eq!(edge.books(), [5, 5, 0, 0, 0]);
    // A second later there is room for as many.
    edge.advance(1_000);
    for _ in 0..4 {
        edge.send(&envelope(42));
    }
    answered(&mut edge, 100);
    assert_eq!(edge.rum("skipped.limited"), 4);
    assert_eq!(edge.books(), [8, 8, 0, 0, 0]);
    edge.check_books();
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn bytes_are_limited_too<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#""rate": {"bytes_per_s": 10000}"#));
    let large = Request::post("/api/42/envelope/").body_in(&[b'x'; 30_000], 10_000);
    edge.send(&large);
    edge.send(&envelope(42));
    edge.send(&envelope(43));
    answered(&mut edge, 100);
    assert_eq!(
        edge.rum("skipped.limited"),
        1,
        "the large one is paid for first"
    );
    edge.advance(2_200);
    edge.send(&envelope(42));
    answered(&mut edge, 100);
    assert_eq!(edge.books(), [3, 3, 0, 0, 0]);
    edge.check_books();
}

fn traced(header: &str, ty: &str) -> Request {
    let body = format!("{header}\n{{\"type\":\"{ty}\"}}\n{{}}\n");
    Request::post("/api/42/envelope/").chunk(body)
}

fn a_trace_is_in_the_sample_as_a_whole<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#""sample": 0.25, "routes": "all""#));
    let trace = |id: &str, event: &str| {
        format!(r#"{{"event_id":"{event}","trace":{{"trace_id":"{id}"}}}}"#)
    };
    let mut kept = Vec::new();
    for (request, goes) in [
        (traced(&trace(IN, OUT), "event"), true),
        (traced(&trace(IN, OUT), "transaction"), true),
        (traced(&trace(IN, OUT), "attachment"), true),
        (traced(&trace(OUT, IN), "event"), false),
        (traced(&trace(OUT, IN), "transaction"), false),
        (traced(&trace(OUT, IN), "session"), true),
        (traced(&trace(OUT, IN), "client_report"), true),
        (traced(&trace(OUT, IN), "check_in"), true),
        (
            traced(&format!(r#"{{"event_id":"{OUT}"}}"#), "event"),
            false,
        ),
        (traced("{}", "event"), true),
        (Request::post("/api/42/store/").chunk(trace(OUT, OUT)), true),
    ] {
        edge.send(&request);
        if goes {
            kept.push(request.body());
        }
    }
    let calls = answered(&mut edge, 200);
    let bodies: Vec<Vec<u8>> = calls.into_iter().map(|call| call.body).collect();
    assert_eq!(bodies.len(), kept.len());
    assert!(
        kept.iter().all(|body| bodies.contains(body)),
        "as they came"
    );
    assert_eq!(edge.rum("skipped.sampled"), 3);
    assert_eq!(edge.rum("queued"), 0);
    edge.check_books();
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn what_is_read_is_bounded_and_counted<E: Edge>(profile: Profile) {
    let rule = r#", "sample": 0.25"#;
    let limits = r#", "limits": {"max_pending_bytes": 100000}"#;
    let mut edge = E::start(profile, &config_with_rum(rule, limits));
    for _ in 0..40 {
        let header = format!("{{\"event_id\":\"{IN}\"}}\n");
        let body = [header.as_bytes(), &[b'x'; 10_000]].concat();
        edge.send(&Request::post("/api/42/envelope/").chunk(body));
    }
    assert!(edge.rum("pending_bytes") <= 100_000);
    answered(&mut edge, 500);
    let [captured, delivered, failed, dropped, pending] = edge.books();
    assert_eq!((captured, failed, pending), (40, 0, 0));
    assert!(dropped > 20 && delivered + dropped == 40, "{dropped}");
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
}

/// Its stream is left open, and has no answer.
fn unanswered<E: Edge>(edge: &mut E, request: &Request) -> u32 {
    let stream = edge.upload(request);
    edge.advance(20);
    assert_eq!(edge.calls().len(), 0, "before the primary has answered");
    stream
}

fn what_the_primary_refuses_is_not_mirrored<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#""only_accepted": true"#));
    for (status, goes) in [
        (200, true),
        (401, false),
        (403, false),
        (413, false),
        (429, false),
        (400, true),
        (404, true),
        (500, true),
        (503, true),
    ] {
        let stream = unanswered(&mut edge, &envelope(42));
        assert_eq!((edge.rum("queued"), edge.rum("pending")), (1, 0));
        edge.check_books();
        edge.respond(stream, &Response::status(status));
        edge.close(stream);
        assert_eq!(answered(&mut edge, 20).len(), usize::from(goes), "{status}");
    }
    assert_eq!(edge.rum("skipped.refused"), 4);
    assert_eq!(edge.books(), [5, 5, 0, 0, 0]);
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
    edge.check_books();
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}

fn a_refusal_that_comes_early_ends_the_copy<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // It has the whole body before it asks the primary.
        return;
    }
    let mut edge = E::start(profile, &with(r#""only_accepted": true"#));
    for (status, goes) in [(413, false), (200, true)] {
        let stream = edge.open(&Request::post("/api/42/envelope/"));
        edge.body(stream, b"{}\n", false);
        edge.respond(stream, &Response::status(status));
        edge.advance(200);
        assert_eq!(edge.rum("skipped.refused"), 1, "{status}");
        assert_eq!(edge.rum("collecting_bytes") > 0, goes);
        edge.body(stream, b"{\"type\":\"event\"}\n{}\n", true);
        edge.close(stream);
        assert_eq!(answered(&mut edge, 20).len(), usize::from(goes), "{status}");
    }
    assert_eq!(edge.rum("skipped.aborted"), 0);
    edge.check_books();
}

fn without_an_answer_a_copy_goes<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#""only_accepted": true"#));
    let stream = unanswered(&mut edge, &envelope(42));
    edge.close(stream);
    assert_eq!(answered(&mut edge, 20).len(), 1, "the client went away");
    let stream = unanswered(&mut edge, &envelope(42));
    edge.advance(29_000);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(answered(&mut edge, 1_500).len(), 1, "after 30 s");
    edge.respond(stream, &Response::status(429));
    edge.close(stream);
    assert_eq!(edge.rum("skipped.refused"), 0, "too late");
    assert_eq!(edge.books(), [2, 2, 0, 0, 0]);
    edge.check_books();
}

fn what_waits_for_the_primary_is_bounded<E: Edge>(profile: Profile) {
    let rule = r#", "only_accepted": true"#;
    let limits = r#", "limits": {"max_pending_bytes": 100000}"#;
    let mut edge = E::start(profile, &config_with_rum(rule, limits));
    let large = Request::post("/api/42/envelope/").body_in(&[b'x'; 8_000], 8_000);
    let streams: Vec<u32> = (0..20).map(|_| edge.upload(&large)).collect();
    let gone = answered(&mut edge, 200).len();
    let waits = usize::try_from(edge.rum("queued")).unwrap();
    assert!((4..=6).contains(&waits), "half of the budget: {waits}");
    assert!(gone > 2, "beyond that they go: {gone}");
    for stream in streams {
        edge.respond(stream, &Response::status(403));
        edge.close(stream);
    }
    assert_eq!(edge.rum("skipped.refused"), i64::try_from(waits).unwrap());
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
    edge.check_books();
}

fn what_is_read_at_the_end_goes_first<E: Edge>(profile: Profile) {
    if profile == Profile::Nginx {
        // It gives no such chance.
        return;
    }
    let mut edge = E::start(profile, &with(r#""sample": 0.25"#));
    for id in [IN, OUT] {
        edge.send(&traced(&format!(r#"{{"event_id":"{id}"}}"#), "event"));
    }
    edge.drain();
    assert!(!edge.is_gone());
    assert_eq!(answered(&mut edge, 20).len(), 1);
    assert!(edge.is_gone());
    assert_eq!(edge.rum("skipped.sampled"), 1);
    assert_eq!(edge.books(), [1, 1, 0, 0, 0]);
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
}

fn the_other_leg_is_not_held_up<E: Edge>(profile: Profile) {
    let section = sls::section("");
    let rules = r#", "only_accepted": true, "sample": 0.25"#;
    let mut edge = E::start(profile, &config_with_rum(rules, &format!(", {section}")));
    let stream = edge.upload(&traced(&format!(r#"{{"event_id":"{OUT}"}}"#), "event"));
    edge.advance(2_020);
    let call = edge.call();
    assert_eq!(call.upstream, sls::UPSTREAM);
    edge.reply(call.token, &sls::taken());
    edge.respond(stream, &Response::status(200));
    edge.close(stream);
    assert_eq!(answered(&mut edge, 300).len(), 0);
    assert_eq!(edge.rum("skipped.sampled"), 1);
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
    edge.check_books();
}

fn projects_have_rules_of_their_own<E: Edge>(profile: Profile) {
    let rules = config("")
        .replace(
            r#""service_id": "web@42""#,
            r#""service_id": "web@42", "sample": 0"#,
        )
        .replace(
            r#""service_id": "api@43""#,
            r#""service_id": "api@43", "rate": {"copies_per_s": 1}"#,
        );
    let mut edge = E::start(profile, &rules);
    for project in [42, 43, 44] {
        for _ in 0..3 {
            let header = format!("{{\"event_id\":\"{IN}\"}}\n{{\"type\":\"event\"}}\n{{}}\n");
            edge.send(&Request::post(&format!("/api/{project}/envelope/")).chunk(header));
        }
    }
    assert_eq!(answered(&mut edge, 100).len(), 4);
    assert_eq!(edge.rum("skipped.sampled"), 3);
    assert_eq!(edge.rum("skipped.limited"), 2);
    edge.check_books();
}

fn items_that_stay_are_left_out<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &with(r#""items": {"not": ["attachment"]}"#));
    let event = "{\"type\":\"event\"}\n{}\n";
    let attachment = "{\"type\":\"attachment\",\"length\":3}\na\nb\n";
    for (body, becomes) in [
        (
            format!("{{}}\n{event}{attachment}"),
            Some(format!("{{}}\n{event}")),
        ),
        (format!("{{}}\n {event}"), Some(format!("{{}}\n {event}"))),
        ("{}\n".to_owned(), Some("{}\n".to_owned())),
        (format!("{{}}\n{attachment}"), None),
        ("no envelope".to_owned(), None),
    ] {
        let encoding = ("content-encoding", "identity");
        let request = Request::post("/api/42/envelope/").header(encoding.0, encoding.1);
        edge.send(&request.chunk(&body));
        let calls = answered(&mut edge, 50);
        let bodies: Vec<_> = calls.iter().map(|call| call.body.clone()).collect();
        let expected: Vec<_> = becomes
            .iter()
            .map(|body| body.clone().into_bytes())
            .collect();
        assert_eq!(bodies, expected);
        for call in calls {
            let untouched = becomes.as_ref() == Some(&body);
            assert_eq!(call.header(encoding.0).is_some(), untouched);
            assert_eq!(call.path(), "/rum/sentry/ws/web@42/api/42/envelope/");
        }
    }
    assert_eq!(edge.rum("skipped.items"), 2);
    assert_eq!(edge.books(), [3, 3, 0, 0, 0]);
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
    edge.check_books();
}

/// An event with 100,000 spaces, and an attachment, as gzip.
const LARGE: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xed\xc1\xc1\x09\x84\x40\x0c\x00\xc0\x7f\xaa\x90\x94\x61\x37\x22\x81\xfb\x28\x3e\x82\x28\xcb\xf6\x7e\x6d\xf8\x98\x99\x31\x63\x64\xbf\x57\xe5\x9a\x75\xd7\xd9\x39\x63\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x3e\x6b\xcc\x18\xd9\xef\x55\xb9\xe6\xd6\xbd\xed\xbf\xa3\xce\xce\x19\x4f\xfc\x01\x53\x87\xce\x1f\xcf\x86\x01\x00";

fn what_becomes_larger_has_to_find_room<E: Edge>(profile: Profile) {
    let rule = r#", "items": ["event"]"#;
    let limits = r#", "limits": {"max_pending_bytes": 50000}"#;
    let mut edge = E::start(profile, &config_with_rum(rule, limits));
    let request = Request::post("/api/42/envelope/").header("content-encoding", "gzip");
    edge.send(&request.chunk(LARGE));
    edge.advance(1_000);
    assert_eq!(edge.calls().len(), 0);
    assert_eq!(edge.books(), [1, 0, 0, 1, 0]);
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
}

fn what_is_put_together_anew_goes_as_gzip<E: Edge>(profile: Profile) {
    use std::io::Read as _;
    let rules = r#""items": ["event"], "encoding": "gzip""#;
    let mut edge = E::start(profile, &with(rules));
    let event = "{\"type\":\"event\"}\n{}\n";
    let body = format!("{{}}\n{event}{{\"type\":\"attachment\",\"length\":3}}\na\nb\n");
    edge.send(&Request::post("/api/42/envelope/").chunk(&body));
    edge.send(&Request::post("/api/42/envelope/").chunk(format!("{{}}\n{event}")));
    let calls = answered(&mut edge, 50);
    let [changed, same] = calls.as_slice() else {
        panic!("{calls:?}")
    };
    assert_eq!(changed.header("content-encoding").as_deref(), Some("gzip"));
    let mut read = String::new();
    let mut gzip = flate2::read::GzDecoder::new(&*changed.body);
    gzip.read_to_string(&mut read).unwrap();
    assert_eq!(read, format!("{{}}\n{event}"));
    assert_eq!(same.header("content-encoding"), None, "as it came");
    assert_eq!(same.body, format!("{{}}\n{event}").as_bytes());
    assert_eq!(edge.books(), [2, 2, 0, 0, 0]);
}

fn what_cannot_be_scrubbed_goes_if_that_is_asked_for<E: Edge>(profile: Profile) {
    for (rule, goes) in [("drop", 0), ("send", 1)] {
        let rules = format!(r#""scrub": true, "unscrubbable": "{rule}""#);
        let mut edge = E::start(profile, &with(&rules));
        edge.send(&Request::post("/api/42/envelope/").chunk("no envelope"));
        assert_eq!(answered(&mut edge, 50).len(), goes);
        let skipped = edge.rum("skipped.unscrubbable");
        assert_eq!(skipped, 1 - i64::try_from(goes).unwrap());
        edge.check_books();
    }
}

fn copies_are_scrubbed_as_logs_are<E: Edge>(profile: Profile) {
    let rules = r#""scrub": true, "scrub_keys": ["customer_no"], "client_ip": "truncated""#;
    let mut edge = E::start(profile, &with(rules));
    let attachment = "{\"type\":\"attachment\",\"length\":12}\npassword=abc\n";
    for (event, becomes) in [
        (
            "{\"type\":\"event\"}\n{\"message\":\"hello\"}\n",
            Some("{\"type\":\"event\"}\n{\"message\":\"hello\"}\n"),
        ),
        (
            "{\"type\":\"event\",\"length\":37}\n{\"password\":\"hunter2\",\"customerNo\":7}\n",
            Some(
                "{\"type\":\"event\",\"length\":51}\n{\"password\":\"[Filtered]\",\"customerNo\":\"[Filtered]\"}\n",
            ),
        ),
        (
            "{\"type\":\"event\"}\n{\"user\":{\"ip_address\":\"203.0.113.9\"}}\n",
            Some("{\"type\":\"event\"}\n{\"user\":{\"ip_address\":\"203.0.113.0\"}}\n"),
        ),
        ("{\"type\":\"event\"}\nno json: hunter2\n", None),
    ] {
        let body = format!("{{}}\n{event}{attachment}");
        edge.send(&Request::post("/api/42/envelope/").chunk(&body));
        let calls = answered(&mut edge, 100);
        let bodies: Vec<_> = calls.into_iter().map(|call| call.body).collect();
        let expected = becomes.map(|event| format!("{{}}\n{event}{attachment}").into_bytes());
        assert_eq!(bodies, Vec::from_iter(expected));
    }
    assert_eq!(edge.rum("skipped.unscrubbable"), 1);
    assert!(!edge.log_lines().contains("hunter2"));
    assert_eq!((edge.rum("queued"), edge.rum("pending_bytes")), (0, 0));
    edge.check_books();
}
