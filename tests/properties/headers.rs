//! The headers of a copy, for any headers of a request.

use crate::settings;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oracles::allowed::COPIED;
use oracles::headers::{Case, NEVER, Pairs, SINGLE};
use proptest::prelude::*;
use sentry_edge_mirror::host::HostKind;

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

fn host() -> impl Strategy<Value = HostKind> {
    prop::sample::select(vec![HostKind::Envoy, HostKind::Nginx])
}

fn scheme() -> impl Strategy<Value = Option<&'static [u8]>> {
    prop::option::of(Just(&b"https"[..]))
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn nothing_but_the_allow_list_and_all_of_it(host in host(), headers in pairs()) {
        Case::new(host, false, &headers, None).nothing_but_the_allow_list_and_all_of_it();
    }

    #[test]
    fn what_is_left_out_for_its_bytes_is_counted(headers in pairs()) {
        Case::new(HostKind::Envoy, false, &headers, None).what_is_left_out_for_its_bytes_is_counted();
    }

    #[test]
    fn no_foreign_credential_and_no_second_one(host in host(), headers in pairs(), in_query: bool) {
        Case::new(host, in_query, &headers, None).no_foreign_credential_and_no_second_one();
    }

    #[test]
    fn one_forwarded_chain_that_ends_with_the_peer(host in host(), headers in pairs()) {
        Case::new(host, false, &headers, None).one_forwarded_chain_that_ends_with_the_peer();
    }

    #[test]
    fn at_most_one_forwarded_proto(headers in pairs(), scheme in scheme()) {
        Case::new(HostKind::Nginx, false, &headers, scheme).at_most_one_forwarded_proto();
    }
}
