//! The literals of a block (RFC 8878, section 3.1.1.3.1). Compressed ones are decoded a piece at a time.
//!
//! Positions are relative to the start of the body.

use std::ops::Range;

use super::huffman::{self, Huffman};
use super::reverse::Reverse;
use super::{Broken, NoMemory};
use crate::meter::Meter;

/// Symbols decoded at once.
const PIECE: usize = 8 << 10;

/// Where the literals of the block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Body(usize),
    Byte(u8),
    Packed,
}

/// See the module's documentation.
pub(super) struct Literals {
    huffman: Huffman,
    from: From,
    /// How many there are.
    size: usize,
    decoded: Vec<u8>,
    /// The streams of compressed literals, the current one first, and how far it has been read.
    streams: [Range<usize>; 4],
    next: usize,
    count: usize,
    bits: Option<Reverse>,
}

/// A piece of literals.
pub(super) enum Piece<'l> {
    /// These.
    Bytes(&'l [u8]),
    /// This byte, so many times.
    Byte(u8, usize),
}

impl Literals {
    pub(super) fn new() -> Self {
        Self {
            huffman: Huffman::default(),
            from: From::Byte(0),
            size: 0,
            decoded: Vec::new(),
            streams: Default::default(),
            next: 0,
            count: 0,
            bits: None,
        }
    }

    /// Resets for a new frame.
    pub(super) fn clear(&mut self) {
        self.huffman.clear();
    }

    pub(super) fn memory(&self) -> usize {
        let decoded = self.decoded.capacity();
        decoded.saturating_add(self.huffman.memory())
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// `length` literals from `at` on.
    #[inline]
    pub(super) fn get<'l>(&'l self, body: &'l [u8], at: usize, length: usize) -> Option<Piece<'l>> {
        if length > self.size.checked_sub(at)? {
            return None;
        }
        let bytes = match self.from {
            From::Byte(byte) => return Some(Piece::Byte(byte, length)),
            From::Body(start) => body.get(start.wrapping_add(at)..),
            From::Packed => self.decoded.get(at..),
        };
        bytes.map(Piece::Bytes)
    }

    /// Begins the literals of the block at `block`; returns where they end.
    pub(super) fn begin(
        &mut self,
        body: &[u8],
        block: Range<usize>,
        meter: &mut Meter,
    ) -> Result<usize, Broken> {
        let raw = body.get(block.clone()).ok_or(Broken::Block)?;
        let first = *raw.first().ok_or(Broken::Block)?;
        let format = first >> 2 & 3;
        let packed = first & 2 != 0;
        let (header, width) = match (packed, format) {
            (false, 0 | 2) => (1_usize, 0),
            (false, 1) => (2, 12),
            (false, _) => (3, 20),
            (true, 0 | 1) => (3, 10),
            (true, 2) => (4, 14),
            (true, _) => (5, 18),
        };
        let bytes = raw.get(..header).ok_or(Broken::Block)?;
        let add = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
        let word = bytes.iter().rev().fold(0, add);
        let field = |shift: u32| {
            let value = word.wrapping_shr(shift) & 1_u64.wrapping_shl(width).wrapping_sub(1);
            usize::try_from(value).unwrap_or(usize::MAX)
        };
        let at = block.start.saturating_add(header);
        self.count = 0;
        self.size = if width == 0 {
            usize::from(first >> 3)
        } else {
            field(4)
        };
        let length = match (packed, first & 1 == 1) {
            (false, false) => self.size,
            (false, true) => 1,
            (true, _) => field(width.wrapping_add(4)),
        };
        let end = at.saturating_add(length);
        if end > block.end {
            return Err(Broken::Block);
        }
        match (packed, first & 1 == 1) {
            (false, false) => self.from = From::Body(at),
            (false, true) => {
                self.from = From::Byte(body.get(at).copied().unwrap_or_default());
            }
            (true, again) => {
                let start = if again {
                    at
                } else {
                    let source = body.get(at..end).ok_or(Broken::Block)?;
                    let taken = self.huffman.read(source, meter).ok_or(Broken::Block)?;
                    at.saturating_add(taken)
                };
                if self.huffman.is_empty() {
                    return Err(Broken::Block);
                }
                self.packed(body, start..end, format != 0)?;
            }
        }
        Ok(end)
    }

    fn packed(&mut self, body: &[u8], source: Range<usize>, four: bool) -> Result<(), Broken> {
        self.from = From::Packed;
        self.decoded.clear();
        let reserved = self.decoded.try_reserve(self.size);
        reserved.map_err(|_| Broken::Memory(NoMemory(self.size)))?;
        (self.next, self.count, self.bits) = (0, 1, None);
        if !four {
            self.streams = [source, 0..0, 0..0, 0..0];
            return Ok(());
        }
        let sizes = body.get(source.clone()).and_then(<[u8]>::first_chunk);
        let [a, b, c, d, e, f] = sizes.copied().ok_or(Broken::Block)?;
        let mut at = source.start.saturating_add(6);
        self.count = 4;
        let sizes = [[a, b], [c, d], [e, f]].map(|size| usize::from(u16::from_le_bytes(size)));
        for (stream, size) in self.streams.iter_mut().zip(sizes) {
            let end = at.saturating_add(size);
            *stream = at..end;
            at = end;
        }
        if at > source.end {
            return Err(Broken::Block);
        }
        if let Some(last) = self.streams.last_mut() {
            *last = at..source.end;
        }
        Ok(())
    }

    /// Decodes a piece. Returns whether all are decoded.
    pub(super) fn advance(&mut self, body: &[u8], meter: &mut Meter) -> Result<bool, Broken> {
        if self.next >= self.count {
            return Ok(true);
        }
        let stream = self.streams.get(self.next).cloned().unwrap_or_default();
        let stream = body.get(stream).ok_or(Broken::Block)?;
        let begun = self.bits.or_else(|| Reverse::new(stream));
        let mut bits = begun.ok_or(Broken::Block)?;
        // One more than allowed is enough to know.
        let most = self.size.saturating_add(1);
        let from = self.decoded.len();
        let until = from.saturating_add(meter.bytes(huffman::SYMBOL).min(PIECE));
        let until = until.min(most);
        self.huffman
            .decode(&mut bits, stream, &mut self.decoded, until);
        let count = self.decoded.len().saturating_sub(from);
        meter.spend_bytes(count.saturating_add(10), huffman::SYMBOL);
        self.bits = Some(bits);
        if self.decoded.len() > self.size {
            return Err(Broken::Block);
        }
        if bits.left() > 0 {
            return Ok(false);
        }
        if bits.left() < 0 && self.count == 4 {
            return Err(Broken::Block);
        }
        (self.next, self.bits) = (self.next.saturating_add(1), None);
        if self.next < self.count {
            return Ok(false);
        }
        if self.decoded.len() != self.size {
            return Err(Broken::Block);
        }
        Ok(true)
    }
}
