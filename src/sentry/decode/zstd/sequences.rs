//! The sequences of a block (RFC 8878, section 3.1.1.3.2): a number of literals, then a copy. Each is executed as it is read.

use std::ops::Range;

use super::Broken;
use super::fse::{self, Fse, State};
use super::literals::{Literals, Piece};
use super::reverse::Reverse;
use crate::meter::Meter;
use crate::sentry::decode::output::Output;

/// Costs, in units of a meter; measured.
const SEQUENCE: u64 = 800;
/// How much is worked on at once.
const PIECE: u64 = 64_000;

/// One of the three codes of a sequence.
struct Kind {
    symbols: usize,
    max_log: u8,
    /// The table that needs no description: RFC 8878, section 3.1.1.3.2.2.
    predefined: (&'static [i16], u8),
}

const LITERAL_LENGTHS: Kind = Kind {
    symbols: 36,
    max_log: 9,
    predefined: (
        &[
            4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1,
            1, 1, 1, -1, -1, -1, -1,
        ],
        6,
    ),
};
const OFFSETS: Kind = Kind {
    symbols: 32,
    max_log: 8,
    predefined: (
        &[
            1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1,
            -1,
        ],
        5,
    ),
};
const COPY_LENGTHS: Kind = Kind {
    symbols: 53,
    max_log: 9,
    predefined: (
        &[
            1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
            1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
        ],
        6,
    ),
};

/// A table, and whether it is the predefined one, which need not be built again.
#[derive(Default)]
struct Table {
    fse: Fse,
    predefined: bool,
    empty: bool,
}

impl Table {
    fn clear(&mut self) {
        self.fse.clear();
        (self.predefined, self.empty) = (false, true);
    }

    /// Sets the table according to a block's `mode`; returns how many bytes of its description that took.
    fn set(&mut self, mode: u8, kind: &Kind, raw: &[u8], meter: &mut Meter) -> Option<usize> {
        match mode {
            0 if self.predefined => Some(0),
            0 => {
                let (counts, log) = kind.predefined;
                meter.spend(fse::cost(log));
                self.fse.build(counts, log)?;
                (self.predefined, self.empty) = (true, false);
                Some(0)
            }
            1 => {
                let symbol = *raw.first()?;
                if usize::from(symbol) >= kind.symbols {
                    return None;
                }
                self.fse.single(symbol);
                (self.predefined, self.empty) = (false, false);
                Some(1)
            }
            2 => {
                meter.spend(fse::cost(kind.max_log));
                (self.predefined, self.empty) = (false, false);
                self.fse.read(raw, kind.symbols, kind.max_log)
            }
            _ => (!self.empty).then_some(0),
        }
    }
}

/// How far a sequence may reach.
pub(super) struct Reach {
    /// The frame's window, and how much of it existed when the block began.
    pub(super) window: usize,
    pub(super) before: usize,
    /// The most bytes of a block.
    pub(super) most: usize,
}

/// See the module's documentation.
pub(super) struct Sequences {
    literal_lengths: Table,
    offsets: Table,
    copy_lengths: Table,
    /// The last three offsets.
    recent: [u32; 3],
    stream: Range<usize>,
    bits: Reverse,
    states: [State; 3],
    left: u32,
    /// Literals used and bytes decoded.
    literals: usize,
    decoded: usize,
}

impl Sequences {
    pub(super) fn new() -> Self {
        Self {
            literal_lengths: Table::default(),
            offsets: Table::default(),
            copy_lengths: Table::default(),
            recent: [1, 4, 8],
            stream: 0..0,
            bits: Reverse::default(),
            states: [State::default(); 3],
            left: 0,
            literals: 0,
            decoded: 0,
        }
    }

    /// Resets for a new frame.
    pub(super) fn clear(&mut self) {
        self.literal_lengths.clear();
        self.offsets.clear();
        self.copy_lengths.clear();
        self.recent = [1, 4, 8];
    }

    pub(super) fn memory(&self) -> usize {
        let tables = [&self.literal_lengths, &self.offsets, &self.copy_lengths];
        tables.iter().map(|table| table.fse.memory()).sum()
    }

