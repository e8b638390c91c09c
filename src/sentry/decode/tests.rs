//! The decoders.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::io::Write;

use super::*;

const CAP: usize = 1 << 20;

#[test]
fn large_bodies_are_counted_first() {
    let data = vec![b'a'; 3 * AT_ONCE];
    for (encoding, body) in [
        ("gzip", gz(&data)),
        ("deflate", zlib(&data)),
        ("zstd", zst(&data)),
    ] {
        let decoded = decode(&body, encoding.as_bytes(), data.len())
            .unwrap()
            .into_owned();
        assert_eq!(
            (decoded.len(), decoded.capacity()),
            (data.len(), data.len()),
            "{encoding}"
        );
        assert_eq!(decoded, data);
        let error = decode(&body, encoding.as_bytes(), data.len() - 1).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge(data.len() - 1), "{encoding}");
    }
}

fn gz(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zst(data: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
}

fn reason(body: &[u8], encoding: &str) -> Reason {
    decode(body, encoding.as_bytes(), CAP).unwrap_err().reason
}

#[test]
fn names_are_compared_byte_for_byte() {
    for identity in ["", "identity", "UTF-8", "utf-8", "Utf-8"] {
        assert!(
            matches!(
                decode(b"{}", identity.as_bytes(), CAP),
                Ok(Cow::Borrowed(b"{}"))
            ),
            "{identity}"
        );
    }
    for unsupported in [
        "GZIP",
        "x-gzip",
        "gzip, gzip",
        "br,gzip",
        " gzip",
        "utf8",
        "lzma",
        "Identity",
        "\u{ff}",
    ] {
        assert_eq!(
            reason(b"{}", unsupported),
            Reason::Unsupported,
            "{unsupported}"
        );
    }
    let error = decode(b"12345", "x\"\n".repeat(100).as_bytes(), CAP).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"5 bytes with Content-Encoding `x\"\nx"#)
    );
    assert!(error.encoding.len() < 4 * MAX_NAME);
}

#[test]
fn several_members_and_frames_are_one_body() {
    let (a, b) = (b"hello ".as_slice(), b"world".as_slice());
    for (encoding, both) in [
        ("gzip", [gz(a), gz(b)].concat()),
        ("zstd", [zst(a), zst(b)].concat()),
    ] {
        assert_eq!(
            decode(&both, encoding.as_bytes(), CAP).unwrap().as_ref(),
            b"hello world"
        );
    }
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zst(a)].concat();
    assert_eq!(decode(&skippable, b"zstd", CAP).unwrap().as_ref(), a);
    let padded = [gz(a), vec![0; 9]].concat();
    assert_eq!(decode(&padded, b"gzip", CAP).unwrap().as_ref(), a);
}

#[test]
fn every_truncation_is_an_error() {
    let data: Vec<u8> = (0..5000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    for (encoding, whole) in [
        ("gzip", gz(&data)),
        ("deflate", zlib(&data)),
        ("zstd", zst(&data)),
    ] {
        assert_eq!(
            decode(&whole, encoding.as_bytes(), CAP).unwrap().as_ref(),
            data
        );
        for end in (1..whole.len())
            .rev()
            .take(40)
            .chain((1..whole.len()).step_by(97))
        {
            assert!(
                decode(&whole[..end], encoding.as_bytes(), CAP).is_err(),
                "{encoding} cut at {end}"
            );
        }
    }
    assert_eq!(reason(&gz(&data)[..100], "gzip"), Reason::Truncated);
    assert_eq!(reason(&zlib(&data)[..100], "deflate"), Reason::Truncated);
}

#[test]
fn checksums_are_checked() {
    let mut body = gz(b"hello");
    let crc = body.len() - 8;
    body[crc] ^= 1;
    assert_eq!(reason(&body, "gzip"), Reason::Corrupt("gzip checksum"));
    let mut body = zst(b"hello hello hello");
    let checksum = body.len() - 1;
    body[checksum] ^= 1;
    assert_eq!(reason(&body, "zstd"), Reason::Corrupt("zstd checksum"));
}

#[test]
fn the_cap_is_exact_and_holds_for_bombs() {
    let data = vec![b'a'; 100_000];
    for (encoding, body) in [
        ("gzip", gz(&data)),
        ("deflate", zlib(&data)),
        ("zstd", zst(&data)),
        ("", data.clone()),
    ] {
        assert_eq!(
            decode(&body, encoding.as_bytes(), data.len())
                .unwrap()
                .len(),
            data.len()
        );
        let error = decode(&body, encoding.as_bytes(), data.len() - 1).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge(data.len() - 1), "{encoding}");
    }
    let bomb = gz(&gz(&vec![0; 50 << 20]));
    assert!(
        decode(&bomb, b"gzip", CAP).unwrap().len() < CAP,
        "only the outer layer is undone"
    );
}

#[test]
fn a_flood_of_empty_members_ends() {
    let body = gz(b"").repeat(5000);
    assert_eq!(
        reason(&body, "gzip"),
        Reason::Corrupt("too many gzip members")
    );
}

#[test]
fn a_window_beyond_the_limit_is_refused_before_it_is_allocated() {
    // Magic, descriptor without single segment, window descriptor of 2^41: RFC 8878, section 3.1.1.1.2.
    let body = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00];
    assert_eq!(reason(&body, "zstd"), Reason::Window);
    // The large-window marker of brotli.
    assert_eq!(
        reason(&[0x11, 0x1e, 0, 0], "br"),
        Reason::Corrupt("not a brotli stream")
    );
}
