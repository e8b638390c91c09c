//! What is traced: each once it has been done before, so that nothing is of the start.

use test_host::{Guest, Host, Options, Profile, Reply, Request};

/// The marks that a journey has passed.
pub(crate) type Journey = fn(&Guest) -> Vec<u32>;

const MIRROR: &str = r#"{"rum": {"upstream": "rum", "authority": "rum.example.com", "projects": {
    "42": {"workspace": "default-cms-1234567890-cn-hangzhou", "service_id": "abcdefghij@0123456789abcdef01234"}}}}"#;

const SLS: &str = r#""sls": {"upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "my-log-project",
    "logstore": "app-log", "credential": {"access_key_id": "LTAI5txxxxxxxxxx",
    "access_key_secret": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}"#;

const LOG: &str = r#"{"event_id":"9ec79c33ec9942ab8353589fcb2e04dc","sent_at":"2026-01-01T00:00:00.000Z"}
{"type":"log","item_count":1,"content_type":"application/vnd.sentry.items.log+json"}
{"items":[{"timestamp":1767225600.5,"trace_id":"5b8efff798038103d269b633813fc60c","level":"info","body":"hello",
"attributes":{"sentry.release":{"value":"1.0","type":"string"}}}]}
"#;

/// What Envoy reads from a socket at once.
const CHUNK: usize = 16_384;
/// Nothing takes longer, in ticks of 50 ms.
const TICKS: usize = 400;

pub(crate) fn mirrored_request(guest: &Guest) -> Vec<u32> {
    let mut host = Host::new(Profile::Envoy, guest, Options::new(MIRROR));
    let request = Request::post("/api/42/envelope/")
        .header("content-type", "application/x-sentry-envelope")
        .header("content-encoding", "gzip")
        .header("content-length", "8192")
        .header(
            "x-sentry-auth",
            "Sentry sentry_key=5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e, sentry_version=7",
        )
        .header("x-forwarded-for", "203.0.113.9")
        .body_in(&[b'x'; 8_192], CHUNK);
    let journey = |host: &mut Host| {
        host.send(&request).assert_untouched();
        let call = host.only_call();
        host.take_calls();
        host.reply(call.token, &Reply::status(200));
        host.take_trace()
    };
    journey(&mut host);
    host.advance(5_000);
    host.take_trace();
    journey(&mut host)
}

pub(crate) fn log(guest: &Guest) -> Vec<u32> {
    let mut host = Host::new(Profile::Envoy, guest, Options::new(format!("{{{SLS}}}")));
    let body = LOG.replace(",\n\"attributes", ",\"attributes");
    let request = Request::post("/api/42/envelope/")
        .header("content-length", body.len().to_string())
        .body_in(body.as_bytes(), CHUNK);
    let journey = |host: &mut Host| {
        host.send(&request).assert_untouched();
        for _ in 0..TICKS {
            host.advance(50);
            if let Some(call) = host.take_calls().pop() {
                assert!(
                    call.path().starts_with("/logstores/app-log"),
                    "{}",
                    call.path()
                );
                let reply = Reply::status(200).header("x-log-requestid", "5D");
                host.reply(call.token, &reply);
                return host.take_trace();
            }
        }
        panic!("no write was sent: {:#?}", host.logs());
    };
    journey(&mut host);
    host.advance(5_000);
    host.take_trace();
    journey(&mut host)
}

pub(crate) fn signed_write(guest: &Guest) -> Vec<u32> {
    let config = format!(r#"{{"mode": "sign", "sign": {{"logstores": ["app-log"]}}, {SLS}}}"#);
    let config = config
        .replace(r#""logstore": "app-log", "#, "")
        .replace(r#""upstream": "sls", "#, "");
    let options = Options {
        allow_on_headers_stop_iteration: true,
        ..Options::new(config)
    };
    let mut host = Host::new(Profile::Envoy, guest, options);
    let request = Request::post("/logstores/app-log/shards/lb")
        .header("x-log-bodyrawsize", "32768")
        .header("content-type", "application/x-protobuf")
        .header("x-log-compresstype", "lz4")
        .header("x-log-apiversion", "0.6.0")
        .header("x-log-signaturemethod", "hmac-sha1")
        .header("content-length", "8192")
        .body_in(&[b'x'; 8_192], CHUNK);
    let journey = |host: &mut Host| {
        let exchange = host.send(&request);
        assert!(exchange.upstream.ended && exchange.local_response.is_none());
        host.take_trace()
    };
    journey(&mut host);
    host.advance(5_000);
    host.take_trace();
    journey(&mut host)
}
