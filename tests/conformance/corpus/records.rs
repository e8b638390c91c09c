//! What becomes of it.

use super::{CAP, Case, cases, encoding, read};
use sentry_edge_mirror::sentry::decode::decode_all;
use sentry_edge_mirror::sentry::envelope::EventId;
use sentry_edge_mirror::sentry::timestamp::Timestamp;
use sentry_edge_mirror::sls::record::{Context, Options, Record, records, undecodable};
use sentry_edge_mirror::sls::scrub::Scrubber;
use serde_json::Value;
use std::collections::BTreeMap;

type Fields = BTreeMap<String, String>;

fn run(body: &[u8], encoding: &str, options: Options<'_>) -> Vec<Fields> {
    let mut all = Vec::new();
    let context = Context {
        project_id: "42",
        app_id: Some("app@1"),
        received_ms: 1_795_240_000_000,
        options,
    };
    let mut sink = |record: &Record| {
        let mut fields: Fields = record
            .fields()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        fields.insert("__time__".to_owned(), record.time_s.to_string());
        all.push(fields);
    };
    match decode_all(body, encoding.as_bytes(), CAP) {
        Ok(decoded) => drop(records(&decoded, &context, &mut sink)),
        Err(error) => undecodable(&error, &context, &mut sink),
    }
    all
}

/// What a record must have, by another way: a tree of the payload and JSON pointers.
fn expected(
    ty: &str,
    envelope: &Value,
    payload: &[u8],
) -> Vec<Vec<(&'static str, Option<String>)>> {
    let value: Option<Value> = serde_json::from_slice(payload).ok();
    let of = |value: &Value, pointers: &[&str]| {
        pointers
            .iter()
            .find_map(|pointer| match value.pointer(pointer) {
                Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
                Some(other @ (Value::Number(_) | Value::Bool(_))) => Some(other.to_string()),
                _ => None,
            })
    };
    let ms = |value: &Value, pointer: &str| {
        let ms = match value.pointer(pointer)? {
            Value::String(text) => Timestamp::from_rfc3339(text).unwrap().ms(),
            // Down, as the clock goes; `f64` knows no better than some tenths of a microsecond.
            #[allow(clippy::cast_possible_truncation)]
            number => (number.as_f64()? * 1000.0 + 1e-4) as i64,
        };
        Some(ms.to_string())
    };
    let Some(value) = value else {
        return vec![vec![("sentry.item_type", Some(ty.to_owned()))]];
    };
    let list = |pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let id = |value: &Value| {
        let id = envelope["event_id"].as_str().or(value["event_id"].as_str());
        id.map(|id| EventId::parse(id).unwrap().to_string())
    };
    let item_type = ("sentry.item_type", Some(ty.to_owned()));
    match ty {
        "event" | "feedback" | "transaction" | "replay_event" => {
            let exceptions = list("/exception/values");
            let last = exceptions.last().cloned().unwrap_or_default();
            vec![vec![
                item_type,
                ("event_id", id(&value)),
                ("timestamp", ms(&value, "/timestamp")),
                (
                    "app.version",
                    of(&value, &["/release"]).or(of(envelope, &["/trace/release"])),
                ),
                (
                    "app.env",
                    of(&value, &["/environment"]).or(of(envelope, &["/trace/environment"])),
                ),
                (
                    "trace_id",
                    of(&value, &["/contexts/trace/trace_id"])
                        .or(of(envelope, &["/trace/trace_id"])),
                ),
                ("span_id", of(&value, &["/contexts/trace/span_id"])),
                ("user.id", of(&value, &["/user/id"])),
                (
                    "user.name",
                    of(&value, &["/user/username"]).or(of(&value, &["/contexts/feedback/name"])),
                ),
                ("exception.type", of(&last, &["/type"])),
                ("exception.message", of(&last, &["/value"])),
                ("sentry.level", of(&value, &["/level"])),
                ("sentry.logger", of(&value, &["/logger"])),
                ("sentry.transaction", of(&value, &["/transaction"])),
                (
                    "sentry.message",
                    of(
                        &value,
                        &[
                            "/contexts/feedback/message",
                            "/logentry/formatted",
                            "/logentry/message",
                            "/message",
                        ],
                    ),
                ),
                (
                    "sentry.span_count",
                    value["spans"]
                        .as_array()
                        .map(|spans| spans.len().to_string()),
                ),
                (
                    "sentry.sdk.name",
                    of(&value, &["/sdk/name"]).or(of(envelope, &["/sdk/name"])),
                ),
                (
                    "view.name",
                    (ty == "transaction")
                        .then(|| of(&value, &["/transaction"]))
                        .flatten(),
                ),
            ]]
        }
        "log" | "trace_metric" | "span" if value["items"].is_array() => list("/items")
            .iter()
            .map(|entry| {
                let time = if ty == "span" {
                    "/end_timestamp"
                } else {
                    "/timestamp"
                };
                vec![
                    item_type.clone(),
                    ("timestamp", ms(entry, time)),
                    ("trace_id", of(entry, &["/trace_id"])),
                    ("sentry.message", of(entry, &["/body"])),
                    (
                        "sentry.metric.name",
                        (ty == "trace_metric")
                            .then(|| of(entry, &["/name"]))
                            .flatten(),
                    ),
                    ("sentry.metric.value", of(entry, &["/value"])),
                    (
                        "sentry.description",
                        (ty == "span").then(|| of(entry, &["/name"])).flatten(),
                    ),
                    (
                        "app.version",
                        of(entry, &["/attributes/sentry.release/value"]),
                    ),
                ]
            })
            .collect(),
        "sessions" => list("/aggregates")
            .iter()
            .map(|entry| {
                vec![
                    item_type.clone(),
                    ("timestamp", ms(entry, "/started")),
                    ("sentry.session.exited", of(entry, &["/exited"])),
                    ("app.version", of(&value, &["/attrs/release"])),
                ]
            })
            .collect(),
        "session" => vec![vec![
            item_type,
            ("timestamp", ms(&value, "/timestamp")),
            ("session.id", of(&value, &["/sid"])),
            ("user.id", of(&value, &["/did"])),
            ("sentry.session.status", of(&value, &["/status"])),
        ]],
        "client_report" => list("/discarded_events")
            .iter()
            .map(|entry| {
                vec![
                    item_type.clone(),
                    ("timestamp", ms(&value, "/timestamp")),
                    ("sentry.discard.reason", of(entry, &["/reason"])),
                    ("sentry.discard.quantity", of(entry, &["/quantity"])),
                ]
            })
            .collect(),
        "check_in" => vec![vec![
            item_type,
            ("sentry.check_in_id", of(&value, &["/check_in_id"])),
            ("sentry.status", of(&value, &["/status"])),
        ]],
        "user_report" => vec![vec![
            item_type,
            ("event_id", id(&value)),
            ("sentry.message", of(&value, &["/comments"])),
        ]],
        _ => vec![vec![item_type]],
    }
}

