//! The headers of a copy, for any headers of a request.

use crate::allowed::{COPIED, is_copied};
use crate::composed::composed;
use crate::settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use sentry_edge_mirror::config::HostKind;
use sentry_edge_mirror::mirror::headers::CopyHeaders;

/// Copied at most once, and not always.
const SINGLE: [&str; 3] = ["authorization", "x-forwarded-for", "x-forwarded-proto"];
/// What must never pass, whatever it holds.
const NEVER: [&str; 16] = [
    "cookie",
    "set-cookie",
    "proxy-authorization",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-connection",
    "host",
    "content-length",
    "expect",
    "x-envoy-external-address",
    "x-api-key",
    "sec-ch-u",
];

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_lowercase()
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(
        COPIED
            .iter()
            .chain(&SINGLE)
            .chain(&NEVER)
            .copied()
            .chain([
                "sec-ch-ua",
                "sec-ch-ua-platform",
                "sec-ch-ua-full-version-list",
                ":path",
                "x-sentry-edge-mirror",
            ])
            .collect::<Vec<&str>>(),
    );
    // Each letter in a case of its own.
    let cased = (known, any::<u64>(), 0_u8..3).prop_map(|(name, upper, mode)| {
        name.bytes()
            .enumerate()
            .map(|(at, byte)| match mode {
                0 => byte,
                _ if upper >> (at % 64) & 1 == 1 => byte.to_ascii_uppercase(),
                _ => byte,
            })
            .collect()
    });
    prop_oneof![9 => cased, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    let key = "[0-9a-f]{32}(:[a-z]{0,4})?"
        .prop_map(|user| format!("Basic {}", STANDARD.encode(user)).into_bytes());
    prop_oneof![
        4 => prop::sample::select(vec![
            "", "x", "Sentry sentry_key=k", "sentry sentry_key=k, sentry_version=7", "Bearer secret", "Sentry", "Basic YTpi",
            "203.0.113.9", "203.0.113.9, 192.0.2.7", "192.0.2.7", "https", "chunked", "300", "gzip",
        ]).prop_map(Vec::from),
        1 => key,
        1 => any::<String>().prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => Just(b"caf\xe9".to_vec()),
    ]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    prop::collection::vec((name(), value()), 0..14)
}

fn copy(host: HostKind, target: &str, headers: &Pairs, scheme: Option<&[u8]>) -> CopyHeaders {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_slice(), value.as_slice()));
    composed(host, target.as_bytes(), headers, scheme)
}

fn all<'a>(copy: &'a CopyHeaders, name: &str) -> Vec<&'a [u8]> {
    copy.list
        .iter()
        .filter(|(other, _)| *other == name.as_bytes())
        .map(|(_, value)| value)
        .collect()
}

/// Values of a request's header that can be copied at all.
fn received<'a>(headers: &'a Pairs, name: &str) -> Vec<&'a [u8]> {
    headers
        .iter()
        .filter(|(other, value)| lower(other) == name && std::str::from_utf8(value).is_ok())
        .map(|(_, value)| value.as_slice())
        .collect()
}

