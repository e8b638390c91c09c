//! Mode `sign`: what goes on is signed, what does not is answered, and each request ends in one outcome.

use crate::at_the_gate;
use crate::edge::{Edge, Refusal};
use crate::module::Module;
use crate::seen::Seen;
use oracles::signed::is_signed;
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::date;
use std::collections::BTreeSet;
use test_host::{Headers, Options, Profile, Reply, Request, Response};

at_the_gate!(
    a_write_with_keys_of_its_own_goes_on_with_ours,
    a_write_without_any_header_is_completed,
    a_v4_signature_too,
    however_the_body_comes_its_digest_is_right,
    a_write_without_a_body_is_signed_too,
    what_is_no_allowed_write_is_answered_before_its_body,
    what_cannot_be_signed_for_sure_is_answered,
    a_body_over_the_limit_is_answered_at_once,
    the_budget_is_for_all_open_requests_until_they_are_answered,
    a_huge_write_leaves_room_for_the_others,
    without_a_credential_the_answer_is_503_and_then_it_works,
    a_refused_role_is_fetched_again,
    many_requests_leave_nothing_behind,
    a_client_that_goes_away_is_counted,
    a_target_that_does_not_answer_is_counted,
    a_host_that_fails_lets_nothing_through,
    the_clock_is_learnt_from_sls_alone,
    nothing_secret_is_in_the_log,
    a_literal_key_needs_no_tick,
);

const ID: &str = "LTAIedge";
const SECRET: &str = "edge-secret";
pub const LITERAL: &str = r#"{"access_key_id": "LTAIedge", "access_key_secret": "edge-secret"}"#;
const ROLE: &str = r#"{"ecs_ram_role": {"upstream": "metadata"}}"#;
const AUTHORITY: &str = "proj.cn-test.log.aliyuncs.com";

pub fn config_with(credential: &str, sls: &str, rest: &str) -> String {
    format!(
        r#"{{"mode": "sign", "sign": {{"logstores": ["app-log", "other_log"]}}, "sls": {{
            "endpoint": "cn-test.log.aliyuncs.com", "project": "proj", "credential": {credential} {sls}}} {rest}}}"#
    )
}

pub fn config() -> String {
    config_with(LITERAL, "", "")
}

pub fn key() -> Credential {
    Credential::new(ID, SECRET, None).unwrap()
}

/// As an SDK with keys of its own sends it.
pub fn sdk_write(body: &[u8]) -> Request {
    Request::post("/logstores/app-log/shards/lb")
        .header("content-type", "application/x-protobuf")
        .header("content-length", body.len().to_string())
        .header("authorization", "LOG theirs:theirs")
        .header("x-acs-security-token", "theirs")
        .header("date", "theirs")
        .header("x-log-date", "theirs")
        .header("content-md5", "theirs")
        .header("x-log-content-sha256", "theirs")
        .header("x-log-signaturemethod", "theirs")
        .header("x-log-apiversion", "0.6.0")
        .header("x-log-bodyrawsize", "4000")
        .header("x-log-compresstype", "lz4")
        .header("user-agent", "log-python-sdk")
        .chunk(body)
}

/// As curl sends it.
pub fn bare_write(body: &[u8]) -> Request {
    Request::post("/logstores/app-log").chunk(body)
}

pub fn taken() -> Response {
    Response::status(200).header("x-log-requestid", "5D")
}

fn text(headers: &Headers, name: &str) -> Option<String> {
    assert!(headers.all(name.as_bytes()).count() < 2, "{name} twice");
    headers.text(name)
}

/// Recomputes the signature from what went on, and looks for what must not be there.
pub fn check(
    seen: &Seen,
    target: &str,
    body: &[u8],
    key: &Credential,
    region: Option<&str>,
) -> Headers {
    let (headers, sent) = seen.upstream();
    assert_eq!(sent, body);
    assert_eq!(text(headers, ":authority").as_deref(), Some(AUTHORITY));
    assert_eq!(text(headers, ":path").as_deref(), Some(target));
    assert_eq!(
        text(headers, "content-length"),
        Some(body.len().to_string())
    );
    assert_eq!(text(headers, "transfer-encoding"), None);
    for (name, value) in headers.iter() {
        assert!(!value.ends_with(b"theirs"), "{}", name.escape_ascii());
    }
    let all: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(name), text(value))
        })
        .collect();
    is_signed(&all, target, body, key, region);
    headers.clone()
}

