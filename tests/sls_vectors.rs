//! Every vector of `tests/fixtures/sls.json` (made by the official Python SDK): the texts that are signed before the
//! signatures, the log groups byte for byte, the compressed bodies by decompressing them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::string_slice
)]

use std::borrow::Cow;
use std::rc::Rc;

use sentry_edge_mirror::sls::batch::{Batcher, Limits};
use sentry_edge_mirror::sls::canonical::{self, Parts};
use sentry_edge_mirror::sls::compress::{Body, Compression};
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::log_group::{LogGroup, Trailer, log_len};
use sentry_edge_mirror::sls::put_logs::{self, Destination};
use sentry_edge_mirror::sls::repair::Log;
use sentry_edge_mirror::sls::sign::{self, Signature};
use sentry_edge_mirror::sls::write_request::{self, Incoming, Rules};
use sentry_edge_mirror::sls::{date, digest};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("fixtures/sls.json")).unwrap()
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
            &self.wire,
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

#[test]
fn bodies() {
    let vectors = vectors();
    let bodies = vectors["bodies"].as_object().unwrap();
    assert_eq!(bodies.len(), 14);
    for (name, body) in bodies {
        let (raw, wire) = (unhex(text(body, "raw_hex")), unhex(text(body, "wire_hex")));
        assert_eq!(
            (raw.len() as u64, wire.len() as u64),
            (
                body["raw_size"].as_u64().unwrap(),
                body["wire_size"].as_u64().unwrap()
            )
        );
        if let Some(md5) = body["content_md5_of_wire"].as_str() {
            assert_eq!(digest::content_md5(&wire), md5, "{name}");
        }
        assert_eq!(
            digest::sha256_hex(&wire),
            text(body, "sha256_of_wire"),
            "{name}"
        );
        let compression = match body["x_log_compresstype"].as_str() {
            Some("lz4") => Compression::Lz4,
            Some("deflate") => Compression::Deflate,
            Some("zstd") => continue, // we do not make it
            _ => Compression::None,
        };
        assert_eq!(decompress(&wire, raw.len(), compression), raw, "{name}");
        assert_eq!(
            decompress(
                Body::pack(raw.clone(), compression).wire(),
                raw.len(),
                compression
            ),
            raw,
            "{name}"
        );
        assert_eq!(compression.header(), body["x_log_compresstype"].as_str());
    }
}

#[test]
fn compression() {
    let vectors = vectors();
    let cases = list(&vectors, "compression");
    assert_eq!(cases.len(), 10);
    let mut compared = 0;
    for case in cases.iter().filter(|case| case["type"] == "lz4") {
        // Long inputs are given by their size and hash only.
        let size = usize::try_from(case["raw_size"].as_u64().unwrap()).unwrap();
        let raw = decompress(&unhex(text(case, "compressed_hex")), size, Compression::Lz4);
        assert_eq!(
            digest::sha256_hex(&raw),
            text(case, "raw_sha256"),
            "theirs: {}",
            text(case, "label")
        );
        let body = Body::pack(raw.clone(), Compression::Lz4);
        assert_eq!(
            decompress(body.wire(), size, Compression::Lz4),
            raw,
            "ours: {}",
            text(case, "label")
        );
        compared += 1;
    }
    assert_eq!(compared, 5);
}

/// Decompresses without our own code.
fn decompress(wire: &[u8], raw_size: usize, compression: Compression) -> Vec<u8> {
    match compression {
        Compression::Lz4 => lz4_flex::block::decompress(wire, raw_size).unwrap(),
        Compression::Deflate => {
            let mut raw = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::ZlibDecoder::new(wire), &mut raw)
                .unwrap();
            raw
        }
        Compression::None => wire.to_vec(),
    }
}

fn content_value(value: &Value) -> Vec<u8> {
    value.as_str().map_or_else(
        || unhex(text(value, "hex")),
        |text| text.as_bytes().to_vec(),
    )
}

