//! The reader against what it was at 11d9345, before it was done in steps, and against itself with other steps.
//!
//! | intended difference | where |
//! | --- | --- |
//! | what is wrong with broken JSON is said with its byte and what was expected, and none of its fields are kept | `is_broken` |
//! | a transaction of broken JSON gives no spans, with or without the scrubber | not tried |
//! | a profile or recording without a payload is called empty, as other items are | `is_broken` |
//! | an attachment by reference is read, and is bad if that is not JSON | `is_reference` |
//! | a type that was not known then has a record of its own | `NEWER` |
//! | of an item with a `meta_length` that many bytes are read, and what follows is not | `HEADS`, `NEWER` |

use std::collections::BTreeMap;
use std::task::Poll;

use crate::records::{envelopes, envelopes_without, mutated};
use crate::settings;
use before::sls::record as old;
use proptest::prelude::*;
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sls::record::{self as new, EnvelopeReader};
use sentry_edge_mirror::sls::scrub::Scrubber;

/// Types of items that the older reader took for any bytes, or could not read.
const NEWER: &[&str] = &["head"];
/// Fixtures with such.
const HEADS: &[&str] = &[
    "-items-profile-chunk-perfetto",
    "-items-attachment-of-trace",
];

const NOW_MS: u64 = 1_795_240_000_000;

type Fields = BTreeMap<String, String>;

fn options(scrub: Option<&Scrubber>, spans: bool, payload: bool) -> new::Options<'_> {
    new::Options {
        scrub,
        spans,
        payload,
        ..new::Options::default()
    }
}

fn by_new(
    bytes: &[u8],
    options: new::Options<'_>,
    units: impl Fn() -> u64,
) -> (Vec<Fields>, new::Summary) {
    let context = new::Context {
        project_id: "42",
        app_id: Some("app@1"),
        received_ms: NOW_MS,
        options,
    };
    let mut all = Vec::new();
    let mut reader = EnvelopeReader::default();
    loop {
        let mut sink = |record: &new::Record| {
            let mut fields: Fields = record
                .fields()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            fields.insert(
                "time".to_owned(),
                format!("{}.{:09}", record.time_s, record.time_ns),
            );
            all.push(fields);
        };
        let mut meter = Meter::new(units());
        if let Poll::Ready(summary) = reader.step(bytes, &context, &mut meter, &mut sink) {
            return (all, summary);
        }
    }
}

fn by_old(bytes: &[u8], options: new::Options<'_>) -> (Vec<Fields>, old::Summary) {
    let scrubber = before::sls::scrub::Scrubber::default();
    let context = old::Context {
        project_id: "42",
        app_id: Some("app@1"),
        received_ms: NOW_MS,
        options: old::Options {
            payload: options.payload,
            spans: options.spans,
            scrub: options.scrub.map(|_| &scrubber),
            ..old::Options::default()
        },
    };
    let mut all = Vec::new();
    let summary = old::records(bytes, &context, &mut |record| {
        let mut fields: Fields = record
            .fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.to_string()))
            .collect();
        fields.insert(
            "time".to_owned(),
            format!("{}.{:09}", record.time_s, record.time_ns),
        );
        all.push(fields);
    });
    (all, summary)
}

/// What both say of an item that is no JSON.
fn is_broken(fields: &Fields) -> bool {
    fields
        .get("sentry.error")
        .is_some_and(|error| error.starts_with("not JSON") || error == "empty")
}

/// A record of an attachment by reference, which the old reader took for any attachment.
fn is_reference(fields: &Fields) -> bool {
    let is_known = |found: &String| {
        found.eq_ignore_ascii_case("application/vnd.sentry.attachment-ref+json")
            || found.eq_ignore_ascii_case("application/vnd.sentry.attachment-ref")
    };
    fields.get("sentry.item_type").map(String::as_str) == Some("attachment")
        && fields.get("sentry.content_type").is_some_and(is_known)
}