/// The status and the code of an answer in SLS's shape.
pub fn refused(seen: &Seen) -> (u16, String) {
    let (status, headers, body) = seen.local();
    assert_eq!(
        text(headers, "content-type").as_deref(),
        Some("application/json")
    );
    let id = text(headers, "x-log-requestid").unwrap();
    assert_eq!((id.len(), headers.len()), (24, 2));
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(body["errorMessage"].is_string() && body.as_object().unwrap().len() == 2);
    (*status, body["errorCode"].as_str().unwrap().to_owned())
}

fn a_write_with_keys_of_its_own_goes_on_with_ours<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let request = sdk_write(b"body");
    let id = gate.arrive(&request);
    assert!(
        gate.seen(id).is_waiting(),
        "held until the body is complete"
    );
    gate.body(id, b"bo", false);
    assert!(gate.seen(id).is_waiting());
    assert_eq!(gate.sign("pending"), 1);
    gate.body(id, b"dy", true);
    let headers = check(
        &gate.seen(id),
        "/logstores/app-log/shards/lb",
        b"body",
        &key(),
        None,
    );
    let now = date::http(gate.wall_clock_ms());
    assert_eq!(text(&headers, "date"), Some(now.clone()));
    assert_eq!(text(&headers, "x-log-date"), Some(now));
    assert_eq!(text(&headers, "x-log-bodyrawsize").as_deref(), Some("4000"));
    assert_eq!(
        text(&headers, "user-agent").as_deref(),
        Some("log-python-sdk")
    );
    assert_eq!(text(&headers, "x-acs-security-token"), None);
    assert_eq!(gate.sign("in_flight"), 1);
    gate.respond(id, &taken().chunk(b"{}"));
    gate.close(id);
    assert_eq!(gate.writes(), [1, 1, 0, 0]);
    assert_eq!((gate.sign("answered.2xx"), gate.sign("bytes")), (1, 4));
}

fn a_write_without_any_header_is_completed<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let request = bare_write(b"raw body").header("transfer-encoding", "chunked");
    let seen = gate.exchange(&request, &taken());
    let headers = check(&seen, "/logstores/app-log", b"raw body", &key(), None);
    assert_eq!(text(&headers, "x-log-apiversion").as_deref(), Some("0.6.0"));
    assert_eq!(text(&headers, "x-log-bodyrawsize").as_deref(), Some("8"));
    assert_eq!(gate.writes(), [1, 1, 0, 0]);
}

fn a_v4_signature_too<G: Edge>() {
    let sls = r#", "signature": "v4", "region": "cn-test""#;
    let mut gate = G::start(Profile::Envoy, &config_with(LITERAL, sls, ""));
    let target =
        "/logstores/other_log/shards/route?key=14d2f850ad6ea48e46e4547edbbb27e0&processor=a%2Bb+c";
    for request in [sdk_write(b"body"), bare_write(b"body")] {
        let mut request = request;
        request.headers.replace(":path", target);
        let seen = gate.exchange(&request, &taken());
        let headers = check(&seen, target, b"body", &key(), Some("cn-test"));
        for name in ["date", "content-md5", "x-log-signaturemethod"] {
            assert_eq!(text(&headers, name), None, "{name}");
        }
    }
    assert_eq!(gate.writes(), [2, 2, 0, 0]);
}