#[test]
fn log_groups() {
    let vectors = vectors();
    let cases = list(&vectors, "log_groups");
    assert_eq!(cases.len(), 12);
    for case in cases {
        let id = text(case, "id");
        let content = &case["log_group"];
        let mut group = LogGroup::new();
        for log in content["logs"].as_array().into_iter().flatten() {
            let time = u32::try_from(log["time"].as_u64().unwrap()).unwrap();
            let time_ns = log["time_ns"]
                .as_u64()
                .map(|nanos| u32::try_from(nanos).unwrap());
            let contents = log["contents"].as_array().into_iter().flatten();
            let contents: Vec<_> = contents
                .map(|pair| (pair[0].as_str().unwrap(), content_value(&pair[1])))
                .collect();
            let before = group.len();
            let bytes = contents
                .iter()
                .map(|(key, value): &(&str, Vec<u8>)| (key.as_bytes(), value.as_slice()));
            group.push(time, time_ns, bytes.clone());
            assert_eq!(group.len() - before, log_len(time, time_ns, bytes), "{id}");
        }
        let tags = content.get("tags").map_or_else(Vec::new, pairs);
        let trailer = Trailer::new(
            content["topic"].as_str(),
            content["source"].as_str(),
            &borrow(&tags),
        );
        let logs = group.len();
        let mut sealed = group.seal(&trailer);
        // The two fields that we never send stand before and after those that we do.
        if let Some(reserved) = content["reserved"].as_str() {
            sealed.splice(
                logs..logs,
                [&[0x12, reserved.len() as u8], reserved.as_bytes()].concat(),
            );
        }
        if let Some(uuid) = content["machine_uuid"].as_str() {
            let tags = sealed.len() - Trailer::new(None, None, &borrow(&tags)).len();
            sealed.splice(
                tags..tags,
                [&[0x2A, uuid.len() as u8], uuid.as_bytes()].concat(),
            );
        }
        assert_eq!(hex(&sealed), text(case, "serialized_hex"), "{id}");
        assert_eq!(
            (sealed.len() as u64, digest::sha256_hex(&sealed).as_str()),
            (case["size"].as_u64().unwrap(), text(case, "sha256"))
        );
    }
}

