//! The commands of a metablock (RFC 7932, section 5): a number of literals, then a copy or a word of the dictionary.

use brotli_decompressor::dictionary::{
    kBrotliDictionaryOffsetsByLength, kBrotliDictionarySizeBitsByLength,
};
use brotli_decompressor::transform::{TransformDictionaryWord, kNumTransforms};

use super::contexts::context;
use super::{BROKEN, Br, PIECE};
use crate::meter::Meter;
use crate::sentry::decode::Reason;
use crate::sentry::decode::bits::Bits;
use crate::sentry::decode::output::Output;
use crate::sentry::decode::prefix::LONG_CODE;

/// Costs, in units of a meter; measured.
const LITERAL: u64 = 155;
const COMMAND: u64 = 340;
const WORD: u64 = 900;
/// How much is spent at once.
const ALLOWANCE: u64 = 40_000;

/// Lengths of literals and of copies: the least, and how many extra bits are read (section 5).
#[rustfmt::skip]
const INSERTS: [(usize, u32); 24] = [
    (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 1), (8, 1), (10, 2), (14, 2), (18, 3), (26, 3),
    (34, 4), (50, 4), (66, 5), (98, 5), (130, 6), (194, 7), (322, 8), (578, 9), (1090, 10), (2114, 12),
    (6210, 14), (22594, 24),
];
#[rustfmt::skip]
const COPIES: [(usize, u32); 24] = [
    (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 1), (12, 1), (14, 2), (18, 2),
    (22, 3), (30, 3), (38, 4), (54, 4), (70, 5), (102, 5), (134, 6), (198, 7), (326, 8), (582, 9),
    (1094, 10), (2118, 24),
];
/// The first codes of a command's two lengths, by its upper bits.
#[rustfmt::skip]
const CELLS: [(usize, usize); 11] = [
    (0, 0), (0, 8), (0, 0), (0, 8), (8, 0), (8, 8), (0, 16), (16, 0), (8, 16), (16, 8), (16, 16),
];

/// How distances are written, and the last four of them.
pub(super) struct Distances {
    postfix: u32,
    direct: usize,
    /// The most recent first.
    recent: [usize; 4],
}

impl Default for Distances {
    fn default() -> Self {
        Self {
            postfix: 0,
            direct: 0,
            recent: [4, 11, 15, 16],
        }
    }
}

impl Distances {
    pub(super) fn set(&mut self, postfix: u32, direct: usize) {
        (self.postfix, self.direct) = (postfix, direct);
    }

    pub(super) fn alphabet(&self) -> usize {
        let packed = 48_usize.wrapping_shl(self.postfix);
        packed.wrapping_add(self.direct).wrapping_add(16)
    }

    /// What a distance symbol means: section 4. `None`: it is not a distance.
    fn get(&self, symbol: usize, bits: &mut Bits, body: &[u8]) -> Result<usize, Reason> {
        let [last, second, ..] = self.recent;
        let near = |of: usize, symbol: usize| {
            let by = (symbol >> 1).wrapping_add(1);
            let distance = if symbol & 1 == 0 {
                of.saturating_sub(by)
            } else {
                of.saturating_add(by)
            };
            Some(distance)
                .filter(|distance| *distance > 0)
                .ok_or(BROKEN)
        };
        match symbol {
            0..4 => self.recent.get(symbol).copied().ok_or(BROKEN),
            4..10 => near(last, symbol.wrapping_sub(4)),
            10..16 => near(second, symbol.wrapping_sub(10)),
            _ => {
                let symbol = symbol.wrapping_sub(16);
                let Some(packed) = symbol.checked_sub(self.direct) else {
                    return Ok(symbol.wrapping_add(1));
                };
                let low = packed & 1_usize.wrapping_shl(self.postfix).wrapping_sub(1);
                let high = packed.wrapping_shr(self.postfix);
                let width = u32::try_from(high >> 1)
                    .map_err(|_| BROKEN)?
                    .wrapping_add(1);
                let offset = (high & 1).wrapping_add(2).wrapping_shl(width);
                let offset = offset.wrapping_sub(4).wrapping_add(bits.take(body, width)?);
                let distance = offset.wrapping_shl(self.postfix).wrapping_add(low);
                Ok(distance.wrapping_add(self.direct).wrapping_add(1))
            }
        }
    }

    fn remember(&mut self, distance: usize) {
        let [a, b, c, _] = self.recent;
        self.recent = [distance, a, b, c];
    }
}

