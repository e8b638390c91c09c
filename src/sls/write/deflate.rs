//! zlib (RFC 1950), both ways, each in steps.
//!
//! flate2's encoder writes a block when its buffer is full, all at once. So a block is ended after [`BLOCK`] bytes of input,
//! which costs about two per cent of the size, and is left to a meter that has enough for it, or is a new one.

use crate::meter::Meter;
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use std::task::Poll;

/// A block's input.
const BLOCK: usize = 8_192;
/// What is read, or made, at once.
const SLICE: usize = 1_024;
/// Room for what one slice and the end of a block can make.
const ROOM: usize = 16_384;
/// Units for each byte of a block when it is ended, at most.
const END: u64 = 210;
/// Units for each byte in and out.
const PACK: [u64; 2] = [25, 380];
const UNPACK: [u64; 2] = [130, 40];
/// Units for beginning: the state is large.
const BEGIN: u64 = 20_000;

/// It cannot be done: there is no memory, or the bytes are no zlib stream of that size.
#[derive(Debug)]
pub(super) struct Failed;

/// The encoder. Its state, some 300 KiB, is there only between the first step and the last.
#[derive(Default)]
pub(super) struct Deflater {
    state: Option<Compress>,
    out: Vec<u8>,
    at: usize,
}

impl Deflater {
    /// The memory of what is made, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.out.capacity()
    }

    /// Goes on with `raw`, the same at every step, and gives the stream at the end.
    pub(super) fn step(&mut self, raw: &[u8], meter: &mut Meter) -> Poll<Result<Vec<u8>, Failed>> {
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            match self.advance(raw, meter) {
                Ok(true) => {
                    self.state = None;
                    self.out.shrink_to_fit();
                    return Poll::Ready(Ok(std::mem::take(&mut self.out)));
                }
                Ok(false) => {}
                Err(failed) => return Poll::Ready(Err(failed)),
            }
        }
    }

    /// One slice; whether it was the last.
    fn advance(&mut self, raw: &[u8], meter: &mut Meter) -> Result<bool, Failed> {
        let state = self.state.get_or_insert_with(|| {
            meter.spend(BEGIN);
            // The fast level: on logs the default one costs several times the time for a few per cent.
            Compress::new(flate2::Compression::fast(), true)
        });
        let block = self
            .at
            .saturating_sub(self.at % BLOCK)
            .saturating_add(BLOCK);
        let end = self.at.saturating_add(SLICE).min(block).min(raw.len());
        let slice = raw.get(self.at..end).ok_or(Failed)?;
        let flush = if end == raw.len() {
            FlushCompress::Finish
        } else if end == block {
            FlushCompress::Sync
        } else {
            FlushCompress::None
        };
        if flush != FlushCompress::None && meter.spent() > 0 {
            let begin = self.at.saturating_sub(self.at % BLOCK);
            let pending = u64::try_from(end.saturating_sub(begin)).unwrap_or(u64::MAX);
            let needed = pending.saturating_mul(END);
            if u64::try_from(meter.bytes(1)).is_ok_and(|left| left < needed) {
                meter.spend(needed);
                return Ok(false);
            }
        }
        let (capacity, len) = (self.out.capacity(), self.out.len());
        if capacity.saturating_sub(len) < ROOM {
            let rest = raw.len().saturating_sub(self.at);
            let worst = rest.saturating_add(rest / 64).saturating_add(ROOM);
            let doubled = capacity.saturating_mul(2).saturating_sub(len);
            let more = doubled.min(worst).max(ROOM);
            self.out.try_reserve_exact(more).map_err(|_| Failed)?;
        }
        let (before, made) = (state.total_in(), self.out.len());
        let status = state.compress_vec(slice, &mut self.out, flush);
        let read = count(before, state.total_in());
        let made = self.out.len().saturating_sub(made);
        self.at = self.at.saturating_add(read);
        spend(read, made, PACK, meter);
        match status {
            Ok(Status::StreamEnd) => Ok(true),
            Ok(_) if read > 0 || made > 0 => Ok(false),
            Ok(_) | Err(_) => Err(Failed),
        }
    }
}

/// The decoder.
pub(super) struct Inflater {
    state: Decompress,
    out: Vec<u8>,
    size: usize,
    at: usize,
}

impl Inflater {
    /// `size` is that of the output.
    pub(super) fn new(size: usize) -> Self {
        Self {
            state: Decompress::new(true),
            out: Vec::new(),
            size,
            at: 0,
        }
    }

    /// The memory of what is made, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.out.capacity()
    }

    /// Goes on with `wire`, the same at every step, and gives what was packed at the end.
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

    /// One slice; whether it was the last.
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

fn count(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

fn spend(read: usize, made: usize, [per_read, per_made]: [u64; 2], meter: &mut Meter) {
    // A call takes its time also when it does little.
    meter.spend(200);
    meter.spend_bytes(read, per_read);
    meter.spend_bytes(made, per_made);
}
