//! Envelopes become signed logs: what leaves, when, and how it is counted. Also what the other `sls_*` files share.

use crate::edge::{Edge, PUBLISH_MS};
use crate::everywhere;
use sentry_edge_mirror::sls::canonical::{self, Parts};
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::{digest, sign};
use test_host::{Call, Profile, Reply, Request};

everywhere!(
    an_envelope_becomes_signed_logs,
    a_v4_signature_too,
    nothing_is_read_in_a_request_callback,
    a_batch_is_sealed_by_count_bytes_or_linger,
    a_lot_of_work_is_spread_over_ticks_and_all_arrives,
    a_large_batch_is_packed_over_ticks,
    what_cannot_be_read_is_a_log_that_says_so,
    a_full_budget_drops_and_counts,
    a_small_budget_is_not_filled_by_a_batch_that_lingers,
    skips_are_counted,
    sensitive_values_do_not_leave,
    an_idle_leg_does_not_tick,
);

pub const UPSTREAM: &str = "sls.test:443";

/// A leg that does not compress, so that a test sees what leaves.
pub fn section(extra: &str) -> String {
    let credential =
        r#""credential": {"access_key_id": "edge-id", "access_key_secret": "edge-secret"}"#;
    section_with(credential, extra)
}

pub fn section_with(credential: &str, extra: &str) -> String {
    format!(
        r#""sls": {{"upstream": "{UPSTREAM}", "endpoint": "cn-test.log.aliyuncs.com", "project": "proj",
            "logstore": "store", "compression": "none", {credential} {extra}}}"#
    )
}