#[test]
fn records_of_real_envelopes() {
    let (mut count, mut fields) = (0, 0);
    let mut types = BTreeMap::new();
    for Case { name, meta, body } in cases("real") {
        if meta["decoded"]["items"].is_null() {
            continue;
        }
        let decoded = decode_all(&body, encoding(&meta).as_bytes(), CAP).unwrap();
        let (_, items) = read(&decoded).unwrap();
        let header = serde_json::Deserializer::from_slice(&decoded)
            .into_iter::<Value>()
            .next()
            .unwrap()
            .unwrap();
        let expected: Vec<_> = items
            .iter()
            .flat_map(|item| expected(&item.header.ty, &header, item.payload))
            .collect();
        let records = run(&body, &encoding(&meta), Options::default());
        assert_eq!(records.len(), expected.len(), "{name}");
        for (record, expected) in records.iter().zip(&expected) {
            assert!(!record.contains_key("sentry.error"), "{name}: {record:?}");
            *types.entry(record["sentry.item_type"].clone()).or_insert(0) += 1;
            for (key, value) in expected {
                // Without a time of its own an item has the time it came.
                if *key != "timestamp" || value.is_some() {
                    assert_eq!(record.get(*key), value.as_ref(), "{name}: {key}");
                    fields += 1;
                }
            }
            count += 1;
        }
    }
    println!("real: {count} records, {fields} fields as expected: {types:?}");
}

#[test]
fn every_body_gives_a_record_and_none_has_a_secret() {
    let scrubber = Scrubber::default();
    let mut count = 0;
    for case in cases("real").into_iter().chain(cases("synthetic")) {
        let options = Options {
            scrub: Some(&scrubber),
            spans: true,
            ..Options::default()
        };
        let records = run(&case.body, &encoding(&case.meta), options);
        let decoded = decode_all(&case.body, encoding(&case.meta).as_bytes(), CAP);
        let items = decoded
            .as_ref()
            .ok()
            .and_then(|bytes| read(bytes).ok())
            .map(|(_, items)| items.len());
        assert!(records.len() >= items.unwrap_or(1), "{}", case.name);
        if case.name.contains("bomb")
            && !case.name.contains("gzip-in-gzip")
            && !case.name.contains("store")
        {
            assert!(
                records[0]["sentry.error"].contains("decodes to more than"),
                "{}",
                case.name
            );
        }
        for record in &records {
            for (key, value) in record {
                for secret in ["4111111111111111", "hunter2", "hunter3"] {
                    assert!(!value.contains(secret), "{}: {key}: {value}", case.name);
                }
            }
            if let Some(payload) = record
                .get("payload")
                .filter(|_| !record.contains_key("sentry.cut"))
            {
                serde_json::from_str::<serde::de::IgnoredAny>(payload).unwrap();
            }
        }
        count += records.len();
    }
    println!("{count} records, scrubbed");
}