fn host() -> impl Strategy<Value = HostKind> {
    prop::sample::select(vec![HostKind::Envoy, HostKind::Nginx])
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn nothing_but_the_allow_list_and_all_of_it(host in host(), headers in pairs()) {
        let copy = copy(host, "/api/42/envelope/", &headers, None);
        let list: Vec<(&[u8], &[u8])> = copy.list.iter().collect();
        let own: [(&[u8], &[u8]); 4] = [
            (b":method", b"POST"),
            (b":path", b"/rum/sentry/ws/web@42/api/42/envelope/"),
            (b":authority", b"rum.example.com"),
            (b"x-sentry-edge-mirror", b"1"),
        ];
        prop_assert_eq!(&list[..4], own);
        for (name, value) in &list[4..] {
            let name = std::str::from_utf8(name).unwrap();
            prop_assert!(is_copied(name) || SINGLE.contains(&name), "{}", name);
            prop_assert!(!NEVER.contains(&name), "{}", name);
            prop_assert!(std::str::from_utf8(value).is_ok(), "{}", name);
        }
        let marked = headers.iter().any(|(name, _)| lower(name) == "x-sentry-edge-mirror");
        prop_assert_eq!(copy.marked, marked);
        // What is copied is copied whole, in its order, as often as it came.
        let expected: Vec<(String, &[u8])> = headers
            .iter()
            .map(|(name, value)| (lower(name), value.as_slice()))
            .filter(|(name, value)| is_copied(name) && std::str::from_utf8(value).is_ok())
            .collect();
        let found: Vec<(String, &[u8])> = list[4..]
            .iter()
            .map(|(name, value)| (lower(name), *value))
            .filter(|(name, _)| is_copied(name))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn what_is_left_out_for_its_bytes_is_counted(headers in pairs()) {
        let copy = copy(HostKind::Envoy, "/api/42/envelope/", &headers, None);
        let read = |name: &str| {
            is_copied(name) || SINGLE.contains(&name) || ["content-length", "transfer-encoding"].contains(&name)
        };
        let omitted = headers
            .iter()
            .filter(|(name, value)| read(&lower(name)) && std::str::from_utf8(value).is_err())
            .count();
        prop_assert_eq!(copy.omitted, omitted);
    }

    #[test]
    fn no_foreign_credential_and_no_second_one(host in host(), headers in pairs(), in_query: bool) {
        let target = if in_query { "/api/42/envelope/?sentry_key=k" } else { "/api/42/envelope/" };
        let copy = copy(host, target, &headers, None);
        let authorization = all(&copy, "authorization");
        prop_assert!(authorization.len() <= 1);
        // Relay reads the first line; one that cannot be copied is still the first.
        let first = headers.iter().find(|(name, _)| lower(name) == "authorization").map(|(_, value)| value.as_slice());
        let first = first.filter(|value| std::str::from_utf8(value).is_ok());
        let scheme = |value: &[u8]| lower(value).split(' ').next().unwrap_or_default().to_owned();
        let is_sentry = first.is_some_and(|value| lower(value).starts_with("sentry "));
        prop_assert_eq!(authorization.first().copied(), first.filter(|_| is_sentry));
        // `Basic` goes only if it is the request's only credential.
        let other = in_query || !received(&headers, "x-sentry-auth").is_empty() || is_sentry;
        if let Some(basic) = &copy.basic {
            prop_assert_eq!(Some(basic.as_slice()), first);
            prop_assert_eq!(scheme(basic), "basic");
            let user = STANDARD.decode(basic[6..].trim_ascii()).unwrap();
            let user = user.split(|byte| *byte == b':').next().unwrap();
            prop_assert!(user.len() == 32 && user.iter().all(u8::is_ascii_hexdigit));
            prop_assert!(!other);
        }
    }

    #[test]
    fn one_forwarded_chain_that_ends_with_the_peer(host in host(), headers in pairs()) {
        let copy = copy(host, "/api/42/envelope/", &headers, None);
        let chain = received(&headers, "x-forwarded-for").join(&b", "[..]);
        let peer = b"192.0.2.7";
        let line = all(&copy, "x-forwarded-for");
        prop_assert_eq!(line.len(), 1, "the peer is known");
        prop_assert!(line[0].starts_with(&chain));
        let last = |chain: &[u8]| -> Vec<u8> {
            chain.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii().to_vec()
        };
        let lines = received(&headers, "x-forwarded-for").len();
        let complete = lines > 0 && (host == HostKind::Envoy || last(&chain) == peer);
        let expected = match (complete, lines) {
            (true, _) => chain,
            (false, 0) => peer.to_vec(),
            (false, _) => [chain.as_slice(), b", ", peer].concat(),
        };
        prop_assert_eq!(line[0], expected.as_slice());
    }

    #[test]
    fn at_most_one_forwarded_proto(headers in pairs(), scheme in prop::option::of(Just(&b"https"[..]))) {
        let copy = copy(HostKind::Nginx, "/api/42/envelope/", &headers, scheme);
        let first = received(&headers, "x-forwarded-proto").first().copied();
        let expected: Vec<&[u8]> = first.or(scheme).into_iter().collect();
        prop_assert_eq!(all(&copy, "x-forwarded-proto"), expected);
    }
}