pub fn config(extra_sls: &str, extra: &str) -> String {
    format!(r#"{{"host": "HOST", {} {extra}}}"#, section(extra_sls))
}

/// An envelope of `texts.len()` events.
pub fn events(texts: &[&str]) -> Request {
    let mut body = String::from("{\"event_id\":\"9ec79c33ec9942ab8353589fcb2e04dc\"}\n");
    for text in texts {
        body.push_str(&format!(
            "{{\"type\":\"event\"}}\n{{\"message\":\"{text}\"}}\n"
        ));
    }
    Request::post("/api/42/envelope/").chunk(body.as_bytes())
}

pub fn taken() -> Reply {
    Reply::status(200).header("x-log-requestid", "5D")
}

/// An error as SLS words it.
pub fn error(status: u16, code: &str) -> Reply {
    let body = format!(r#"{{"errorCode": "{code}", "errorMessage": "no"}}"#);
    Reply::status(status)
        .header("x-log-requestid", "5D")
        .body(body)
}

/// The logs of a group, as text.
pub fn logs(call: &Call) -> Vec<String> {
    let (mut logs, mut rest) = (Vec::new(), call.body.as_slice());
    while let [0x0A, tail @ ..] = rest {
        let (mut length, mut shift, mut used) = (0_usize, 0, 0);
        for byte in tail {
            length |= usize::from(byte & 0x7F) << shift;
            (shift, used) = (shift + 7, used + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (log, after) = tail[used..].split_at(length);
        logs.push(String::from_utf8_lossy(log).into_owned());
        rest = after;
    }
    assert_eq!(
        rest, b"\x1A\x06sentry",
        "the topic and nothing else follows"
    );
    logs
}

/// Sends an event and gives the call that its batch makes.
pub fn write<E: Edge>(edge: &mut E, texts: &[&str]) -> Call {
    edge.send(&events(texts));
    edge.advance(2_020);
    edge.call()
}

/// Recomputes the signature from what is on the wire.
pub fn check_signature(call: &Call, credential: &Credential, region: Option<&str>) {
    let mut headers: Vec<(String, String)> = call
        .headers
        .iter()
        .map(|(name, value)| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(name), text(value))
        })
        .collect();
    headers.push(("host".to_owned(), call.header(":authority").unwrap()));
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .filter(|(name, _)| !name.starts_with(':'))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let path = call.path();
    let parts = Parts {
        method: "POST",
        path: &path,
        params: &[],
        headers: &headers,
    };
    let expected = match region {
        None => {
            assert_eq!(
                call.header("content-md5").unwrap(),
                digest::content_md5(&call.body)
            );
            sign::v1_authorization(credential, &canonical::v1_string_to_sign(&parts))
        }
        Some(region) => {
            let sha = digest::sha256_hex(&call.body);
            assert_eq!(call.header("x-log-content-sha256").unwrap(), sha);
            let date = call.header("x-log-date").unwrap();
            let request = canonical::v4_canonical_request(&parts);
            let scope = canonical::v4_scope(&date, region);
            let text = canonical::v4_string_to_sign(&date, &scope, &request);
            sign::v4_authorization(credential, region, &date, &text)
        }
    };
    assert_eq!(call.header("authorization").unwrap(), expected);
}

fn key() -> Credential {
    Credential::new("edge-id", "edge-secret", None).unwrap()
}

fn an_envelope_becomes_signed_logs<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    let call = write(&mut edge, &["first", "second"]);
    assert_eq!(call.upstream, UPSTREAM);
    assert_eq!(call.header(":method").unwrap(), "POST");
    assert_eq!(call.path(), "/logstores/store/shards/lb");
    assert_eq!(
        call.header(":authority").unwrap(),
        "proj.cn-test.log.aliyuncs.com"
    );
    assert_eq!(
        call.header("x-log-bodyrawsize").unwrap(),
        call.body.len().to_string()
    );
    assert_eq!(call.header("x-log-compresstype"), None);
    check_signature(&call, &key(), None);
    let logs = logs(&call);
    assert_eq!(logs.len(), 2);
    for (log, text) in logs.iter().zip(["first", "second"]) {
        assert!(
            log.contains(text) && log.contains("9ec79c33ec9942ab8353589fcb2e04dc"),
            "{log}"
        );
        assert!(
            log.contains("sentry.project_id") && log.contains("42"),
            "{log}"
        );
    }
    assert_eq!(edge.logs(), [2, 0, 0, 0, 2]);
    assert!(edge.sls("pending_bytes") > 0 && edge.sls("in_flight") == 1);
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [2, 2, 0, 0, 0]);
    assert_eq!((edge.sls("attempts"), edge.sls("retries")), (1, 0));
    assert_eq!(edge.sls("bytes"), i64::try_from(call.body.len()).unwrap());
    assert_eq!(
        (
            edge.sls("pending_bytes"),
            edge.sls("in_flight"),
            edge.sls("queued")
        ),
        (0, 0, 0)
    );
}

fn a_v4_signature_too<E: Edge>(profile: Profile) {
    let config = config(
        r#", "signature": "v4", "region": "cn-test", "compression": "lz4""#,
        "",
    );
    // A key may stand there once only.
    let config = config.replacen(r#""compression": "none","#, "", 1);
    let mut edge = E::start(profile, &config);
    let call = write(&mut edge, &["x"]);
    assert_eq!(call.header("x-log-compresstype").unwrap(), "lz4");
    check_signature(&call, &key(), Some("cn-test"));
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [1, 1, 0, 0, 0]);
}

fn nothing_is_read_in_a_request_callback<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    edge.advance(1_000);
    edge.send(&events(&["x"]));
    assert_eq!(edge.metric("sentry_edge_mirror.sls.captured"), 0);
    edge.advance(200);
    assert_eq!(edge.logs(), [1, 0, 0, 0, 1]);
    assert_eq!(edge.calls().len(), 0, "it lingers");
}

