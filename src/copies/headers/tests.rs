use super::{CopyHeaders, Head, MARKER, MAX_BYTES, MAX_LINES, Rule, compose, lower_case_rule};
use crate::client_ip::ClientIp;
use crate::copies::decide::Target;
use crate::copies::rules::Rules;
use crate::copies::settings::Destination;
use crate::host::HostKind;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::rc::Rc;

const PLAIN: &str = "/api/42/envelope/";

fn copy(target: &str, headers: &[(&str, &[u8])], source: Option<&str>) -> CopyHeaders {
    copy_with(ClientIp::Full, target, headers, source)
}

fn copy_with(
    client_ip: ClientIp,
    target: &str,
    headers: &[(&str, &[u8])],
    source: Option<&str>,
) -> CopyHeaders {
    let destination = Rc::new(Destination {
        upstream: "rum".to_owned(),
        share: 0,
        authority: "rum.example.com".to_owned(),
        path_prefix: "/rum/sentry/ws/abc@def".to_owned(),
        dsn: None,
        rules: Rules {
            client_ip,
            ..Rules::default()
        },
        is_ruled: false,
    });
    let pairs: Vec<(&[u8], &[u8])> = headers.iter().map(|(n, v)| (n.as_bytes(), *v)).collect();
    let target_of = Target {
        project: 42,
        destination,
        is_envelope: true,
        category: 0,
    };
    compose(
        HostKind::Nginx,
        &target_of,
        &Head {
            method: b"POST",
            target: target.as_bytes(),
            headers: pairs.iter().copied(),
            source: &|| source.map(|source| source.as_bytes().to_vec()),
            scheme: None,
        },
    )
}

fn names(copy: &CopyHeaders) -> Vec<&str> {
    let names = copy.list.iter().map(|(name, _)| name);
    names
        .map(|name| std::str::from_utf8(name).unwrap())
        .collect()
}

fn value<'a>(copy: &'a CopyHeaders, name: &str) -> Option<&'a str> {
    let value = copy.list.get(name.as_bytes())?;
    Some(std::str::from_utf8(value).unwrap())
}

#[test]
fn the_target_is_appended_byte_for_byte() {
    let target = "//api/0042/envelope/?sentry_key=a%20b&x=@%zz";
    let copy = copy(target, &[], None);
    assert_eq!(
        value(&copy, ":path"),
        Some("/rum/sentry/ws/abc@def//api/0042/envelope/?sentry_key=a%20b&x=@%zz")
    );
    assert_eq!(value(&copy, ":authority"), Some("rum.example.com"));
    assert_eq!(value(&copy, ":method"), Some("POST"));
}

#[test]
fn only_the_allow_list_passes() {
    let copy = copy(
        PLAIN,
        &[
            (":path", b"/api/42/envelope/"),
            ("Host", b"sentry.example.com"),
            ("Cookie", b"sid=secret"),
            ("Authorization", b"Bearer secret"),
            ("Proxy-Authorization", b"Basic secret"),
            ("Connection", b"keep-alive"),
            ("Transfer-Encoding", b"chunked"),
            ("TE", b"trailers"),
            ("X-Envoy-External-Address", b"1.2.3.4"),
            ("X-Amz-Security-Token", b"secret"),
            ("Content-Length", b"12"),
            ("Content-Type", b"application/x-sentry-envelope"),
            ("Content-Encoding", b""),
            ("User-Agent", b"sentry.python/2"),
            ("Origin", b"https://app"),
            ("Referer", b"https://app/x"),
            ("Sec-CH-UA-Platform", b"\"Linux\""),
            ("X-Sentry-Auth", b"Sentry sentry_key=k"),
            ("X-Request-Id", b"r"),
            ("traceparent", b"00-1-2-01"),
            ("tracestate", b"a=b"),
            ("baggage", b"c=d"),
            ("sentry-trace", b"1-2-1"),
            ("x-forwarded-proto", b"https"),
        ],
        None,
    );
    assert_eq!(
        names(&copy),
        [
            ":method",
            ":path",
            ":authority",
            "x-sentry-edge-mirror",
            "content-type",
            "content-encoding",
            "user-agent",
            "origin",
            "referer",
            "sec-ch-ua-platform",
            "x-sentry-auth",
            "x-request-id",
            "traceparent",
            "tracestate",
            "baggage",
            "sentry-trace",
            "x-forwarded-proto",
        ]
    );
    assert_eq!(value(&copy, "content-encoding"), Some(""));
    assert_eq!(copy.content_length, Some(12));
}

