//! Whole exchanges through the plugin: requests of real SDKs in, delivered copies with the same bytes out.

use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::drive::{Driver, Passing};
use sentry_edge_mirror::host::HostKind;
use sentry_edge_mirror::metric::{Leg, Metric, Series};
use sentry_edge_mirror::outcome::SkipReason;
use sentry_edge_mirror::time::Millis;
use serde_json::Value;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Description and body of a fixture.
type Fixture = (&'static [u8], &'static [u8]);

macro_rules! fixture {
    ($name:literal) => {
        (
            include_bytes!(concat!("../fixtures/", $name, ".http.json")),
            include_bytes!(concat!("../fixtures/", $name, ".body")),
        )
    };
}

const GZIP: Fixture = fixture!("real/106-sentry.python@2.75.0-error-gzip-event");
const CHUNKED: Fixture = fixture!("real/022-sentry.javascript.node@11.12.0-bigerror-event");
const BROWSER: Fixture = fixture!("real/049-sentry.javascript.browser@11.12.0-error-event");
const HTTP_2: Fixture = fixture!("real/153-sentry.python@2.75.0-error-http2-event");
const EMPTY_ENCODING: Fixture = fixture!("real/160-sentry.ruby@5.3.0-error-event");
const BASIC: Fixture = fixture!("synthetic/171-auth-authorization-basic");
const DSN_ONLY: Fixture = fixture!("synthetic/183-auth-dsn-in-envelope-only");

/// One instance and what its host sees.
struct Edge {
    driver: Driver,
    calls: Vec<Call>,
    requests: u32,
}

struct Call {
    token: u32,
    upstream: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Call {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        let value = found.next().map(|(_, value)| value.as_slice());
        assert!(found.next().is_none(), "{name} stands there twice");
        value
    }
}

impl Edge {
    fn new(host: HostKind) -> Self {
        let host = if host == HostKind::Envoy {
            "envoy"
        } else {
            "nginx"
        };
        let json = format!(
            r#"{{"host": "{host}", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com",
                "default": {{"workspace": "ws", "service_id": "rest@0"}}}}, "limits": {{"max_body_bytes": 100000}}}}"#
        );
        let config = Config::parse(json.as_bytes(), &|_| None).unwrap();
        let mut edge = Self {
            driver: Driver::new(config, Millis(1_767_225_600_000), "test"),
            calls: Vec::new(),
            requests: 0,
        };
        edge.took_calls();
        edge
    }

    fn took_calls(&mut self) {
        for sent in std::mem::take(&mut self.driver.written.calls) {
            let text = |name: Vec<u8>| String::from_utf8(name).unwrap();
            let headers = sent.headers.into_iter();
            self.calls.push(Call {
                token: sent.token,
                upstream: sent.upstream,
                headers: headers.map(|(name, value)| (text(name), value)).collect(),
                body: sent.body,
            });
        }
        assert!(!self.driver.is_over, "nobody asked for it");
    }

    fn send(
        &mut self,
        method: &[u8],
        target: &[u8],
        headers: &[(Vec<u8>, Vec<u8>)],
        pieces: &[&[u8]],
    ) {
        let pseudo = [(":method", method), (":path", target)];
        let pseudo = pseudo.map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
        let headers = pseudo.into_iter().chain(headers.iter().cloned());
        self.requests += 1;
        let mut request = Passing::new(self.requests, headers.collect());
        request.stream.peer = Some(b"192.0.2.7:50000".to_vec());
        request.headers(&mut self.driver, pieces.is_empty());
        for (index, piece) in pieces.iter().enumerate() {
            request.piece(&mut self.driver, piece, index + 1 == pieces.len());
        }
        assert!(request.stream.goes_on);
        request.gone(&mut self.driver);
        self.took_calls();
    }

    fn tick(&mut self, after: u64) {
        let now = self.driver.written.now.after(after);
        self.driver.written.now = now;
        self.driver.worker.tick(true);
        self.driver.carry_out();
        self.took_calls();
    }

    /// Answers the call of this number, counted from 1.
    fn answer(&mut self, number: usize, status: u16) {
        let header = |name: &str| (name == "x-envoy-upstream-service-time").then(|| "1".to_owned());
        let token = self.calls[number - 1].token;
        self.driver.answer(token, Some(status), &header, b"");
        self.took_calls();
    }

    fn count(&self, metric: Metric) -> i64 {
        let leg = Leg::Rum;
        let name = Series { leg, metric }.name();
        let metrics = &self.driver.written.metrics;
        metrics.get(&name).copied().unwrap_or_default()
    }

    fn books(&mut self) -> [i64; 5] {
        self.tick(100);
        [
            Metric::Captured,
            Metric::Delivered,
            Metric::Failed,
            Metric::Dropped,
            Metric::Pending,
        ]
        .map(|metric| self.count(metric))
    }
}

