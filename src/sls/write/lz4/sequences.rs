//! The bytes of a block, sequence by sequence, in a buffer that grows as it is needed.

use super::MIN_MATCH;
use std::collections::TryReserveError;

/// So many literals at most go in one move with the token.
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

    /// Where it ends.
    pub(super) fn len(&self) -> usize {
        self.at
    }

    /// What is written, and the room behind it.
    pub(super) fn buffer(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Up to here it is written now.
    pub(super) fn written(&mut self, at: usize) {
        self.at = at.min(self.bytes.len());
    }

    /// The token of the last literals, and their length.
    pub(super) fn last(&mut self, literals: usize) {
        self.put(&[low(literals.min(15) << 4)]);
        self.at = put_length(&mut self.bytes, self.at, literals);
    }

    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.at = put(&mut self.bytes, self.at, bytes);
    }

    /// Makes room for `more` bytes, and for as many again as there are: so many bytes of input never need more than their
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

/// Writes so many literals from `anchor` on, then a reference, to `out` at `at`, where there is room for it. Where it ends.
#[inline(always)]
pub(super) fn put_sequence(
    out: &mut [u8],
    at: usize,
    input: &[u8],
    anchor: usize,
    literals: usize,
    distance: usize,
    length: usize,
) -> usize {
    let extra = length.wrapping_sub(MIN_MATCH);
    let [low_distance, high_distance, ..] = distance.to_le_bytes();
    let mut at = at;
    if literals <= SHORT
        && let Some(from) = input.get(anchor..).and_then(<[u8]>::first_chunk::<16>)
        && let Some(to) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<32>)
        && let [token, to @ ..] = to
        && let Some(wild) = to.first_chunk_mut()
    {
        *token = low(literals << 4 | extra.min(15));
        *wild = *from;
        if let Some(to) = to.get_mut(literals..).and_then(<[u8]>::first_chunk_mut) {
            *to = [low_distance, high_distance];
        }
        at = at.wrapping_add(literals).wrapping_add(3);
    } else {
        at = put(out, at, &[low(literals.min(15) << 4 | extra.min(15))]);
        at = put_length(out, at, literals);
        let end = anchor.saturating_add(literals);
        at = put(out, at, input.get(anchor..end).unwrap_or_default());
        at = put(out, at, &[low_distance, high_distance]);
    }
    if extra < 15 {
        return at;
    }
    if extra < 15 + 255
        && let Some(to) = out.get_mut(at)
    {
        *to = low(extra.wrapping_sub(15));
        return at.wrapping_add(1);
    }
    put_length(out, at, extra)
}

/// Writes what a token's four bits cannot say of a length. Where it ends.
fn put_length(out: &mut [u8], mut at: usize, length: usize) -> usize {
    let Some(rest) = length.checked_sub(15) else {
        return at;
    };
    if rest >= 255 {
        let full = at.saturating_add(rest / 255);
        if let Some(to) = out.get_mut(at..full) {
            to.fill(0xFF);
            at = full;
        }
    }
    put(out, at, &[low(rest % 255)])
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    let end = at.saturating_add(bytes.len());
    match out.get_mut(at..end) {
        Some(to) => {
            to.copy_from_slice(bytes);
            end
        }
        None => at,
    }
}

/// The most that a sequence with so many literals takes, without the length of its reference; also the most that so many
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
