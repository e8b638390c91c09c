//! The index of a logstore (`envoy/sls-index.json`), written from the fields of the document:
//! `UPDATE=1 cargo test --lib sls::record`.
//!
//! Its form is that of SLS's `CreateIndex`, which the console shows and takes as well.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::found::by_hand;
use super::rows::variants;
use crate::sls::record::kind::{REGISTER, Row};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/envoy/sls-index.json");

/// Where SLS is to cut text into words: its own choice.
const TOKEN: &str = r#"[",", " ", "'", "\"", ";", "=", "(", ")", "[", "]", "{", "}", "?", "@", "&", "<", ">", "/", ":", "\n", "\t", "\r"]"#;

/// Too large for a field of its own. The full-text index has its words.
const LEFT_OUT: &[&str] = &["payload"];

/// Whole numbers.
const LONG: &[&str] = &[
    "sentry.discard.quantity",
    "sentry.exception.count",
    "sentry.item_bytes",
    "sentry.session.abnormal",
    "sentry.session.crashed",
    "sentry.session.errored",
    "sentry.session.errors",
    "sentry.session.exited",
    "sentry.session.seq",
    "sentry.session.started",
    "sentry.session.unhandled",
    "sentry.severity_number",
    "sentry.span_count",
    "sentry.start_timestamp",
    "timestamp",
];

/// Other numbers.
const DOUBLE: &[&str] = &[
    "sentry.duration_ms",
    "sentry.duration_s",
    "sentry.metric.value",
];

/// What people write, also in Chinese.
const PROSE: &[&str] = &[
    "exception.message",
    "exception.type",
    "sentry.description",
    "sentry.error",
    "sentry.message",
    "sentry.transaction",
    "user.name",
    "view.name",
];

/// All fields that a log may have.
fn fields() -> BTreeSet<String> {
    let mut all = by_hand();
    for Row { ty, kind, .. } in REGISTER {
        let (own, besides) = variants(ty, kind);
        all.extend(own.fields());
        all.extend(besides.iter().flat_map(|(_, rows)| rows.fields()));
    }
    all
}

fn key(field: &str) -> String {
    let numbers = [("long", LONG), ("double", DOUBLE)];
    match numbers.iter().find(|(_, fields)| fields.contains(&field)) {
        Some((number, _)) => format!(r#"{{"type": "{number}", "doc_value": true}}"#),
        None => {
            let chn = PROSE.contains(&field);
            format!(
                r#"{{"type": "text", "caseSensitive": false, "chn": {chn}, "token": {TOKEN}, "doc_value": true}}"#
            )
        }
    }
}

fn index() -> String {
    let mut text = format!(
        "{{\n\"line\": {{\"caseSensitive\": false, \"chn\": true, \"token\": {TOKEN}}},\n\"keys\": {{\n"
    );
    let fields = fields();
    let fields = fields
        .iter()
        .filter(|field| !LEFT_OUT.contains(&field.as_str()));
    let lines: Vec<_> = fields
        .map(|field| format!("  \"{field}\": {}", key(field)))
        .collect();
    write!(text, "{}\n}}\n}}\n", lines.join(",\n")).unwrap();
    text
}

#[test]
fn the_index_has_every_field() {
    let wanted = index();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, wanted).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(FILE).unwrap() == wanted,
        "envoy/sls-index.json is not what the tables say: UPDATE=1 cargo test --lib sls::record"
    );
    let found: serde_json::Value = serde_json::from_str(&wanted).unwrap();
    assert_eq!(
        found["keys"].as_object().unwrap().len() + LEFT_OUT.len(),
        fields().len()
    );
}

#[test]
fn what_has_a_type_of_its_own_is_a_field() {
    let fields = fields();
    for field in [LEFT_OUT, LONG, DOUBLE, PROSE].concat() {
        assert!(fields.contains(field), "{field}");
    }
}
