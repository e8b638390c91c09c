//! A deflate stream (RFC 1951), a piece at a time.
//!
//! Not the crate `flate2`, which the rest of the module uses anyway: it cannot tell when a block begins. A block of seven
//! bytes that decodes to nothing takes thousands of instructions, and these must be charged.

use super::Reason;
use super::bits::Bits;
use super::output::Output;
use super::prefix::{BUILD, BUILD_SYMBOL, Code, Codes, Fit, LONG_CODE};
use crate::meter::Meter;

/// How far back copies go.
const WINDOW: usize = 32 << 10;
/// The longest copy.
const LONGEST_COPY: usize = 258;

/// Costs, in units of a meter; measured.
const HEADER: u64 = 650;
const HEADER_SYMBOL: u64 = 150;
const LITERAL: u64 = 90;
const COPY: u64 = 360;
/// How much is worked on at once.
const PIECE: usize = 16 << 10;
const LONG_CODES: u64 = 300;
/// The cost of beginning and ending a piece.
const RUN: u64 = 300;

const BROKEN: Reason = Reason::Corrupt("not a deflate stream");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between blocks.
    Block,
    Stored(usize),
    Coded,
    Done,
}

/// See the module's documentation.
pub(super) struct Inflate {
    bits: Bits,
    state: State,
    last: bool,
    /// How much had been decoded before this stream; copies cannot reach it.
    before: usize,
    literals: Codes,
    distances: Codes,
    /// Whether the codes are those of RFC 1951, section 3.2.6.
    fixed: bool,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Self {
            bits: Bits::default(),
            state: State::Done,
            last: false,
            before: 0,
            literals: Codes::default(),
            distances: Codes::default(),
            fixed: false,
        }
    }

    /// Begins a stream at a position in the body.
    pub(super) fn begin(&mut self, at: usize, output: &Output) {
        self.bits = Bits::new(at);
        (self.state, self.last, self.before) = (State::Block, false, output.len());
    }

    /// Memory held.
    pub(super) fn memory(&self) -> usize {
        self.literals
            .memory()
            .saturating_add(self.distances.memory())
    }

    /// Decodes a piece. At the end of the stream, returns where the body continues.
    pub(super) fn advance(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<Option<usize>, Reason> {
        output.check()?;
        match self.state {
            State::Block => self.header(body, meter)?,
            State::Stored(left) => self.stored(left, body, output, meter)?,
            State::Coded => self.coded(body, output, meter)?,
            State::Done => return Ok(Some(self.bits.position())),
        }
        Ok(None)
    }

    fn end_of_block(&mut self) {
        self.state = if self.last { State::Done } else { State::Block };
    }

    fn header(&mut self, body: &[u8], meter: &mut Meter) -> Result<(), Reason> {
        meter.spend(HEADER);
        self.last = self.bits.take(body, 1)? == 1;
        match self.bits.take(body, 2)? {
            0 => {
                self.bits.align();
                let length = self.bits.take(body, 16)?;
                let check = self.bits.take(body, 16)?;
                if length ^ check != 0xffff {
                    return Err(BROKEN);
                }
                self.bits.seek(self.bits.position());
                self.state = State::Stored(length);
            }
            1 => {
                self.fixed_codes(meter)?;
                self.state = State::Coded;
            }
            2 => {
                self.dynamic_codes(body, meter)?;
                self.state = State::Coded;
            }
            _ => return Err(BROKEN),
        }
        Ok(())
    }

    fn fixed_codes(&mut self, meter: &mut Meter) -> Result<(), Reason> {
        if self.fixed {
            return Ok(());
        }
        let mut lengths = [8; 288];
        for (symbol, length) in lengths.iter_mut().enumerate() {
            *length = match symbol {
                0..144 | 280.. => 8,
                144..256 => 9,
                256..280 => 7,
            };
        }
        self.build(&lengths, &[5; 32], meter)?;
        self.fixed = true;
        Ok(())
    }

    fn build(
        &mut self,
        literals: &[u8],
        distances: &[u8],
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        let symbols = literals.len().saturating_add(distances.len());
        meter.spend(BUILD.saturating_mul(2));
        meter.spend_bytes(symbols, BUILD_SYMBOL);
        self.fixed = false;
        self.literals.reset(1, 288)?;
        self.distances.reset(1, 32)?;
        for (codes, lengths) in [
            (&mut self.literals, literals),
            (&mut self.distances, distances),
        ] {
            // One code of one bit, or none, is allowed: a block without copies has that.
            match codes.build(0, lengths) {
                Some(Fit::Complete | Fit::Incomplete { longest: 0 | 1 }) => {}
                _ => return Err(BROKEN),
            }
        }
        Ok(())
    }

    fn dynamic_codes(&mut self, body: &[u8], meter: &mut Meter) -> Result<(), Reason> {
        /// The order in which the lengths of the code for lengths are sent.
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = self.bits.take(body, 5)?.wrapping_add(257);
        let distances = self.bits.take(body, 5)?.wrapping_add(1);
        let sent = self.bits.take(body, 4)?.wrapping_add(4);
        if literals > 286 || distances > 30 {
            return Err(BROKEN);
        }
        let mut lengths = [0_u8; 19];
        for index in ORDER.iter().take(sent) {
            let length = self.bits.take(body, 3)?;
            if let Some(place) = lengths.get_mut(*index) {
                *place = u8::try_from(length).unwrap_or_default();
            }
        }
        // Its place is reused for the distances.
        meter.spend(BUILD);
        self.fixed = false;
        self.distances.reset(1, 32)?;
        if self.distances.build(0, &lengths) != Some(Fit::Complete) {
            return Err(BROKEN);
        }
        let mut lengths = [0_u8; 286 + 30];
        let total = literals.wrapping_add(distances);
        let lengths = lengths.get_mut(..total).unwrap_or_default();
        let symbols = self.read_lengths(body, lengths);
        meter.spend_bytes(*symbols.as_ref().unwrap_or(&total), HEADER_SYMBOL);
        symbols?;
        let (literals, distances) = lengths.split_at(literals);
        self.build(literals, distances, meter)
    }

    /// Reads the lengths of the codes; returns how many symbols that took.
    fn read_lengths(&mut self, body: &[u8], lengths: &mut [u8]) -> Result<usize, Reason> {
        let code = self.distances.get(0).ok_or(BROKEN)?;
        let (mut at, mut symbols, mut before) = (0_usize, 0_usize, None);
        while at < lengths.len() {
            symbols = symbols.wrapping_add(1);
            self.bits.fill(body);
            let symbol = code.read(&mut self.bits)?.ok_or(BROKEN)?;
            let (value, count) = match symbol {
                0..16 => (u8::try_from(symbol).unwrap_or_default(), 1),
                16 => {
                    let value = before.ok_or(BROKEN)?;
                    (value, self.bits.take_filled(2)?.wrapping_add(3))
                }
                17 => (0, self.bits.take_filled(3)?.wrapping_add(3)),
                _ => (0, self.bits.take_filled(7)?.wrapping_add(11)),
            };
            let end = at.wrapping_add(count);
            lengths.get_mut(at..end).ok_or(BROKEN)?.fill(value);
            (at, before) = (end, Some(value));
        }
        Ok(symbols)
    }

    fn stored(
        &mut self,
        left: usize,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        let at = self.bits.position();
        let count = left.min(output.allowed());
        let bytes = body.get(at..).unwrap_or_default();
        let bytes = bytes.get(..count).unwrap_or(bytes);
        output.room(bytes.len(), WINDOW, meter)?;
        output.extend(bytes, bytes.len());
        meter.spend_bytes(bytes.len().wrapping_add(64), 1);
        self.bits.seek(at.wrapping_add(bytes.len()));
        if bytes.len() < count {
            return Err(Reason::Truncated);
        }
        self.state = State::Stored(left.wrapping_sub(count));
        if left == count {
            self.end_of_block();
        }
        Ok(())
    }

    fn coded(&mut self, body: &[u8], output: &mut Output, meter: &mut Meter) -> Result<(), Reason> {
        let piece = meter.bytes(LITERAL).min(PIECE).min(output.allowed());
        output.room(piece.saturating_add(LONGEST_COPY), WINDOW, meter)?;
        let literals = self.literals.get(0).ok_or(BROKEN)?;
        let distances = self.distances.get(0).ok_or(BROKEN)?;
        let from = output.len();
        let mut run = Run {
            bits: self.bits,
            copies: 0,
            copied: 0,
            before: self.before,
        };
        let ended = run.symbols(
            literals,
            distances,
            body,
            output,
            from.saturating_add(piece),
        );
        let bytes = output.len().saturating_sub(from);
        meter.spend(run.copies.saturating_mul(COPY).saturating_add(RUN));
        let long = run.bits.long_codes.wrapping_sub(self.bits.long_codes);
        meter.spend(long.saturating_mul(LONG_CODE));
        meter.spend_bytes(bytes.saturating_sub(run.copied), LITERAL);
        meter.spend_bytes(run.copied, 1);
        self.bits = run.bits;
        if ended? {
            self.end_of_block();
        }
        Ok(())
    }
}

