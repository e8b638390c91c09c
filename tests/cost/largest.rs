//! The largest callback that any hostile body causes: no client may make the others of its worker wait.
//!
//! The bodies are those of `tests/hostile` (Python), of a size at which each limit of the reader is met. Each is sent alone,
//! and read to its end.

use std::path::{Path, PathBuf};
use std::process::Command;

use sentry_edge_mirror::meter::CALLBACK;
use test_host::{Guest, Host, Options, Profile, Reply, Request, copies_are_free};

/// Of a body decoded, in MiB: three items of the most that is read, or what is cut.
const MIB: &str = "3";
/// What Envoy reads from a socket at once.
const CHUNK: usize = 16_384;
/// `limits.max_body_bytes`: what is copied in bulk in one callback stays below twice as much.
const MAX_BODY_BYTES: u64 = 10_485_760;
/// No body takes so many ticks.
const MAX_TICKS: u32 = 20_000;

/// Everything that costs something is on.
const CONFIG: &str = r#"{"rum": {"upstream": "rum", "authority": "rum.example.com",
    "default": {"workspace": "default-cms-1234567890-cn-hangzhou", "service_id": "abcdefghij@0123456789abcdef01234"}},
    "sentry": {"saas": {"upstream": "second", "default": "https://5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e@second.example.com/7"}},
    "sls": {"upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "proj", "logstore": "store",
    "signature": "SIGNATURE", "region": "cn-hangzhou", "compression": "COMPRESSION", "spans": true,
    "credential": {"access_key_id": "edge-id", "access_key_secret": "edge-secret"}}}"#;

fn bodies() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("target/hostile");
    let venv = root.join(".tools/venv/bin/python");
    let status = Command::new(&venv)
        .current_dir(root)
        .args(["-m", "tests.hostile"])
        .arg(&folder)
        .arg(MIB)
        .status();
    let made = status.is_ok_and(|status| status.success());
    assert!(
        made,
        "{} -m tests.hostile failed: tests/e2e/setup.sh makes the environment",
        venv.display()
    );
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 80, "{}", files.len());
    files
}

struct Figures {
    callback: &'static str,
    /// Instructions; with what is copied in bulk, a byte being one.
    largest: u64,
    with_copies: u64,
    all: u64,
    memory: usize,
}

fn figures(config: &str, body: &[u8], encoding: &str) -> Figures {
    copies_are_free(false);
    let with_copies = send(config, body, encoding).largest;
    copies_are_free(true);
    Figures {
        with_copies,
        ..send(config, body, encoding)
    }
}

/// Sends a body, and lets the module do all that comes of it.
fn send(config: &str, body: &[u8], encoding: &str) -> Figures {
    let mut host = Host::new(
        Profile::Envoy,
        Guest::sentry_edge_mirror(),
        Options::new(config),
    );
    let request = Request::post("/api/42/envelope/")
        .header("content-encoding", encoding)
        .header("content-length", body.len().to_string())
        .body_in(body, CHUNK);
    host.reset_cost();
    host.send(&request).assert_untouched();
    let mut ticks = 0;
    let mut quiet = 0;
    while quiet < 50 {
        host.advance(50);
        ticks += 1;
        assert!(ticks < MAX_TICKS, "it never ends");
        let calls = host.take_calls();
        let queued = ["rum", "sls"].map(|leg| format!("sentry_edge_mirror.{leg}.queued"));
        let is_read = queued.iter().all(|queued| host.metric(queued) == 0);
        quiet = if calls.is_empty() && is_read {
            quiet + 1
        } else {
            0
        };
        for call in calls {
            host.reply(
                call.token,
                &Reply::status(200).header("x-log-requestid", "5D"),
            );
        }
    }
    let (callback, largest) = host.largest_callback();
    Figures {
        callback,
        largest,
        with_copies: 0,
        all: host.cost().fuel,
        memory: host.memory_bytes(),
    }
}

