//! The headers of a copy.

use super::composed::composed;
use sentry_edge_mirror::copies::headers::{CopyHeaders, MARKER};
use sentry_edge_mirror::host::HostKind;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn copy(host: HostKind, target: &[u8], headers: &[(&str, &[u8])]) -> CopyHeaders {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), *value));
    let scheme = (host == HostKind::Nginx).then_some(&b"https"[..]);
    composed(host, target, headers, scheme)
}

/// `name: value` of everything but the pseudo headers and the marker, which every copy has once.
fn lines(copy: &CopyHeaders) -> Vec<String> {
    copy.list
        .iter()
        .filter(|(name, _)| !name.starts_with(b":") && *name != MARKER.as_bytes())
        .map(|(name, value)| format!("{}: {}", name.escape_ascii(), value.escape_ascii()))
        .collect()
}

const TARGET: &[u8] = b"/api/42/envelope/";
/// 32 hexadecimal digits and a colon.
const BASIC: &str = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6";
/// The same and `hunter2`.
const WITH_PASSWORD: &str = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6aHVudGVyMg==";

/// Name and value as received, and whether the copy has it.
const LIST: &[(&str, &str, bool)] = &[
    ("Content-Type", "application/x-sentry-envelope", true),
    ("content-encoding", "", true),
    ("User-Agent", "sentry.python/2.75.0", true),
    ("Origin", "https://app.example.com", true),
    ("Referer", "https://app.example.com/", true),
    ("Sec-CH-UA", "\"Chromium\";v=\"156\"", true),
    ("sec-ch-ua-mobile", "?0", true),
    ("Sec-CH-UA-Full-Version-List", "x", true),
    ("X-Sentry-Auth", "Sentry sentry_key=k", true),
    ("X-Request-Id", "1", true),
    ("traceparent", "00-1-2-01", true),
    ("tracestate", "a=b", true),
    ("Baggage", "sentry-release=1", true),
    ("Sentry-Trace", "1-2-1", true),
    ("Cookie", "sid=secret", false),
    ("Proxy-Authorization", "Basic secret", false),
    ("Authorization", "Bearer secret", false),
    ("Connection", "keep-alive", false),
    ("Keep-Alive", "timeout=5", false),
    ("TE", "trailers", false),
    ("Trailer", "x", false),
    ("Transfer-Encoding", "chunked", false),
    ("Upgrade", "h2c", false),
    ("Expect", "100-continue", false),
    ("Host", "edge.example.com", false),
    ("Content-Length", "300", false),
    ("Accept", "*/*", false),
    ("Accept-Encoding", "gzip", false),
    ("X-Api-Key", "secret", false),
    ("X-Envoy-External-Address", "192.0.2.7", false),
    ("X-Real-IP", "192.0.2.7", false),
    ("Sec-Fetch-Mode", "cors", false),
];

const SENTRY: &str = "Sentry sentry_key=k";

/// Query, headers, the `Authorization` of the copy, and the one that it gets if the envelope has no DSN.
type Credentials<'a> = (
    &'a str,
    &'a [(&'a str, &'a str)],
    Option<&'a str>,
    Option<&'a str>,
);

const CREDENTIALS: &[Credentials<'static>] = &[
    ("", &[("authorization", SENTRY)], Some(SENTRY), None),
    (
        "",
        &[("Authorization", "sentry sentry_key=k")],
        Some("sentry sentry_key=k"),
        None,
    ),
    ("", &[("authorization", WITH_PASSWORD)], None, Some(BASIC)),
    // The first line cannot be read.
    (
        "",
        &[("content-encoding", "gzip"), ("authorization", BASIC)],
        None,
        None,
    ),
    (
        "",
        &[("content-encoding", ""), ("authorization", WITH_PASSWORD)],
        None,
        Some(BASIC),
    ),
    // Relay reads the first line.
    (
        "",
        &[("authorization", SENTRY), ("authorization", "Bearer x")],
        Some(SENTRY),
        None,
    ),
    (
        "",
        &[("authorization", "Bearer x"), ("authorization", SENTRY)],
        None,
        None,
    ),
    ("", &[("authorization", BASIC)], None, Some(BASIC)),
    (
        "",
        &[("authorization", "Basic YWRtaW46c2VjcmV0")],
        None,
        None,
    ),
    // There is another source: then this one is not Sentry's.
    (
        "",
        &[("authorization", BASIC), ("x-sentry-auth", SENTRY)],
        None,
        None,
    ),
    ("?sentry_key=k", &[("authorization", BASIC)], None, None),
    ("", &[("authorization", "Basic")], None, None),
    ("", &[("authorization", "")], None, None),
];

