//! Records have the fields of the document, and no other: items in which everything stands are read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::page::document;
use super::rows::variants;
use crate::sentry::decode::decode_all;
use crate::sls::record::item_kind::Gives;
use crate::sls::record::kind::{REGISTER, Row};
use crate::sls::record::stack::element;
use crate::sls::record::take::{Table, Take};
use crate::sls::record::tests::{PLAIN, item};
use crate::sls::record::{Context, MAX_VALUE, Options, records, undecodable};

/// An object with every member that a table knows.
fn full(table: Table, entry: Table) -> Value {
    let member = |take: &Take| match *take {
        Take::Text(_) | Take::Fill(_) => json!("x"),
        Take::Id(_) => json!("9ec79c33ec9942ab8353589fcb2e04dc"),
        Take::Json(_) => json!([1]),
        Take::Time => json!(1_795_232_076),
        Take::Start => json!(1_795_232_075),
        Take::List(_) => json!([full(entry, &[])]),
        Take::Stack(part) => json!([full(element(part), &[])]),
        Take::In(table) | Take::TextOr(_, table) | Take::With(_, table) => full(table, entry),
    };
    let members = table
        .iter()
        .map(|(name, take)| ((*name).to_owned(), member(take)));
    Value::Object(members.collect::<Map<_, _>>())
}

/// The fields of all records of an envelope, by item type.
fn fields(envelope: &str, options: Options<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let context = Context {
        project_id: "42",
        app_id: Some("app"),
        received_ms: 1_795_240_000_000,
        options,
    };
    let mut all = BTreeMap::<_, BTreeSet<_>>::new();
    records(envelope.as_bytes(), &context, &mut |record| {
        let ty = record.get("sentry.item_type").unwrap_or_default();
        let fields = record.fields().map(|(field, _)| field.to_owned());
        all.entry(ty.to_owned()).or_default().extend(fields);
    });
    all
}

/// The fields in the part that is written by hand: those in the first column of its tables, and those of any item's header.
pub(super) fn by_hand() -> BTreeSet<String> {
    let (before, _, after) = document();
    let mut found = BTreeSet::new();
    for line in before.lines().chain(after.lines()) {
        let Some(row) = line.strip_prefix("| `") else {
            continue;
        };
        let columns: Vec<_> = row.split(" | ").collect();
        let first = format!("`{}", columns[0]);
        // In the table of what may be wrong the fields stand behind the meaning.
        let column = if columns.len() > 2 {
            columns[2]
        } else {
            &first
        };
        found.extend(column.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

#[test]
fn an_item_with_everything_has_every_field_of_the_document_and_no_other() {
    let by_hand = by_hand();
    let options = Options {
        payload: true,
        spans: true,
        ..PLAIN
    };
    for Row {
        ty,
        content_types,
        kind,
    } in REGISTER
    {
        let (entry, single): (Table, Option<Table>) = match kind.gives {
            Gives::One | Gives::Metadata => (&[], None),
            Gives::Spans(table) => (table, None),
            Gives::Entries(entries) => (entries.table, entries.single),
        };
        let bodies = [
            Some(full(kind.table, entry)),
            single.map(|table| full(table, &[])),
        ];
        let content_type = content_types.first().unwrap_or(&"text/plain");
        let mut found = BTreeSet::new();
        for body in bodies.into_iter().flatten() {
            let header = format!(
                r#"{{"type":"{ty}","content_type":"{content_type}","meta_length":{}}}"#,
                body.to_string().len()
            );
            let all = fields(&format!("{{}}\n{header}\n{body}\n"), options);
            found.extend(all.into_values().flatten());
        }
        let (rows, besides) = variants(ty, kind);
        let mut documented = rows.fields();
        documented.extend(besides.iter().flat_map(|(_, rows)| rows.fields()));
        let missing: Vec<_> = documented.difference(&found).collect();
        assert!(missing.is_empty(), "{ty} never has {missing:?}");
        let others = found.difference(&documented);
        let others: Vec<_> = others.filter(|field| !by_hand.contains(*field)).collect();
        assert!(others.is_empty(), "{ty} also has {others:?}");
    }
}

#[test]
fn what_is_written_by_hand_are_the_other_fields() {
    let header = r#"{"event_id":"9ec79c33ec9942ab8353589fcb2e04dc","sdk":{"name":"n","version":"1"},"trace":{"trace_id":"t","release":"r","environment":"e"}}"#;
    let item_header = r#"{"type":"attachment","content_type":"c","filename":"f","attachment_type":"a","platform":"p"}"#;
    let long = "x".repeat(MAX_VALUE + 1);
    let payload = Options {
        payload: true,
        ..PLAIN
    };
    let mut found = BTreeSet::new();
    for (envelope, options) in [
        (format!("{header}\n{item_header}\nx\n"), PLAIN),
        (
            item("event", &format!(r#"{{"level":"{long}","timestamp":1}}"#)),
            payload,
        ),
        (item("event", "7"), PLAIN),
        (format!("{}{{}}\n", item("x", "")), PLAIN),
    ] {
        found.extend(fields(&envelope, options).into_values().flatten());
    }
    let error = decode_all(b"12345", b"lzma", 100).unwrap_err();
    let context = Context {
        project_id: "42",
        app_id: Some("app"),
        received_ms: 0,
        options: PLAIN,
    };
    undecodable(&error, &context, &mut |record| {
        found.extend(record.fields().map(|(field, _)| field.to_owned()));
    });
    found.remove("sentry.level");
    assert_eq!(by_hand(), found);
}
