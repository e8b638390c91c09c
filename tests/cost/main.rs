//! What a request costs in the module: wasm instructions, host calls, bytes copied and allocations (the core's own and
//! those for the host's results), for one mirrored request from its first callback to the answer of the copy.
//!
//! All of it is counted, nothing is timed, so the table is the same on every machine and is compared with
//! `tests/cost/baseline.txt`: a figure that grows by more than 5 % fails. `make cost` prints it; after a change that is
//! worth it, `UPDATE_BASELINE=1 make cost` writes it anew.

mod allocations;
mod largest;

use std::fmt::Write as _;
use test_host::{Cost, Guest, Host, Options, Profile, Reply, Request};

const CONFIG: &str = r#"{"rum": {"upstream": "rum", "authority": "rum.example.com", "projects": {
    "42": {"workspace": "default-cms-1234567890-cn-hangzhou", "service_id": "abcdefghij@0123456789abcdef01234"}}}}"#;
/// So many requests are averaged, the ones before have warmed up the allocator.
const REQUESTS: u64 = 200;
const WARM_UP: u64 = 50;
/// What Envoy reads from a socket at once.
const CHUNK: usize = 16_384;

/// A request as sentry-python sends it through Envoy.
fn envelope(size: usize) -> Request {
    Request::post("/api/42/envelope/")
        .header("user-agent", "sentry.python/2.75.0")
        .header("accept-encoding", "identity")
        .header("content-type", "application/x-sentry-envelope")
        .header("content-encoding", "gzip")
        .header("content-length", size.to_string())
        .header(
            "x-sentry-auth",
            "Sentry sentry_key=5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e, sentry_version=7, sentry_client=sentry.python/2.75.0",
        )
        .header("x-forwarded-for", "203.0.113.9")
        .header("x-forwarded-proto", "https")
        .header("x-request-id", "a2a4ee0f-92a7-4f6c-ab41-23f0e9c9b6a1")
        .body_in(&vec![b'x'; size], CHUNK)
}

fn cost(config: &str, request: &Request) -> Cost {
    let mut host = Host::new(
        Profile::Envoy,
        Guest::sentry_edge_mirror(),
        Options::new(config),
    );
    for n in 0..WARM_UP + REQUESTS {
        if n == WARM_UP {
            host.reset_cost();
        }
        host.send(request).assert_untouched();
        for call in host.take_calls() {
            host.advance(3);
            host.reply(call.token, &Reply::status(200));
        }
        host.advance(3);
    }
    host.cost().clone()
}

/// A write as the SLS SDK for Python sends it, through mode `sign`.
fn write(size: usize) -> Request {
    Request::post("/logstores/app-log/shards/lb")
        .header(
            "user-agent",
            "log-python-sdk-v-0.9.52, sys.version_info(3, 11)",
        )
        .header("accept-encoding", "gzip, deflate")
        .header("accept", "*/*")
        .header("x-log-bodyrawsize", (size * 4).to_string())
        .header("content-type", "application/x-protobuf")
        .header("x-log-compresstype", "lz4")
        .header("x-log-apiversion", "0.6.0")
        .header("x-log-signaturemethod", "hmac-sha1")
        .header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
        .header("x-log-date", "Thu, 01 Jan 2026 00:00:00 GMT")
        .header("content-md5", "6284398F25B31FBDD31E5C6CC04AF9AD")
        .header("content-length", size.to_string())
        .header(
            "authorization",
            "LOG LTAIxxxxxxxxxxxx:QBovTC9XBgDsYfpWzGMIJxYLw+g=",
        )
        .body_in(&vec![b'x'; size], CHUNK)
}