#[test]
fn the_target_is_appended_byte_for_byte() {
    for target in [
        TARGET,
        b"//api//42///envelope/",
        b"/api/42/envelope/?sentry_key=a%20b&x=%zz&@=1;2",
        b"/api/0042/envelope/?\xff\0#",
    ] {
        let copy = copy(HostKind::Envoy, target, &[]);
        let pseudo: Vec<_> = copy
            .list
            .iter()
            .filter(|(name, _)| name.starts_with(b":"))
            .collect();
        let path = [b"/rum/sentry/ws/web@42", target].concat();
        let expected: [(&[u8], &[u8]); 3] = [
            (b":method", b"POST"),
            (b":path", &path),
            (b":authority", b"rum.example.com"),
        ];
        assert_eq!(pseudo, expected);
    }
}

#[test]
fn the_allow_list() {
    for host in [HostKind::Envoy, HostKind::Nginx] {
        let headers: Vec<(&str, &[u8])> = LIST
            .iter()
            .map(|(name, value, _)| (*name, value.as_bytes()))
            .collect();
        let copied = LIST.iter().filter(|(.., copied)| *copied);
        let mut expected: Vec<String> = copied
            .map(|(name, value, _)| {
                format!(
                    "{}: {}",
                    name.to_lowercase(),
                    value.as_bytes().escape_ascii()
                )
            })
            .collect();
        expected.push("x-forwarded-for: 192.0.2.7".to_owned());
        if host == HostKind::Nginx {
            expected.push("x-forwarded-proto: https".to_owned());
        }
        let copy = copy(host, TARGET, &headers);
        assert_eq!(lines(&copy), expected);
        assert_eq!(
            (copy.content_length, copy.transfer_encoding, copy.omitted),
            (Some(300), true, 0)
        );
    }
}

#[test]
fn credentials() {
    for (query, headers, sent, later) in CREDENTIALS {
        let target = [TARGET, query.as_bytes()].concat();
        let lines: Vec<(&str, &[u8])> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        let copy = copy(HostKind::Envoy, &target, &lines);
        assert_eq!(
            copy.list.get(b"authorization"),
            sent.map(str::as_bytes),
            "{headers:?}"
        );
        assert_eq!(copy.basic.as_deref(), *later, "{headers:?}");
    }
}

#[test]
fn the_forwarded_chain() {
    let chain = |host, headers: &[(&str, &[u8])]| {
        let copy = copy(host, TARGET, headers);
        let lines = lines(&copy)
            .into_iter()
            .filter_map(|line| line.strip_prefix("x-forwarded-for: ").map(str::to_owned));
        lines.collect::<Vec<_>>()
    };
    let one: &[(&str, &[u8])] = &[("X-Forwarded-For", b"203.0.113.9")];
    let two: &[(&str, &[u8])] = &[
        ("x-forwarded-for", b"203.0.113.9"),
        ("x-forwarded-for", b"198.51.100.1, 192.0.2.7"),
    ];
    for (host, headers, expected) in [
        (HostKind::Envoy, &[][..], "192.0.2.7"),
        (HostKind::Envoy, one, "203.0.113.9"),
        (HostKind::Envoy, two, "203.0.113.9, 198.51.100.1, 192.0.2.7"),
        (HostKind::Nginx, &[][..], "192.0.2.7"),
        (HostKind::Nginx, one, "203.0.113.9, 192.0.2.7"),
        (HostKind::Nginx, two, "203.0.113.9, 198.51.100.1, 192.0.2.7"),
    ] {
        assert_eq!(chain(host, headers), [expected], "{host:?}");
    }
}

#[test]
fn what_is_not_utf8_is_left_out_and_counted() {
    let copy = copy(
        HostKind::Envoy,
        TARGET,
        &[
            ("user-agent", b"caf\xe9"),
            ("cookie", b"\xff"),
            // The second line does not become a credential because the first cannot be copied.
            ("authorization", b"Sentry \xff"),
            ("authorization", b"Sentry sentry_key=k"),
            ("referer", "https://caf\u{e9}/".as_bytes()),
        ],
    );
    assert_eq!(
        lines(&copy),
        [
            "referer: https://caf\\xc3\\xa9/",
            "x-forwarded-for: 192.0.2.7"
        ]
    );
    assert_eq!(copy.omitted, 2, "a cookie is not even looked at");
}

#[test]
fn announced_lengths() {
    for (value, length) in [
        ("0", Some(0)),
        ("300", Some(300)),
        ("4294967296", Some(4_294_967_296)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("-1", None),
        ("5, 5", None),
        ("", None),
    ] {
        let copy = copy(
            HostKind::Envoy,
            TARGET,
            &[("content-length", value.as_bytes())],
        );
        assert_eq!(copy.content_length, length, "{value}");
    }
}
