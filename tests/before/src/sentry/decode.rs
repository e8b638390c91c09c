//! Undoes the Content-Encoding of a request body, up to a cap on the decoded size.
//!
//! Owns: the names that count (as Relay's server reads them), the decoders, the memory bound. Does not own: what the
//! bytes mean. The names are compared byte for byte: `gzip`, `deflate` (zlib, RFC 1950, not raw), `br`, `zstd`,
//! `identity`; an absent or empty value and `UTF-8` in any case, which real SDKs send, mean identity. Everything else,
//! `GZIP` and `gzip, gzip` included, is unsupported.
//!
//! Memory: a body that decodes to more than 1 MiB is decoded twice, first to count, so that a bomb is never stored at all
//! and everything else in one allocation of its size. No decoder holds more than [`MAX_WINDOW`] of history for zstd
//! (what RFC 9659 allows for this Content-Encoding), 16 MiB for br (its largest standard window; large-window streams are
//! refused), 32 KiB for the others. The low-level interfaces of the decoders are used on purpose: their `io::Read`
//! wrappers cost 190 KB of module, most of it text for errors that nobody reads.
//!
//! Sizes are in bytes.

mod br;
mod gzip;
mod zstd;

use std::borrow::Cow;

/// The largest zstd window, in bytes: RFC 9659, section 3.
pub const MAX_WINDOW: u64 = 8 << 20;

/// Concatenated gzip members or zstd frames in one body. bgzip makes one per 64 KiB, so this is 256 MiB of it; without a
/// bound, a body of empty members buys a decoder reset for every 20 bytes.
const MAX_MEMBERS: u32 = 4096;

/// Decoded bytes pass through a buffer of this size: half of L1, and a short-lived allocation.
const SCRATCH: usize = 16 * 1024;

/// What is decoded at once. Beyond that the size is counted first: growing step by step towards 32 MiB would leave twice
/// that in holes, and a module's memory never shrinks. Envelopes with more than this are rare: events end at 1 MiB.
const AT_ONCE: usize = 1 << 20;

/// How much of an unknown encoding's name an error repeats.
const MAX_NAME: usize = 64;

/// A body that cannot be decoded. The client's fault, or the cap is too low for what it sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes with Content-Encoding `{encoding}`: {reason}")]
pub struct Undecodable {
    /// Bytes received.
    pub size: usize,
    /// The encoding's name; of an unknown one the first bytes, escaped.
    pub encoding: String,
    /// What is wrong.
    pub reason: Reason,
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not one of the names that count.
    #[error("unsupported encoding")]
    Unsupported,
    /// The stream ends early.
    #[error("truncated")]
    Truncated,
    /// The stream is wrong; the text says where the format broke.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// It wants more history than [`MAX_WINDOW`].
    #[error("window larger than {MAX_WINDOW} bytes")]
    Window,
    /// It decodes to more than the cap, in bytes.
    #[error("decodes to more than {0} bytes")]
    TooLarge(usize),
}

/// A Content-Encoding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// No encoding.
    Identity,
    /// RFC 1952, one member or several.
    Gzip,
    /// RFC 1950 (zlib), as HTTP means it.
    Deflate,
    /// RFC 7932.
    Br,
    /// RFC 8878, one frame or several.
    Zstd,
}

impl Encoding {
    /// Reads the value of the first Content-Encoding header line, empty when there is none.
    pub fn from_header(value: &[u8]) -> Option<Self> {
        Some(match value {
            b"" | b"identity" => Self::Identity,
            b"gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            b"br" => Self::Br,
            b"zstd" => Self::Zstd,
            other if other.eq_ignore_ascii_case(b"utf-8") => Self::Identity,
            _ => return None,
        })
    }

    /// The name, as in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Br => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Decodes a body. `content_encoding` is the first header line's value (empty when absent); `cap` bounds the result.
///
/// An empty body decodes to an empty body whatever the header says: the envelope reader has the better message.
pub fn decode<'a>(
    body: &'a [u8],
    content_encoding: &[u8],
    cap: usize,
) -> Result<Cow<'a, [u8]>, Undecodable> {
    let undecodable = |encoding: String, reason| Undecodable {
        size: body.len(),
        encoding,
        reason,
    };
    let Some(encoding) = Encoding::from_header(content_encoding) else {
        let name = content_encoding.get(..MAX_NAME).unwrap_or(content_encoding);
        return Err(undecodable(
            name.escape_ascii().to_string(),
            Reason::Unsupported,
        ));
    };
    let run = |output: &mut Output| match encoding {
        Encoding::Identity => output.push(body),
        Encoding::Gzip => gzip::gzip(body, output),
        Encoding::Deflate => gzip::zlib(body, output),
        Encoding::Br => br::br(body, output),
        Encoding::Zstd => zstd::zstd(body, output),
    };
    if encoding == Encoding::Identity && body.len() <= cap || body.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    let mut output = Output::new(cap.min(AT_ONCE), Some(Vec::new()));
    let mut result = run(&mut output);
    if result == Err(Reason::TooLarge(AT_ONCE)) && cap > AT_ONCE {
        // What it has is given up before the size is known, and only then the room for it is taken.
        output = Output::new(cap, None);
        result = run(&mut output);
        if result.is_ok() {
            output = Output::new(cap, Some(Vec::with_capacity(output.len)));
            result = run(&mut output);
        }
    }
    match result {
        Ok(()) => Ok(Cow::Owned(output.bytes.unwrap_or_default())),
        Err(reason) => Err(undecodable(encoding.name().to_owned(), reason)),
    }
}

/// The decoded bytes, or only their number.
struct Output {
    bytes: Option<Vec<u8>>,
    len: usize,
    cap: usize,
}

impl Output {
    fn new(cap: usize, bytes: Option<Vec<u8>>) -> Self {
        Self { bytes, len: 0, cap }
    }

    fn push(&mut self, decoded: &[u8]) -> Result<(), Reason> {
        self.len = self.len.saturating_add(decoded.len());
        if self.len > self.cap {
            return Err(Reason::TooLarge(self.cap));
        }
        if let Some(bytes) = &mut self.bytes {
            bytes.extend_from_slice(decoded);
        }
        Ok(())
    }
}