#[test]
fn every_copy_is_marked_once_and_a_marked_request_is_known() {
    assert_eq!(lower_case_rule(MARKER.as_bytes()), Rule::Marker);
    let plain = copy(PLAIN, &[("x-sentry-edge-mirrors", b"1")], None);
    assert_eq!((plain.marked, value(&plain, MARKER)), (false, Some("1")));
    for (name, value) in [
        (MARKER, &b"1"[..]),
        ("X-Sentry-Edge-Mirror", b"2"),
        (MARKER, b""),
        (MARKER, b"\xff"),
    ] {
        let copy = copy(PLAIN, &[(name, value)], None);
        assert!(copy.marked, "{name}: {value:?}");
        let marks = names(&copy).iter().filter(|name| **name == MARKER).count();
        assert_eq!(marks, 1);
    }
}

#[test]
fn authorization_passes_only_when_it_is_sentrys() {
    let basic = format!(
        "Basic {}",
        STANDARD.encode("5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e:")
    );
    let basic = basic.as_bytes();
    let sentry: &[u8] = b"Sentry sentry_key=k";
    let query = "/api/42/envelope/?sentry_key=k";
    let auth: &[(&str, &[u8])] = &[("authorization", sentry)];
    assert!(copy(PLAIN, auth, None).list.get(b"authorization").is_some());
    // Two credentials are a mistake of the client's, and the copy makes it as well.
    assert!(copy(query, auth, None).list.get(b"authorization").is_some());

    let only = copy(PLAIN, &[("authorization", basic)], None);
    assert_eq!(only.basic.as_deref().map(str::as_bytes), Some(basic));
    assert_eq!(only.list.get(b"authorization"), None);
    let beside = copy(
        PLAIN,
        &[("authorization", basic), ("x-sentry-auth", sentry)],
        None,
    );
    assert_eq!(beside.basic, None);
    assert_eq!(copy(query, &[("authorization", basic)], None).basic, None);
    // The first line is the one that counts.
    let second = copy(
        PLAIN,
        &[("authorization", b"Bearer x"), ("authorization", sentry)],
        None,
    );
    assert_eq!(second.list.get(b"authorization"), None);
    let odd = copy(
        PLAIN,
        &[("authorization", b"\xff"), ("authorization", sentry)],
        None,
    );
    assert_eq!(odd.list.get(b"authorization"), None);
}

#[test]
fn the_forwarded_chain_is_one_line_with_the_peer_once() {
    let lines: &[(&str, &[u8])] = &[
        ("X-Forwarded-For", b"1.2.3.4"),
        ("x-forwarded-for", b"5.6.7.8"),
    ];
    let chained = copy(PLAIN, lines, Some("9.9.9.9:1"));
    assert_eq!(
        value(&chained, "x-forwarded-for"),
        Some("1.2.3.4, 5.6.7.8, 9.9.9.9")
    );
    let complete = copy(PLAIN, lines, Some("5.6.7.8:1"));
    assert_eq!(
        value(&complete, "x-forwarded-for"),
        Some("1.2.3.4, 5.6.7.8")
    );
    let alone = copy(PLAIN, &[], Some("[::1]:1"));
    assert_eq!(value(&alone, "x-forwarded-for"), Some("::1"));
    assert_eq!(value(&copy(PLAIN, &[], None), "x-forwarded-for"), None);
}

#[test]
fn a_line_that_is_not_utf8_is_omitted_and_counted() {
    let copy = copy(
        PLAIN,
        &[
            ("user-agent", b"caf\xe9"),
            ("x-forwarded-for", b"\xff"),
            ("cookie", b"\xff"),
            ("content-type", b"text/plain"),
        ],
        None,
    );
    assert_eq!(copy.omitted, 2);
    assert_eq!(names(&copy).last(), Some(&"content-type"));
    assert_eq!(copy.list.get(b"user-agent"), None);
}

#[test]
fn lengths_that_lie_are_no_lengths() {
    for (text, length) in [
        ("0", Some(0)),
        ("18446744073709551616", None),
        ("-1", None),
        ("12, 12", None),
        ("", None),
    ] {
        let copy = copy(PLAIN, &[("content-length", text.as_bytes())], None);
        assert_eq!(copy.content_length, length, "{text}");
    }
}

