//! `br` (RFC 7932), a piece at a time: the stream and the headers of its metablocks.
//!
//! Not `BrotliDecompressStream` of the crate `brotli-decompressor`, which is the reference in the tests: it stops only when
//! its ring buffer is full, which can be 16 MiB of copies from a few bytes of input. Its dictionary and transforms are used.
//!
//! The parts: [`header`] reads codes, [`blocks`] knows which of them is used when, [`commands`] turns them into bytes,
//! literals according to their [`contexts`]. What follows the stream is ignored, as in Relay. Large windows, an extension of
//! the format, are not `br`.

mod blocks;
mod commands;
mod contexts;
mod dictionary;
mod header;

use self::blocks::{Blocks, ContextMap};
use self::commands::{Command, Distances};
use self::dictionary::Dictionary;
use self::header::MAX_ALPHABET;
use super::bits::Bits;
use super::output::Output;
use super::prefix::Codes;
use super::{Coding, Reason};
use crate::meter::Meter;

const BROKEN: Reason = Reason::Corrupt("not a brotli stream");

/// Costs, in units of a meter; measured.
const METABLOCK: u64 = 600;
/// A group of codes is cleared for each metablock; this many bytes cost one unit.
const CLEARED_PER_UNIT: usize = 16;
/// The most that is copied or skipped at once.
const PIECE: usize = 64 << 10;

/// Block counts: the least, and how many extra bits are read (section 6).
#[rustfmt::skip]
const COUNTS: [(usize, u32); 26] = [
    (1, 2), (5, 2), (9, 2), (13, 2), (17, 3), (25, 3), (33, 3), (41, 3), (49, 4), (65, 4), (81, 4), (97, 4),
    (113, 5), (145, 5), (177, 5), (209, 5), (241, 6), (305, 6), (369, 7), (497, 8), (753, 9), (1265, 10),
    (2289, 11), (4337, 12), (8433, 13), (16625, 24),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Dictionary,
    Metablock,
    /// Bytes without meaning, to be skipped.
    Skipped(usize),
    Stored,
    /// The context maps of literals and of distances.
    Maps,
    DistanceMap,
    /// Codes of literals, commands, distances, by their number.
    LiteralCodes(usize),
    CommandCodes(usize),
    DistanceCodes(usize),
    Commands,
    Done,
}

/// See the module's documentation.
pub(super) struct Br {
    bits: Bits,
    state: State,
    window: usize,
    last: bool,
    /// What is left of the metablock.
    left: usize,
    literals: Blocks,
    commands: Blocks,
    distances: Blocks,
    /// How the contexts of each type of literals are computed: section 7.1.
    modes: Vec<u8>,
    literal_map: ContextMap,
    distance_map: ContextMap,
    literal_codes: Codes,
    command_codes: Codes,
    distance_codes: Codes,
    offsets: Distances,
    command: Command,
    dictionary: Dictionary,
}

impl Br {
    pub(super) fn new() -> Self {
        Self {
            bits: Bits::default(),
            state: State::Start,
            window: 0,
            last: false,
            left: 0,
            literals: Blocks::default(),
            commands: Blocks::default(),
            distances: Blocks::default(),
            modes: Vec::new(),
            literal_map: ContextMap::default(),
            distance_map: ContextMap::default(),
            literal_codes: Codes::default(),
            command_codes: Codes::default(),
            distance_codes: Codes::default(),
            offsets: Distances::default(),
            command: Command::default(),
            dictionary: Dictionary::default(),
        }
    }
}

impl Coding for Br {
    fn restart(&mut self) {
        self.bits = Bits::default();
        self.state = State::Start;
        self.offsets = Distances::default();
    }

    fn memory(&self) -> usize {
        let blocks = [&self.literals, &self.commands, &self.distances];
        let maps = [&self.literal_map, &self.distance_map];
        let codes = [
            &self.literal_codes,
            &self.command_codes,
            &self.distance_codes,
        ];
        let blocks = blocks.map(Blocks::memory);
        let maps = maps.map(ContextMap::memory);
        let codes = codes.map(Codes::memory);
        let dictionary = self.dictionary.memory();
        let all = blocks.iter().chain(&maps).chain(&codes);
        all.fold(dictionary, |sum, part| sum.saturating_add(*part))
    }

