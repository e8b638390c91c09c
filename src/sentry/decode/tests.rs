//! The decoders.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::arithmetic_side_effects
)]

use std::io::Write;
use std::task::Poll;

use super::output::AT_ONCE;
use super::*;

const CAP: usize = 1 << 20;

#[test]
fn large_bodies_are_counted_first() {
    let data = vec![b'a'; 3 * AT_ONCE];
    for (encoding, body) in [
        ("gzip", gz(&data)),
        ("deflate", zlib(&data)),
        ("br", br_run(b'a', data.len())),
        ("zstd", zst(&data)),
    ] {
        let decoded = decode_all(&body, encoding.as_bytes(), data.len())
            .unwrap()
            .into_owned();
        assert_eq!(
            (decoded.len(), decoded.capacity()),
            (data.len(), data.len()),
            "{encoding}"
        );
        assert!(decoded == data, "{encoding}");
        let error = decode_all(&body, encoding.as_bytes(), data.len() - 1).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge(data.len() - 1), "{encoding}");
    }
}

/// A brotli stream that is one byte, so many times: one command, with codes of one symbol each, which take no bits.
fn br_run(byte: u8, count: usize) -> Vec<u8> {
    let (mut bits, mut bytes) = (Vec::new(), Vec::new());
    let mut put = |value: usize, width: usize| {
        bits.extend((0..width).map(|bit| value >> bit & 1));
    };
    put(0b0011, 4); // window of 2^18
    put(1, 1); // the last metablock
    put(0, 1); // which is not empty
    let nibbles = if count > 1 << 20 { 6 } else { 5 };
    put(nibbles - 4, 2);
    put(count - 1, 4 * nibbles);
    put(0, 3); // one type of literals, commands, distances
    put(0, 6); // postfix, direct distances
    put(0, 2); // contexts
    put(0, 2); // one code of literals, one of distances
    // The command: 22594 literals and some more.
    for (symbol, width) in [(usize::from(byte), 8), (504, 10), (0, 6)] {
        put(0b0001, 4); // simple, one symbol
        put(symbol, width);
    }
    put(count - 22_594, 24);
    for bits in bits.chunks(8) {
        bytes.push(
            bits.iter()
                .rev()
                .fold(0, |byte, bit| byte << 1 | u8::try_from(*bit).unwrap()),
        );
    }
    bytes
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
    decode_all(body, encoding.as_bytes(), CAP)
        .unwrap_err()
        .reason
}

#[test]
fn names_are_compared_byte_for_byte() {
    for identity in ["", "identity", "UTF-8", "utf-8", "Utf-8"] {
        assert!(
            matches!(
                decode_all(b"{}", identity.as_bytes(), CAP),
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
    let error = decode_all(b"12345", "x\"\n".repeat(100).as_bytes(), CAP).unwrap_err();
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
            decode_all(&both, encoding.as_bytes(), CAP)
                .unwrap()
                .as_ref(),
            b"hello world"
        );
    }
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zst(a)].concat();
    assert_eq!(decode_all(&skippable, b"zstd", CAP).unwrap().as_ref(), a);
    let padded = [gz(a), vec![0; 9]].concat();
    assert_eq!(decode_all(&padded, b"gzip", CAP).unwrap().as_ref(), a);
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
            decode_all(&whole, encoding.as_bytes(), CAP)
                .unwrap()
                .as_ref(),
            data
        );
        for end in (1..whole.len())
            .rev()
            .take(40)
            .chain((1..whole.len()).step_by(97))
        {
            assert!(
                decode_all(&whole[..end], encoding.as_bytes(), CAP).is_err(),
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
        ("br", br_run(b'a', data.len())),
        ("zstd", zst(&data)),
        ("", data.clone()),
    ] {
        assert_eq!(
            decode_all(&body, encoding.as_bytes(), data.len())
                .unwrap()
                .len(),
            data.len()
        );
        let error = decode_all(&body, encoding.as_bytes(), data.len() - 1).unwrap_err();
        assert_eq!(error.reason, Reason::TooLarge(data.len() - 1), "{encoding}");
    }
    let bomb = gz(&gz(&vec![0; 50 << 20]));
    assert!(
        decode_all(&bomb, b"gzip", CAP).unwrap().len() < CAP,
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

#[test]
fn a_bomb_is_worked_on_in_steps_and_never_held() {
    const UNITS: u64 = 100_000;
    let data = vec![b'a'; 4 << 20];
    for (encoding, body) in [
        ("gzip", gz(&data)),
        ("deflate", zlib(&data)),
        ("br", br_run(b'a', 4 << 20)),
        ("zstd", zst(&data)),
    ] {
        let mut decoder = Decoder::new(encoding.as_bytes(), body.len(), 3 << 20).unwrap();
        let mut steps = 0;
        let error = loop {
            let mut meter = Meter::new(UNITS);
            let step = decoder.step(&body, &mut meter);
            assert!(meter.spent() < 4 * UNITS, "{encoding}: {}", meter.spent());
            assert!(
                decoder.memory() < 2 << 20,
                "{encoding}: {}",
                decoder.memory()
            );
            steps += 1;
            if let Poll::Ready(result) = step {
                break result.unwrap_err();
            }
        };
        assert_eq!(error.reason, Reason::TooLarge(3 << 20), "{encoding}");
        assert!(steps > 10, "{encoding}: {steps}");
    }
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let refused = Output::exact(usize::MAX).err();
    assert_eq!(refused, Some(Reason::NoMemory(usize::MAX)));
    let text = Reason::NoMemory(7).to_string();
    assert_eq!(text, "no memory for 7 bytes");
}

#[test]
fn nothing_of_a_body_is_in_what_debug_writes() {
    let body = gz(b"hello");
    let mut decoder = Decoder::new(b"gzip", body.len(), CAP).unwrap();
    let Poll::Ready(Ok(decoded)) = decoder.step(&body, &mut Meter::unlimited()) else {
        panic!("it is short");
    };
    assert_eq!(decoded, Decoded::Bytes(b"hello".to_vec()));
    assert_eq!(format!("{decoded:?}"), "Bytes(5 bytes)");
    assert!(format!("{decoder:?}").starts_with("Decoder { encoding: Gzip, size: "));
}

#[test]
fn copies_from_before_the_beginning_are_refused() {
    // A fixed block: the byte `a`, then three bytes from four bytes ago.
    let mut stream = vec![0x78, 0x9c, 0x4b, 0x04, 0x62, 0x00];
    stream.extend([0; 4]);
    assert_eq!(
        reason(&stream, "deflate"),
        Reason::Corrupt("not a deflate stream")
    );
    let second = [
        gz(b"hello hello"),
        vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3],
        stream[2..].to_vec(),
    ];
    assert_eq!(
        reason(&second.concat(), "gzip"),
        Reason::Corrupt("not a deflate stream")
    );
}
