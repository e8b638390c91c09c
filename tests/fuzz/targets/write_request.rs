//! Mode `sign`: a line `METHOD target`, headers, an empty line, the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oracles::signed::is_signed;
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::signature::Signature;
use sentry_edge_mirror::sls::wire_digest::WireDigest;
use sentry_edge_mirror::sls::write_request::{self, Incoming, Rules};
use sentry_edge_mirror_fuzz::{first_line, head_and_body, header_lines};
use std::str;

const NOW_MS: u64 = 1_795_240_000_000;
const SECRET: &str = "edge-s3cr3t";

/// Whether the key is in these bytes.
fn has_secret(bytes: &[u8]) -> bool {
    bytes
        .windows(SECRET.len())
        .any(|part| part == SECRET.as_bytes())
}

fuzz_target!(|data: &[u8]| {
    // libFuzzer learns the key from comparisons with it. A client that knows it gives it away by itself.
    if has_secret(data) {
        return;
    }
    let (head, body) = head_and_body(data);
    let (line, lines) = first_line(head);
    let Some((method, target)) = str::from_utf8(line)
        .ok()
        .and_then(|line| line.split_once(' '))
    else {
        return;
    };
    let pairs = header_lines(lines);
    let mut headers: Vec<(&str, &[u8])> = Vec::new();
    for (name, value) in &pairs {
        headers.extend(
            str::from_utf8(name)
                .ok()
                .map(|name| (name, value.as_slice())),
        );
    }
    let region = "cn-hangzhou".to_owned();
    let key = Credential::new("edge-id", SECRET, Some("edge-t0ken")).expect("a credential");
    for signature in [Signature::V1, Signature::V4 { region }] {
        let rules = Rules {
            logstores: vec!["app-log".to_owned()],
            max_body_bytes: 1_000,
            host: "proj.cn-hangzhou.log.aliyuncs.com".to_owned(),
            signature,
        };
        let wire = WireDigest::of(&rules.signature, body);
        let incoming = Incoming {
            method,
            target,
            headers: &headers,
            body: &wire,
        };
        match write_request::sign(&rules, &incoming, Some(&key), NOW_MS) {
            Ok(signed) => {
                assert!(
                    method == "POST"
                        && target.starts_with("/logstores/app-log")
                        && body.len() <= 1_000
                );
                for (_, value) in signed.iter() {
                    assert!(!has_secret(value));
                }
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let lines: Vec<(String, String)> = signed
                    .iter()
                    .map(|(name, value)| (text(name).to_ascii_lowercase(), text(value)))
                    .collect();
                let region = match &rules.signature {
                    Signature::V1 => None,
                    Signature::V4 { region } => Some(region.as_str()),
                };
                is_signed(&lines, target, body, &key, region);
                // Whatever the client said of keys is replaced, in any spelling of the name.
                for (name, _) in signed
                    .iter()
                    .filter(|(name, _)| name.to_ascii_lowercase().starts_with(b"x-acs-"))
                {
                    assert_eq!(name, b"x-acs-security-token");
                }
                let signatures = signed
                    .iter()
                    .filter(|(name, _)| name.eq_ignore_ascii_case(b"authorization"));
                assert_eq!(signatures.count(), 1);
                assert_eq!(
                    signed.get(b"x-acs-security-token"),
                    Some(&b"edge-t0ken"[..])
                );
            }
            Err(denial) => {
                assert!((400..=503).contains(&denial.status));
                let body: serde_json::Value = serde_json::from_str(&denial.body()).expect("JSON");
                assert!(body["errorCode"].is_string() && !denial.body().contains(SECRET));
            }
        }
    }
});
