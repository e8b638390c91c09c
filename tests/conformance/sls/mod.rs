//! Every vector of `tests/fixtures/sls.json` (made by the official Python SDK): the texts that are signed before the
//! signatures, the log groups byte for byte, the compressed bodies by decompressing them.

mod bodies;
mod requests;
mod signatures;

use sentry_edge_mirror::sls::canonical::Parts;
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::signature::Signature;
use sentry_edge_mirror::sls::wire_digest::WireDigest;
use sentry_edge_mirror::sls::{date, digest, sign};
use serde_json::Value;
use std::borrow::Cow;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../fixtures/sls.json")).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} of {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let nibbles: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    nibbles
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    digest::hex_lower(bytes)
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect(),
        Value::Array(list) => list
            .iter()
            .map(|pair| {
                (
                    pair[0].as_str().unwrap().to_owned(),
                    pair[1].as_str().unwrap().to_owned(),
                )
            })
            .collect(),
        _ => panic!("no pairs: {value}"),
    }
}

fn wire(vectors: &Value, case: &Value) -> Vec<u8> {
    case["body_ref"].as_str().map_or_else(Vec::new, |body| {
        unhex(text(&vectors["bodies"][body], "wire_hex"))
    })
}

fn credential(case: &Value) -> Credential {
    let credential = &case["credentials"];
    let token = credential["security_token"].as_str();
    Credential::new(
        text(credential, "access_key_id"),
        text(credential, "access_key_secret"),
        token,
    )
    .unwrap()
}

fn now(case: &Value) -> Option<u64> {
    case["utc_now"]
        .as_str()
        .map(|now| date::parse_rfc3339(now).unwrap())
}

fn signature(case: &Value) -> Signature {
    match case["region"].as_str() {
        Some(region) => Signature::V4 {
            region: region.to_owned(),
        },
        None => Signature::V1,
    }
}

fn lower_sorted(headers: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    headers.sort();
    headers
}

fn borrow(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect()
}

struct Case<'a> {
    id: &'a str,
    case: &'a Value,
    expected: &'a Value,
    wire: Vec<u8>,
    params: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    headers_in: Vec<(String, String)>,
    /// What was sent, but the Authorization.
    sent: Vec<(String, String)>,
}

fn cases<'a>(vectors: &'a Value, version: &str) -> Vec<Case<'a>> {
    list(vectors, version)
        .iter()
        .map(|case| {
            let mut sent = pairs(&case["expected"]["headers_after_signing"]);
            sent.retain(|(name, _)| name != "Authorization");
            let params = pairs(&case["params"]);
            Case {
                id: text(case, "id"),
                case,
                expected: &case["expected"],
                wire: wire(vectors, case),
                params: params
                    .into_iter()
                    .map(|(key, value)| (Cow::Owned(key), Cow::Owned(value)))
                    .collect(),
                headers_in: pairs(&case["headers_in"]),
                sent,
            }
        })
        .collect()
}

impl Case<'_> {
    fn parts<'a>(&'a self, headers: &'a [(&'a str, &'a str)]) -> Parts<'a> {
        Parts {
            method: text(self.case, "method"),
            path: text(self.case, "resource"),
            params: &self.params,
            headers,
        }
    }

    /// Signing adds exactly what the SDK added.
    fn assert_signed(&self) {
        let Some(now) = now(self.case) else { return };
        let headers = borrow(&self.headers_in);
        let added = sign::sign(
            &signature(self.case),
            &credential(self.case),
            now,
            &self.parts(&headers),
            &WireDigest::of(&signature(self.case), &self.wire),
        );
        let got = lower_sorted(
            self.headers_in
                .iter()
                .cloned()
                .chain(added.into_iter().map(|(n, v)| (n.to_owned(), v))),
        );
        assert_eq!(
            got,
            lower_sorted(pairs(&self.expected["headers_after_signing"])),
            "{}",
            self.id
        );
    }
}