fn cost_of_signing(signature: &str, request: &Request) -> Cost {
    let config = format!(
        r#"{{"mode": "sign", "sign": {{"logstores": ["app-log"]}}, "sls": {{"project": "my-log-project",
            "endpoint": "cn-hangzhou.log.aliyuncs.com", "signature": "{signature}", "region": "cn-hangzhou",
            "credential": {{"access_key_id": "LTAI5txxxxxxxxxx", "access_key_secret": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}}}}}}"#
    );
    let options = Options {
        allow_on_headers_stop_iteration: true,
        ..Options::new(config)
    };
    let mut host = Host::new(Profile::Envoy, Guest::sentry_edge_mirror(), options);
    for n in 0..WARM_UP + REQUESTS {
        if n == WARM_UP {
            host.reset_cost();
        }
        let exchange = host.send(request);
        assert!(exchange.upstream.ended && exchange.local_response.is_none());
        host.advance(6);
    }
    host.cost().clone()
}

/// An envelope whose trace is in a sample of a half, not encoded.
fn traced(size: usize) -> Request {
    let line = "{\"event_id\":\"9ec79c33ec9942ab8353589fcb2e04dc\",\"trace\":{\"trace_id\":\"e4b06ce60741c7a87ce42c8218072e8c\"}}\n{\"type\":\"event\"}\n";
    let rest = size.saturating_sub(line.len());
    let body = [line.as_bytes(), &vec![b'x'; rest]].concat();
    let mut request = envelope(size);
    request.headers.remove("content-encoding");
    request.chunks = vec![body];
    request
}

/// The same, with a header that names the first Sentry.
fn named(size: usize) -> Request {
    let mut request = traced(size);
    let dsn = b"{\"dsn\":\"https://first@first.example.com/42\",";
    let body = &request.chunks[0][1..];
    request.chunks = vec![[&dsn[..], body].concat()];
    request
}

/// An event, not encoded, in which nothing is sensitive.
fn event(size: usize) -> Request {
    let start = "{}\n{\"type\":\"event\"}\n{\"message\":\"";
    let words = "some words of a message that is long ".repeat(size / 37);
    let body = format!("{start}{words}\"}}\n");
    let mut request = envelope(body.len());
    request.headers.remove("content-encoding");
    request.chunks = vec![body.into_bytes()];
    request
}

struct Row {
    name: &'static str,
    figures: [u64; 5],
}

const COLUMNS: [&str; 5] = [
    "instructions",
    "host calls x100",
    "to guest",
    "from guest",
    "allocations x100",
];

fn row(name: &'static str, request: &Request) -> Row {
    row_with(name, CONFIG, request)
}

