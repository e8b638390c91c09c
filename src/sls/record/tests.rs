//! Which records an envelope gives, and what is wrong with one. Corpus and properties are in the folder `tests/` of the project.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod document;
mod kinds;

use super::context::MAX_ITEMS;
use super::draft::Draft;
use super::*;
use crate::sentry::decode::decode_all;

const NOW_MS: u64 = 1_795_240_000_000;

/// The fields of all records, `key=value`, but those that all have; the time first.
fn run(envelope: &str, options: Options<'_>) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let context = Context {
        project_id: "42",
        app_id: Some("app@1"),
        received_ms: NOW_MS,
        options,
    };
    records(envelope.as_bytes(), &context, &mut |record| {
        assert_eq!(record.get("sentry.project_id"), Some("42"));
        assert_eq!(record.get("app.id"), Some("app@1"));
        let common = [
            "sentry.project_id",
            "app.id",
            "timestamp",
            "sentry.item_bytes",
        ];
        let fields = record.fields().filter(|(key, _)| !common.contains(key));
        let mut fields: Vec<_> = fields
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        fields.insert(0, record.get("timestamp").unwrap().to_owned());
        all.push(fields);
    });
    all
}

const PLAIN: Options<'static> = Options {
    payload: false,
    spans: false,
    scrub: None,
    client_ip: crate::client_ip::ClientIp::Full,
    max_payload: MAX_PAYLOAD,
    max_records: MAX_RECORDS,
    max_item_bytes: MAX_ITEM_BYTES,
};

fn item(ty: &str, payload: &str) -> String {
    format!("{{}}\n{{\"type\":\"{ty}\"}}\n{payload}\n")
}

#[test]
fn members_of_the_wrong_type_cost_only_themselves() {
    let payload = r#"{"message":{"message":"raw","formatted":"done"},"logentry":[],"user":"x","level":{"a":1},"tags":{},
        "platform":"a","platform":"b","timestamp":{},"release":null,"server_name":"","transaction":"\ud800x","dist":1.50}"#;
    let payload = payload.replace('\n', " ");
    assert_eq!(
        run(&item("event", &payload), PLAIN),
        [[
            "1795240000000",
            "event_type=custom",
            "sentry.item_type=event",
            "sentry.message=done",
            "sentry.platform=b",
            "sentry.transaction=\u{fffd}\u{fffd}\u{fffd}x",
            "sentry.dist=1.50",
        ]]
    );
}

#[test]
fn what_is_bad_says_so() {
    for (payload, error) in [
        ("", "empty"),
        ("{", "not JSON at byte 1: expected the name of a member"),
        (
            "{\"level\":\"info\",}",
            "not JSON at byte 16: expected the name of a member",
        ),
        ("7", "not a JSON object"),
        ("null", "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("[1", "not JSON at byte 2: expected `,` or `]`"),
    ] {
        let records = run(
            &item("event", payload),
            Options {
                payload: true,
                ..PLAIN
            },
        );
        assert!(
            records[0].contains(&"sentry.error_kind=bad item".to_owned()),
            "{payload}"
        );
        assert!(
            records[0].contains(&format!("sentry.error={error}")),
            "{payload}: {records:?}"
        );
        assert!(!records[0].iter().any(|field| field.starts_with("payload=")));
    }
    assert!(
        run(
            &item("form_data", "[[\"a\",1]]"),
            Options {
                payload: true,
                ..PLAIN
            }
        )
        .concat()
        .contains(&"payload=[[\"a\",1]]".to_owned())
    );
    let malformed = run("{}\n{\"type\":\"event\"}\n{}\n{\"length\":1}\n", PLAIN);
    assert_eq!(
        malformed,
        [[
            "1795240000000",
            "event_type=custom",
            "sentry.envelope_bytes=36",
            "sentry.error_kind=malformed envelope",
            "sentry.error=item 1, byte 35: `type` is missing",
        ]]
    );
    let error = decode_all(b"12345", b"lzma", 100).unwrap_err();
    let context = Context {
        project_id: "42",
        app_id: None,
        received_ms: NOW_MS,
        options: PLAIN,
    };
    undecodable(&error, &context, &mut |record| {
        assert_eq!(record.get("sentry.envelope_bytes"), Some("5"));
        assert_eq!(record.get("sentry.content_encoding"), Some("lzma"));
        assert_eq!(record.get("sentry.error"), Some("unsupported encoding"));
        assert_eq!(record.get("sentry.project_id"), Some("42"));
    });
}

#[test]
fn too_many_records_are_counted() {
    let envelope = format!("{{}}\n{}", "{\"type\":\"x\"}\n\n".repeat(20));
    let records = run(
        &envelope,
        Options {
            max_records: 5,
            ..PLAIN
        },
    );
    assert_eq!(records.len(), 6);
    assert!(
        records[5].contains(&"sentry.error=at least 15 more records of this envelope".to_owned())
    );
}

#[test]
fn items_beyond_the_most_are_counted_and_checked() {
    let mut envelope = format!("{{}}\n{}", "{\"type\":\"x\"}\n\n".repeat(MAX_ITEMS + 7));
    let options = Options {
        max_records: 5,
        ..PLAIN
    };
    let records = run(&envelope, options);
    let left_out = MAX_ITEMS + 7 - 5;
    let text = format!("sentry.error=at least {left_out} more records of this envelope");
    assert!(records[5].contains(&text), "{:?}", records[5]);
    // Relay takes all items or none.
    envelope.push_str("{}\n");
    let records = run(&envelope, options);
    assert_eq!(records.len(), 1);
    assert!(records[0].contains(&"sentry.error_kind=malformed envelope".to_owned()));
}

#[test]
fn debug_shows_no_value() {
    let mut draft = Draft::default();
    draft.set("payload", "secret stuff");
    let record = draft.record;
    assert_eq!(format!("{record:?}"), r#"{"time_s": 0, "payload": 12}"#);
}
