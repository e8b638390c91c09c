//! Canonical prefix codes of at most 15 bits, as deflate and brotli use them.
//!
//! Owns the tables for a group of codes of one alphabet, in one allocation that is reused for the next group. How their
//! lengths are transmitted is not decided here. Short codes are read with one look-up, longer ones bit by bit.

use super::Reason;
use super::bits::Bits;

/// Codes up to this length are looked up in a table.
const ROOT: u32 = 9;
const ROOT_SIZE: usize = 1 << ROOT;
const ROOT_MASK: u64 = (1 << ROOT) - 1;
/// The longest code.
const LONGEST: usize = 15;
const LENGTHS: usize = LONGEST + 1;

/// The codes that lengths are sent with have this many symbols, and are built where a smaller code will later be.
const LEAST_ALPHABET: usize = 19;

/// What building a code costs, besides the cost per symbol.
pub(super) const BUILD: u64 = 6_000;
/// What building costs for each symbol of the alphabet. Measured.
pub(super) const BUILD_SYMBOL: u64 = 110;
/// The extra cost of reading a long code.
pub(super) const LONG_CODE: u64 = 800;

/// A group of codes.
#[derive(Default)]
pub(super) struct Codes {
    /// Per code: what the next [`ROOT`] bits mean (`symbol << 4 | length + 1`, 0 for a long code or none), how many codes
    /// there are of each length, and the symbols in the order of their codes.
    tables: Vec<u16>,
    alphabet: usize,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Code<'t> {
    root: &'t [u16; ROOT_SIZE],
    counts: &'t [u16],
    symbols: &'t [u16],
}

impl Codes {
    /// Makes room for `count` codes of `alphabet` symbols.
    pub(super) fn reset(&mut self, count: usize, alphabet: usize) -> Result<(), Reason> {
        self.alphabet = alphabet;
        self.tables.clear();
        let size = count.saturating_mul(self.stride());
        let reserved = self.tables.try_reserve_exact(size);
        reserved.map_err(|_| Reason::NoMemory(size.saturating_mul(size_of::<u16>())))?;
        self.tables.resize(size, 0);
        Ok(())
    }

    pub(super) fn alphabet(&self) -> usize {
        self.alphabet
    }

    /// Memory held.
    pub(super) fn memory(&self) -> usize {
        self.tables.capacity().saturating_mul(size_of::<u16>())
    }

    fn stride(&self) -> usize {
        let symbols = self.alphabet.max(LEAST_ALPHABET);
        symbols.saturating_add(ROOT_SIZE + LENGTHS)
    }

    /// The code with this index.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Code<'_>> {
        let stride = self.stride();
        let start = index.wrapping_mul(stride);
        let table = self.tables.get(start..start.wrapping_add(stride))?;
        let (root, rest) = table.split_first_chunk()?;
        let (counts, symbols) = rest.split_at_checked(LENGTHS)?;
        Some(Code {
            root,
            counts,
            symbols,
        })
    }

    /// Builds the code with this index from the length of each symbol's code, 0 for none. Whether it is complete, that is,
    /// whether all bit patterns have a meaning, is up to the caller to check ([`Fit`]).
    pub(super) fn build(&mut self, index: usize, lengths: &[u8]) -> Option<Fit> {
        let stride = self.stride();
        let start = index.checked_mul(stride)?;
        let table = self.tables.get_mut(start..start.checked_add(stride)?)?;
        let (root, rest) = table.split_first_chunk_mut::<ROOT_SIZE>()?;
        let (counts, symbols) = rest.split_at_mut_checked(LENGTHS)?;

        counts.fill(0);
        for length in lengths {
            let count = counts.get_mut(usize::from(*length))?;
            *count = count.wrapping_add(1);
        }
        if let Some(unused) = counts.first_mut() {
            *unused = 0;
        }
        // How much of the code space is left, in codes of this length.
        let (mut left, mut longest, mut next) = (1_i32, 0, 0_u16);
        let mut offsets = [0_u16; LENGTHS];
        for (length, (count, offset)) in counts.iter().zip(&mut offsets).enumerate().skip(1) {
            left = left.wrapping_mul(2).wrapping_sub(i32::from(*count));
            if left < 0 {
                return Some(Fit::Over);
            }
            if *count > 0 {
                longest = length;
            }
            *offset = next;
            next = next.wrapping_add(*count);
        }
        for (symbol, length) in lengths.iter().enumerate() {
            if *length > 0 {
                let offset = offsets.get_mut(usize::from(*length))?;
                *symbols.get_mut(usize::from(*offset))? = u16::try_from(symbol).ok()?;
                *offset = offset.wrapping_add(1);
            }
        }
        fill_root(root, counts, symbols);
        Some(if left == 0 {
            Fit::Complete
        } else {
            Fit::Incomplete { longest }
        })
    }

    /// A code of one symbol, which takes no bits.
    pub(super) fn build_single(&mut self, index: usize, symbol: u16) -> Option<()> {
        let stride = self.stride();
        let start = index.checked_mul(stride)?;
        let table = self.tables.get_mut(start..start.checked_add(stride)?)?;
        let (root, rest) = table.split_first_chunk_mut::<ROOT_SIZE>()?;
        root.fill(symbol.wrapping_shl(4) | 1);
        rest.fill(0);
        Some(())
    }
}