/// The whole path: logs in, the SDK's own request out. Only the LZ4 bytes, and what is computed from them, may differ.
#[test]
fn a_batch_becomes_the_request_of_the_sdk() {
    let vectors = vectors();
    let mut compared = 0;
    for version in ["v1", "v4"] {
        for case in cases(&vectors, version) {
            let Some(group) = case.case["log_group_ref"].as_str() else {
                continue;
            };
            let group = list(&vectors, "log_groups")
                .iter()
                .find(|one| text(one, "id") == group)
                .unwrap();
            let body = &vectors["bodies"][text(case.case, "body_ref")];
            if text(case.case, "resource").ends_with("/route")
                || body["x_log_compresstype"] == "zstd"
            {
                continue;
            }
            let content = &group["log_group"];
            let tags = content.get("tags").map_or_else(Vec::new, pairs);
            let (_, rest) = text(case.case, "url_sent").split_once("://").unwrap();
            let (host, path) = rest.split_once('/').unwrap();
            let (project, endpoint) = host.split_once(':').unwrap().0.split_once('.').unwrap();
            let logstore = path.split('/').nth(1).unwrap();
            let set = |key: &str| content[key].as_str().unwrap_or_default();
            let destination = Rc::new(
                Destination::new(
                    project,
                    endpoint,
                    logstore,
                    set("topic"),
                    set("source"),
                    &borrow(&tags),
                )
                .unwrap(),
            );
            let compression = if body["x_log_compresstype"] == "lz4" {
                Compression::Lz4
            } else {
                Compression::None
            };
            let mut batcher = Batcher::new(Limits::new(524_288, 4_096, 2_000), compression);
            let now = now(case.case).unwrap();
            for log in list(content, "logs") {
                let contents = pairs(&log["contents"])
                    .into_iter()
                    .map(|(k, v)| (Cow::Owned(k), Cow::Owned(v)))
                    .collect();
                let time_ns = log["time"].as_u64().unwrap() * 1_000_000_000
                    + log["time_ns"].as_u64().unwrap_or(0);
                // The log's own time, for v1-11 and v4-11 are signed later than SLS would take it.
                assert!(
                    batcher
                        .push(&destination, Log { time_ns, contents }, time_ns / 1_000_000)
                        .unwrap()
                        .repairs
                        .none()
                );
            }
            let batch = batcher.seal_all().pop().unwrap();
            assert_eq!(
                hex(&batch.body().unpack().unwrap()),
                text(group, "serialized_hex"),
                "{}",
                case.id
            );
            let request = put_logs::build(
                &destination,
                batch.body(),
                &signature(case.case),
                &credential(case.case),
                now,
            );
            assert_eq!(request.path, text(case.case, "resource"));
            let ours = ["authorization", "content-md5", "x-log-content-sha256"];
            let same_bytes = request.body == case.wire;
            let comparable = |headers: Vec<(String, String)>| {
                let mut headers = lower_sorted(headers);
                headers.retain(|(name, _)| {
                    name != "content-length"
                        && name != "host"
                        && (same_bytes || !ours.contains(&name.as_str()))
                });
                headers
            };
            let got = request
                .headers
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(
                comparable(got),
                comparable(pairs(&case.expected["headers_after_signing"])),
                "{}",
                case.id
            );
            let sent_host = pairs(&case.expected["headers_after_signing"])
                .into_iter()
                .find(|(name, _)| name == "Host");
            assert_eq!(
                Some(request.host),
                sent_host.as_ref().map(|(_, host)| host.as_str())
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 16);
}

/// Mode `sign`: the SDK's unsigned request goes in, with foreign keys; the SDK's signed request comes out.
#[test]
fn unsigned_writes_come_out_as_the_sdk_signs_them() {
    let vectors = vectors();
    let mut compared = 0;
    for version in ["v1", "v4"] {
        for case in cases(&vectors, version) {
            let path = text(case.case, "resource");
            let logstore = path.split('/').nth(2).unwrap_or_default();
            let write = ["", "/shards/lb", "/shards/route"]
                .iter()
                .any(|end| path == format!("/logstores/{logstore}{end}"));
            let Some(now) = now(case.case).filter(|_| write && text(case.case, "method") == "POST")
            else {
                continue;
            };
            let Some((_, host)) = case
                .headers_in
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("host"))
            else {
                continue;
            };
            let query: Vec<String> = case
                .params
                .iter()
                .map(|(key, value)| format!("{key}={}", canonical::v4_uri_encode(value)))
                .collect();
            let target = if query.is_empty() {
                path.to_owned()
            } else {
                format!("{path}?{}", query.join("&"))
            };
            let mut headers: Vec<(&str, &[u8])> = case
                .headers_in
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes()))
                .collect();
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
            headers.extend([
                ("host", b"edge.internal:8080".as_slice()),
                ("authorization", b"LOG wrong:wrong"),
                ("x-acs-security-token", b"wrong"),
                ("x-log-date", b"wrong"),
            ]);
            let rules = Rules {
                logstores: vec![logstore.to_owned()],
                max_body_bytes: 1 << 20,
                host: host.clone(),
                signature: signature(case.case),
            };
            let incoming = Incoming {
                method: "POST",
                target: &target,
                headers: &headers,
                body: &case.wire,
            };
            let edits =
                write_request::sign(&rules, &incoming, Some(&credential(case.case)), now).unwrap();
            // v4-35 carries an x-acs header of its own, which mode sign removes: its signature is another one.
            if case.id != "v4-35-header-trim-and-case" {
                assert_eq!(
                    edits.set.get("authorization"),
                    Some(text(case.expected, "authorization")),
                    "{}",
                    case.id
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 36);
}