    fn advance(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<bool, Reason> {
        output.check()?;
        match self.state {
            State::Start => {
                self.window = self.window(body)?;
                self.state = State::Dictionary;
            }
            State::Dictionary => {
                if self.dictionary.advance(meter)? {
                    self.state = State::Metablock;
                }
            }
            State::Metablock => {
                meter.spend(METABLOCK);
                self.metablock(body, meter)?;
            }
            State::Skipped(left) => self.skip(left, body, meter)?,
            State::Stored => self.stored(body, output, meter)?,
            State::Maps => {
                if self.literal_map.advance(&mut self.bits, body, meter)? {
                    let size = self.distances.types.wrapping_mul(4);
                    self.distance_map.begin(size, &mut self.bits, body, meter)?;
                    self.state = State::DistanceMap;
                }
            }
            State::DistanceMap => {
                if self.distance_map.advance(&mut self.bits, body, meter)? {
                    self.reset_codes(meter)?;
                    self.state = State::LiteralCodes(0);
                }
            }
            State::LiteralCodes(_) | State::CommandCodes(_) | State::DistanceCodes(_) => {
                self.code(body, meter)?;
            }
            State::Commands => {
                if self.run_commands(body, output, meter)? {
                    self.end_of_metablock()?;
                }
            }
            State::Done => return Ok(true),
        }
        Ok(false)
    }
}

impl Br {
    /// How far copies may go back: section 9.1.
    fn window(&mut self, body: &[u8]) -> Result<usize, Reason> {
        let mut log = 16;
        if self.bits.take(body, 1)? == 1 {
            log = match self.bits.take(body, 3)? {
                0 => match self.bits.take(body, 3)? {
                    0 => 17,
                    1 => return Err(BROKEN),
                    more => more.wrapping_add(8),
                },
                more => more.wrapping_add(17),
            };
        }
        let log = u32::try_from(log).map_err(|_| BROKEN)?;
        Ok(1_usize.wrapping_shl(log).wrapping_sub(16))
    }

    fn metablock(&mut self, body: &[u8], meter: &mut Meter) -> Result<(), Reason> {
        let bits = &mut self.bits;
        self.last = bits.take(body, 1)? == 1;
        if self.last && bits.take(body, 1)? == 1 {
            return self.end_of_metablock();
        }
        let nibbles = bits.take(body, 2)?.wrapping_add(4);
        if nibbles == 7 {
            return self.metadata(body);
        }
        let mut size = 0_usize;
        for nibble in 0..nibbles {
            let value = bits.take(body, 4)?;
            if nibble == 4 && nibbles == 5 && value == 0 || nibble == 5 && value == 0 {
                return Err(BROKEN);
            }
            let shift = u32::try_from(nibble).unwrap_or_default().wrapping_mul(4);
            size |= value.wrapping_shl(shift);
        }
        self.left = size.wrapping_add(1);
        if !self.last && bits.take(body, 1)? == 1 {
            if bits.align() != 0 {
                return Err(BROKEN);
            }
            bits.seek(bits.position());
            self.state = State::Stored;
            return Ok(());
        }
        self.command = Command::default();
        self.literals.begin(bits, body, meter)?;
        self.commands.begin(bits, body, meter)?;
        self.distances.begin(bits, body, meter)?;
        let postfix = u32::try_from(bits.take(body, 2)?).unwrap_or_default();
        let direct = bits.take(body, 4)?.wrapping_shl(postfix);
        self.offsets.set(postfix, direct);
        self.modes.clear();
        for _ in 0..self.literals.types {
            let mode = bits.take(body, 2)?;
            self.modes.push(u8::try_from(mode).unwrap_or_default());
        }
        meter.spend_bytes(self.literals.types, 20);
        let size = self.literals.types.wrapping_mul(64);
        self.literal_map.begin(size, bits, body, meter)?;
        self.state = State::Maps;
        Ok(())
    }