/// Found by the fuzz target `headers`: the end of a client hint's name went on as it came, at any length, but for a long
/// name with capital letters.
#[test]
fn the_name_of_a_client_hint_is_a_name() {
    let long = format!("sec-ch-ua-{}", "x".repeat(55));
    let hints = [
        "sec-ch-ua",
        "Sec-CH-UA-Form-Factors",
        "sec-ch-ua\u{fa}",
        "sec-ch-ua: x\r\ncookie",
        "sec-ch-ua x",
        "sec-ch-ua\0",
        &long,
        &long.to_ascii_uppercase(),
    ];
    let hints = hints.map(|name| (name, &b"v"[..]));
    let copy = copy(PLAIN, &hints, None);
    let mut passed = names(&copy);
    passed.retain(|name| name.contains("ch-ua"));
    assert_eq!(passed, ["sec-ch-ua", "sec-ch-ua-form-factors"]);
}

/// A password is somebody's, whoever's the user name is.
#[test]
fn of_basic_only_the_key_passes() {
    let key = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
    let sent = format!("Basic {}", STANDARD.encode(format!("{key}:")));
    let received = format!("Basic {}", STANDARD.encode(format!("{key}:hunter2")));
    let of = |target: &str, encoding: &[(&str, &[u8])]| {
        let headers = [encoding, &[("authorization", received.as_bytes())]].concat();
        let copy = copy(target, &headers, None);
        let now = value(&copy, "authorization").map(str::to_owned);
        (now, copy.basic)
    };
    for encoding in ["", "identity", " Identity "] {
        let encoding: &[(&str, &[u8])] = &[("Content-Encoding", encoding.as_bytes())];
        assert_eq!(of(PLAIN, encoding), (None, Some(sent.clone())));
    }
    // The first line may hold a DSN, and nobody can read it.
    for encoding in [&b"gzip"[..], b"br", b"x", b"\xff"] {
        assert_eq!(of(PLAIN, &[("content-encoding", encoding)]), (None, None));
        let second: &[(&str, &[u8])] = &[("content-encoding", b""), ("content-encoding", encoding)];
        assert_eq!(of(PLAIN, second), (None, None));
    }
    // Only an envelope has a DSN of its own.
    let minidump = of("/api/42/minidump/", &[("content-encoding", b"gzip")]);
    assert_eq!(minidump, (Some(sent), None));
}

#[test]
fn more_headers_than_any_proxy_takes_are_not_read() {
    let lines = |count: usize, size: usize| {
        let value = vec![b'x'; size];
        let headers: Vec<(&str, &[u8])> = vec![("baggage", &value); count];
        copy(PLAIN, &headers, None).oversized
    };
    assert!(!lines(MAX_LINES, 1) && lines(MAX_LINES + 1, 1));
    assert!(!lines(1, MAX_BYTES) && lines(1, MAX_BYTES + 1));
    let long = "x".repeat(MAX_BYTES);
    let cookie = copy(PLAIN, &[("cookie", long.as_bytes()), (&long, b"")], None);
    assert!(!cookie.oversized, "what is not copied is not read");
}

#[test]
fn the_clients_address_as_the_operator_wants_it() {
    let headers: [(&str, &[u8]); 2] = [
        ("x-forwarded-for", b"203.0.113.9, secret"),
        ("X-Forwarded-For", b"2001:db8:1:2::9"),
    ];
    let peer = Some("198.51.100.7");
    for (client_ip, chain) in [
        (
            ClientIp::Full,
            Some("203.0.113.9, secret, 2001:db8:1:2::9, 198.51.100.7"),
        ),
        (
            ClientIp::Truncated,
            Some("203.0.113.0, 2001:db8:1::, 198.51.100.0"),
        ),
        (ClientIp::None, None),
    ] {
        let copy = copy_with(client_ip, PLAIN, &headers, peer);
        let found = copy.list.get(b"x-forwarded-for");
        assert_eq!(found, chain.map(str::as_bytes), "{client_ip:?}");
        let none = copy_with(client_ip, PLAIN, &[("x-forwarded-for", b"secret")], None);
        let found = none.list.get(b"x-forwarded-for").is_some();
        assert_eq!(found, client_ip == ClientIp::Full);
    }
}
