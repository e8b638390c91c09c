//! Signatures v1 and v4, and the texts that they are made of.

use super::{borrow, cases, credential, now, pairs, text, vectors};
use sentry_edge_mirror::sls::{canonical, date, digest, sign};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn v1() {
    let vectors = vectors();
    let cases = cases(&vectors, "v1");
    assert_eq!(cases.len(), 27);
    for case in &cases {
        let id = case.id;
        let headers = borrow(&case.sent);
        let string_to_sign = canonical::v1_string_to_sign(&case.parts(&headers));
        assert_eq!(
            string_to_sign,
            text(case.expected, "string_to_sign"),
            "{id}"
        );
        let authorization = sign::v1_authorization(&credential(case.case), &string_to_sign);
        assert_eq!(authorization, text(case.expected, "authorization"), "{id}");
        match case.expected["content_md5"].as_str() {
            Some(md5) => assert_eq!(digest::content_md5(&case.wire), md5, "{id}"),
            None => assert!(case.wire.is_empty(), "{id}"),
        }
        if let Some(now) = now(case.case) {
            assert_eq!(date::http(now), text(case.expected, "date"), "{id}");
        }
        case.assert_signed();
    }
}

#[test]
fn v4() {
    let vectors = vectors();
    let cases = cases(&vectors, "v4");
    assert_eq!(cases.len(), 28);
    for case in &cases {
        let id = case.id;
        let headers = borrow(&case.sent);
        let request = canonical::v4_canonical_request(&case.parts(&headers));
        assert_eq!(request, text(case.expected, "canonical_request"), "{id}");
        let (date, region) = (text(case.expected, "x_log_date"), text(case.case, "region"));
        let string_to_sign =
            canonical::v4_string_to_sign(date, &canonical::v4_scope(date, region), &request);
        assert_eq!(
            string_to_sign,
            text(case.expected, "string_to_sign"),
            "{id}"
        );
        let authorization =
            sign::v4_authorization(&credential(case.case), region, date, &string_to_sign);
        assert_eq!(authorization, text(case.expected, "authorization"), "{id}");
        assert_eq!(
            digest::sha256_hex(&case.wire),
            text(case.expected, "x_log_content_sha256"),
            "{id}"
        );
        assert_eq!(date::basic(now(case.case).unwrap()), date, "{id}");
        case.assert_signed();
    }
}

#[test]
fn v4_uri_encode() {
    let vectors = vectors();
    let cases = pairs(&vectors["v4_uri_encode"]);
    assert_eq!(cases.len(), 5);
    for (plain, encoded) in cases {
        assert_eq!(canonical::v4_uri_encode(&plain), encoded);
    }
}