/// A rule for copies, in the configuration of the others.
fn ruled(name: &'static str, rule: &str, request: &Request) -> Row {
    let config = CONFIG.replacen(r#""upstream""#, &format!(r#"{rule}, "upstream""#), 1);
    row_with(name, &config, request)
}

/// RUM, and a second Sentry.
fn with_sentry() -> String {
    let sentry = r#"{"sentry": {"saas": {"upstream": "second", "default": "https://5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e@second.example.com/7"}},"#;
    CONFIG.replacen('{', sentry, 1)
}

fn row_with(name: &'static str, config: &str, request: &Request) -> Row {
    let cost = cost(config, request);
    let figures = [
        cost.fuel / REQUESTS,
        cost.total_host_calls() * 100 / REQUESTS,
        cost.bytes_to_guest / REQUESTS,
        cost.bytes_from_guest / REQUESTS,
        (cost.allocations + allocations::count(config, request, WARM_UP, REQUESTS)) * 100
            / REQUESTS,
    ];
    Row { name, figures }
}

/// What the core allocates while signing is not counted apart: the last column is the host's results alone.
fn signing_row(name: &'static str, signature: &str, request: &Request) -> Row {
    let cost = cost_of_signing(signature, request);
    let figures = [
        cost.fuel / REQUESTS,
        cost.total_host_calls() * 100 / REQUESTS,
        cost.bytes_to_guest / REQUESTS,
        cost.bytes_from_guest / REQUESTS,
        cost.allocations * 100 / REQUESTS,
    ];
    Row { name, figures }
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:24}", "per request");
    for column in COLUMNS {
        write!(text, "{column:>18}").unwrap();
    }
    text.push('\n');
    for row in rows {
        write!(text, "{:24}", row.name).unwrap();
        for figure in row.figures {
            write!(text, "{figure:>18}").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn no_figure_grows_by_more_than_5_percent() {
    let rows = [
        row(
            "not mirrored, 8 KiB",
            &Request::post("/api/0/x/").body_in(&[b'x'; 8_192], CHUNK),
        ),
        row("headers only", &envelope(0)),
        row("1 KiB", &envelope(1_024)),
        row("8 KiB", &envelope(8_192)),
        row("200 KiB", &envelope(204_800)),
        ruled(
            "client_ip, 8 KiB",
            r#""client_ip": "truncated""#,
            &envelope(8_192),
        ),
        ruled(
            "rate, 8 KiB",
            r#""rate": {"copies_per_s": 1000000}"#,
            &envelope(8_192),
        ),
        ruled("sample, 8 KiB", r#""sample": 0.5"#, &traced(8_192)),
        ruled(
            "items, 8 KiB",
            r#""items": {"not": ["log"]}"#,
            &traced(8_192),
        ),
        ruled("scrub, 8 KiB", r#""scrub": true"#, &event(8_192)),
        ruled(
            "only_accepted, 8 KiB",
            r#""only_accepted": true"#,
            &envelope(8_192),
        ),
        signing_row("sign v1, 1 KiB", "v1", &write(1_024)),
        signing_row("sign v1, 8 KiB", "v1", &write(8_192)),
        signing_row("sign v4, 8 KiB", "v4", &write(8_192)),
        signing_row("sign v4, 200 KiB", "v4", &write(204_800)),
        row_with("sentry, 8 KiB", &with_sentry(), &traced(8_192)),
        row_with("sentry renamed, 8 KiB", &with_sentry(), &named(8_192)),
    ];
    let table = table(&rows);
    println!("\n{table}");
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/cost/baseline.txt");
    if std::env::var_os("UPDATE_BASELINE").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let baseline = std::fs::read_to_string(path).unwrap();
    for (row, line) in rows.iter().zip(baseline.lines().skip(1)) {
        let known: Vec<u64> = line[24..]
            .split_whitespace()
            .map(|figure| figure.parse().unwrap())
            .collect();
        assert!(
            line.starts_with(row.name) && known.len() == COLUMNS.len(),
            "{path}: {line}"
        );
        for ((column, figure), known) in COLUMNS.into_iter().zip(row.figures).zip(known) {
            let limit = known + known / 20;
            assert!(
                figure <= limit,
                "{}, {column}: {figure}, over {known} by more than 5 %",
                row.name
            );
        }
    }
}

/// Where the instructions go, for whoever wants fewer.
#[test]
fn by_callback() {
    let mut host = Host::new(
        Profile::Envoy,
        Guest::sentry_edge_mirror(),
        Options::new(CONFIG),
    );
    for n in 0..WARM_UP + REQUESTS {
        if n == WARM_UP {
            host.reset_cost();
        }
        host.send(&envelope(8_192)).assert_untouched();
        let token = host.take_calls()[0].token;
        host.advance(3);
        host.reply(token, &Reply::status(200));
        host.advance(3);
    }
    println!("\n8 KiB, instructions and host calls per request");
    for callback in [
        "proxy_on_context_create",
        "proxy_on_request_headers",
        "proxy_on_request_body",
        "proxy_on_response_headers",
        "proxy_on_http_call_response",
        "proxy_on_tick",
        "proxy_on_done",
        "proxy_on_log",
        "proxy_on_delete",
        "proxy_on_memory_allocate",
    ] {
        let cost = host.cost_of(callback);
        println!(
            "{callback:30}{:>8}  {:?}",
            cost.fuel / REQUESTS,
            cost.host_calls
        );
    }
    assert!(host.cost().fuel > 0);
}
