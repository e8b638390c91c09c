//! `zstd` (RFC 8878), a piece at a time: frames and their blocks.
//!
//! Not the crate `ruzstd`, which is the reference in the tests: it decodes a block as a whole. A block of 128 KiB can take 40
//! million instructions, and it makes overlapping copies byte by byte.
//!
//! The parts: [`literals`] and [`sequences`] of a block, [`fse`] and [`huffman`] codes, [`reverse`] bits.

mod fse;
mod huffman;
mod literals;
mod reverse;
mod sequences;

use std::hash::Hasher;

use twox_hash::XxHash64;

use self::literals::Literals;
use self::sequences::{Reach, Sequences};
use super::output::Output;
use super::{Coding, MAX_MEMBERS, MAX_WINDOW, Reason};
use crate::meter::Meter;

/// The most bytes of a block, compressed or not.
const MAX_BLOCK: usize = 128 << 10;

/// Costs, in units of a meter; measured.
const FRAME: u64 = 500;
const BLOCK: u64 = 400;
const HASH_BYTE: u64 = 4;
/// Bytes hashed at once.
const HASHED: usize = 64 << 10;

/// Why a block cannot be decoded.
enum Broken {
    Block,
    Memory(NoMemory),
}

/// For this many bytes.
struct NoMemory(usize);

impl From<Reason> for Broken {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NoMemory(bytes) => Self::Memory(NoMemory(bytes)),
            _ => Self::Block,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between frames.
    Frame,
    /// Between blocks.
    Block,
    Literals,
    Sequences,
    /// Hashing what the last block decoded to.
    Hash,
}

/// See the module's documentation.
pub(super) struct Zstd {
    state: State,
    at: usize,
    frames: u32,
    window: usize,
    checksum: bool,
    last: bool,
    /// Where the block and its literals end.
    block_end: usize,
    literals_end: usize,
    /// Bytes decoded when the frame and the block began, and how far they have been hashed.
    frame_from: usize,
    block_from: usize,
    hashed: usize,
    expected: u32,
    hash: XxHash64,
    literals: Literals,
    sequences: Sequences,
}

impl Zstd {
    pub(super) fn new() -> Self {
        Self {
            state: State::Frame,
            at: 0,
            frames: 0,
            window: 0,
            checksum: false,
            last: false,
            block_end: 0,
            literals_end: 0,
            frame_from: 0,
            block_from: 0,
            hashed: 0,
            expected: 0,
            hash: XxHash64::with_seed(0),
            literals: Literals::new(),
            sequences: Sequences::new(),
        }
    }
}

impl Coding for Zstd {
    fn restart(&mut self) {
        (self.state, self.at, self.frames) = (State::Frame, 0, 0);
    }

    fn memory(&self) -> usize {
        let literals = self.literals.memory();
        literals.saturating_add(self.sequences.memory())
    }

    fn advance(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<bool, Reason> {
        match self.state {
            State::Frame => {
                if self.frames == MAX_MEMBERS {
                    return Err(Reason::Corrupt("too many zstd frames"));
                }
                if self.at >= body.len() {
                    return Ok(true);
                }
                self.frames = self.frames.saturating_add(1);
                meter.spend(FRAME);
                self.frame(body, output)?;
            }
            State::Block => {
                meter.spend(BLOCK);
                self.block(body, output, meter)?;
            }
            State::Literals => match self.literals.advance(body, meter) {
                Ok(false) => {}
                Ok(true) => {
                    let section = self.literals_end..self.block_end;
                    let begun = self.sequences.begin(body, section, meter);
                    begun.ok_or_else(|| self.broken(Broken::Block, body))?;
                    self.state = State::Sequences;
                }
                Err(broken) => return Err(self.broken(broken, body)),
            },
            State::Sequences => {
                let before = self.block_from.saturating_sub(self.frame_from);
                let reach = Reach {
                    window: self.window,
                    before: before.min(self.window),
                    most: self.window.min(MAX_BLOCK),
                };
                let literals = &self.literals;
                let sequences = &mut self.sequences;
                match sequences.advance(body, literals, &reach, output, meter) {
                    Ok(true) => self.end_of_block(body, output)?,
                    Ok(false) => {}
                    Err(broken) => return Err(self.broken(broken, body)),
                }
            }
            State::Hash => self.hash(output, meter)?,
        }
        Ok(false)
    }
}

impl Zstd {
    /// What is wrong with a broken block: it may only be cut off.
    fn broken(&self, broken: Broken, body: &[u8]) -> Reason {
        match broken {
            Broken::Memory(NoMemory(bytes)) => Reason::NoMemory(bytes),
            Broken::Block if self.at >= body.len() => Reason::Truncated,
            Broken::Block => Reason::Corrupt("zstd block"),
        }
    }

