//! The largest callback that any hostile body causes: no client may make the others of its worker wait.
//!
//! The bodies are those of `tests/hostile` (Python), of a size at which each limit of the reader is met. Each is sent alone,
//! and read to its end.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::host::{Guest, Host, Options, Profile, Reply, Request};
use sentry_edge_mirror::meter::CALLBACK;

/// Of a body decoded, in MiB: three items of the most that is read, or what is cut.
const MIB: &str = "3";
/// What Envoy reads from a socket at once.
const CHUNK: usize = 16_384;
/// No body takes so many ticks.
const MAX_TICKS: u32 = 20_000;

/// Everything that costs something is on.
const CONFIG: &str = r#"{"rum": {"upstream": "rum", "authority": "rum.example.com",
    "default": {"workspace": "default-cms-1234567890-cn-hangzhou", "service_id": "abcdefghij@0123456789abcdef01234"}},
    "sls": {"upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "proj", "logstore": "store",
    "signature": "SIGNATURE", "region": "cn-hangzhou", "compression": "COMPRESSION", "spans": true,
    "credential": {"access_key_id": "edge-id", "access_key_secret": "edge-secret"}}}"#;

fn bodies() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
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
    largest: u64,
    all: u64,
    memory: usize,
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
        quiet = if calls.is_empty() && host.metric("sentry_edge_mirror.sls.queued") == 0 {
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
        let config = CONFIG
            .replace("SIGNATURE", signature)
            .replace("COMPRESSION", compression);
        let figures = send(&config, &body, encoding);
        eprintln!("{name} {} {}", figures.largest / 1000, figures.all / 1000);
        rows.push((name, figures));
    }
    rows.sort_by_key(|(_, figures)| std::cmp::Reverse(figures.largest));
    println!("\nthousands of instructions   largest callback              in all   memory");
    for (name, figures) in &rows {
        println!(
            "{name:24}{:12}  {:24}{:12}{:6} MiB",
            figures.largest / 1000,
            figures.callback.trim_start_matches("proxy_on_"),
            figures.all / 1000,
            figures.memory >> 20,
        );
    }
    let (name, worst) = &rows[0];
    assert!(
        worst.largest <= CALLBACK,
        "{name}: {} in one {}",
        worst.largest,
        worst.callback
    );
}