/// What is in use while symbols are being read.
struct Run {
    bits: Bits,
    copies: u64,
    copied: usize,
    before: usize,
}

impl Run {
    /// Reads symbols until there are `until` bytes. Returns whether the block has ended.
    fn symbols(
        &mut self,
        literals: Code<'_>,
        distances: Code<'_>,
        body: &[u8],
        output: &mut Output,
        until: usize,
    ) -> Result<bool, Reason> {
        let most = self.bits.long_codes.saturating_add(LONG_CODES);
        while output.len() < until && self.bits.long_codes < most {
            self.bits.fill(body);
            let symbol = literals.read(&mut self.bits)?.ok_or(BROKEN)?;
            if let Ok(byte) = u8::try_from(symbol) {
                output.push(byte);
                continue;
            }
            if symbol == 256 {
                return Ok(true);
            }
            let (base, extra) = *LENGTHS
                .get(usize::from(symbol.wrapping_sub(257)))
                .ok_or(BROKEN)?;
            let length = usize::from(base).wrapping_add(self.bits.take_filled(extra)?);
            self.bits.fill(body);
            let symbol = distances.read(&mut self.bits)?.ok_or(BROKEN)?;
            let (base, extra) = *DISTANCES.get(usize::from(symbol)).ok_or(BROKEN)?;
            let distance = usize::from(base).wrapping_add(self.bits.take_filled(extra)?);
            let seen = output.len().wrapping_sub(self.before);
            if distance > seen || !output.copy(distance, length) {
                return Err(BROKEN);
            }
            self.copies = self.copies.wrapping_add(1);
            self.copied = self.copied.wrapping_add(length);
        }
        Ok(false)
    }
}

/// Symbols 257 and up: the least length, and how many extra bits are read.
#[rustfmt::skip]
const LENGTHS: [(u16, u32); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1),
    (19, 2), (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4),
    (115, 4), (131, 5), (163, 5), (195, 5), (227, 5), (258, 0),
];

/// The same for distances.
#[rustfmt::skip]
const DISTANCES: [(u16, u32); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4),
    (65, 5), (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9),
    (2049, 10), (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
];
