//! Recovers the uncompressed bytes of a body.

use super::super::compress::{Body, Compression};
use super::inflate::Inflater;
use super::lz4::Decoder;
use crate::meter::Meter;
use std::task::{Poll, ready};

enum Stage {
    Lz4(Decoder),
    Inflate(Inflater),
    Copy,
}

/// Undoes a body's compression.
pub struct Unpacker(Stage);

impl std::fmt::Debug for Unpacker {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unpacker({} bytes)", self.memory())
    }
}

impl Unpacker {
    /// For this body.
    #[must_use]
    pub fn new(body: &Body) -> Self {
        Self(match body.compression() {
            Compression::Lz4 => Stage::Lz4(Decoder::new(body.raw_size())),
            Compression::Deflate => Stage::Inflate(Inflater::new(body.raw_size())),
            Compression::None => Stage::Copy,
        })
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.0 {
            Stage::Lz4(decoder) => decoder.memory(),
            Stage::Inflate(inflater) => inflater.memory(),
            Stage::Copy => 0,
        }
    }

    /// Continues with the same body, and returns its bytes at the end; `None` if they cannot be recovered, which would be a
    /// bug of ours or a lack of memory.
    pub fn step(&mut self, body: &Body, meter: &mut Meter) -> Poll<Option<Vec<u8>>> {
        Poll::Ready(match &mut self.0 {
            Stage::Lz4(decoder) => ready!(decoder.step(body.wire(), meter)).ok(),
            Stage::Inflate(inflater) => ready!(inflater.step(body.wire(), meter)).ok(),
            Stage::Copy => {
                if meter.is_empty() {
                    return Poll::Pending;
                }
                meter.spend_bytes(body.wire().len() / 16, 1);
                copy(body.wire())
            }
        })
    }
}

/// `None` if there is no memory.
pub(super) fn copy(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}
