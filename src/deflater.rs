//! An encoder for zlib (RFC 1950) and gzip (RFC 1952) that works in steps.
//!
//! flate2's encoder writes a block when its buffer is full, all at once. So a block is ended after [`BLOCK`] bytes of input,
//! which costs about two per cent of the size. Ending it waits for a meter that has enough for it or is new.

use crate::meter::Meter;
use flate2::{Compress, Crc, FlushCompress, Status};
use std::fmt;
use std::task::Poll;

/// A block's input.
const BLOCK: usize = 8_192;
/// The most that is read or produced at once.
const SLICE: usize = 1_024;
/// Room for what one slice and the end of a block can produce.
const ROOM: usize = 16_384;
/// The most units for each byte of a block when it is ended.
const END: u64 = 210;
/// Units for each byte in and out.
const PACK: [u64; 2] = [25, 380];
/// Units for each byte of the checksum.
const SUM: u64 = 8;
/// Units for starting: the state is large.
const BEGIN: u64 = 20_000;

/// There is no memory.
#[derive(Debug)]
pub(crate) struct Failed;

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Zlib,
    Gzip,
}

/// The header of a gzip stream, without a name or a time: the same input gives the same bytes.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

/// The encoder. Its state, some 300 KiB, exists only between the first step and the last.
pub(crate) struct Deflater {
    format: Format,
    state: Option<Compress>,
    sum: Crc,
    out: Vec<u8>,
    at: usize,
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Deflater({:?}, {} bytes)", self.format, self.at)
    }
}

impl Deflater {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            state: None,
            sum: Crc::new(),
            out: Vec::new(),
            at: 0,
        }
    }

    /// The memory of the output, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.out.capacity()
    }

    /// Continues with `raw`, the same at every step, and returns the stream at the end.
    // Two callers: not inlined, to keep the module small.
    #[inline(never)]
    pub(crate) fn step(&mut self, raw: &[u8], meter: &mut Meter) -> Poll<Result<Vec<u8>, Failed>> {
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

    /// Handles one slice; returns whether it was the last.
    fn advance(&mut self, raw: &[u8], meter: &mut Meter) -> Result<bool, Failed> {
        let state = self.state.get_or_insert_with(|| {
            meter.spend(BEGIN);
            // The fast level: on logs the default takes several times as long for a few per cent.
            Compress::new(flate2::Compression::fast(), self.format == Format::Zlib)
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
        if made == 0 && self.format == Format::Gzip {
            self.out.extend_from_slice(&GZIP_HEADER);
        }
        let status = state.compress_vec(slice, &mut self.out, flush);
        let read = count(before, state.total_in());
        let made = self.out.len().saturating_sub(made);
        self.at = self.at.saturating_add(read);
        spend(read, made, PACK, meter);
        if self.format == Format::Gzip {
            self.sum.update(slice.get(..read).unwrap_or_default());
            meter.spend_bytes(read, SUM);
        }
        match status {
            Ok(Status::StreamEnd) => {
                if self.format == Format::Gzip {
                    self.out.extend_from_slice(&self.sum.sum().to_le_bytes());
                    self.out.extend_from_slice(&self.sum.amount().to_le_bytes());
                }
                Ok(true)
            }
            Ok(_) if read > 0 || made > 0 => Ok(false),
            Ok(_) | Err(_) => Err(Failed),
        }
    }
}

pub(crate) fn count(before: u64, after: u64) -> usize {
    usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX)
}

pub(crate) fn spend(read: usize, made: usize, [per_read, per_made]: [u64; 2], meter: &mut Meter) {
    // A call takes time even if it does little.
    meter.spend(200);
    meter.spend_bytes(read, per_read);
    meter.spend_bytes(made, per_made);
}

#[cfg(test)]
mod tests {
    use super::{Deflater, Format};
    use crate::meter::Meter;
    use std::io::Read as _;
    use std::task::Poll;

    fn packed(format: Format, raw: &[u8], units: u64) -> Vec<u8> {
        let mut deflater = Deflater::new(format);
        loop {
            if let Poll::Ready(packed) = deflater.step(raw, &mut Meter::new(units)) {
                return packed.unwrap();
            }
        }
    }

    #[test]
    fn another_decoder_reads_it() {
        let text: Vec<u8> = (0..200_000_u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        for raw in [&b""[..], b"x", &text[..8_192], &text] {
            for units in [1_000, 100_000, u64::MAX] {
                let mut read = Vec::new();
                let gzip = packed(Format::Gzip, raw, units);
                flate2::read::GzDecoder::new(&*gzip)
                    .read_to_end(&mut read)
                    .unwrap();
                assert_eq!(read, raw);
                let mut read = Vec::new();
                let zlib = packed(Format::Zlib, raw, units);
                flate2::read::ZlibDecoder::new(&*zlib)
                    .read_to_end(&mut read)
                    .unwrap();
                assert_eq!(read, raw);
            }
        }
    }
}
