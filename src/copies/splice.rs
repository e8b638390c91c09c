//! An envelope with another header: the rest is unchanged byte for byte.

use crate::meter::Meter;
use std::task::Poll;

/// Bytes copied per unit.
const BYTES_PER_UNIT: usize = 16;
/// The most bytes copied at a time.
const PIECE: usize = 1 << 20;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Splice {
    written: Vec<u8>,
    /// The next position in the received envelope.
    at: usize,
}

impl Splice {
    /// Replaces the first `end` bytes of `whole` by `header`; `None` if there is no memory.
    pub(super) fn new(header: &[u8], end: usize, whole: &[u8]) -> Option<Self> {
        let rest = whole.len().saturating_sub(end);
        let mut written = Vec::new();
        let size = header.len().saturating_add(rest);
        written.try_reserve_exact(size).ok()?;
        written.extend_from_slice(header);
        Some(Self { written, at: end })
    }

    /// Continues; `whole` is the same at every step.
    pub(super) fn step(&mut self, whole: &[u8], meter: &mut Meter) -> Poll<Vec<u8>> {
        while self.at < whole.len() {
            if meter.is_empty() {
                return Poll::Pending;
            }
            let stop = whole.len().min(self.at.saturating_add(PIECE));
            let piece = whole.get(self.at..stop).unwrap_or_default();
            meter.spend_bytes(piece.len().div_ceil(BYTES_PER_UNIT), 1);
            self.written.extend_from_slice(piece);
            self.at = stop;
        }
        Poll::Ready(std::mem::take(&mut self.written))
    }
}
