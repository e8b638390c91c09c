//! Undoes the Content-Encoding of a request body in steps, up to a limit on the decoded size.
//!
//! Owns the recognised names (as Relay's server reads them), the decoders and the memory bound. Does not own the body or the
//! meaning of its bytes. The names are compared byte for byte: `gzip`, `deflate` (zlib, RFC 1950, not raw), `br`, `zstd`,
//! `identity`. An absent or empty value and `UTF-8` in any case, which real SDKs send, mean identity. Anything else,
//! including `GZIP` and `gzip, gzip`, is unsupported.
//!
//! Memory: a body that decodes to more than 1 MiB is decoded twice. The first run only counts, so that a bomb is never stored at
//! all, and everything else in one allocation of its size. While counting, no decoder holds more history than [`MAX_WINDOW`] for
//! zstd (what RFC 9659 allows for this Content-Encoding), 16 MiB for br (its largest standard window; large-window streams are
//! refused), or 32 KiB for the others, and never more than the limit; a quarter of that comes on top.
//!
//! The decoders are our own, because none of the crates can stop where it must. Each step is atomic only in something bounded
//! (a symbol, a table, a sequence), and every such part is charged. What a body decodes to, and which error it gets, does not
//! depend on the size of the steps.
//!
//! Sizes are in bytes.

mod bits;
mod br;
mod gzip;
mod inflate;
mod output;
mod prefix;
#[cfg(test)]
mod tests;
mod zstd;

use std::borrow::Cow;
use std::fmt;
use std::task::{Poll, ready};

use self::br::Br;
use self::gzip::{Gzip, Wrap};
use self::output::Output;
use self::zstd::Zstd;
use crate::meter::Meter;

/// The largest zstd window, in bytes: RFC 9659, section 3.
pub const MAX_WINDOW: u64 = 8 << 20;

/// Concatenated gzip members or zstd frames in one body. bgzip makes one per 64 KiB, so this is 256 MiB. Without a bound, a
/// body of empty members would buy a decoder reset for every 20 bytes.
const MAX_MEMBERS: u32 = 4096;

/// How much of an unknown encoding's name an error repeats.
const MAX_NAME: usize = 64;

/// A body that cannot be decoded: the client's fault, or the cap is too low for what it sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{size} bytes with Content-Encoding `{encoding}`: {reason}")]
pub struct Undecodable {
    /// Bytes received.
    pub size: usize,
    /// The encoding's name; for an unknown one its first bytes, escaped.
    pub encoding: String,
    /// What is wrong.
    pub reason: Reason,
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Not one of the recognised names.
    #[error("unsupported encoding")]
    Unsupported,
    /// The stream ends early.
    #[error("truncated")]
    Truncated,
    /// The stream is wrong; the text says where the format broke.
    #[error("corrupt: {0}")]
    Corrupt(&'static str),
    /// It needs more history than [`MAX_WINDOW`].
    #[error("window larger than {MAX_WINDOW} bytes")]
    Window,
    /// It decodes to more than the cap, in bytes.
    #[error("decodes to more than {0} bytes")]
    TooLarge(usize),
    /// There is no memory for this many bytes.
    #[error("no memory for {0} bytes")]
    NoMemory(usize),
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

/// What a body decodes to.
#[derive(Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The body unchanged.
    Same,
    /// These bytes.
    Bytes(Vec<u8>),
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
        }
    }
}

/// A body being decoded.
pub struct Decoder {
    encoding: Encoding,
    size: usize,
    cap: usize,
    /// `None` is identity.
    coding: Option<Box<dyn Coding>>,
    output: Output,
}