/// What is left of the current command.
#[derive(Default)]
pub(super) struct Command {
    inserts: usize,
    /// 0 if there is no copy. If there is one, its distance may not have been read yet.
    copies: usize,
    implicit: bool,
    distance: Option<usize>,
}

impl Br {
    /// Runs commands for a while. Returns whether the metablock is at its end.
    pub(super) fn run_commands(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<bool, Reason> {
        let allowance = u64::try_from(meter.bytes(1)).unwrap_or(ALLOWANCE);
        let allowance = allowance.min(ALLOWANCE);
        let long = self.bits.long_codes;
        let mut cost = COMMAND;
        let result = loop {
            if cost >= allowance {
                break Ok(false);
            }
            match self.run(body, output, allowance.saturating_sub(cost), meter) {
                Ok((spent, more)) => {
                    cost = cost.saturating_add(spent);
                    if !more {
                        break Ok(true);
                    }
                }
                Err(reason) => break Err(reason),
            }
        };
        let long = self.bits.long_codes.wrapping_sub(long);
        meter.spend(cost.saturating_add(long.saturating_mul(LONG_CODE)));
        result
    }

    /// Does the next thing; returns what it cost, and whether there is more to do.
    #[inline]
    fn run(
        &mut self,
        body: &[u8],
        output: &mut Output,
        allowance: u64,
        meter: &mut Meter,
    ) -> Result<(u64, bool), Reason> {
        let mut cost = 0;
        if self.command.inserts > 0 {
            cost = self.insert(body, output, allowance, meter)?;
            if self.left == 0 {
                return Ok((cost, false));
            }
        } else if self.command.copies > 0 {
            cost = self.copy(body, output, meter)?;
            if self.left == 0 && self.command.copies == 0 {
                return Ok((cost, false));
            }
        } else {
            output.check()?;
            cost = cost.saturating_add(self.next(body)?);
        }
        Ok((cost, true))
    }

    /// Reads a command.
    fn next(&mut self, body: &[u8]) -> Result<u64, Reason> {
        let mut cost = COMMAND;
        if self.commands.left == 0 {
            let spent = self.commands.switch(&mut self.bits, body)?;
            cost = cost.saturating_add(spent);
        }
        self.commands.left = self.commands.left.wrapping_sub(1);
        let code = self
            .command_codes
            .get(self.commands.current)
            .ok_or(BROKEN)?;
        self.bits.fill(body);
        let symbol = usize::from(code.read(&mut self.bits)?.ok_or(BROKEN)?);
        let (insert, copy) = *CELLS.get(symbol >> 6).ok_or(BROKEN)?;
        let insert = insert.wrapping_add(symbol >> 3 & 7);
        let copy = copy.wrapping_add(symbol & 7);
        let (insert, insert_bits) = *INSERTS.get(insert).ok_or(BROKEN)?;
        let (copy, copy_bits) = *COPIES.get(copy).ok_or(BROKEN)?;
        self.command = Command {
            inserts: insert.wrapping_add(self.bits.take_filled(insert_bits)?),
            copies: copy.wrapping_add(self.bits.take(body, copy_bits)?),
            implicit: symbol < 128,
            distance: None,
        };
        if self.command.inserts > self.left {
            return Err(BROKEN);
        }
        Ok(cost)
    }

    /// Decodes literals.
    fn insert(
        &mut self,
        body: &[u8],
        output: &mut Output,
        allowance: u64,
        meter: &mut Meter,
    ) -> Result<u64, Reason> {
        let most = usize::try_from(allowance.div_ceil(LITERAL)).unwrap_or(PIECE);
        let most = most.min(output.allowed()).max(1);
        let count = self.command.inserts.min(most);
        output.check()?;
        output.room(count, self.window, meter)?;
        let mut cost = u64::try_from(count)
            .unwrap_or_default()
            .saturating_mul(LITERAL);
        let [mut before, mut second] = output.last_two();
        let mut done = 0_usize;
        let mut bits = self.bits;
        while done < count {
            if self.literals.left == 0 {
                cost = cost.saturating_add(self.literals.switch(&mut bits, body)?);
            }
            let current = self.literals.current;
            let mode = self.modes.get(current).copied().unwrap_or_default();
            let run = self.literals.left.min(count.wrapping_sub(done));
            let map = current.wrapping_mul(64);
            let single = self.literal_map.codes == 1;
            for _ in 0..run {
                let index = if single {
                    0
                } else {
                    let context = context(mode, before, second);
                    self.literal_map.get(map.wrapping_add(context.into()))
                };
                let code = self.literal_codes.get(index).ok_or(BROKEN)?;
                bits.fill(body);
                let symbol = code.read(&mut bits)?.ok_or(BROKEN)?;
                second = before;
                before = u8::try_from(symbol).unwrap_or_default();
                output.push(before);
            }
            self.literals.left = self.literals.left.wrapping_sub(run);
            done = done.wrapping_add(run);
        }
        self.bits = bits;
        self.command.inserts = self.command.inserts.wrapping_sub(count);
        self.left = self.left.wrapping_sub(count);
        Ok(cost)
    }

    /// Copies, or begins a copy.
    fn copy(&mut self, body: &[u8], output: &mut Output, meter: &mut Meter) -> Result<u64, Reason> {
        output.check()?;
        let Some(distance) = self.command.distance else {
            return self.distance(body, output, meter);
        };
        let count = self.command.copies.min(PIECE).min(output.allowed());
        output.room(count, self.window, meter)?;
        if !output.copy(distance, count) {
            return Err(BROKEN);
        }
        self.command.copies = self.command.copies.saturating_sub(count);
        self.left = self.left.checked_sub(count).ok_or(BROKEN)?;
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Reads the distance. If it goes back beyond the beginning, it means a word.
    fn distance(
        &mut self,
        body: &[u8],
        output: &mut Output,
        meter: &mut Meter,
    ) -> Result<u64, Reason> {
        let mut cost = COMMAND;
        let mut symbol = 0;
        if !self.command.implicit {
            if self.distances.left == 0 {
                cost = cost.saturating_add(self.distances.switch(&mut self.bits, body)?);
            }
            self.distances.left = self.distances.left.wrapping_sub(1);
            let context = self.command.copies.wrapping_sub(2).min(3);
            let map = self.distances.current.wrapping_mul(4);
            let index = self.distance_map.get(map.wrapping_add(context));
            let code = self.distance_codes.get(index).ok_or(BROKEN)?;
            self.bits.fill(body);
            symbol = usize::from(code.read(&mut self.bits)?.ok_or(BROKEN)?);
        }
        let distance = self.offsets.get(symbol, &mut self.bits, body)?;
        let farthest = self.window.min(output.len());
        if let Some(word) = distance.checked_sub(farthest.wrapping_add(1)) {
            self.word(word, output, meter)?;
            return Ok(cost.saturating_add(WORD));
        }
        if self.command.copies > self.left {
            return Err(BROKEN);
        }
        if symbol != 0 {
            self.offsets.remember(distance);
        }
        self.command.distance = Some(distance);
        Ok(cost)
    }

    /// A word of the dictionary, transformed in one of 121 ways: section 8.
    fn word(&mut self, word: usize, output: &mut Output, meter: &mut Meter) -> Result<(), Reason> {
        /// A word has at most 24 bytes, plus at most this many around it.
        const LONGEST: usize = 24 + 32;

        let length = self.command.copies;
        self.command.copies = 0;
        let width = kBrotliDictionarySizeBitsByLength.get(length);
        let width = u32::from(*width.filter(|width| **width > 0).ok_or(BROKEN)?);
        let index = word & 1_usize.wrapping_shl(width).wrapping_sub(1);
        let transform = i32::try_from(word.wrapping_shr(width)).map_err(|_| BROKEN)?;
        if transform >= kNumTransforms {
            return Err(BROKEN);
        }
        let first = kBrotliDictionaryOffsetsByLength.get(length).ok_or(BROKEN)?;
        let first = usize::try_from(*first).map_err(|_| BROKEN)?;
        let start = index.wrapping_mul(length).wrapping_add(first);
        let word = self.dictionary.word(start, length).ok_or(BROKEN)?;
        let mut changed = [0; LONGEST];
        let length = i32::try_from(length).map_err(|_| BROKEN)?;
        let length = TransformDictionaryWord(&mut changed, word, length, transform);
        let length = usize::try_from(length).map_err(|_| BROKEN)?;
        self.left = self.left.checked_sub(length).ok_or(BROKEN)?;
        output.room(length, self.window, meter)?;
        output.extend(changed.get(..length).ok_or(BROKEN)?, length);
        Ok(())
    }
}