/// A fixture as it was received.
struct Received {
    target: String,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    pieces: Vec<&'static [u8]>,
    body: &'static [u8],
}

fn received((meta, body): Fixture) -> Received {
    let meta: Value = serde_json::from_slice(meta).unwrap();
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    assert_eq!(meta["method"], "POST");
    let mut pieces = Vec::new();
    let mut rest = body;
    for size in meta["chunk_sizes"].as_array().into_iter().flatten() {
        let (piece, after) = rest.split_at(usize::try_from(size.as_u64().unwrap()).unwrap());
        pieces.push(piece);
        rest = after;
    }
    pieces.extend(rest.chunks(1_024));
    Received {
        target: meta["path"].as_str().unwrap().to_owned(),
        headers: meta["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| (text(&pair[0]), text(&pair[1])))
            .collect(),
        pieces,
        body,
    }
}

impl Received {
    fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }
}

#[test]
fn a_copy_is_delivered_with_the_bytes_that_were_received() {
    for host in [HostKind::Envoy, HostKind::Nginx] {
        let mut edge = Edge::new(host);
        let all = [
            GZIP,
            CHUNKED,
            BROWSER,
            HTTP_2,
            EMPTY_ENCODING,
            BASIC,
            DSN_ONLY,
        ];
        let mut bytes = 0;
        for (sent, fixture) in all.into_iter().enumerate() {
            let received = received(fixture);
            edge.send(
                b"POST",
                received.target.as_bytes(),
                &received.headers,
                &received.pieces,
            );
            if host == HostKind::Nginx {
                assert_eq!(edge.calls.len(), sent, "there a call leaves on a tick");
                edge.tick(4);
            }
            assert_eq!(edge.calls.len(), sent + 1, "{}", received.target);
            let call = &edge.calls[sent];
            assert!(call.body == received.body, "{}", received.target);
            bytes += received.body.len();
            let path = format!("/rum/sentry/ws/rest@0{}", received.target);
            assert_eq!(call.header(":path"), Some(path.as_bytes()));
            assert_eq!(call.header(":method"), Some(&b"POST"[..]));
            assert_eq!(call.header(":authority"), Some(&b"rum.example.com"[..]));
            assert_eq!(call.upstream, "rum.test:80");
            for name in [
                "content-encoding",
                "content-type",
                "user-agent",
                "origin",
                "x-sentry-auth",
                "authorization",
            ] {
                assert_eq!(
                    call.header(name),
                    received.header(name),
                    "{name} of {}",
                    received.target
                );
            }
            assert_eq!(call.header("x-forwarded-for"), Some(&b"192.0.2.7"[..]));
            for name in [
                "host",
                "connection",
                "accept-encoding",
                "transfer-encoding",
                "content-length",
                "cookie",
            ] {
                assert_eq!(call.header(name), None);
            }
            edge.answer(sent + 1, 200);
        }
        assert_eq!(edge.books(), [7, 7, 0, 0, 0]);
        assert_eq!(
            (edge.count(Metric::Bytes), edge.count(Metric::Attempts)),
            (i64::try_from(bytes).unwrap(), 7)
        );
        assert_eq!(
            (
                edge.count(Metric::PendingBytes),
                edge.count(Metric::InFlight)
            ),
            (0, 0)
        );
    }
}

