//! Any bytes as an envelope: read, made into records, scrubbed. No growth past the bounds, nothing sensitive left
//! behind.

// Each test crate uses its own part, and nothing is exported from one.
#![allow(dead_code, unreachable_pub)]

use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sentry::envelope::{Envelope, check};
use sentry_edge_mirror::sls::record::{
    Context, EnvelopeReader, MAX_VALUE, Options, Record, Summary, records,
};
use sentry_edge_mirror::sls::scrub::Scrubber;
use serde_json::{Value, json};
use std::task::Poll;

const NOW_MS: u64 = 1_795_240_000_000;
/// Never in a scrubbed text.
pub const CANARY: &str = "Canary";

/// The fields of each record.
type Fields = Vec<Vec<(&'static str, String)>>;

/// The check and the reader agree, and payloads are where they say.
pub fn readable(bytes: &[u8]) {
    let counted = check(bytes);
    let Ok(envelope) = Envelope::read(bytes) else {
        assert!(counted.is_err());
        return;
    };
    let items: Result<Vec<_>, _> = envelope.collect();
    let found = items.as_ref().map(Vec::len);
    assert_eq!(found.map_err(Clone::clone), counted);
    for item in items.unwrap_or_default() {
        let end = item.offset + item.payload.len();
        assert_eq!(&bytes[item.offset..end], item.payload);
    }
}

/// Makes records, and checks each.
pub fn run(bytes: &[u8], options: Options<'_>) -> (Summary, Fields) {
    let context = Context {
        project_id: "42",
        app_id: Some("app"),
        received_ms: NOW_MS,
        options,
    };
    let mut seen = Vec::new();
    let summary = records(bytes, &context, &mut |record: &Record| {
        let now = NOW_MS / 1000;
        assert!(
            u64::from(record.time_s) >= now - 7 * 86_400 && u64::from(record.time_s) <= now + 900
        );
        assert!(record.time_ns < 1_000_000_000);
        let fields: Vec<_> = record
            .fields()
            .map(|(key, value)| (key, value.to_owned()))
            .collect();
        let mut keys: Vec<_> = fields.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), fields.len(), "a key comes once");
        for (key, value) in &fields {
            let limit = if *key == "payload" {
                options.max_payload
            } else {
                MAX_VALUE
            };
            assert!(!value.is_empty() && value.len() <= limit, "{key}");
        }
        seen.push(fields);
    });
    assert_eq!(summary.records, seen.len());
    (summary, seen)
}

/// Units that reading may take: of a byte at the worst, which is looked at as text in JSON of each level; and besides.
const UNITS: u64 = 8_000;
const UNITS_BESIDE: u64 = 1_000_000;

/// Reading costs so much at most and makes so much at most, and where its steps end changes nothing.
pub fn in_steps(bytes: &[u8], options: Options<'_>, mut units: impl FnMut() -> u64) {
    let context = Context {
        project_id: "42",
        app_id: Some("app"),
        received_ms: NOW_MS,
        options,
    };
    let run = |next: &mut dyn FnMut() -> u64| {
        let (mut reader, mut spent, mut made) = (EnvelopeReader::default(), 0, 0);
        let mut logs = Vec::new();
        loop {
            let mut meter = Meter::new(next());
            let mut sink = |record: &Record| {
                let fields: Vec<_> = record
                    .fields()
                    .map(|(key, value)| (key, value.to_owned()))
                    .collect();
                made += fields
                    .iter()
                    .map(|(key, value)| key.len() + value.len())
                    .sum::<usize>();
                logs.push(fields);
            };
            let step = reader.step(bytes, &context, &mut meter, &mut sink);
            spent += meter.spent();
            if let Poll::Ready(summary) = step {
                return (summary, logs, spent, made);
            }
        }
    };
    let (summary, logs, spent, made) = run(&mut || u64::MAX);
    let length = u64::try_from(bytes.len()).unwrap();
    assert!(
        spent <= UNITS * length + UNITS_BESIDE,
        "{spent} units for {length} bytes"
    );
    assert!(made <= 4 * bytes.len() + (1 << 20) + 4_096, "{made} bytes");
    let stepwise = run(&mut units);
    assert_eq!((summary, logs), (stepwise.0, stepwise.1));
}

/// No item without a record, or a count of what was left out.
pub fn bounded(bytes: &[u8], options: Options<'_>) {
    let (summary, _) = run(bytes, options);
    match check(bytes) {
        Err(malformed) => {
            let expected = Summary {
                records: 1,
                bad: 1,
                malformed: Some(malformed),
                left_out: 0,
            };
            assert_eq!(summary, expected);
        }
        Ok(items) => assert!(
            summary.records + summary.left_out >= items,
            "{items} items, {summary:?}"
        ),
    }
}

/// Keys, and what may stand before them (`customer_no` is configured).
pub const SENSITIVE: [&str; 24] = [
    "password",
    "passwd",
    "secret",
    "api_key",
    "apikey",
    "API-Key",
    "auth",
    "credentials",
    "mysql_pwd",
    "privateKey",
    "private-key",
    "token",
    "bearer",
    "Cookie",
    "sessionid",
    "csrf_token",
    "X-Xsrf",
    "x-auth-token",
    "Authorization",
    "customerNo",
    "db_pass",
    "access_key",
    "signature",
    "passcode",
];
pub const PREFIXES: [&str; 3] = ["", "my_", "the-"];

/// JSON in which [`CANARY`] stands only where it must not stay.
pub fn nothing_sensitive_stays(scrubber: &Scrubber, text: &str) {
    let once = scrubber.json(text).unwrap();
    assert!(!once.contains(CANARY), "{text}\n{once}");
    assert!(
        serde_json::from_str::<Value>(&once).is_ok(),
        "{text}\n{once}"
    );
    // Nor in any field of a record.
    for ty in ["event", "log", "check_in", "transaction"] {
        let envelope = format!(
            "{{}}\n{{\"type\":\"{ty}\",\"length\":{}}}\n{text}",
            text.len()
        );
        let options = Options {
            scrub: Some(scrubber),
            spans: true,
            ..Options::default()
        };
        for (key, value) in run(envelope.as_bytes(), options).1.concat() {
            assert!(!value.contains(CANARY), "{key}: {value}");
        }
    }
}

/// What was scrubbed is not scrubbed again, as text and inside JSON.
pub fn scrubbed_once(scrubber: &Scrubber, text: &str) {
    let once = scrubber.text(text).into_owned();
    let twice = scrubber.text(&once);
    assert_eq!(twice.as_ref(), once.as_str(), "{text}");
    let quoted = json!({"a": text}).to_string();
    let once = scrubber.json(&quoted).unwrap().into_owned();
    assert!(serde_json::from_str::<Value>(&once).is_ok());
    let twice = scrubber.json(&once).unwrap();
    assert_eq!(twice.as_ref(), once.as_str());
}

/// JSON stays JSON.
pub fn still_json(scrubber: &Scrubber, line: &str) {
    let scrubbed = scrubber.json(line);
    if serde_json::from_str::<Value>(line).is_ok() {
        assert!(serde_json::from_str::<Value>(&scrubbed.unwrap()).is_ok());
    }
}
