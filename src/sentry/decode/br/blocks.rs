//! Blocks of one kind within a metablock (RFC 7932, section 6), and which prefix code each type of them uses (section 7).

use super::header::{code, small_number};
use super::{BROKEN, COUNTS};
use crate::meter::Meter;
use crate::sentry::decode::Reason;
use crate::sentry::decode::bits::Bits;
use crate::sentry::decode::prefix::Codes;

/// Symbols of the alphabet for counts.
const COUNT_SYMBOLS: usize = 26;

/// Entries of a context map read at once, and what each costs, in units of a meter; measured.
const PIECE: usize = 2_048;
const ENTRY: u64 = 75;
const TYPE_SWITCH: u64 = 450;

/// The blocks of literals, of commands, or of distances.
#[derive(Default)]
pub(super) struct Blocks {
    pub(super) types: usize,
    /// Two codes, for types and for counts. They have different alphabets.
    type_code: Codes,
    count_code: Codes,
    /// What is left of the block.
    pub(super) left: usize,
    pub(super) current: usize,
    previous: usize,
}

impl Blocks {
    /// Reads how many types there are and how the first block begins.
    pub(super) fn begin(
        &mut self,
        bits: &mut Bits,
        body: &[u8],
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        self.types = small_number(bits, body)?.wrapping_add(1);
        (self.current, self.previous, self.left) = (0, 1, usize::MAX);
        if self.types > 1 {
            self.type_code.reset(1, self.types.wrapping_add(2))?;
            code(bits, body, &mut self.type_code, 0, meter)?;
            self.count_code.reset(1, COUNT_SYMBOLS)?;
            code(bits, body, &mut self.count_code, 0, meter)?;
            self.left = self.count(bits, body)?;
        }
        Ok(())
    }

    fn count(&self, bits: &mut Bits, body: &[u8]) -> Result<usize, Reason> {
        bits.fill(body);
        let code = self.count_code.get(0).ok_or(BROKEN)?;
        let symbol = code.read(bits)?.ok_or(BROKEN)?;
        let (base, extra) = *COUNTS.get(usize::from(symbol)).ok_or(BROKEN)?;
        Ok(base.wrapping_add(bits.take_filled(extra)?))
    }

    /// Begins the next block; returns the cost.
    #[cold]
    pub(super) fn switch(&mut self, bits: &mut Bits, body: &[u8]) -> Result<u64, Reason> {
        bits.fill(body);
        let code = self.type_code.get(0).ok_or(BROKEN)?;
        let symbol = usize::from(code.read(bits)?.ok_or(BROKEN)?);
        let next = match symbol {
            0 => self.previous,
            1 => self.current.wrapping_add(1),
            _ => symbol.wrapping_sub(2),
        };
        self.previous = self.current;
        self.current = next.checked_sub(self.types).unwrap_or(next);
        self.left = self.count(bits, body)?;
        Ok(TYPE_SWITCH)
    }

    pub(super) fn memory(&self) -> usize {
        let counts = self.count_code.memory();
        self.type_code.memory().saturating_add(counts)
    }
}

/// Which code each context of each type uses.
#[derive(Default)]
pub(super) struct ContextMap {
    map: Vec<u8>,
    pub(super) codes: usize,
    code: Codes,
    /// The longest run of zeros sent as one symbol, as a power of two.
    max_run: usize,
    at: usize,
    front: Option<Front>,
}

impl ContextMap {
    /// Begins a map with this many entries.
    pub(super) fn begin(
        &mut self,
        size: usize,
        bits: &mut Bits,
        body: &[u8],
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        self.codes = small_number(bits, body)?.wrapping_add(1);
        self.map.clear();
        self.map.resize(size, 0);
        (self.at, self.front) = (0, None);
        if self.codes == 1 {
            self.at = size;
            return Ok(());
        }
        self.max_run = 0;
        if bits.take(body, 1)? == 1 {
            self.max_run = bits.take(body, 4)?.wrapping_add(1);
        }
        self.code.reset(1, self.codes.wrapping_add(self.max_run))?;
        code(bits, body, &mut self.code, 0, meter)
    }

    /// Reads a piece. Returns whether it was the last.
    pub(super) fn advance(
        &mut self,
        bits: &mut Bits,
        body: &[u8],
        meter: &mut Meter,
    ) -> Result<bool, Reason> {
        if self.codes == 1 {
            return Ok(true);
        }
        let code = self.code.get(0).ok_or(BROKEN)?;
        for _ in 0..PIECE {
            if self.at >= self.map.len() {
                if self.front.is_none() {
                    if bits.take(body, 1)? == 0 {
                        return Ok(true);
                    }
                    self.front = Some(Front::new());
                }
                let Some(front) = &mut self.front else {
                    return Err(BROKEN);
                };
                meter.spend_bytes(PIECE, ENTRY);
                let end = front.at.saturating_add(PIECE).min(self.map.len());
                let piece = self.map.get_mut(front.at..end).ok_or(BROKEN)?;
                front.decode(piece);
                front.at = end;
                return Ok(end == self.map.len());
            }
            meter.spend(ENTRY);
            bits.fill(body);
            let symbol = usize::from(code.read(bits)?.ok_or(BROKEN)?);
            if symbol == 0 || symbol > self.max_run {
                let value = symbol.saturating_sub(self.max_run);
                let place = self.map.get_mut(self.at).ok_or(BROKEN)?;
                *place = u8::try_from(value).map_err(|_| BROKEN)?;
                self.at = self.at.wrapping_add(1);
            } else {
                let width = u32::try_from(symbol).map_err(|_| BROKEN)?;
                let run = 1_usize.wrapping_shl(width);
                let run = run.wrapping_add(bits.take_filled(width)?);
                self.at = self.at.saturating_add(run);
                if self.at > self.map.len() {
                    return Err(BROKEN);
                }
            }
        }
        Ok(false)
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> usize {
        self.map.get(index).copied().unwrap_or_default().into()
    }

    pub(super) fn memory(&self) -> usize {
        self.map.capacity().saturating_add(self.code.memory())
    }
}

/// Each entry is the place of its value in a list, from which it then moves to the front: section 7.3.
struct Front {
    list: [u8; 256],
    /// How many entries have been decoded.
    at: usize,
}

impl Front {
    fn new() -> Self {
        let mut list = [0; 256];
        for (value, place) in (0_u8..=u8::MAX).zip(&mut list) {
            *place = value;
        }
        Self { list, at: 0 }
    }

    fn decode(&mut self, entries: &mut [u8]) {
        for entry in entries {
            let index = usize::from(*entry);
            let value = self.list.get(index).copied().unwrap_or_default();
            *entry = value;
            self.list.copy_within(..index, 1);
            if let Some(front) = self.list.first_mut() {
                *front = value;
            }
        }
    }
}
