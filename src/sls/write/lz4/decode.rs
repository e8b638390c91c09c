//! Decodes one LZ4 block in steps.
//!
//! The size of the output is known and never exceeded; a block that does not match it is [`Corrupt`].

use super::MIN_MATCH;
use crate::meter::Meter;
use std::task::Poll;

/// The most that is copied at once.
const PIECE: usize = 1 << 20;
/// Units for a token, for a byte of a length, and for starting a copy.
const TOKEN: u64 = 180;
const LENGTH: u64 = 60;
const COPY: u64 = 130;

/// The block cannot be decoded, or there is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an LZ4 block of that size")]
pub struct Corrupt;

#[derive(Clone, Copy, Debug)]
enum Stage {
    Token,
    /// The first number is the length so far, the other half of the token goes with it.
    LiteralLength(usize, usize),
    Literals(usize, usize),
    Distance(usize),
    MatchLength(usize, usize),
    Match(usize, usize),
}

/// See the module's documentation.
pub struct Decoder {
    out: Vec<u8>,
    size: usize,
    at: usize,
    stage: Stage,
}

impl std::fmt::Debug for Decoder {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({} of {} bytes)", self.out.len(), self.size)
    }
}

impl Decoder {
    /// `size` is the size of the output.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self {
            out: Vec::new(),
            size,
            at: 0,
            stage: Stage::Token,
        }
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.out.capacity()
    }

    /// Continues with `block`, the same at every step, and returns the decompressed bytes at the end.
    pub fn step(&mut self, block: &[u8], meter: &mut Meter) -> Poll<Result<Vec<u8>, Corrupt>> {
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            match self.advance(block, meter) {
                Some(true) => return Poll::Ready(Ok(std::mem::take(&mut self.out))),
                Some(false) => {}
                None => return Poll::Ready(Err(Corrupt)),
            }
        }
    }

    /// One stage of a sequence, or a piece of it; returns whether the block is at its end. `None` if it is corrupt.
    fn advance(&mut self, block: &[u8], meter: &mut Meter) -> Option<bool> {
        self.stage = match self.stage {
            Stage::Token => {
                if self.out.capacity() < self.size {
                    self.out.try_reserve_exact(self.size).ok()?;
                }
                meter.spend(TOKEN);
                let token = usize::from(self.byte(block)?);
                let (literals, length) = (token >> 4, token & 15);
                match literals {
                    15 => Stage::LiteralLength(literals, length),
                    _ => Stage::Literals(literals, length),
                }
            }
            Stage::LiteralLength(literals, length) => {
                meter.spend(LENGTH);
                let more = self.byte(block)?;
                let literals = literals.checked_add(usize::from(more))?;
                match more {
                    0xFF => Stage::LiteralLength(literals, length),
                    _ => Stage::Literals(literals, length),
                }
            }
            Stage::Literals(literals, length) => {
                let piece = literals.min(PIECE);
                self.fits(piece)?;
                let end = self.at.checked_add(piece)?;
                self.out.extend_from_slice(block.get(self.at..end)?);
                self.at = end;
                spend_copy(piece, meter);
                match literals.saturating_sub(piece) {
                    0 if end == block.len() => {
                        return (self.out.len() == self.size).then_some(true);
                    }
                    0 => Stage::Distance(length),
                    rest => Stage::Literals(rest, length),
                }
            }
            Stage::Distance(length) => {
                let distance = u16::from_le_bytes([self.byte(block)?, self.byte(block)?]);
                let distance = usize::from(distance);
                if distance == 0 || distance > self.out.len() {
                    return None;
                }
                match length {
                    15 => Stage::MatchLength(length, distance),
                    _ => Stage::Match(length.checked_add(MIN_MATCH)?, distance),
                }
            }
            Stage::MatchLength(length, distance) => {
                meter.spend(LENGTH);
                let more = self.byte(block)?;
                let length = length.checked_add(usize::from(more))?;
                match more {
                    0xFF => Stage::MatchLength(length, distance),
                    _ => Stage::Match(length.checked_add(MIN_MATCH)?, distance),
                }
            }
            Stage::Match(length, distance) => {
                let piece = length.min(PIECE);
                self.fits(piece)?;
                self.repeat(piece, distance, meter);
                match length.saturating_sub(piece) {
                    0 => Stage::Token,
                    rest => Stage::Match(rest, distance),
                }
            }
        };
        Some(false)
    }

    /// Copies from `distance` bytes back. A match may overlap itself: what it has produced can be copied too, so each copy is
    /// twice as long as the one before.
    fn repeat(&mut self, length: usize, distance: usize, meter: &mut Meter) {
        let start = self.out.len().saturating_sub(distance);
        let mut left = length;
        while left > 0 {
            let piece = left.min(self.out.len().saturating_sub(start));
            let Some(end) = start.checked_add(piece).filter(|_| piece > 0) else {
                return;
            };
            self.out.extend_from_within(start..end);
            spend_copy(piece, meter);
            left = left.saturating_sub(piece);
        }
    }

    fn byte(&mut self, block: &[u8]) -> Option<u8> {
        let byte = *block.get(self.at)?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn fits(&self, more: usize) -> Option<()> {
        (more <= self.size.saturating_sub(self.out.len())).then_some(())
    }
}

fn spend_copy(bytes: usize, meter: &mut Meter) {
    meter.spend(COPY);
    meter.spend_bytes(bytes / 16, 1);
}
