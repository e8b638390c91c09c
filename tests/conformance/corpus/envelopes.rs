//! What is read of an envelope.

use super::{CAP, Case, cases, encoding, read, text};
use sentry_edge_mirror::sentry::decode::decode_all;
use sentry_edge_mirror::sentry::envelope::EventId;
use sentry_edge_mirror::sentry::timestamp::Timestamp;
use serde_json::Value;

#[test]
fn synthetic() {
    let (mut accepted, mut refused) = (0, 0);
    for Case { name, meta, body } in cases("synthetic") {
        let expected = &meta["expect"]["parse"];
        if expected.is_null() {
            continue;
        }
        let decoded = decode_all(&body, encoding(&meta).as_bytes(), CAP);
        let result = decoded.as_ref().map_err(ToString::to_string);
        let result = result.and_then(|bytes| read(bytes).map_err(|error| error.to_string()));
        // Where we follow the status, or Relay's code, and not the corpus' own reader.
        let expect_ok = match &*name {
            // 415: the corpus' reader read the body in spite of the unsupported encoding.
            "115-encoding-unknown-lzma.http.json" => false,
            // 400: internal item type.
            "062-grammar-internal-item-type.http.json" => false,
            // tower-http's zstd decoder reads several frames (`multiple_members(true)`), a skippable one is the first.
            "111-encoding-zstd-skippable-frame-first.http.json" => true,
            _ => expected["parse"] == "ok",
        };
        let (envelope, items) = match result {
            Err(error) => {
                assert!(!expect_ok, "{name}: {error}, expected {expected}");
                println!("{name}: {error} | {}", expected["why"]);
                refused += 1;
                continue;
            }
            Ok(read) => read,
        };
        assert!(expect_ok, "{name}: accepted, expected {expected}");
        accepted += 1;
        if expected["parse"] != "ok" {
            assert_eq!(items.len(), 1, "{name}");
            continue;
        }
        let header = &envelope.header;
        let id = header
            .event_id
            .map_or(Value::Null, |id| id.to_string().into());
        assert_eq!(id, expected["event_id"], "{name}");
        assert_eq!(text(&header.dsn), expected["dsn"], "{name}");
        let sent_at = expected["sent_at"]
            .as_str()
            .map(|text| Timestamp::from_rfc3339(text).unwrap());
        assert_eq!(header.sent_at, sent_at, "{name}");
        let expected = expected["items"].as_array().unwrap();
        assert_eq!(items.len(), expected.len(), "{name}");
        for (item, expected) in items.iter().zip(expected) {
            assert_eq!(item.header.ty, expected["type"].as_str().unwrap(), "{name}");
            assert_eq!(
                item.payload.len() as u64,
                expected["length"].as_u64().unwrap(),
                "{name}"
            );
            assert_eq!(
                item.offset as u64,
                expected["offset"].as_u64().unwrap(),
                "{name}"
            );
            assert_eq!(
                item.header.length.is_none(),
                expected["implicit"].as_bool().unwrap(),
                "{name}"
            );
            assert_eq!(
                item.header.item_count.map_or(Value::Null, Value::from),
                expected["item_count"],
                "{name}"
            );
            assert_eq!(
                text(&item.header.content_type),
                expected["content_type"],
                "{name}"
            );
            assert_eq!(
                text(&item.header.attachment_type),
                expected["attachment_type"],
                "{name}"
            );
            assert_eq!(text(&item.header.filename), expected["filename"], "{name}");
        }
    }
    println!("synthetic: {accepted} accepted, {refused} refused, as expected");
    assert!(accepted + refused >= 170);
}

#[test]
fn real() {
    let (mut envelopes, mut count, mut decoded_only) = (0, 0, 0);
    for Case { name, meta, body } in cases("real") {
        let expected = &meta["decoded"];
        let decoded = decode_all(&body, encoding(&meta).as_bytes(), CAP)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if let Some(expected) = expected["decoded_len"].as_u64() {
            assert_eq!(decoded.len() as u64, expected, "{name}");
            decoded_only += 1;
        }
        let Some(expected_items) = expected["items"].as_array() else {
            continue;
        };
        let (envelope, items) = read(&decoded).unwrap_or_else(|error| panic!("{name}: {error}"));
        let keys = |bytes: &[u8]| {
            let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
            let header = stream.next().unwrap().unwrap();
            let mut keys: Vec<_> = header.as_object().unwrap().keys().cloned().collect();
            keys.sort();
            Value::from(keys)
        };
        assert_eq!(keys(&decoded), expected["envelope_header_keys"], "{name}");
        assert_eq!(
            decoded.ends_with(b"\n"),
            expected["trailing_newline"].as_bool().unwrap(),
            "{name}"
        );
        assert_eq!(items.len(), expected_items.len(), "{name}");
        let header = serde_json::Deserializer::from_slice(&decoded)
            .into_iter::<Value>()
            .next()
            .unwrap()
            .unwrap();
        let id = header["event_id"]
            .as_str()
            .map(|id| EventId::parse(id).unwrap());
        assert_eq!(envelope.header.event_id, id, "{name}");
        assert_eq!(
            envelope.header.sent_at.is_some(),
            header["sent_at"].is_string(),
            "{name}"
        );
        assert_eq!(
            text(&envelope.header.sdk_name),
            header["sdk"]["name"],
            "{name}"
        );
        assert_eq!(
            text(&envelope.header.trace.trace_id),
            header["trace"]["trace_id"],
            "{name}"
        );
        for (item, expected) in items.iter().zip(expected_items) {
            assert_eq!(item.header.ty, expected["type"].as_str().unwrap(), "{name}");
            assert_eq!(
                item.payload.len() as u64,
                expected["length"].as_u64().unwrap(),
                "{name}"
            );
            assert_eq!(
                item.header.length.is_none(),
                expected["implicit_length"] == true,
                "{name}"
            );
            assert_eq!(
                text(&item.header.attachment_type),
                expected["attachment_type"],
                "{name}"
            );
            count += 1;
        }
        envelopes += 1;
    }
    println!("real: {decoded_only} bodies decoded, {envelopes} envelopes with {count} items read");
}