fn however_the_body_comes_its_digest_is_right<G: Edge>() {
    let body: Vec<u8> = (0..700_001_u32).map(|n| (n % 251) as u8).collect();
    let mut gate = G::start(Profile::Envoy, &config());
    for size in [700_001, 16_384, 9_999] {
        let mut request = Request::post("/logstores/app-log").body_in(&body, size);
        for end in ["with the last piece", "apart", "with trailers"] {
            request.ends_apart = end == "apart";
            request.trailers = (end == "with trailers").then(Headers::new);
            let seen = gate.exchange(&request, &taken());
            check(&seen, "/logstores/app-log", &body, &key(), None);
        }
    }
    assert_eq!(gate.writes(), [9, 9, 0, 0]);
    assert_eq!(gate.sign("bytes"), 9 * 700_001);
}

fn a_write_without_a_body_is_signed_too<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let seen = gate.exchange(&Request::post("/logstores/app-log"), &Response::status(400));
    check(&seen, "/logstores/app-log", b"", &key(), None);
    assert_eq!(gate.sign("answered.4xx"), 1);
    assert_eq!(gate.writes(), [1, 1, 0, 0]);
}

fn what_is_no_allowed_write_is_answered_before_its_body<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let (mut ids, mut sent) = (BTreeSet::new(), 0);
    for (method, target) in [
        ("POST", "/logstores/secret-log"),
        ("POST", "/logstores/app-log/shards/lb?action=delete"),
        ("POST", "/logstores/app-log/shards/0"),
        ("POST", "/logstores/app-log/../secret-log"),
        ("POST", "/logstores"),
        ("POST", "/"),
        ("GET", "/logstores/app-log"),
        ("GET", "/logstores/app-log/shards/lb"),
        ("DELETE", "/logstores/app-log"),
        ("PUT", "/logstores/app-log/shards/lb"),
    ] {
        let id = gate.arrive(&Request::new(method, target).streamed());
        let seen = gate.seen(id);
        assert_eq!(
            refused(&seen),
            (403, "Forbidden".to_owned()),
            "{method} {target}"
        );
        ids.insert(text(&seen.local().1, "x-log-requestid").unwrap());
        gate.close(id);
        sent += 1;
    }
    assert_eq!(ids.len(), sent, "no two answers have the same id");
    let odd = Request::new("POST", "").authority("edge");
    let mut odd = odd;
    odd.headers.replace(":path", b"/logstores/\xFF".as_slice());
    assert_eq!(refused(&gate.exchange(&odd, &taken())).0, 400);
    let sent = i64::try_from(sent).unwrap();
    assert_eq!(gate.sign("denied.forbidden"), sent);
    assert_eq!(gate.writes(), [sent + 1, 0, sent + 1, 0]);
}

fn what_cannot_be_signed_for_sure_is_answered<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let route = Request::post("/logstores/app-log/shards/route").chunk(b"x");
    assert_eq!(
        refused(&gate.exchange(&route, &taken())),
        (400, "MissingParameter".to_owned())
    );
    let unknown_size = bare_write(b"x").header("x-log-compresstype", "lz4");
    assert_eq!(
        refused(&gate.exchange(&unknown_size, &taken())),
        (400, "MissingBodyRawSize".to_owned())
    );
    let twice = bare_write(b"x")
        .header("x-log-mode", "a")
        .header("x-log-mode", "b");
    assert_eq!(
        refused(&gate.exchange(&twice, &taken())),
        (400, "ParameterInvalid".to_owned())
    );
    let bytes = bare_write(b"x").header("x-log-mode", b"\xFF");
    assert_eq!(
        refused(&gate.exchange(&bytes, &taken())),
        (400, "ParameterInvalid".to_owned())
    );
    assert_eq!(gate.writes(), [4, 0, 4, 0]);
    assert_eq!(gate.sign("denied.malformed"), 4);
}