/// How the code space is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Complete,
    /// Some bit patterns mean nothing.
    Incomplete {
        /// The longest code.
        longest: usize,
    },
    /// There are more codes than the code space holds.
    Over,
}

/// Codes are read from their first bit on, which is the lowest. So a code is at every index whose lower bits are the code.
fn fill_root(root: &mut [u16; ROOT_SIZE], counts: &[u16], symbols: &[u16]) {
    root.fill(0);
    let (mut code, mut size) = (0_u16, 1_usize);
    let mut symbols = symbols.iter();
    for (length, count) in (0_u16..).zip(counts).take(LENGTHS).skip(1) {
        if u32::from(length) > ROOT {
            return;
        }
        // Shorter codes apply for both values of the next bit.
        root.copy_within(..size, size);
        size = size.wrapping_mul(2);
        code = code.wrapping_mul(2);
        let shift = 16_u32.wrapping_sub(u32::from(length));
        for symbol in symbols.by_ref().take(usize::from(*count)) {
            let index = code.reverse_bits().wrapping_shr(shift);
            if let Some(entry) = root.get_mut(usize::from(index)) {
                *entry = symbol.wrapping_shl(4) | length.wrapping_add(1);
            }
            code = code.wrapping_add(1);
        }
    }
}

impl Code<'_> {
    /// The next symbol; `None` if the next bits mean nothing. The bits must be filled.
    #[inline]
    pub(super) fn read(self, bits: &mut Bits) -> Result<Option<u16>, Reason> {
        let index = usize::try_from(bits.peek() & ROOT_MASK).unwrap_or_default();
        let entry = self.root.get(index).copied().unwrap_or_default();
        if entry == 0 {
            return self.read_long(bits);
        }
        bits.skip(u32::from(entry & 15).wrapping_sub(1))?;
        Ok(Some(entry >> 4))
    }

    fn read_long(self, bits: &mut Bits) -> Result<Option<u16>, Reason> {
        bits.long_codes = bits.long_codes.wrapping_add(1);
        let mut rest = bits.peek();
        let (mut code, mut first, mut offset) = (0_u32, 0_u32, 0_u32);
        for (length, count) in (0_u32..).zip(self.counts).skip(1) {
            code = code.wrapping_mul(2) | u32::from(rest & 1 == 1);
            rest >>= 1;
            first = first.wrapping_mul(2);
            let (count, ahead) = (u32::from(*count), code.wrapping_sub(first));
            if ahead < count {
                bits.skip(length)?;
                let index = usize::try_from(offset.wrapping_add(ahead)).unwrap_or(usize::MAX);
                return Ok(self.symbols.get(index).copied());
            }
            first = first.wrapping_add(count);
            offset = offset.wrapping_add(count);
        }
        if bits.is_empty() {
            return Err(Reason::Truncated);
        }
        Ok(None)
    }
}
