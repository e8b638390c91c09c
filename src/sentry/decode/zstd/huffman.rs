//! The Huffman code of a block's literals (RFC 8878, section 4.2).

use super::fse::{self, Fse};
use super::reverse::{LOADED, Reverse, top};
use crate::meter::Meter;

/// The longest code.
const LONGEST: u8 = 11;
/// The most weights in a description: the last symbol's follows from the others.
const WEIGHTS: usize = 255;
/// The log of the largest table that weights are compressed with.
const WEIGHT_LOG: u8 = 6;

/// Costs, in units of a meter; measured.
const BUILD: u64 = 2_000;
const WEIGHT: u64 = 300;
pub(super) const SYMBOL: u64 = 56;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Huffman {
    /// What the next bits mean: `symbol << 8 | length`.
    table: Vec<u16>,
    longest: u8,
    weights: Fse,
}

impl Huffman {
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.longest = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.longest == 0
    }

    pub(super) fn memory(&self) -> usize {
        let table = self.table.capacity().saturating_mul(size_of::<u16>());
        self.weights.memory().saturating_add(table)
    }

    /// Reads the description of a code; returns how many bytes it took.
    pub(super) fn read(&mut self, source: &[u8], meter: &mut Meter) -> Option<usize> {
        meter.spend(BUILD);
        let (header, rest) = source.split_first()?;
        let mut weights = [0_u8; WEIGHTS + 1];
        let header = usize::from(*header);
        let (count, taken) = match header.checked_sub(127) {
            None | Some(0) => {
                meter.spend(fse::cost(WEIGHT_LOG));
                let packed = rest.get(..header)?;
                (self.unpack(rest, packed, &mut weights)?, header)
            }
            Some(count) => {
                let bytes = rest.get(..count.div_ceil(2))?;
                for (weight, index) in weights.iter_mut().take(count).zip(0_usize..) {
                    let byte = *bytes.get(index >> 1)?;
                    *weight = if index & 1 == 0 { byte >> 4 } else { byte & 15 };
                }
                (count, bytes.len())
            }
        };
        meter.spend_bytes(count, WEIGHT);
        self.build(&mut weights, count)?;
        taken.checked_add(1)
    }

    /// Weights compressed with finite state entropy, in two states that alternate; returns how many there are.
    fn unpack(&mut self, rest: &[u8], packed: &[u8], weights: &mut [u8]) -> Option<usize> {
        let taken = self.weights.read(rest, WEIGHTS + 1, WEIGHT_LOG)?;
        let stream = packed.get(taken..)?;
        let mut bits = Reverse::new(stream)?;
        let mut state = self.weights.first(&mut bits, stream)?;
        let mut other = self.weights.first(&mut bits, stream)?;
        let mut places = (0_usize..).zip(weights.iter_mut().take(WEIGHTS));
        loop {
            *places.next()?.1 = state.symbol;
            state = self.weights.next(state, &mut bits, stream)?;
            if bits.left() < 0 {
                let (index, place) = places.next()?;
                *place = other.symbol;
                return index.checked_add(1);
            }
            (state, other) = (other, state);
        }
    }

    fn build(&mut self, weights: &mut [u8; WEIGHTS + 1], count: usize) -> Option<()> {
        let mut sum = 0_u32;
        for weight in weights.iter().take(count) {
            if *weight > LONGEST {
                return None;
            }
            sum = sum.checked_add(1_u32.wrapping_shl((*weight).into()) >> 1)?;
        }
        let longest = u8::try_from(sum.checked_ilog2()?).ok()?.checked_add(1)?;
        // The last symbol gets what is left.
        let left = 1_u32.wrapping_shl(longest.into()).checked_sub(sum)?;
        if !left.is_power_of_two() || longest > LONGEST {
            return None;
        }
        let last = u8::try_from(left.checked_ilog2()?).ok()?.checked_add(1)?;
        *weights.get_mut(count)? = last;
        let used = weights.get(..=count)?;

        self.longest = longest;
        self.table.clear();
        // The longest codes come first, each repeated as often as the bits after it have values.
        for weight in 1..=longest {
            let length = longest.wrapping_add(1).wrapping_sub(weight);
            let times = 1_usize.wrapping_shl(u32::from(weight).wrapping_sub(1));
            for (symbol, _) in (0_u16..).zip(used).filter(|(_, of)| **of == weight) {
                let end = self.table.len().saturating_add(times);
                self.table
                    .resize(end, symbol.wrapping_shl(8) | u16::from(length));
            }
        }
        (self.table.len() == 1_usize.wrapping_shl(longest.into())).then_some(())
    }

    /// Decodes symbols until the stream has ended or there are `until` bytes.
    pub(super) fn decode(
        &self,
        bits: &mut Reverse,
        stream: &[u8],
        literals: &mut Vec<u8>,
        until: usize,
    ) {
        /// How many codes one load contains.
        const AT_ONCE: usize = LOADED as usize / LONGEST as usize;

        while bits.left() >= LOADED && literals.len().saturating_add(AT_ONCE) <= until {
            let mut word = bits.peek(stream);
            let mut taken = 0_u8;
            for _ in 0..AT_ONCE {
                let index = usize::try_from(top(word, self.longest)).unwrap_or_default();
                let [length, symbol] = self.entry(index);
                literals.push(symbol);
                word = word.wrapping_shl(length.into());
                taken = taken.wrapping_add(length);
            }
            bits.skip(taken);
        }
        while bits.left() > 0 && literals.len() < until {
            let index = usize::try_from(top(bits.peek(stream), self.longest)).unwrap_or_default();
            let [length, symbol] = self.entry(index);
            literals.push(symbol);
            bits.skip(length);
        }
    }

    #[inline]
    fn entry(&self, index: usize) -> [u8; 2] {
        self.table.get(index).copied().unwrap_or(1).to_le_bytes()
    }
}