    /// A metablock without data: section 9.2.
    fn metadata(&mut self, body: &[u8]) -> Result<(), Reason> {
        let bits = &mut self.bits;
        if bits.take(body, 1)? == 1 {
            return Err(BROKEN);
        }
        let bytes = bits.take(body, 2)?;
        let mut size = 0_usize;
        for byte in 0..bytes {
            let value = bits.take(body, 8)?;
            if value == 0 && bytes > 1 && byte.wrapping_add(1) == bytes {
                return Err(BROKEN);
            }
            let shift = u32::try_from(byte).unwrap_or_default().wrapping_mul(8);
            size |= value.wrapping_shl(shift);
        }
        if bytes > 0 {
            size = size.wrapping_add(1);
        }
        if bits.align() != 0 {
            return Err(BROKEN);
        }
        bits.seek(bits.position());
        self.state = State::Skipped(size);
        Ok(())
    }

    fn skip(&mut self, left: usize, body: &[u8], meter: &mut Meter) -> Result<(), Reason> {
        meter.spend(1);
        let end = self.bits.position().saturating_add(left);
        if end > body.len() {
            return Err(Reason::Truncated);
        }
        self.bits.seek(end);
        self.end_of_metablock()
    }

    fn stored(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        let at = self.bits.position();
        let count = self.left.min(output.allowed()).min(PIECE);
        let rest = body.get(at..).unwrap_or_default();
        let bytes = rest.get(..count).unwrap_or(rest);
        output.room(bytes.len(), self.window, meter)?;
        output.extend(bytes, bytes.len());
        meter.spend_bytes(bytes.len().wrapping_add(64), 1);
        self.bits.seek(at.saturating_add(bytes.len()));
        if bytes.len() < count {
            return Err(Reason::Truncated);
        }
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.end_of_metablock()?;
        }
        Ok(())
    }

    fn end_of_metablock(&mut self) -> Result<(), Reason> {
        self.state = State::Metablock;
        if self.last {
            if self.bits.align() != 0 {
                return Err(BROKEN);
            }
            self.state = State::Done;
        }
        Ok(())
    }

    fn reset_codes(&mut self, meter: &mut Meter) -> Result<(), Reason> {
        self.literal_codes.reset(self.literal_map.codes, 256)?;
        self.command_codes
            .reset(self.commands.types, MAX_ALPHABET)?;
        let distances = self.offsets.alphabet();
        self.distance_codes
            .reset(self.distance_map.codes, distances)?;
        let codes = [
            &self.literal_codes,
            &self.command_codes,
            &self.distance_codes,
        ];
        for codes in codes {
            meter.spend_bytes(codes.memory().div_ceil(CLEARED_PER_UNIT), 1);
        }
        Ok(())
    }

    /// Reads the next code.
    fn code(&mut self, body: &[u8], meter: &mut Meter) -> Result<(), Reason> {
        let (codes, index, count) = match self.state {
            State::LiteralCodes(index) => (&mut self.literal_codes, index, self.literal_map.codes),
            State::CommandCodes(index) => (&mut self.command_codes, index, self.commands.types),
            State::DistanceCodes(index) => {
                (&mut self.distance_codes, index, self.distance_map.codes)
            }
            _ => return Err(BROKEN),
        };
        header::code(&mut self.bits, body, codes, index, meter)?;
        let next = index.wrapping_add(1);
        self.state = match self.state {
            State::LiteralCodes(_) if next < count => State::LiteralCodes(next),
            State::LiteralCodes(_) => State::CommandCodes(0),
            State::CommandCodes(_) if next < count => State::CommandCodes(next),
            State::CommandCodes(_) => State::DistanceCodes(0),
            _ if next < count => State::DistanceCodes(next),
            _ => State::Commands,
        };
        Ok(())
    }
}
