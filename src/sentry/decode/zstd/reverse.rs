//! Bits read from the end of a slice towards its beginning, as in zstd's codes.
//!
//! Owns the position. The bytes are passed at each call. Before the first bit there are unlimited zeros: the caller checks
//! how many bits are left.

/// Bits that a single load always has.
pub(super) const LOADED: i32 = 57;

/// See the module's documentation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reverse {
    /// Bits left; negative after a read beyond the first.
    left: i32,
}

impl Reverse {
    /// Starts at the end of a stream, after the highest bit set in its last byte. `None`: there is none.
    pub(super) fn new(stream: &[u8]) -> Option<Self> {
        let last = stream.last().filter(|last| **last != 0)?;
        let bits = i32::try_from(stream.len().checked_mul(8)?).ok()?;
        let padding = i32::try_from(last.leading_zeros()).ok()?;
        Some(Self {
            left: bits.saturating_sub(padding).saturating_sub(1),
        })
    }

    #[inline]
    pub(super) fn left(self) -> i32 {
        self.left
    }

    /// The next [`LOADED`] bits and some more, the first at the top.
    #[inline]
    pub(super) fn peek(self, stream: &[u8]) -> u64 {
        let Ok(left) = u32::try_from(self.left) else {
            return 0;
        };
        let end = left.wrapping_add(7) >> 3;
        // The last byte is only partly included.
        let above = end.wrapping_mul(8).wrapping_sub(left);
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        let word = stream.get(..end).and_then(<[u8]>::last_chunk);
        let word = word.map_or_else(|| head(stream, end), |bytes| u64::from_le_bytes(*bytes));
        word.wrapping_shl(above)
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u8) {
        self.left = self.left.wrapping_sub(i32::from(count));
    }

    /// At most 32 bits.
    #[inline]
    pub(super) fn take(&mut self, stream: &[u8], count: u8) -> u32 {
        let value = top(self.peek(stream), count);
        self.skip(count);
        value
    }
}

/// The highest bits, at most 32.
#[inline]
pub(super) fn top(word: u64, count: u8) -> u32 {
    // In two steps, because a shift by 64 is too much for one.
    let value = (word >> 1).wrapping_shr(63_u32.wrapping_sub(u32::from(count)));
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The first `end` bytes, less than eight, as the high bytes of a word.
#[cold]
fn head(stream: &[u8], end: usize) -> u64 {
    let bytes = stream.get(..end).unwrap_or_default();
    let add = |word: u64, byte: &u8| word >> 8 | u64::from(*byte) << 56;
    bytes.iter().fold(0, add)
}
