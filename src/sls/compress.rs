//! The body as it travels. Order: serialise, note the raw size, compress, then hash and sign the compressed bytes.
//!
//! | `x-log-compresstype` | bytes |
//! | --- | --- |
//! | `lz4` | one raw LZ4 block: no frame magic, no size prefix |
//! | `deflate` | zlib wrapper (RFC 1950), not raw RFC 1951 |
//! | left out | as they are |
//!
//! `x-log-bodyrawsize` is always sent; SLS sizes its LZ4 output by it (protocols/SLS.md, section 1).
//! A body keeps only the compressed bytes: the raw ones come back from them when a batch must be divided.

use std::io::{Read as _, Write as _};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// One raw LZ4 block.
    #[default]
    Lz4,
    /// zlib.
    Deflate,
    /// Not at all.
    None,
}

impl Compression {
    /// The value of `x-log-compresstype`; `None` when the header is left out.
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Lz4 => Some("lz4"),
            Self::Deflate => Some("deflate"),
            Self::None => None,
        }
    }
}

/// A body ready to be signed and sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    wire: Vec<u8>,
    raw_size: usize,
    compression: Compression,
}

impl Body {
    /// Compresses `raw`.
    pub fn pack(raw: Vec<u8>, compression: Compression) -> Self {
        let raw_size = raw.len();
        let packed = match compression {
            Compression::Lz4 => Some(lz4_flex::block::compress(&raw)),
            Compression::Deflate => deflate(&raw),
            Compression::None => None,
        };
        // Writing into memory does not fail; if it did, the bytes would go as they are, and say so.
        let (mut wire, compression) = match packed {
            Some(wire) => (wire, compression),
            None => (raw, Compression::None),
        };
        // The encoders take room for the worst case; a body may wait for minutes.
        wire.shrink_to_fit();
        Self {
            wire,
            raw_size,
            compression,
        }
    }

    /// The bytes to send.
    pub fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// The value of `x-log-bodyrawsize`.
    pub fn raw_size(&self) -> usize {
        self.raw_size
    }

    /// How the bytes are compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// The bytes before compression; `None` when they do not come back, which would be a bug of ours.
    pub fn unpack(&self) -> Option<Vec<u8>> {
        let raw = match self.compression {
            Compression::Lz4 => lz4_flex::block::decompress(&self.wire, self.raw_size).ok()?,
            Compression::Deflate => inflate(&self.wire, self.raw_size)?,
            Compression::None => self.wire.clone(),
        };
        (raw.len() == self.raw_size).then_some(raw)
    }
}

impl std::fmt::Debug for Body {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            wire,
            raw_size,
            compression,
        } = self;
        write!(
            f,
            "Body({compression:?}, {raw_size} -> {} bytes)",
            wire.len()
        )
    }
}

fn deflate(raw: &[u8]) -> Option<Vec<u8>> {
    // The fast level: on logs the default one costs several times the time for a few per cent.
    let mut encoder = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(raw).ok()?;
    encoder.finish().ok()
}

fn inflate(wire: &[u8], raw_size: usize) -> Option<Vec<u8>> {
    let cap = u64::try_from(raw_size).ok()?.saturating_add(1);
    let mut raw = Vec::with_capacity(raw_size);
    ZlibDecoder::new(wire)
        .take(cap)
        .read_to_end(&mut raw)
        .ok()?;
    Some(raw)
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
mod tests {
    use super::*;

    /// Bytes that no compressor makes smaller (xorshift).
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn every_body_comes_back() {
        for raw in [
            Vec::new(),
            vec![b'x'],
            b"hello ".repeat(1_000),
            noise(12),
            noise(33),
            noise(100_000),
        ] {
            for compression in [Compression::Lz4, Compression::Deflate, Compression::None] {
                let body = Body::pack(raw.clone(), compression);
                assert_eq!(body.unpack().as_deref(), Some(raw.as_slice()), "{body:?}");
                assert_eq!(
                    (body.raw_size(), body.compression()),
                    (raw.len(), compression)
                );
            }
        }
    }

    #[test]
    fn formats() {
        assert_eq!(Body::pack(Vec::new(), Compression::Lz4).wire(), [0]);
        assert_eq!(
            Body::pack(vec![b'x'], Compression::Lz4).wire(),
            [0x10, b'x']
        );
        assert_eq!(Body::pack(vec![b'x'], Compression::Deflate).wire()[0], 0x78);
        assert!(Body::pack(noise(10_000), Compression::Lz4).wire().len() > 10_000);
        assert!(
            Body::pack(b"hello ".repeat(1_000), Compression::Lz4)
                .wire()
                .len()
                < 100
        );
        assert_eq!(
            [Compression::Lz4, Compression::Deflate, Compression::None].map(Compression::header),
            [Some("lz4"), Some("deflate"), None]
        );
    }

    #[test]
    fn a_wrong_size_does_not_come_back() {
        for compression in [Compression::Lz4, Compression::Deflate] {
            for wrong in [0, 5_999, 6_001] {
                let mut body = Body::pack(b"hello ".repeat(1_000), compression);
                body.raw_size = wrong;
                assert_eq!(body.unpack(), None, "{body:?}");
            }
        }
    }

    #[test]
    fn debug_shows_no_payload() {
        let body = Body::pack(b"secret".to_vec(), Compression::None);
        assert_eq!(format!("{body:?}"), "Body(None, 6 -> 6 bytes)");
    }
}