fn a_body_over_the_limit_is_answered_at_once<G: Edge>() {
    let mut gate = G::start(
        Profile::Envoy,
        &config_with(LITERAL, "", r#", "limits": {"max_body_bytes": 10}"#),
    );
    let announced = bare_write(b"").header("content-length", "11").streamed();
    let id = gate.arrive(&announced);
    assert_eq!(
        refused(&gate.seen(id)),
        (413, "PostBodyTooLarge".to_owned())
    );
    gate.close(id);
    let id = gate.arrive(&Request::post("/logstores/app-log").streamed());
    gate.body(id, b"0123456789", false);
    assert!(gate.seen(id).is_waiting());
    gate.body(id, b"0", false);
    assert_eq!(
        refused(&gate.seen(id)),
        (413, "PostBodyTooLarge".to_owned())
    );
    gate.close(id);
    let fits = gate.exchange(&bare_write(b"0123456789"), &taken());
    check(&fits, "/logstores/app-log", b"0123456789", &key(), None);
    assert_eq!(gate.sign("denied.too_large"), 2);
    assert_eq!(gate.writes(), [3, 1, 2, 0]);
}

fn the_budget_is_for_all_open_requests_until_they_are_answered<G: Edge>() {
    let limits = r#", "limits": {"max_body_bytes": 100000, "max_pending_bytes": 170000}"#;
    let mut gate = G::start(Profile::Envoy, &config_with(LITERAL, "", limits));
    let body = vec![b'x'; 100_000];
    let open = Request::post("/logstores/app-log").streamed();
    let (first, second) = (gate.arrive(&open), gate.arrive(&open));
    gate.body(first, &body, false);
    gate.body(second, &body[..50_000], false);
    assert!(gate.seen(second).is_waiting());
    gate.body(second, &body[50_000..], false);
    assert_eq!(refused(&gate.seen(second)), (503, "ServerBusy".to_owned()));
    gate.close(second);
    gate.body(first, b"", true);
    check(&gate.seen(first), "/logstores/app-log", &body, &key(), None);
    // The proxy holds the body until the target has answered.
    let third = gate.upload(&bare_write(&body));
    assert_eq!(refused(&gate.seen(third)), (503, "ServerBusy".to_owned()));
    gate.close(third);
    gate.respond(first, &taken());
    let fourth = gate.exchange(&bare_write(&body), &taken());
    check(&fourth, "/logstores/app-log", &body, &key(), None);
    gate.close(first);
    assert_eq!(gate.sign("denied.no_room"), 2);
    assert_eq!(gate.writes(), [4, 2, 2, 0]);
    // Requests without a body are bounded too.
    let mut opened = Vec::new();
    while opened.len() < 200 {
        let id = gate.arrive(&open);
        opened.push(id);
        if !gate.seen(id).is_waiting() {
            break;
        }
    }
    assert!((50..200).contains(&opened.len()), "{}", opened.len());
    for id in opened {
        gate.close(id);
    }
    gate.writes();
}

fn a_huge_write_leaves_room_for_the_others<G: Edge>() {
    let limits = r#", "limits": {"max_body_bytes": 900000, "max_pending_bytes": 970000}"#;
    let mut gate = G::start(Profile::Envoy, &config_with(LITERAL, "", limits));
    let open = Request::post("/logstores/app-log").streamed();
    let piece = vec![b'x'; 200_000];
    let (small, huge) = (gate.arrive(&open), gate.arrive(&open));
    // While others write, it may hold no more than it leaves free.
    gate.body(huge, &piece, false);
    gate.body(huge, &piece, false);
    assert!(gate.seen(huge).is_waiting());
    gate.body(huge, &piece, false);
    assert_eq!(refused(&gate.seen(huge)), (503, "ServerBusy".to_owned()));
    gate.close(huge);
    gate.body(small, b"small", true);
    check(
        &gate.seen(small),
        "/logstores/app-log",
        b"small",
        &key(),
        None,
    );
    gate.respond(small, &taken());
    gate.close(small);
    // Alone it may be as large as is allowed.
    let alone = vec![b'x'; 900_000];
    let seen = gate.exchange(&bare_write(&alone), &taken());
    check(&seen, "/logstores/app-log", &alone, &key(), None);
    assert_eq!(gate.writes(), [3, 2, 1, 0]);
}

/// Answers the metadata service's calls, with this id.
fn serve_metadata<G: Edge>(gate: &mut G, id: &str) -> usize {
    let mut served = 0;
    for _ in 0..6 {
        gate.advance(10);
        for call in gate.calls() {
            assert_eq!((call.upstream.as_str(), call.body.len()), ("metadata", 0));
            let reply = match call.path().as_str() {
                "/latest/api/token" => Reply::status(200).body("metadata-token"),
                "/latest/meta-data/ram/security-credentials/" => Reply::status(200).body("edge-role"),
                "/latest/meta-data/ram/security-credentials/edge-role" => Reply::status(200).body(format!(
                    r#"{{"Code": "Success", "AccessKeyId": "{id}", "AccessKeySecret": "secret-of-{id}",
                        "SecurityToken": "token-of-{id}", "Expiration": "2026-01-01T06:00:00Z"}}"#
                )),
                other => panic!("{other}"),
            };
            gate.reply(call.token, &reply);
            served += 1;
        }
    }
    served
}

