//! Tables of finite state entropy (RFC 8878, section 4.1).

use super::reverse::Reverse;

/// No table is larger than this.
const MAX_LOG: u32 = 9;
const MAX_SIZE: usize = 1 << MAX_LOG;
/// Symbols of the largest alphabet.
const MAX_SYMBOLS: usize = 256;

/// What building a state costs, in units of a meter; measured.
const STATE: u64 = 170;

/// The most that building a table of this size costs.
pub(super) fn cost(log: u8) -> u64 {
    STATE.wrapping_shl(log.into())
}

/// A state: what it means and how to find the next one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct State {
    pub(super) symbol: u8,
    bits: u8,
    base: u16,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Fse {
    states: Vec<State>,
    log: u8,
}

impl Fse {
    pub(super) fn clear(&mut self) {
        self.states.clear();
        self.log = 0;
    }

    /// A table with only one symbol, which reads no bits.
    pub(super) fn single(&mut self, symbol: u8) {
        let (bits, base) = (0, 0);
        self.states.clear();
        self.states.push(State { symbol, bits, base });
        self.log = 0;
    }

    pub(super) fn memory(&self) -> usize {
        self.states.capacity().saturating_mul(size_of::<State>())
    }

    /// The first state. `None`: there is no table.
    pub(super) fn first(&self, bits: &mut Reverse, stream: &[u8]) -> Option<State> {
        let state = bits.take(stream, self.log);
        self.states.get(usize::try_from(state).ok()?).copied()
    }

    /// How many bits lead to the next state.
    #[inline]
    pub(super) fn next(&self, state: State, bits: &mut Reverse, stream: &[u8]) -> Option<State> {
        let add = bits.take(stream, state.bits);
        let next = usize::try_from(add).ok()?.wrapping_add(state.base.into());
        self.states.get(next).copied()
    }

    /// Reads the description of a table; returns how many bytes it took.
    pub(super) fn read(&mut self, source: &[u8], symbols: usize, max_log: u8) -> Option<usize> {
        let mut counts = [0_i16; MAX_SYMBOLS];
        let counts = counts.get_mut(..symbols)?;
        let mut bits = Forward { source, at: 0 };
        let log = u8::try_from(bits.take(4)?.checked_add(5)?).ok()?;
        if log > max_log {
            return None;
        }
        let mut left = 1_u32.wrapping_shl(log.into());
        let mut symbol = 0_usize;
        while left > 0 {
            // One more than what can still be assigned, because 0 stands for "less than one".
            let most = left.wrapping_add(1);
            let width = most.checked_ilog2()?.wrapping_add(1);
            let value = bits.take(width)?;
            let small = 1_u32.wrapping_shl(width).wrapping_sub(1).wrapping_sub(most);
            let mask = 1_u32.wrapping_shl(width.wrapping_sub(1)).wrapping_sub(1);
            let value = if value & mask < small {
                bits.at = bits.at.wrapping_sub(1);
                value & mask
            } else if value > mask {
                value.wrapping_sub(small)
            } else {
                value
            };
            let count = i16::try_from(value).ok()?.wrapping_sub(1);
            *counts.get_mut(symbol)? = count;
            symbol = symbol.wrapping_add(1);
            left = left.checked_sub(u32::from(count.unsigned_abs()))?;
            if count == 0 {
                loop {
                    let skip = bits.take(2)?;
                    symbol = symbol.wrapping_add(usize::try_from(skip).ok()?);
                    if symbol > symbols {
                        return None;
                    }
                    if skip != 3 {
                        break;
                    }
                }
            }
        }
        self.build(counts.get(..symbol)?, log)?;
        Some(bits.at.div_ceil(8))
    }

    /// Builds a table from how often each symbol is in it; -1 is "less than once".
    pub(super) fn build(&mut self, counts: &[i16], log: u8) -> Option<()> {
        let size = 1_usize.wrapping_shl(log.into());
        self.log = log;
        self.states.clear();
        self.states.resize(size.min(MAX_SIZE), State::default());
        let mut next = [0_u16; MAX_SYMBOLS];
        let mut high = size;
        for (symbol, (count, next)) in (0_u8..=u8::MAX).zip(counts.iter().zip(&mut next)) {
            *next = count.unsigned_abs();
            if *count == -1 {
                high = high.checked_sub(1)?;
                self.states.get_mut(high)?.symbol = symbol;
            }
        }
        let step = (size >> 1).wrapping_add(size >> 3).wrapping_add(3);
        let mask = size.wrapping_sub(1);
        let mut at = 0_usize;
        for (symbol, count) in (0_u8..=u8::MAX).zip(counts) {
            for _ in 0..(*count).max(0) {
                self.states.get_mut(at)?.symbol = symbol;
                // This visits every place: there are as many below `high` as symbols.
                at = at.wrapping_add(step) & mask;
                while at >= high && high > 0 {
                    at = at.wrapping_add(step) & mask;
                }
            }
        }
        for state in &mut self.states {
            let next = next.get_mut(usize::from(state.symbol))?;
            let width = u32::from(log).checked_sub(next.checked_ilog2()?)?;
            state.bits = u8::try_from(width).ok()?;
            let base = usize::from(*next).wrapping_shl(width).checked_sub(size)?;
            state.base = u16::try_from(base).ok()?;
            *next = next.wrapping_add(1);
        }
        Some(())
    }
}

/// Bits from the low end up.
struct Forward<'s> {
    source: &'s [u8],
    at: usize,
}

impl Forward<'_> {
    /// At most 16.
    fn take(&mut self, count: u32) -> Option<u32> {
        let end = self.at.checked_add(usize::try_from(count).ok()?)?;
        if end.div_ceil(8) > self.source.len() {
            return None;
        }
        let bytes = self.source.get(self.at >> 3..)?.iter().take(3);
        let word = bytes
            .rev()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        let word = word.wrapping_shr(u32::try_from(self.at & 7).ok()?);
        self.at = end;
        Some(word & 1_u32.wrapping_shl(count).wrapping_sub(1))
    }
}
