//! Whether a request to SLS is signed, computed a second time from what is sent.

use sentry_edge_mirror::sls::canonical::{self, Parts};
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::{digest, query, sign};

/// `headers` are all of them, pseudo headers included, each name once; `region` is v4's.
pub fn is_signed(
    headers: &[(String, String)],
    target: &str,
    body: &[u8],
    key: &Credential,
    region: Option<&str>,
) {
    let text = |name: &str| {
        let mut found = headers.iter().filter(|(own, _)| own == name);
        let first = found.next().map(|(_, value)| value.clone());
        assert_eq!(found.count(), 0, "{name} twice");
        first
    };
    let signed: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| match name.as_str() {
            ":authority" => Some(("host", value.as_str())),
            name if name.starts_with(':') => None,
            name => Some((name, value.as_str())),
        })
        .collect();
    let (path, query) = query::split(target);
    let params = query::parse(query.unwrap_or_default()).expect("a query");
    let parts = Parts {
        method: "POST",
        path,
        params: &params,
        headers: &signed,
    };
    let expected = match region {
        None => {
            let md5 = (!body.is_empty()).then(|| digest::content_md5(body));
            assert_eq!(text("content-md5"), md5);
            sign::v1_authorization(key, &canonical::v1_string_to_sign(&parts))
        }
        Some(region) => {
            let sha = digest::sha256_hex(body);
            assert_eq!(text("x-log-content-sha256"), Some(sha));
            let date = text("x-log-date").expect("a date");
            let request = canonical::v4_canonical_request(&parts);
            let scope = canonical::v4_scope(&date, region);
            let text = canonical::v4_string_to_sign(&date, &scope, &request);
            sign::v4_authorization(key, region, &date, &text)
        }
    };
    assert_eq!(text("authorization"), Some(expected));
}