fn a_batch_is_sealed_by_count_bytes_or_linger<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config(
            r#", "batch": {"max_logs": 3, "max_bytes": 2000, "linger_ms": 500}"#,
            "",
        ),
    );
    edge.send(&events(&["a", "b", "c", "d"]));
    edge.advance(10);
    let by_count = edge.call();
    assert_eq!(logs(&by_count).len(), 3);
    edge.reply(by_count.token, &taken());
    edge.advance(520);
    let by_linger = edge.call();
    assert_eq!(logs(&by_linger).len(), 1);
    edge.reply(by_linger.token, &taken());
    let long = "x".repeat(600);
    edge.send(&events(&[&long, &long]));
    edge.advance(10);
    let by_bytes = edge.call();
    assert!(
        by_bytes.body.len() <= 2_000 || logs(&by_bytes).len() == 1,
        "{}",
        by_bytes.body.len()
    );
    edge.reply(by_bytes.token, &taken());
    edge.advance(520);
    for call in edge.calls() {
        edge.reply(call.token, &taken());
    }
    assert_eq!(edge.logs(), [6, 6, 0, 0, 0]);
}

fn a_lot_of_work_is_spread_over_ticks_and_all_arrives<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    let long = "x".repeat(100_000);
    for _ in 0..20 {
        edge.send(&events(&[&long]));
    }
    edge.advance(4);
    // Nobody knows how many are read in the ticks so far, but not all.
    let mut delivered = 0;
    for _ in 0..40 {
        for call in edge.calls() {
            delivered += logs(&call).len();
            edge.reply(call.token, &taken());
        }
        edge.advance(200);
    }
    assert_eq!(delivered, 20);
    assert_eq!(edge.logs(), [20, 20, 0, 0, 0]);
    assert_eq!(edge.sls("queued"), 0);
}

/// A megabyte that hardly shrinks: dozens of ticks. All the time they are pending, and the target sees one write.
fn a_large_batch_is_packed_over_ticks<E: Edge>(profile: Profile) {
    let batch = r#", "signature": "v4", "region": "cn-test", "batch": {"max_bytes": 4000000, "linger_ms": 500}"#;
    let config = config(batch, "").replacen(r#""compression": "none","#, "", 1);
    let mut edge = E::start(profile, &config);
    let mut state = 7_u32;
    let mut long = || -> String {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            char::from(b'a' + (state >> 27) as u8 % 16)
        };
        (0..100_000).map(|_| next()).collect()
    };
    let texts: Vec<String> = (0..10).map(|_| long()).collect();
    for text in &texts {
        edge.send(&events(&[text]));
        edge.advance(20);
    }
    edge.advance(310);
    assert_eq!(edge.calls().len(), 0, "it is not packed in a few ticks");
    assert_eq!(edge.logs(), [10, 0, 0, 0, 10]);
    assert!(edge.sls("pending_bytes") > 1_000_000);
    edge.advance(1_500);
    let mut call = edge.call();
    check_signature(&call, &key(), Some("cn-test"));
    let size = call.header("x-log-bodyrawsize").unwrap().parse().unwrap();
    let wire = i64::try_from(call.body.len()).unwrap();
    assert!(
        edge.sls("pending_bytes") < wire + 2_000,
        "nothing else is held any more"
    );
    call.body = lz4_flex::block::decompress(&call.body, size).unwrap();
    let logs = logs(&call);
    assert_eq!(logs.len(), 10);
    for (log, text) in logs.iter().zip(&texts) {
        assert!(log.contains(text.as_str()));
    }
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [10, 10, 0, 0, 0]);
    assert_eq!(edge.sls("pending_bytes"), 0);
}

fn what_cannot_be_read_is_a_log_that_says_so<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    edge.send(&Request::post("/api/42/envelope/").chunk(b"no envelope"));
    edge.send(
        &Request::post("/api/43/envelope/")
            .header("content-encoding", "lzma")
            .chunk(b"x"),
    );
    edge.send(
        &Request::post("/api/44/envelope/")
            .header("content-encoding", "gzip")
            .chunk(b"x"),
    );
    edge.advance(2_020);
    let call = edge.call();
    let logs = logs(&call);
    assert_eq!(logs.len(), 3, "{logs:#?}");
    assert!(
        logs[0].contains("malformed envelope")
            && logs[1].contains("lzma")
            && logs[2].contains("undecodable body")
    );
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [3, 3, 0, 0, 0]);
    assert_eq!((edge.sls("malformed"), edge.sls("undecodable")), (1, 2));
}

