//! Bits from the low end of each byte up, as deflate and brotli store them.
//!
//! Owns the reader's position in the body. The body is passed at each call. A read past its end is [`Reason::Truncated`].

use super::Reason;

/// See the module's documentation.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bits {
    /// The next `count` bits. The bits above them are what follows in the body, or zero.
    hold: u64,
    count: u32,
    /// The position of the next byte in the body.
    at: usize,
    /// Long codes read so far: they cost more, and the caller charges for them.
    pub(super) long_codes: u64,
}

impl Bits {
    pub(super) fn new(at: usize) -> Self {
        Self {
            at,
            ..Self::default()
        }
    }

    /// Makes at least 56 bits available, unless the body ends.
    #[inline]
    pub(super) fn fill(&mut self, body: &[u8]) {
        if self.count >= 48 {
            return;
        }
        if let Some(bytes) = body.get(self.at..).and_then(<[u8]>::first_chunk) {
            self.hold |= u64::from_le_bytes(*bytes).wrapping_shl(self.count);
            let whole = 63_u32.wrapping_sub(self.count) >> 3;
            self.at = self.at.wrapping_add(whole as usize);
            self.count |= 56;
        } else {
            self.fill_by_byte(body);
        }
    }

    #[cold]
    fn fill_by_byte(&mut self, body: &[u8]) {
        while self.count < 56 {
            let Some(byte) = body.get(self.at) else {
                return;
            };
            self.hold |= u64::from(*byte).wrapping_shl(self.count);
            self.count = self.count.wrapping_add(8);
            self.at = self.at.wrapping_add(1);
        }
    }

    /// The next bits, zeros after the end of the body. Fill first.
    #[inline]
    pub(super) fn peek(&self) -> u64 {
        self.hold
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Reason> {
        if count > self.count {
            return Err(Reason::Truncated);
        }
        self.hold = self.hold.wrapping_shr(count);
        self.count = self.count.wrapping_sub(count);
        Ok(())
    }

    /// Whether the body has ended.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// At most 32 bits. Fill first.
    #[inline]
    pub(super) fn take_filled(&mut self, count: u32) -> Result<usize, Reason> {
        let mask = 1_u64.wrapping_shl(count).wrapping_sub(1);
        let value = self.hold & mask;
        self.skip(count)?;
        Ok(usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// At most 32 bits.
    #[inline]
    pub(super) fn take(&mut self, body: &[u8], count: u32) -> Result<usize, Reason> {
        self.fill(body);
        self.take_filled(count)
    }

    /// Skips to the next whole byte. Returns the skipped bits.
    pub(super) fn align(&mut self) -> usize {
        let odd = self.count & 7;
        self.take_filled(odd).unwrap_or_default()
    }

    /// The position of the next whole byte.
    pub(super) fn position(&self) -> usize {
        let held = usize::try_from(self.count >> 3).unwrap_or_default();
        self.at.saturating_sub(held)
    }

    /// Continues at another byte.
    pub(super) fn seek(&mut self, at: usize) {
        (self.hold, self.count, self.at) = (0, 0, at);
    }
}