fn role_key(id: &str) -> Credential {
    let (secret, token) = (format!("secret-of-{id}"), format!("token-of-{id}"));
    Credential::new(id, &secret, Some(&token)).unwrap()
}

fn without_a_credential_the_answer_is_503_and_then_it_works<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config_with(ROLE, "", ""));
    let id = gate.arrive(&sdk_write(b"body"));
    assert_eq!(
        refused(&gate.seen(id)),
        (503, "ServerBusy".to_owned()),
        "before its body"
    );
    gate.close(id);
    assert_eq!(serve_metadata(&mut gate, "STS.one"), 3);
    let seen = gate.exchange(&sdk_write(b"body"), &taken());
    let headers = check(
        &seen,
        "/logstores/app-log/shards/lb",
        b"body",
        &role_key("STS.one"),
        None,
    );
    assert_eq!(
        text(&headers, "x-acs-security-token").as_deref(),
        Some("token-of-STS.one")
    );
    // Six hours later it has expired, and nobody answers: a request that has begun is answered at its end.
    let id = gate.arrive(&bare_write(b"body"));
    gate.advance(6 * 3_600_000);
    gate.body(id, b"body", true);
    assert_eq!(refused(&gate.seen(id)), (503, "ServerBusy".to_owned()));
    gate.close(id);
    assert_eq!(gate.sign("denied.no_credential"), 2);
    assert_eq!(gate.writes(), [3, 1, 2, 0]);
}

fn a_refused_role_is_fetched_again<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config_with(ROLE, "", ""));
    serve_metadata(&mut gate, "STS.one");
    let refusal = Response::status(401)
        .header("x-log-requestid", "5D")
        .chunk(b"{}");
    gate.exchange(&bare_write(b"body"), &refusal);
    // Not more than once a minute.
    assert_eq!(serve_metadata(&mut gate, "STS.two"), 0);
    gate.advance(60_000);
    assert_eq!(
        serve_metadata(&mut gate, "STS.two"),
        2,
        "the role's name is known"
    );
    let seen = gate.exchange(&bare_write(b"body"), &taken());
    check(
        &seen,
        "/logstores/app-log",
        b"body",
        &role_key("STS.two"),
        None,
    );
    // Somebody else's 401 is no reason.
    gate.exchange(&bare_write(b"body"), &Response::status(401));
    gate.advance(60_000);
    assert_eq!(serve_metadata(&mut gate, "STS.three"), 0);
    assert_eq!(gate.sign("answered.4xx"), 2);
    gate.writes();
}

fn many_requests_leave_nothing_behind<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let body = vec![b'x'; 8_192];
    for n in 0..50 {
        let seen = gate.exchange(&sdk_write(&body), &taken());
        let headers = check(&seen, "/logstores/app-log/shards/lb", &body, &key(), None);
        let now = date::http(gate.wall_clock_ms());
        assert_eq!(
            text(&headers, "date"),
            Some(now),
            "request {n} has its own date"
        );
        gate.advance(1_000);
    }
    assert_eq!(gate.writes(), [50, 50, 0, 0]);
    assert_eq!((gate.sign("pending_bytes"), gate.sign("in_flight")), (0, 0));
}