fn a_full_budget_drops_and_counts<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config(
            r#", "batch": {"max_logs": 1}"#,
            r#", "limits": {"max_pending_bytes": 100000}"#,
        ),
    );
    let long = "x".repeat(20_000);
    for _ in 0..20 {
        edge.send(&events(&[&long]));
        edge.advance(20);
        assert!(edge.sls("pending_bytes") <= 100_000);
    }
    let [captured, delivered, failed, dropped, pending] = edge.logs();
    assert_eq!((captured, delivered, failed), (20, 0, 0));
    assert!(dropped > 10 && pending > 1, "{:?}", edge.logs());
    for _ in 0..40 {
        for call in edge.calls() {
            edge.reply(call.token, &taken());
        }
        edge.advance(20);
    }
    assert_eq!(edge.logs(), [20, pending, 0, dropped, 0]);
    // Every answer made room.
    let call = write(&mut edge, &["x"]);
    edge.reply(call.token, &taken());
    assert_eq!(edge.logs(), [21, pending + 1, 0, dropped, 0]);
}

fn a_small_budget_is_not_filled_by_a_batch_that_lingers<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config("", r#", "limits": {"max_pending_bytes": 100000}"#),
    );
    let long = "x".repeat(4_000);
    for n in 0..300 {
        if n < 60 {
            edge.send(&events(&[&long]));
        }
        edge.advance(10);
        for call in edge.calls() {
            edge.reply(call.token, &taken());
        }
    }
    assert_eq!(edge.logs(), [60, 60, 0, 0, 0]);
}

fn skips_are_counted<E: Edge>(profile: Profile) {
    let mut edge = E::start(
        profile,
        &config("", r#", "limits": {"max_body_bytes": 1000}"#),
    );
    edge.send(&Request::post("/api/42/store/").chunk(b"{}"));
    edge.send(&Request::post("/rum/sentry/w/s/api/42/envelope/").chunk(b"{}"));
    edge.send(&Request::post("/api/42/envelope/").chunk([b'x'; 2_000]));
    edge.send(&Request::post("/other").chunk(b"{}"));
    edge.advance(PUBLISH_MS);
    for reason in ["route", "loop", "too_large"] {
        assert_eq!(edge.sls(&format!("skipped.{reason}")), 1, "{reason}");
    }
    assert_eq!(edge.logs(), [0; 5]);
    assert_eq!(edge.calls().len(), 0);
}

fn sensitive_values_do_not_leave<E: Edge>(profile: Profile) {
    let body = "{}\n{\"type\":\"event\"}\n{\"message\":\"m\",\"extra\":{\"password\":\"hunter2\",\"shoe_size\":\"43x\"}}\n";
    let request = || Request::post("/api/42/envelope/").chunk(body.as_bytes());
    for (extra, [password, shoe]) in [
        ("", [false, true]),
        (r#", "scrub_keys": ["shoe-size"]"#, [false, false]),
        (r#", "scrub": false"#, [true, true]),
        (r#", "payload": false"#, [false, false]),
    ] {
        let mut edge = E::start(profile, &config(extra, ""));
        edge.send(&request());
        edge.advance(2_020);
        let text = String::from_utf8_lossy(&edge.call().body).into_owned();
        assert_eq!(text.contains("hunter2"), password, "{extra} {text}");
        if extra != r#", "payload": false"# {
            assert_eq!(text.contains("43x"), shoe, "{extra} {text}");
        }
    }
}

fn an_idle_leg_does_not_tick<E: Edge>(profile: Profile) {
    let mut edge = E::start(profile, &config("", ""));
    edge.advance(200);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
    let call = write(&mut edge, &["x"]);
    edge.reply(call.token, &taken());
    edge.advance(400);
    assert_eq!(edge.is_ticking(), edge.is_nginx());
}