#[test]
fn no_hostile_body_makes_a_callback_larger_than_its_bound() {
    let mut rows = Vec::new();
    let files = bodies();
    for (index, file) in files.iter().enumerate() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        if std::env::var("ONLY").is_ok_and(|only| !name.contains(&only)) {
            continue;
        }
        let body = std::fs::read(file).unwrap();
        let encoding = file.extension().unwrap().to_str().unwrap();
        // Each of the ways in which a batch is packed has its turn.
        let (signature, compression) = [
            ("v1", "lz4"),
            ("v4", "deflate"),
            ("v4", "lz4"),
            ("v1", "none"),
        ][index % 4];
        // Each fourth body is read for the copy too.
        let rules = [
            r#""scrub": true, "sample": 0, "client_ip": "truncated","#,
            "",
            "",
            "",
        ][index % 4];
        let config = CONFIG
            .replacen(r#""upstream""#, &format!(r#"{rules} "upstream""#), 1)
            .replace("SIGNATURE", signature)
            .replace("COMPRESSION", compression);
        let figures = figures(&config, &body, encoding);

        rows.push((name, figures));
    }
    rows.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.largest));
    println!(
        "\n{:24}{:>12}{:>14}{:>12}{:>12}  largest callback",
        "thousands", "instructions", "with copies", "in all", "memory"
    );
    for (name, figures) in &rows {
        println!(
            "{name:24}{:12}{:14}{:12}{:8} MiB  {}",
            figures.largest / 1000,
            figures.with_copies / 1000,
            figures.all / 1000,
            figures.memory >> 20,
            figures.callback.trim_start_matches("proxy_on_"),
        );
    }
    let (name, worst) = &rows[0];
    assert!(
        worst.largest <= CALLBACK,
        "{name}: {} in one {}",
        worst.largest,
        worst.callback
    );
    for (name, figures) in &rows {
        let copies = figures.with_copies.saturating_sub(CALLBACK);
        assert!(
            copies <= 2 * MAX_BODY_BYTES,
            "{name}: {copies} bytes copied in one callback"
        );
    }
}

/// 20 000 entries wait, are refused, answered, and given up: nothing walks over all of them but their end.
#[test]
fn an_outbox_of_20_000_makes_no_callback_large() {
    copies_are_free(true);
    let limits = r#""limits": {"max_pending_bytes": 134217728, "max_in_flight": 64}, "#;
    let rum = CONFIG
        .replace("SIGNATURE", "v4")
        .replace("COMPRESSION", "lz4")
        .replacen('{', &format!("{{{limits}"), 1);
    let sls = rum.replacen(
        r#""spans": true"#,
        r#""spans": true, "batch": {"max_logs": 1}"#,
        1,
    );
    for (name, config) in [("copies", rum), ("writes", sls)] {
        let mut host = Host::new(
            Profile::Envoy,
            Guest::sentry_edge_mirror(),
            Options::new(config),
        );
        let body = b"{}\n{\"type\":\"event\"}\n{\"message\":\"x\"}\n";
        let request = Request::post("/api/42/envelope/").body_in(body, CHUNK);
        host.reset_cost();
        for n in 0..20_000 {
            host.send(&request);
            if n % 20 == 0 {
                host.advance(10);
            }
        }
        // Not longer than an answer may take.
        host.advance(1_000);
        for call in host.take_calls() {
            let reply = Reply::status(503).header("x-log-requestid", "5D");
            host.reply(call.token, &reply);
        }
        host.advance(1_000);
        let pending = |leg: &str| host.metric(&format!("sentry_edge_mirror.{leg}.pending"));
        let waiting = pending("rum");
        let writes = pending("sls");
        assert!(waiting > 15_000, "{waiting} copies");
        assert!(name == "copies" || writes > 15_000, "{writes} logs");
        let (callback, largest) = host.largest_callback();
        println!(
            "20 000 {name}: {} thousand instructions in {callback}",
            largest / 1000
        );
        assert!(largest <= CALLBACK, "{name}: {largest} in {callback}");
        host.reset_cost();
        host.drain();
        host.advance(30_000);
        let (callback, largest) = host.largest_callback();
        println!(
            "the end of them: {} thousand instructions in {callback}",
            largest / 1000
        );
        assert!(largest <= CALLBACK, "{name}: {largest} in {callback}");
    }
}

