//! The DSN in the first line of an envelope.

use crate::settings;
use proptest::prelude::*;
use sentry_edge_mirror::sentry::dsn::Dsn;
use sentry_edge_mirror::sentry::first_line::{Line, read};
use serde_json::{Map, Value, json};

fn dsn(body: &[u8]) -> Option<Dsn> {
    match read(body) {
        Line::Dsn(dsn) => Some(dsn),
        Line::WithoutDsn | Line::Unreadable => None,
    }
}

/// A DSN as SDKs write it, its key and its project.
fn written() -> impl Strategy<Value = (String, String, u64)> {
    (
        prop::sample::select(vec!["http", "https"]),
        "[0-9a-f]{1,32}",
        prop::option::of("[0-9a-f]{1,32}"),
        prop::sample::select(vec![
            "o1.ingest.example.com",
            "localhost",
            "192.0.2.1",
            "[::1]",
        ]),
        prop::option::of(1_u16..),
        prop::sample::select(vec!["", "/prefix", "/a/b"]),
        1_u64..,
        prop::bool::ANY,
    )
        .prop_map(|(scheme, key, secret, host, port, prefix, id, slash)| {
            let secret = secret
                .map(|secret| format!(":{secret}"))
                .unwrap_or_default();
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let slash = if slash { "/" } else { "" };
            let text = format!("{scheme}://{key}{secret}@{host}{port}{prefix}/{id}{slash}");
            (text, key, id)
        })
}

fn other_members() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<String>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        any::<String>().prop_map(|text| json!({"dsn": text, "a": [text]})),
    ];
    prop::collection::btree_map("[a-z_]{1,8}", value, 0..5)
        .prop_map(|map| map.into_iter().filter(|(key, _)| key != "dsn").collect())
}

/// What may follow the first line: nothing, or anything.
fn rest() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|mut rest| {
            rest.insert(0, b'\n');
            rest
        }),
    ]
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_bytes_are_read_without_harm(body: Vec<u8>) {
        let _ = dsn(&body);
    }

    #[test]
    fn a_dsn_is_found_wherever_it_stands_in_the_first_line(
        (text, key, id) in written(),
        mut members in other_members(),
        rest in rest(),
    ) {
        members.insert("dsn".to_owned(), Value::from(text));
        let mut body = serde_json::to_vec(&members).unwrap();
        body.extend(rest);
        let found = dsn(&body).unwrap();
        prop_assert_eq!((found.public_key, found.project.get()), (key, id));
    }

    #[test]
    fn without_one_none_is_found(members in other_members(), (text, ..) in written()) {
        let line = serde_json::to_string(&members).unwrap();
        prop_assert_eq!(dsn(line.as_bytes()), None);
        // The second line is an item's header.
        let body = format!("{line}\n{}\n", json!({"dsn": text}));
        prop_assert_eq!(dsn(body.as_bytes()), None);
    }

    #[test]
    fn only_the_first_line_counts(first in "[^\n]{0,60}", rest in rest()) {
        let body = [first.as_bytes(), &rest].concat();
        prop_assert_eq!(dsn(&body), dsn(first.as_bytes()));
    }

    #[test]
    fn a_line_that_is_cut_has_no_dsn((text, ..) in written(), at: prop::sample::Index) {
        let line = json!({"dsn": text}).to_string();
        prop_assert_eq!(dsn(&line.as_bytes()[..at.index(line.len())]), None);
    }
}
