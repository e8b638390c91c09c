//! The body as it travels. Order: serialise, note the raw size, compress, hash the compressed bytes, then sign.
//!
//! | `x-log-compresstype` | bytes |
//! | --- | --- |
//! | `lz4` | one raw LZ4 block: no frame magic, no size prefix |
//! | `deflate` | zlib wrapper (RFC 1950), not raw RFC 1951 |
//! | left out | as they are |
//!
//! `x-log-bodyrawsize` is always sent; SLS sizes its LZ4 output by it (manual: sls, "Compression"). A body keeps only the
//! compressed bytes: they are decompressed again if a batch must be divided. How they are made is up to [`super::write`].

use super::wire_digest::WireDigest;

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
    /// The value of `x-log-compresstype`; `None` if the header is left out.
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
    digest: WireDigest,
}

impl Body {
    /// `wire` is `raw_size` bytes compressed, and `digest` is of `wire`.
    pub(super) fn new(
        wire: Vec<u8>,
        raw_size: usize,
        compression: Compression,
        digest: WireDigest,
    ) -> Self {
        Self {
            wire,
            raw_size,
            compression,
            digest,
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

    /// The digest of the bytes to send, for the signature that they were packed for.
    pub fn digest(&self) -> &WireDigest {
        &self.digest
    }
}

impl std::fmt::Debug for Body {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            wire,
            raw_size,
            compression,
            ..
        } = self;
        write!(
            f,
            "Body({compression:?}, {raw_size} -> {} bytes)",
            wire.len()
        )
    }
}