    /// Begins the sequences of a block.
    pub(super) fn begin(
        &mut self,
        body: &[u8],
        section: Range<usize>,
        meter: &mut Meter,
    ) -> Option<()> {
        let raw = body.get(section.clone())?;
        (self.literals, self.decoded) = (0, 0);
        let (count, header) = match *raw {
            [0, ..] => (0, 1),
            [255, a, b, _, ..] => (
                u32::from(u16::from_le_bytes([a, b])).wrapping_add(0x7f00),
                3,
            ),
            [255, ..] => return None,
            [a @ 128..=255, b, ..] => (u32::from(u16::from_be_bytes([a & 127, b])), 2),
            [a, ..] => (u32::from(a), 1),
            _ => return None,
        };
        self.left = count;
        let rest = raw.get(header..)?;
        if count == 0 {
            return rest.is_empty().then_some(());
        }
        let (modes, mut rest) = rest.split_first()?;
        for (table, kind, shift) in [
            (&mut self.literal_lengths, LITERAL_LENGTHS, 6),
            (&mut self.offsets, OFFSETS, 4),
            (&mut self.copy_lengths, COPY_LENGTHS, 2),
        ] {
            let taken = table.set(modes.wrapping_shr(shift) & 3, &kind, rest, meter)?;
            rest = rest.get(taken..)?;
        }
        self.stream = section.end.checked_sub(rest.len())?..section.end;
        let mut bits = Reverse::new(rest)?;
        // The order matters.
        let literals = self.literal_lengths.fse.first(&mut bits, rest)?;
        let offset = self.offsets.fse.first(&mut bits, rest)?;
        let copy = self.copy_lengths.fse.first(&mut bits, rest)?;
        (self.states, self.bits) = ([literals, offset, copy], bits);
        Some(())
    }