    /// Reads the header of a frame, or a whole skippable frame.
    fn frame(&mut self, body: &[u8], output: &Output) -> Result<(), Reason> {
        const MAGIC: u32 = 0xfd2f_b528;
        const SKIPPABLE: u32 = 0x184d_2a50;

        let magic = u32::from_le_bytes(self.take(body)?);
        if magic & !15 == SKIPPABLE {
            let length = u32::from_le_bytes(self.take(body)?);
            let length = usize::try_from(length).map_err(|_| Reason::Truncated)?;
            self.at = self.at.saturating_add(length);
            return if self.at > body.len() {
                Err(Reason::Truncated)
            } else {
                Ok(())
            };
        }
        if magic != MAGIC {
            return Err(self.not_a_frame(body));
        }
        let [descriptor] = self.take(body)?;
        let single = descriptor & 0x20 != 0;
        let mut window = None;
        if !single {
            let [byte] = self.take(body)?;
            let base = 1_u64.wrapping_shl(u32::from(byte >> 3).wrapping_add(10));
            let part = (base >> 3).wrapping_mul(u64::from(byte & 7));
            window = Some(base.wrapping_add(part));
            // The largest value that can be written is not allowed.
            if byte == u8::MAX {
                window = None;
            }
        }
        let dictionary = match descriptor & 3 {
            0 => 0,
            1 => u32::from(self.take::<1>(body)?[0]),
            2 => u32::from(u16::from_le_bytes(self.take(body)?)),
            _ => u32::from_le_bytes(self.take(body)?),
        };
        let size = match descriptor >> 6 {
            0 if single => u64::from(self.take::<1>(body)?[0]),
            0 => 0,
            1 => u64::from(u16::from_le_bytes(self.take(body)?)).wrapping_add(256),
            2 => u64::from(u32::from_le_bytes(self.take(body)?)),
            _ => u64::from_le_bytes(self.take(body)?),
        };
        let window = if single { Some(size) } else { window };
        let window = window.ok_or_else(|| self.not_a_frame(body))?;
        if window > MAX_WINDOW {
            return Err(Reason::Window);
        }
        if dictionary != 0 {
            return Err(self.not_a_frame(body));
        }
        self.window = usize::try_from(window).unwrap_or(usize::MAX);
        self.checksum = descriptor & 4 != 0;
        (self.frame_from, self.hashed) = (output.len(), output.len());
        self.hash = XxHash64::with_seed(0);
        self.literals.clear();
        self.sequences.clear();
        self.state = State::Block;
        Ok(())
    }

    fn not_a_frame(&self, body: &[u8]) -> Reason {
        if self.at >= body.len() {
            Reason::Truncated
        } else {
            Reason::Corrupt("not a zstd frame")
        }
    }

    fn block(&mut self, body: &[u8], output: &mut Output, meter: &mut Meter) -> Result<(), Reason> {
        let [a, b, c] = self.take(body)?;
        self.last = a & 1 == 1;
        let size = u32::from_le_bytes([a, b, c, 0]) >> 3;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let most = self.window.min(MAX_BLOCK);
        self.block_from = output.len();
        match a >> 1 & 3 {
            0 if size <= most => {
                let bytes = self.content(body, size)?;
                output.room(size, self.window, meter)?;
                output.extend(bytes, size);
                meter.spend_bytes(size, 1);
                self.end_of_block(body, output)
            }
            1 if size <= most => {
                let byte = self.content(body, 1)?.first().copied();
                output.room(size, self.window, meter)?;
                output.fill(byte.unwrap_or_default(), size);
                meter.spend_bytes(size, 1);
                self.end_of_block(body, output)
            }
            2 if size <= MAX_BLOCK => {
                let from = self.at;
                self.content(body, size)?;
                self.block_end = self.at;
                let block = from..self.block_end;
                let literals = self.literals.begin(body, block, meter);
                self.literals_end = literals.map_err(|broken| self.broken(broken, body))?;
                self.state = State::Literals;
                Ok(())
            }
            _ => Err(self.broken(Broken::Block, body)),
        }
    }

    fn content<'b>(&mut self, body: &'b [u8], size: usize) -> Result<&'b [u8], Reason> {
        let end = self.at.saturating_add(size);
        let content = body.get(self.at..end).ok_or(Reason::Truncated)?;
        self.at = end;
        Ok(content)
    }

    fn end_of_block(&mut self, body: &[u8], output: &mut Output) -> Result<(), Reason> {
        if self.last && self.checksum {
            self.expected = u32::from_le_bytes(self.take(body)?);
        }
        output.check()?;
        self.state = State::Hash;
        Ok(())
    }

    /// Hashes a piece of the block, and continues when that is done.
    fn hash(&mut self, output: &Output, meter: &mut Meter) -> Result<(), Reason> {
        if self.checksum && !output.second() {
            let rest = output.since(self.hashed);
            let count = meter.bytes(HASH_BYTE).min(HASHED);
            let piece = rest.get(..count).unwrap_or(rest);
            self.hash.write(piece);
            meter.spend_bytes(piece.len(), HASH_BYTE);
            self.hashed = self.hashed.saturating_add(piece.len());
            if self.hashed < output.len() {
                return Ok(());
            }
            // The lower half of the hash.
            let hash = self.hash.finish() & u64::from(u32::MAX);
            if self.last && hash != u64::from(self.expected) {
                return Err(Reason::Corrupt("zstd checksum"));
            }
        }
        self.state = if self.last {
            State::Frame
        } else {
            State::Block
        };
        Ok(())
    }

    fn take<const N: usize>(&mut self, body: &[u8]) -> Result<[u8; N], Reason> {
        let rest = body.get(self.at..).and_then(<[u8]>::first_chunk::<N>);
        self.at = self.at.saturating_add(N);
        rest.copied().ok_or(Reason::Truncated)
    }
}