fn a_client_that_goes_away_is_counted<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let id = gate.arrive(&sdk_write(b"body"));
    gate.close(id);
    let id = gate.arrive(&sdk_write(b"body"));
    gate.body(id, b"bo", false);
    gate.close(id);
    assert_eq!(gate.writes(), [2, 0, 0, 2]);
    assert_eq!(gate.sign("pending_bytes"), 0);
}

fn a_target_that_does_not_answer_is_counted<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    let id = gate.upload(&sdk_write(b"body"));
    gate.close(id);
    gate.exchange(&sdk_write(b"body"), &Response::status(503));
    gate.exchange(&sdk_write(b"body"), &Response::status(302));
    assert_eq!(gate.writes(), [3, 3, 0, 0]);
    let counts = ["unanswered", "answered.5xx", "answered.other"].map(|what| gate.sign(what));
    assert_eq!(counts, [1, 1, 1]);
}

fn a_host_that_fails_lets_nothing_through<G: Edge>() {
    for fault in [Refusal::Replace, Refusal::Body, Refusal::Headers] {
        let mut gate = G::start(Profile::Envoy, &config());
        gate.exchange(&sdk_write(b"body"), &taken());
        gate.fault(fault, u32::MAX);
        for request in [sdk_write(b"body"), bare_write(&[b'x'; 100_000])] {
            let seen = gate.exchange(&request, &taken());
            assert_eq!(refused(&seen), (503, "ServerBusy".to_owned()), "{fault:?}");
        }
        assert_eq!(gate.sign("denied.host"), 2, "{fault:?}");
        assert_eq!(gate.writes(), [3, 1, 2, 0]);
    }
}

fn the_clock_is_learnt_from_sls_alone<G: Edge>() {
    const HOUR: u64 = 3_600_000;
    let mut gate = G::start(Profile::Envoy, &config());
    let expired = |now: u64| Response::status(400).header("date", date::http(now));
    let dated = |gate: &mut G| {
        let seen = gate.exchange(&bare_write(b"body"), &taken());
        let headers = check(&seen, "/logstores/app-log", b"body", &key(), None);
        date::parse_http(&text(&headers, "date").unwrap()).unwrap()
    };
    let now = gate.wall_clock_ms();
    gate.exchange(&bare_write(b"body"), &expired(now + HOUR));
    assert_eq!(
        dated(&mut gate),
        now,
        "an answer that is not of SLS teaches nothing"
    );
    let ours = expired(now + HOUR).header("x-log-requestid", "5D");
    gate.exchange(&bare_write(b"body"), &ours);
    assert_eq!(dated(&mut gate), now + HOUR);
    gate.advance(HOUR);
    let fine = taken().header("date", date::http(now));
    gate.exchange(&bare_write(b"body"), &fine);
    assert_eq!(
        dated(&mut gate),
        now + 2 * HOUR,
        "a date that was taken was right"
    );
    gate.writes();
}

