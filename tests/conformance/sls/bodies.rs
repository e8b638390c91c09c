//! Log groups, and their compression.

use super::{borrow, hex, list, pairs, text, unhex, vectors};
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sls::compress::{Body, Compression};
use sentry_edge_mirror::sls::digest;
use sentry_edge_mirror::sls::log_group::{LogGroup, Trailer, log_len};
use sentry_edge_mirror::sls::signature::Signature;
use sentry_edge_mirror::sls::write::{Packer, Unpacker};
use serde_json::Value;
use std::task::Poll;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

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
        let ours = pack(&raw, compression);
        assert_eq!(
            decompress(ours.wire(), raw.len(), compression),
            raw,
            "{name}"
        );
        assert_eq!(ours.digest().hex(), digest::content_md5(ours.wire()));
        let unpacked = Unpacker::new(&ours).step(&ours, &mut Meter::unlimited());
        assert_eq!(unpacked, Poll::Ready(Some(raw)), "{name}");
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
        let body = pack(&raw, Compression::Lz4);
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

fn pack(raw: &[u8], compression: Compression) -> Body {
    let mut packer = Packer::new(raw.to_vec(), compression, &Signature::V1);
    match packer.step(&mut Meter::unlimited()) {
        Poll::Ready(body) => body,
        Poll::Pending => panic!("an endless meter was empty"),
    }
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
