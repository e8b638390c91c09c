//! The DSN in the first line of an envelope.

use sentry_edge_mirror::sentry::dsn::Dsn;
use sentry_edge_mirror::sentry::first_line::{Line, read};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn dsn(body: &[u8]) -> Option<Dsn> {
    match read(body) {
        Line::Dsn(dsn) => Some(dsn),
        Line::WithoutDsn | Line::Unreadable => None,
    }
}

const FOUND: &[(&str, &str, u64)] = &[
    (r#"{"dsn":"https://k@o1.ingest.example.com/42"}"#, "k", 42),
    (
        r#"{"event_id":"e","dsn":"http://k:secret@[::1]:9000/prefix/42/"}"#,
        "k",
        42,
    ),
    (r#" { "dsn" : "https:\/\/k@host\/0042" } "#, "k", 42),
    (
        r#"{"dsn":"https://k@host/18446744073709551615"}"#,
        "k",
        u64::MAX,
    ),
    (
        r#"{"trace":{"dsn":5},"dsn":"https://k@host/4294967296"}"#,
        "k",
        4_294_967_296,
    ),
    ("{\"dsn\":\"https://k@host/42\"}\r", "k", 42),
];

const NONE: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    r#""https://k@host/42""#,
    r#"{"dsn":null}"#,
    r#"{"dsn":42}"#,
    r#"{"dsn":["https://k@host/42"]}"#,
    r#"{"dsn":""}"#,
    r#"{"dsn":"https://host/42"}"#,
    r#"{"dsn":"https://k@host"}"#,
    r#"{"dsn":"https://k@host/"}"#,
    r#"{"dsn":"https://k@host/0"}"#,
    r#"{"dsn":"https://k@host/18446744073709551616"}"#,
    r#"{"dsn":"https://k@host/x"}"#,
    r#"{"dsn":"k@host/42"}"#,
    r#"{"trace":{"dsn":"https://k@host/42"}}"#,
    r#"{"dsn":"https://k@host/42""#,
    r#"{"dsn":"https://k@host/42"} {}"#,
    r#"{"DSN":"https://k@host/42"}"#,
];

#[test]
fn a_dsn_is_found_whatever_follows() {
    for (line, key, id) in FOUND {
        for rest in [
            &b""[..],
            b"\n",
            b"\n{\"type\":\"event\"}\n{}",
            b"\n\xff\xfe",
            b"\n{\"dsn\":\"https://other@host/1\"}",
        ] {
            let found = dsn(&[line.as_bytes(), rest].concat()).unwrap();
            assert_eq!(
                (found.public_key.as_str(), found.project.get()),
                (*key, *id),
                "{line}"
            );
        }
    }
}

#[test]
fn anything_else_is_none() {
    for line in NONE {
        assert_eq!(dsn(line.as_bytes()), None, "{line}");
        assert_eq!(
            dsn(format!("{line}\n{}", FOUND[0].0).as_bytes()),
            None,
            "{line}"
        );
    }
    assert_eq!(dsn(b"{\"dsn\":\"https://k@host/42\xff\"}"), None);
    assert_eq!(dsn(b"\x1f\x8b\x08\0"), None, "gzip");
}

#[test]
fn a_line_without_end_is_not_read() {
    let long = format!(
        r#"{{"x":"{}","dsn":"https://k@host/42"}}"#,
        "y".repeat(1 << 20)
    );
    assert_eq!(dsn(long.as_bytes()), None);
    assert_eq!(dsn("{\"a\":".repeat(10_000).as_bytes()), None);
}