fn nothing_secret_is_in_the_log<G: Edge>() {
    let role = r#"{"ecs_ram_role": {"upstream": "metadata"}}"#;
    for credential in [LITERAL, role] {
        let mut gate = G::start(
            Profile::Envoy,
            &config_with(credential, "", r#", "limits": {"max_body_bytes": 1000}"#),
        );
        gate.exchange(&sdk_write(b"payload-payload"), &taken());
        serve_metadata(&mut gate, "STS.one");
        for status in [200, 400, 401, 403, 500] {
            let answer = Response::status(status)
                .header("x-log-requestid", "5D")
                .header("date", date::http(9e12 as u64));
            gate.exchange(&sdk_write(b"payload-payload"), &answer);
            gate.exchange(&sdk_write(&b"payload-".repeat(1_000)), &answer);
            gate.exchange(
                &Request::post("/logstores/payload-log?theirs=theirs").chunk(b"payload-"),
                &answer,
            );
            let id = gate.arrive(&sdk_write(b"payload-"));
            gate.close(id);
        }
        gate.fault(Refusal::Replace, u32::MAX);
        gate.exchange(&sdk_write(b"payload-payload"), &taken());
        gate.advance(120_000);
        let logs = gate.log_lines();
        assert!(logs.matches("sign: ").count() >= 4, "{logs}");
        for secret in [
            ID,
            SECRET,
            "theirs",
            "payload-",
            "STS.one",
            "secret-of",
            "token-of",
            "metadata-token",
        ] {
            assert!(!logs.contains(secret), "{secret}: {logs}");
        }
    }
}

fn a_literal_key_needs_no_tick<G: Edge>() {
    let mut gate = G::start(Profile::Envoy, &config());
    assert!(!gate.is_ticking());
    gate.exchange(&bare_write(b"body"), &taken());
    gate.advance(300);
    assert!(!gate.is_ticking(), "counted and published");
    assert_eq!(gate.metric("sentry_edge_mirror.sign.answered.2xx"), 1);
}

/// Envoy answers by itself when a body outgrows its own buffer, which the module cannot see coming.
#[test]
fn the_proxys_own_413_is_no_signed_write() {
    let mut gate = Module::with(
        Profile::Envoy,
        Options {
            buffer_limit: 1_000,
            ..Options::new(config())
        },
    );
    let request = bare_write(&[b'x'; 1_500]).chunk(b"the end");
    let seen = gate.exchange(&request, &taken());
    assert_eq!(seen.local().0, 413);
    assert_eq!(gate.writes(), [1, 0, 0, 1]);
    assert!(
        gate.log_lines()
            .contains("per_connection_buffer_limit_bytes"),
        "{}",
        gate.log_lines()
    );
}

/// Without the filter's option Envoy keeps the body from the module: nothing goes on, and the log says why.
#[test]
fn a_body_that_never_comes_is_explained() {
    let mut gate = Module::start(Profile::Envoy, &config());
    let id = gate.arrive(&sdk_write(b"body"));
    gate.close(id);
    gate.advance(200);
    assert!(
        gate.log_lines().contains("allow_on_headers_stop_iteration"),
        "{}",
        gate.log_lines()
    );
}

/// What the host holds is not held again by the module.
#[test]
fn a_large_body_is_not_copied_into_the_module() {
    let mut gate = Module::start(Profile::Envoy, &config());
    let body = vec![b'x'; 10 << 20];
    gate.exchange(&bare_write(b"x"), &taken());
    let before = gate.host.memory_bytes();
    let request = Request::post("/logstores/app-log").body_in(&body, 65_536);
    check(
        &gate.exchange(&request, &taken()),
        "/logstores/app-log",
        &body,
        &key(),
        None,
    );
    let grown = gate.host.memory_bytes() - before;
    assert!(grown < 1 << 20, "{grown}");
}

/// A listener that goes away waits for its requests, in the proxy and here.
#[test]
fn a_drain_ends_when_the_requests_have() {
    let mut gate = Module::start(Profile::Envoy, &config());
    let root = gate.host.current_root();
    let id = gate.arrive(&sdk_write(b"body"));
    gate.host.drain();
    gate.body(id, b"body", true);
    check(
        &gate.seen(id),
        "/logstores/app-log/shards/lb",
        b"body",
        &key(),
        None,
    );
    gate.respond(id, &taken());
    gate.close(id);
    assert!(gate.host.is_gone(root));
    assert_eq!(gate.metric("sentry_edge_mirror.sign.answered.2xx"), 1);
}

/// A host that refuses the answer as well: the request waits, and nothing goes on.
#[test]
fn a_host_that_cannot_answer_holds_the_request() {
    use test_host::{What, When};
    let mut gate = Module::start(Profile::Envoy, &config());
    for call in ["proxy_send_local_response", "proxy_set_header_map_pairs"] {
        gate.host.fault(call, When::Always, What::Status(10));
    }
    for request in [sdk_write(b"body"), Request::get("/")] {
        let seen = gate.exchange(&request, &taken());
        assert!(seen.is_waiting());
    }
    assert_eq!(gate.writes(), [2, 0, 2, 0]);
}