/// A write of the most bytes is refused as too large: it is unpacked, cut and packed again.
#[test]
fn dividing_the_largest_write_makes_no_callback_large() {
    for compression in ["lz4", "deflate"] {
        copies_are_free(true);
        let config = CONFIG
            .replace("SIGNATURE", "v4")
            .replace("COMPRESSION", compression)
            .replacen(
                r#""spans": true"#,
                r#""spans": true, "batch": {"max_bytes": 9728000, "linger_ms": 60000}"#,
                1,
            )
            .replacen('{', r#"{"limits": {"max_pending_bytes": 134217728}, "#, 1);
        let mut host = Host::new(
            Profile::Envoy,
            Guest::sentry_edge_mirror(),
            Options::new(config),
        );
        let message: String = (0..60_000)
            .map(|n| char::from(b'a' + (n % 1_009 * n % 23) as u8))
            .collect();
        let item = format!("{{\"type\":\"event\"}}\n{{\"message\":\"{message}\"}}\n");
        let body = format!("{{}}\n{}", item.repeat(16));
        let request = Request::post("/api/42/envelope/").body_in(body.as_bytes(), CHUNK);
        host.reset_cost();
        let (mut divided, mut sent) = (0, 0);
        for _ in 0..2_000 {
            if sent < 12 {
                host.send(&request);
                sent += 1;
            }
            host.advance(100);
            for call in host.take_calls() {
                let refusal = Reply::status(413)
                    .header("x-log-requestid", "5D")
                    .body(r#"{"errorCode":"PostBodyTooLarge","errorMessage":"x"}"#);
                let taken = Reply::status(200).header("x-log-requestid", "5D");
                let reply = if call.upstream == "sls" {
                    refusal
                } else {
                    taken
                };
                host.reply(call.token, &reply);
            }
            divided = host.metric("sentry_edge_mirror.sls.divided");
            if divided >= 4 {
                break;
            }
        }
        assert!(divided >= 4, "{divided}");
        let (callback, largest) = host.largest_callback();
        println!(
            "dividing, {compression}: {} thousand instructions in {callback}",
            largest / 1000
        );
        assert!(
            largest <= CALLBACK,
            "{compression}: {largest} in {callback}"
        );
    }
}

/// A thousand projects are refused, so that each has a gate; all are due at one moment, and their copies are taken, refused
/// again, or given up.
#[test]
fn a_thousand_gates_make_no_callback_large() {
    copies_are_free(true);
    let config = CONFIG
        .replace("SIGNATURE", "v4")
        .replace("COMPRESSION", "lz4")
        .replacen(
            '{',
            r#"{"limits": {"max_pending_bytes": 134217728}, "retry": {"max_attempts": 100}, "#,
            1,
        );
    let refusal = || Reply::status(429).header("retry-after", "20");
    let body = b"{}\n{\"type\":\"event\"}\n{\"message\":\"x\"}\n";
    for end in ["taken", "refused", "given up"] {
        let mut host = Host::new(
            Profile::Envoy,
            Guest::sentry_edge_mirror(),
            Options::new(&config),
        );
        let pending = |host: &Host| host.metric("sentry_edge_mirror.rum.pending");
        host.reset_cost();
        for turn in 0..3_000 {
            let project = 1 + turn % 1_000;
            host.send(&Request::post(&format!("/api/{project}/envelope/")).body_in(body, CHUNK));
            if turn % 8 == 0 {
                host.advance(10);
                for call in host.take_calls() {
                    host.reply(call.token, &refusal());
                }
            }
        }
        // Gauges are as old as this.
        host.advance(100);
        assert!(pending(&host) == 3_000, "{} copies", pending(&host));
        // All are due at one moment, whatever their random parts.
        host.advance(50_000);
        if end == "given up" {
            host.drain();
        }
        for _ in 0..4_000 {
            host.advance(10);
            for call in host.take_calls() {
                let reply = match end {
                    "refused" => refusal(),
                    _ => Reply::status(200).header("x-log-requestid", "5D"),
                };
                host.reply(call.token, &reply);
            }
        }
        let left = pending(&host);
        assert!((end == "refused") == (left > 0), "{end}: {left} are left");
        let (callback, largest) = host.largest_callback();
        println!(
            "a thousand gates, {end}: {} thousand instructions in {callback}",
            largest / 1000
        );
        assert!(largest <= CALLBACK, "{end}: {largest} in {callback}");
    }
}