/// Of a record of broken JSON, or of a reference: what is known of the item.
fn comparable(fields: &Fields) -> Fields {
    let mut known = vec![
        "sentry.item_type",
        "sentry.item_bytes",
        "sentry.project_id",
        "app.id",
    ];
    if is_reference(fields) {
        known.extend(["event_id", "sentry.content_type", "sentry.filename", "time"]);
    } else if is_broken(fields) {
        known.push("sentry.error_kind");
    } else {
        return fields.clone();
    }
    let kept = fields
        .iter()
        .filter(|(key, _)| known.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Equal logs, but for the intended differences.
fn same(bytes: &[u8], scrub: bool, spans: bool, payload: bool) {
    let scrubber = Scrubber::default();
    let options = options(scrub.then_some(&scrubber), spans, payload);
    let (new, summary) = by_new(bytes, options, || u64::MAX);
    let (old, before) = by_old(bytes, options);
    let count = |all: &[Fields], what: fn(&Fields) -> bool| {
        let found = all.iter().filter(|fields| what(fields));
        found.count()
    };
    let bad_references = count(&new, |fields| {
        is_reference(fields) && fields.contains_key("sentry.error")
    });
    let [new, old] = [new, old].map(|all| {
        let broken = count(&all, |fields| is_broken(fields) && !is_reference(fields));
        (all.iter().map(comparable).collect::<Vec<_>>(), broken)
    });
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(new, old, "{text}");
    assert_eq!(
        (
            summary.records,
            summary.left_out,
            summary.bad - bad_references
        ),
        (before.records, before.left_out, before.bad),
        "{text}"
    );
}

#[test]
fn fixtures_give_equal_logs() {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures");
    let corpus = std::env::var("SENTRY_CORPUS").unwrap_or_else(|_| fixtures.to_owned());
    let mut seen = 0;
    for part in ["real", "synthetic"] {
        for entry in std::fs::read_dir(format!("{corpus}/{part}")).unwrap() {
            let path = entry.unwrap().path();
            let shown = path.to_string_lossy();
            if !shown.ends_with(".http.json") || HEADS.iter().any(|name| shown.contains(name)) {
                continue;
            }
            let meta: serde_json::Value =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let name = meta["body_file"].as_str().unwrap();
            let body = std::fs::read(path.with_file_name(name)).unwrap();
            let encoding = meta["headers"]
                .as_array()
                .unwrap()
                .iter()
                .find_map(|header| {
                    let name = header[0].as_str().unwrap();
                    name.eq_ignore_ascii_case("content-encoding")
                        .then(|| header[1].as_str().unwrap())
                });
            let encoding = encoding.unwrap_or_default().as_bytes();
            let Ok(decoded) = before::sentry::decode::decode(&body, encoding, 32 << 20) else {
                continue;
            };
            for (scrub, spans) in [(false, true), (true, false)] {
                same(&decoded, scrub, spans, true);
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

/// JSON of any shape under the names that the tables know.
fn json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let name = prop::sample::select(vec![
        "event_id",
        "timestamp",
        "level",
        "message",
        "formatted",
        "user",
        "id",
        "exception",
        "values",
        "type",
        "value",
        "stacktrace",
        "frames",
        "function",
        "lineno",
        "threads",
        "current",
        "crashed",
        "contexts",
        "trace",
        "trace_id",
        "tags",
        "spans",
        "op",
        "items",
        "attributes",
        "sentry.release",
        "body",
        "aggregates",
        "attrs",
        "release",
        "started",
        "discarded_events",
        "reason",
        "quantity",
        "segment_id",
        "modules",
        "input_tokens",
        "count",
        "x",
        "start_timestamp",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (0.0..2e9).prop_map(Value::from),
        Just(json!("2026-11-21T03:34:36.5Z")),
        Just(json!("9EC79C33-EC99-42AB-8353-589FCB2E04DC")),
        "[a-z\"\\\\\n äé😀]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            3 => prop::collection::vec((name.clone(), inner.clone()), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
            1 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            1 => inner.prop_map(|value| value.to_string().into()),
        ]
    })
}

fn types() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "event",
        "transaction",
        "feedback",
        "replay_event",
        "session",
        "sessions",
        "check_in",
        "log",
        "trace_metric",
        "span",
        "client_report",
        "profile",
        "replay_recording",
        "security",
        "form_data",
        "attachment",
        "user_report",
    ])
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn generated_envelopes_give_equal_logs(
        items in prop::collection::vec((types(), json()), 1..4),
        (scrub, spans, payload, pretty) in any::<(bool, bool, bool, bool)>(),
    ) {
        let mut envelope = b"{\"trace\":{\"release\":\"r\",\"trace_id\":\"t\"}}\n".to_vec();
        for (ty, value) in items {
            let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
            let item = format!("{{\"type\":\"{ty}\",\"length\":{}}}\n{text}\n", text.len());
            envelope.extend_from_slice(item.as_bytes());
        }
        same(&envelope, scrub, spans, payload);
    }

    #[test]
    fn broken_envelopes_give_equal_logs(bytes in mutated(envelopes_without(NEWER))) {
        same(&bytes, false, false, true);
    }

    /// Where the steps end does not matter.
    #[test]
    fn every_step_gives_the_same(
        bytes in mutated(envelopes()),
        units in prop::collection::vec(1_u64..20_000, 1..8),
        scrub in any::<bool>(),
    ) {
        let scrubber = Scrubber::default();
        let options = new::Options { max_payload: 300, ..options(scrub.then_some(&scrubber), true, true) };
        let next = std::cell::Cell::new(0_usize);
        let stepwise = by_new(&bytes, options, || {
            next.set(next.get() + 1);
            units[next.get() % units.len()]
        });
        prop_assert_eq!(stepwise, by_new(&bytes, options, || u64::MAX));
    }
}
