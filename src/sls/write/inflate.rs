//! A decoder for zlib (RFC 1950) that works in steps.

use crate::deflater::{count, spend};
use crate::meter::Meter;
use flate2::{Decompress, FlushDecompress, Status};
use std::task::Poll;

/// The most that is read or produced at once.
const SLICE: usize = 1_024;
/// Units for each byte in and out.
const UNPACK: [u64; 2] = [130, 40];

/// Decoding failed: there is no memory, or the bytes are not a zlib stream of that size.
#[derive(Debug)]
pub(super) struct Failed;

/// The decoder.
pub(super) struct Inflater {
    state: Decompress,
    out: Vec<u8>,
    size: usize,
    at: usize,
}

impl Inflater {
    /// `size` is the size of the output.
    pub(super) fn new(size: usize) -> Self {
        Self {
            state: Decompress::new(true),
            out: Vec::new(),
            size,
            at: 0,
        }
    }

    /// The memory of the output, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.out.capacity()
    }

    /// Continues with `wire`, the same at every step, and returns the decompressed bytes at the end.
    pub(super) fn step(&mut self, wire: &[u8], meter: &mut Meter) -> Poll<Result<Vec<u8>, Failed>> {
        let mut scratch = [0; SLICE];
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            match self.advance(wire, &mut scratch, meter) {
                Ok(true) => return Poll::Ready(Ok(std::mem::take(&mut self.out))),
                Ok(false) => {}
                Err(failed) => return Poll::Ready(Err(failed)),
            }
        }
    }

    /// Handles one slice; returns whether it was the last.
    fn advance(
        &mut self,
        wire: &[u8],
        scratch: &mut [u8],
        meter: &mut Meter,
    ) -> Result<bool, Failed> {
        if self.out.capacity() < self.size {
            self.out.try_reserve_exact(self.size).map_err(|_| Failed)?;
        }
        let end = self.at.saturating_add(SLICE).min(wire.len());
        let slice = wire.get(self.at..end).ok_or(Failed)?;
        let (before, made) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(slice, scratch, FlushDecompress::None);
        let read = count(before, self.state.total_in());
        let made = count(made, self.state.total_out());
        self.at = self.at.saturating_add(read);
        spend(read, made, UNPACK, meter);
        if made > self.size.saturating_sub(self.out.len()) {
            return Err(Failed);
        }
        self.out
            .extend_from_slice(scratch.get(..made).ok_or(Failed)?);
        match status {
            Ok(Status::StreamEnd) if self.out.len() == self.size => Ok(true),
            Ok(Status::Ok | Status::BufError) if read > 0 || made > 0 => Ok(false),
            Ok(_) | Err(_) => Err(Failed),
        }
    }
}
