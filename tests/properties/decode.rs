//! What must hold for any body with a Content-Encoding: the cap, the same in steps of any size, the same as other decoders.

use std::fs;
use std::io::Write;

use crate::settings;
use proptest::prelude::*;

use crate::records::{envelopes, mutated};
use oracles::decode as oracle;

const NAMES: [&str; 4] = ["gzip", "deflate", "br", "zstd"];

/// A cap below the size at which the way of decoding changes, and one above it.
const CAPS: [usize; 2] = [64 << 10, 3 << 20];

fn gzip(data: &[u8], level: u32) -> Vec<u8> {
    let level = flate2::Compression::new(level);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8], level: u32) -> Vec<u8> {
    let level = flate2::Compression::new(level);
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zstd(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

/// Text of which half is in the format's dictionary, by the reference encoder.
const BROTLI: &[u8] = &[
    0x1b, 0x45, 0x00, 0xe8, 0x9d, 0x07, 0x76, 0x83, 0x75, 0xb3, 0x86, 0x40, 0xc0, 0xa7, 0x3f, 0xc4,
    0x18, 0xa1, 0xd2, 0x5b, 0x04, 0x8d, 0xed, 0x6d, 0x2a, 0x94, 0xed, 0x95, 0x4e, 0x5f, 0x83, 0x88,
    0xb0, 0xb0, 0x85, 0x0d, 0x38, 0x60, 0x6f, 0x1c, 0xec, 0x6d, 0x00, 0xbf, 0x60, 0x84, 0x5a, 0xe0,
    0x40, 0x67, 0xc7, 0xa1, 0xbe, 0x13, 0xad, 0x16, 0x9b, 0x5d, 0x1a, 0x5f, 0x04,
];

/// Bodies with an encoding, of fixtures that the real encoders made.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fixtures/synthetic"
    ))
    .unwrap()
    {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let encodings = NAMES.into_iter().chain(["bomb-gzip", "bomb-zstd"]);
        let mut encodings =
            encodings.filter(|encoding| name.contains(&format!("encoding-{encoding}")));
        if let (Some(encoding), true) = (encodings.next(), name.ends_with(".body")) {
            let encoding = encoding.trim_start_matches("bomb-").to_owned();
            found.push((encoding, fs::read(path).unwrap()));
        }
    }
    assert!(found.len() > 15, "{}", found.len());
    found
}

fn streams() -> Vec<Vec<u8>> {
    let envelopes = envelopes().concat();
    let noise: Vec<u8> = (0..3000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let mut streams = vec![BROTLI.to_vec()];
    for data in [
        &[7; 100_000][..],
        b"hello hello hello",
        b"",
        &envelopes,
        &noise,
    ] {
        for level in [0, 1, 9] {
            streams.push(gzip(data, level));
            streams.push(zlib(data, level));
        }
        streams.push(zstd(data));
        streams.push([zstd(data), zstd(data)].concat());
        streams.push([gzip(data, 6), gzip(data, 6), vec![0, 1]].concat());
    }
    streams.extend(fixtures().into_iter().map(|(_, body)| body));
    streams
}

#[test]
fn steps_of_every_size_decode_the_fixtures_alike() {
    for (encoding, body) in fixtures() {
        for cap in CAPS {
            for units in [1, 1_000, 100_000, 4_000_000] {
                oracle::resumable(&body, encoding.as_bytes(), cap, || units);
            }
            oracle::as_the_crates(&body, encoding.as_bytes(), cap);
        }
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn random_bytes_stay_under_the_cap(bytes in prop::collection::vec(any::<u8>(), 0..300), encoding in 0..4_usize) {
        let name = NAMES[encoding].as_bytes();
        oracle::capped(&bytes, name, CAPS[0]);
        oracle::resumable(&bytes, name, CAPS[0], || 1);
        oracle::as_the_crates(&bytes, name, CAPS[0]);
    }

    #[test]
    fn mutated_streams_stay_under_the_cap(bytes in mutated(streams()), units in prop::collection::vec(0..200_000_u64, 1..8)) {
        for name in NAMES.map(str::as_bytes) {
            oracle::capped(&bytes, name, CAPS[0]);
            let mut steps = units.iter().cycle().copied();
            oracle::resumable(&bytes, name, CAPS[1], || steps.next().unwrap() + 1);
            oracle::as_the_crates(&bytes, name, CAPS[0]);
        }
    }

    #[test]
    fn what_is_packed_comes_out(data in prop::collection::vec(0..4_u8, 0..3000), level in 0..10_u32) {
        for (name, body) in [("gzip", gzip(&data, level)), ("deflate", zlib(&data, level)), ("zstd", zstd(&data))] {
            let (decoded, _) = oracle::in_steps(&body, name.as_bytes(), data.len(), || 1);
            prop_assert_eq!(decoded.unwrap(), &data[..]);
        }
    }
}