#[test]
fn a_basic_credential_goes_only_if_the_envelope_has_none() {
    let mut edge = Edge::new(HostKind::Envoy);
    let basic = received(BASIC);
    edge.send(
        b"POST",
        basic.target.as_bytes(),
        &basic.headers,
        &[received(DSN_ONLY).body],
    );
    assert_eq!(edge.calls[0].header("authorization"), None);
    edge.send(
        b"POST",
        basic.target.as_bytes(),
        &basic.headers,
        &[basic.body],
    );
    assert_eq!(
        edge.calls[1].header("authorization"),
        basic.header("authorization")
    );
}

#[test]
fn a_password_stays_here_whatever_stands_beside_it() {
    // The user is a key, `hunter2` somebody's password.
    let password = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6aHVudGVyMg==";
    let key = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6";
    let dsn = received(DSN_ONLY).body;
    let plain = received(BASIC).body;
    for (encoding, body, sent) in [
        ("", plain, Some(key)),
        ("", dsn, None),
        // It may have a DSN; that nobody has encoded it here does not matter.
        ("gzip", dsn, None),
        ("gzip", plain, None),
        ("identity", plain, Some(key)),
        // Where there is no JSON there is no DSN.
        ("", b"\x1f\x8b", Some(key)),
        ("", b"", Some(key)),
    ] {
        let mut edge = Edge::new(HostKind::Envoy);
        let headers = [("authorization", password), ("content-encoding", encoding)];
        let headers = headers.map(|(name, value)| (name.into(), value.into()));
        edge.send(b"POST", b"/api/42/envelope/", &headers, &[body]);
        let authorization = edge.calls[0].header("authorization");
        assert_eq!(authorization, sent.map(str::as_bytes), "{encoding}");
    }
}

#[test]
fn a_copy_that_was_not_taken_is_sent_again_with_the_same_bytes() {
    let mut edge = Edge::new(HostKind::Envoy);
    let received = received(CHUNKED);
    edge.send(
        b"POST",
        received.target.as_bytes(),
        &received.headers,
        &received.pieces,
    );
    for attempt in 1..=3 {
        assert_eq!(edge.calls.len(), attempt);
        let call = &edge.calls[attempt - 1];
        assert!(call.body == received.body && call.headers == edge.calls[0].headers);
        edge.answer(attempt, 503);
        edge.tick(2_000);
    }
    assert_eq!(edge.calls.len(), 3);
    assert_eq!(edge.books(), [1, 0, 1, 0, 0]);
}

#[test]
fn what_is_skipped_is_counted_and_not_sent() {
    let mut edge = Edge::new(HostKind::Envoy);
    let length = |length: &str| vec![(b"content-length".to_vec(), length.as_bytes().to_vec())];
    let target = b"/api/42/envelope/";
    edge.send(b"POST", target, &length("100001"), &[]);
    // 32 bits of it are a small number.
    edge.send(b"POST", target, &length("4294967300"), &[b"body"]);
    edge.send(b"POST", target, &[], &[&[0; 100_000], b"x"]);
    edge.send(b"POST", b"/api/42/store/", &[], &[]);
    edge.send(b"POST", b"/rum/sentry/ws/rest@0/api/42/envelope/", &[], &[]);
    edge.send(b"POST", b"/api/0/envelope/", &[], &[]);
    assert_eq!(edge.books(), [0, 0, 0, 0, 0]);
    assert!(edge.calls.is_empty());
    let skipped = |reason| edge.count(Metric::Skipped(reason));
    assert_eq!(
        SkipReason::ALL.map(skipped),
        [1, 0, 0, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
}
