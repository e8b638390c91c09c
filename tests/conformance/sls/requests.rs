//! Whole requests: our own writes, and those of others that are signed in passing.

use super::{
    borrow, cases, credential, hex, list, lower_sorted, now, pairs, signature, text, vectors,
};
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sls::batch::{Batcher, Limits};
use sentry_edge_mirror::sls::compress::Compression;
use sentry_edge_mirror::sls::log_time::LogTime;
use sentry_edge_mirror::sls::put_logs::Destination;
use sentry_edge_mirror::sls::wire_digest::WireDigest;
use sentry_edge_mirror::sls::write::Packing;
use sentry_edge_mirror::sls::write_request::{Incoming, Rules};
use sentry_edge_mirror::sls::{canonical, put_logs, write_request};
use std::rc::Rc;
use std::task::Poll;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
            let limits = Limits::new(524_288, 4_096, 2_000);
            let mut batcher = Batcher::new(Rc::clone(&destination), limits);
            let now = now(case.case).unwrap();
            for log in list(content, "logs") {
                let contents = pairs(&log["contents"]);
                let bytes = contents
                    .iter()
                    .map(|(key, value)| (key.as_bytes(), value.as_bytes()));
                let number = |key: &str| u32::try_from(log[key].as_u64().unwrap_or(0)).unwrap();
                let time = LogTime {
                    seconds: number("time"),
                    nanos: number("time_ns"),
                };
                // The log's own time, for v1-11 and v4-11 are signed later than SLS would take it.
                let pushed = batcher.push(time, bytes, u64::from(time.seconds) * 1_000);
                assert!(!pushed.time_moved);
            }
            let sealed = batcher.seal().unwrap();
            assert_eq!(
                hex(sealed.raw()),
                text(group, "serialized_hex"),
                "{}",
                case.id
            );
            let signature = signature(case.case);
            let mut packing = Packing::new(sealed, compression, &signature);
            let Poll::Ready(batch) = packing.step(&mut Meter::unlimited()) else {
                panic!("an endless meter was empty")
            };
            let request = put_logs::build(
                &destination,
                batch.body(),
                &signature,
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
                body: &WireDigest::of(&rules.signature, &case.wire),
            };
            let sent =
                write_request::sign(&rules, &incoming, Some(&credential(case.case)), now).unwrap();
            // v4-35 carries an x-acs header of its own, which mode sign removes: its signature is another one.
            if case.id != "v4-35-header-trim-and-case" {
                assert_eq!(
                    sent.get(b"authorization"),
                    Some(text(case.expected, "authorization").as_bytes()),
                    "{}",
                    case.id
                );
                compared += 1;
            }
        }
    }
    assert_eq!(compared, 36);
}