/// Undoes one encoding, a piece at a time.
trait Coding {
    /// Decodes one piece. Returns whether it was the last.
    fn advance(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<bool, Reason>;

    /// Back to the beginning. The tables stay.
    fn restart(&mut self);

    /// Memory held besides itself.
    fn memory(&self) -> usize;

    /// Decodes as many pieces as the meter allows.
    fn step(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Poll<Result<(), Reason>> {
        while !meter.is_empty() {
            match self.advance(body, output, meter) {
                Ok(true) => return Poll::Ready(Ok(())),
                Ok(false) => {}
                Err(reason) => return Poll::Ready(Err(reason)),
            }
        }
        Poll::Pending
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("encoding", &self.encoding)
            .field("size", &self.size)
            .field("cap", &self.cap)
            .field("decoded", &self.output.len())
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// For a body of `size` bytes. `content_encoding` is the first header line's value (empty if absent); `cap` bounds the
    /// result.
    pub fn new(content_encoding: &[u8], size: usize, cap: usize) -> Result<Self, Undecodable> {
        let Some(encoding) = Encoding::from_header(content_encoding) else {
            let name = content_encoding.get(..MAX_NAME).unwrap_or(content_encoding);
            return Err(Undecodable {
                size,
                encoding: name.escape_ascii().to_string(),
                reason: Reason::Unsupported,
            });
        };
        let coding: Option<Box<dyn Coding>> = match encoding {
            Encoding::Identity => None,
            Encoding::Gzip => Some(Box::new(Gzip::new(Wrap::Gzip))),
            Encoding::Deflate => Some(Box::new(Gzip::new(Wrap::Zlib))),
            Encoding::Br => Some(Box::new(Br::new())),
            Encoding::Zstd => Some(Box::new(Zstd::new())),
        };
        Ok(Self {
            encoding,
            size,
            cap,
            coding,
            output: Output::new(cap),
        })
    }

    /// Continues. `body` is the same at every step. Once it was ready, the decoder must not be used again.
    ///
    /// An empty body decodes to an empty body whatever the header says: the envelope reader has a better message for it.
    pub fn step(&mut self, body: &[u8], meter: &mut Meter) -> Poll<Result<Decoded, Undecodable>> {
        if body.is_empty() {
            return Poll::Ready(Ok(Decoded::Same));
        }
        let result = loop {
            let Some(coding) = &mut self.coding else {
                if body.len() <= self.cap {
                    return Poll::Ready(Ok(Decoded::Same));
                }
                break Err(Reason::TooLarge(self.cap));
            };
            let counted = match ready!(coding.step(body, &mut self.output, meter)) {
                Ok(()) => self.output.counted(),
                Err(reason) => break Err(reason),
            };
            let Some(size) = counted else {
                break Ok(());
            };
            // What it holds is freed before the room for the whole is allocated.
            self.output = Output::new(0);
            match Output::exact(size) {
                Ok(output) => self.output = output,
                Err(reason) => break Err(reason),
            }
            coding.restart();
        };
        let output = std::mem::replace(&mut self.output, Output::new(0));
        Poll::Ready(match result {
            Ok(()) => Ok(Decoded::Bytes(output.into_bytes())),
            Err(reason) => Err(Undecodable {
                size: self.size,
                encoding: self.encoding.name().to_owned(),
                reason,
            }),
        })
    }

    /// What has been decoded so far, from the first byte on. Empty for identity, and when so much has come that the beginning
    /// is gone.
    #[must_use]
    pub fn beginning(&self) -> &[u8] {
        self.output.beginning()
    }

    /// Memory held, without the body.
    #[must_use]
    pub fn memory(&self) -> usize {
        let state = self.coding.as_deref().map_or(0, |coding| {
            coding.memory().saturating_add(size_of_val(coding))
        });
        state.saturating_add(self.output.capacity())
    }
}

/// Decodes a body in one step, for callers without a time limit.
pub fn decode_all<'a>(
    body: &'a [u8],
    content_encoding: &[u8],
    cap: usize,
) -> Result<Cow<'a, [u8]>, Undecodable> {
    let mut decoder = Decoder::new(content_encoding, body.len(), cap)?;
    loop {
        if let Poll::Ready(result) = decoder.step(body, &mut Meter::unlimited()) {
            return result.map(|decoded| match decoded {
                Decoded::Same => Cow::Borrowed(body),
                Decoded::Bytes(bytes) => Cow::Owned(bytes),
            });
        }
    }
}