    /// Executes some. Returns whether those were all.
    pub(super) fn advance(
        &mut self,
        body: &[u8],
        literals: &Literals,
        reach: &Reach,
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<bool, Broken> {
        let stream = body.get(self.stream.clone()).ok_or(Broken::Block)?;
        let allowance = u64::try_from(meter.bytes(1)).unwrap_or(PIECE).min(PIECE);
        let mut cost = 0_u64;
        let result = loop {
            if self.left == 0 {
                break self
                    .rest(body, literals, reach, output, meter)
                    .map(|()| true);
            }
            if cost >= allowance {
                break Ok(false);
            }
            match self.one(stream, body, literals, reach, output, meter) {
                Ok(bytes) => cost = cost.wrapping_add(SEQUENCE).wrapping_add(bytes),
                Err(broken) => break Err(broken),
            }
        };
        meter.spend(cost.saturating_add(SEQUENCE));
        result
    }

    #[inline]
    fn one(
        &mut self,
        stream: &[u8],
        body: &[u8],
        literals: &Literals,
        reach: &Reach,
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<u64, Broken> {
        let (literal, offset, copy) = self.read(stream).ok_or(Broken::Block)?;
        let decoded = self.decoded.saturating_add(literal).saturating_add(copy);
        if decoded > reach.most {
            return Err(Broken::Block);
        }
        let piece = literals.get(body, self.literals, literal);
        let keep = reach.window.saturating_add(self.decoded);
        output
            .room(literal.saturating_add(copy), keep, meter)
            .map_err(Broken::from)?;
        push(piece.ok_or(Broken::Block)?, literal, output);
        self.literals = self.literals.wrapping_add(literal);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let seen = reach
            .before
            .saturating_add(self.decoded)
            .saturating_add(literal);
        if offset == 0 || offset > seen || !output.copy(offset, copy) {
            return Err(Broken::Block);
        }
        self.decoded = decoded;
        Ok(u64::try_from(literal.wrapping_add(copy)).unwrap_or(u64::MAX))
    }

    /// Reads a sequence: literals, offset, length of the copy.
    #[inline]
    fn read(&mut self, stream: &[u8]) -> Option<(usize, u32, usize)> {
        let bits = &mut self.bits;
        let [literal, offset, copy] = self.states;
        let (literal_base, literal_bits) = *LITERAL_CODES.get(usize::from(literal.symbol))?;
        let (copy_base, copy_bits) = *COPY_CODES.get(usize::from(copy.symbol))?;
        let power = 1_u32.wrapping_shl(offset.symbol.into());
        let value = power.wrapping_add(bits.take(stream, offset.symbol));
        let length = copy_base.wrapping_add(bits.take(stream, copy_bits));
        let literals = literal_base.wrapping_add(bits.take(stream, literal_bits));
        self.left = self.left.wrapping_sub(1);
        if self.left > 0 {
            let literal = self.literal_lengths.fse.next(literal, bits, stream)?;
            let copy = self.copy_lengths.fse.next(copy, bits, stream)?;
            let offset = self.offsets.fse.next(offset, bits, stream)?;
            self.states = [literal, offset, copy];
        }
        let left = bits.left();
        if left < 0 || left > 0 && self.left == 0 {
            return None;
        }
        let offset = self.offset(value, literals == 0);
        let literals = usize::try_from(literals).ok()?;
        Some((literals, offset, usize::try_from(length).ok()?))
    }

    /// What an offset's value means: RFC 8878, section 3.1.1.5.
    fn offset(&mut self, value: u32, no_literals: bool) -> u32 {
        let [first, second, third] = self.recent;
        let index = value.wrapping_add(u32::from(no_literals));
        let (offset, recent) = match index {
            1 if !no_literals => (first, self.recent),
            2 if value <= 3 => (second, [second, first, third]),
            3 if value <= 3 => (third, [third, first, second]),
            4 if value <= 3 => {
                let offset = first.saturating_sub(1);
                (offset, [offset, first, second])
            }
            _ => {
                let offset = value.wrapping_sub(3);
                (offset, [offset, first, second])
            }
        };
        self.recent = recent;
        offset
    }

    /// The literals after the last sequence.
    fn rest(
        &mut self,
        body: &[u8],
        literals: &Literals,
        reach: &Reach,
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<(), Broken> {
        let left = literals.size().saturating_sub(self.literals);
        let keep = reach.window.saturating_add(self.decoded);
        output.room(left, keep, meter).map_err(Broken::from)?;
        let piece = literals.get(body, self.literals, left);
        push(piece.ok_or(Broken::Block)?, left, output);
        meter.spend(u64::try_from(left).unwrap_or(u64::MAX));
        Ok(())
    }
}

#[inline]
fn push(piece: Piece<'_>, length: usize, output: &mut Output) {
    match piece {
        Piece::Bytes(bytes) => output.extend(bytes, length),
        Piece::Byte(byte, count) => output.fill(byte, count),
    }
}

/// Codes of literal lengths: the least length, and how many extra bits are read.
#[rustfmt::skip]
const LITERAL_CODES: [(u32, u8); 36] = [
    (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0),
    (12, 0), (13, 0), (14, 0), (15, 0), (16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3),
    (40, 3), (48, 4), (64, 6), (128, 7), (256, 8), (512, 9), (1024, 10), (2048, 11), (4096, 12),
    (8192, 13), (16384, 14), (32768, 15), (65536, 16),
];

/// The same for copies.
#[rustfmt::skip]
const COPY_CODES: [(u32, u8); 53] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0), (14, 0),
    (15, 0), (16, 0), (17, 0), (18, 0), (19, 0), (20, 0), (21, 0), (22, 0), (23, 0), (24, 0), (25, 0),
    (26, 0), (27, 0), (28, 0), (29, 0), (30, 0), (31, 0), (32, 0), (33, 0), (34, 0), (35, 1), (37, 1),
    (39, 1), (41, 1), (43, 2), (47, 2), (51, 3), (59, 3), (67, 4), (83, 4), (99, 5), (131, 7), (259, 8),
    (515, 9), (1027, 10), (2051, 11), (4099, 12), (8195, 13), (16387, 14), (32771, 15), (65539, 16),
];
