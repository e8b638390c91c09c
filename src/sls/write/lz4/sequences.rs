//! The bytes of a block, sequence by sequence, in a buffer that grows as needed.

use super::MIN_MATCH;
use std::collections::TryReserveError;

/// At most this many literals are moved together with the token.
const SHORT: usize = 14;

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Sequences {
    /// Written up to `at`; the rest is room.
    bytes: Vec<u8>,
    at: usize,
}

impl Sequences {
    /// The memory that it holds, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// The block.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.truncate(self.at);
        // A body may wait for minutes.
        self.bytes.shrink_to_fit();
        self.bytes
    }

    /// Writes this many literals from `anchor` on, then a reference.
    #[inline(always)]
    pub(super) fn put_sequence(
        &mut self,
        input: &[u8],
        anchor: usize,
        literals: usize,
        distance: usize,
        length: usize,
    ) -> Result<(), TryReserveError> {
        let most = bound(literals).wrapping_add(length >> 7);
        if self.bytes.len().wrapping_sub(self.at) < most {
            self.room(most, input.len())?;
        }
        let extra = length.wrapping_sub(MIN_MATCH);
        let [low_distance, high_distance, ..] = distance.to_le_bytes();
        if literals <= SHORT
            && let Some(from) = input.get(anchor..).and_then(<[u8]>::first_chunk::<16>)
            && let Some(to) = self
                .bytes
                .get_mut(self.at..)
                .and_then(<[u8]>::first_chunk_mut::<32>)
            && let [token, to @ ..] = to
            && let Some(wild) = to.first_chunk_mut()
        {
            *token = low(literals << 4 | extra.min(15));
            *wild = *from;
            if let Some(to) = to.get_mut(literals..).and_then(<[u8]>::first_chunk_mut) {
                *to = [low_distance, high_distance];
            }
            self.at = self.at.wrapping_add(literals).wrapping_add(3);
        } else {
            self.put(&[low(literals.min(15) << 4 | extra.min(15))]);
            self.put_length(literals);
            let end = anchor.saturating_add(literals);
            self.put(input.get(anchor..end).unwrap_or_default());
            self.put(&[low_distance, high_distance]);
        }
        if extra >= 15 {
            self.put_length(extra);
        }
        Ok(())
    }

    /// The token of the last literals, and their length.
    pub(super) fn last(&mut self, literals: usize) {
        self.put(&[low(literals.min(15) << 4)]);
        self.put_length(literals);
    }

    /// Writes the part of a length that a token's four bits cannot express.
    fn put_length(&mut self, length: usize) {
        let Some(rest) = length.checked_sub(15) else {
            return;
        };
        if rest >= 255 {
            let full = self.at.saturating_add(rest / 255);
            if let Some(to) = self.bytes.get_mut(self.at..full) {
                to.fill(0xFF);
                self.at = full;
            }
        }
        self.put(&[low(rest % 255)]);
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(to) = self.bytes.get_mut(self.at..end) {
            to.copy_from_slice(bytes);
            self.at = end;
        }
    }

    /// Makes room for `more` bytes, and at least doubles the buffer. Input of a given size never needs more than its
    /// [`bound`].
    #[cold]
    pub(super) fn room(&mut self, more: usize, input: usize) -> Result<(), TryReserveError> {
        let needed = self.at.saturating_add(more);
        let doubled = self.bytes.len().saturating_mul(2).min(bound(input));
        let wanted = needed.max(doubled);
        let missing = wanted.saturating_sub(self.bytes.len());
        self.bytes.try_reserve_exact(missing)?;
        self.bytes.resize(wanted, 0);
        Ok(())
    }
}

/// The most that a sequence with this many literals takes, without the length of its reference; also the most that this many
/// bytes of input take.
#[inline(always)]
pub(super) fn bound(literals: usize) -> usize {
    literals.wrapping_add(literals >> 7).wrapping_add(40)
}

#[inline(always)]
fn low(value: usize) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}
