//! How long two places of one input are equal.

use super::LAST_LITERALS;

/// The longest part of a reference that is found at once, in each direction.
pub(super) const LONGEST: usize = 65_536;
/// Bytes compared at once.
const WORD: usize = size_of::<u64>();
const WIDE: usize = size_of::<u128>();

/// How many bytes before `at` and before `before`, which is further in front, are equal, down to `from`.
#[inline(always)]
pub(super) fn common_end(input: &[u8], from: usize, at: usize, before: usize) -> usize {
    let longest = at.wrapping_sub(from).min(before);
    if longest == 0 || input.get(at.wrapping_sub(1)) != input.get(before.wrapping_sub(1)) {
        return 0;
    }
    common_end_of(input, longest.min(LONGEST), at, before)
}

fn common_end_of(input: &[u8], longest: usize, at: usize, before: usize) -> usize {
    let part = |end: usize| input.get(end.saturating_sub(longest)..end);
    let (Some(new), Some(old)) = (part(at), part(before)) else {
        return 0;
    };
    let (_, new_words) = new.as_rchunks::<WORD>();
    let (_, old_words) = old.as_rchunks::<WORD>();
    let mut length = 0_usize;
    for (new, old) in new_words.iter().rev().zip(old_words.iter().rev()) {
        let differs = u64::from_le_bytes(*new) ^ u64::from_le_bytes(*old);
        if differs != 0 {
            return length.wrapping_add(widen(differs.leading_zeros() / 8));
        }
        length = length.wrapping_add(WORD);
    }
    let rest = |all: &'_ [u8]| all.len().saturating_sub(length);
    let (new, old) = (new.get(..rest(new)), old.get(..rest(old)));
    let pairs = new
        .into_iter()
        .flatten()
        .rev()
        .zip(old.into_iter().flatten().rev());
    length.wrapping_add(pairs.take_while(|(new, old)| new == old).count())
}

/// How many bytes from `at` on are equal to those `distance` before.
#[inline(always)]
pub(super) fn common_start(input: &[u8], at: usize, distance: usize) -> usize {
    let end = input.len().saturating_sub(LAST_LITERALS);
    let end = end.min(at.saturating_add(LONGEST));
    let start = at.wrapping_sub(distance);
    let (Some(new), Some(old)) = (input.get(at..end), input.get(start..end)) else {
        return 0;
    };
    let (new_words, new_rest) = new.as_chunks::<WIDE>();
    let (old_words, _) = old.as_chunks::<WIDE>();
    let mut length = 0_usize;
    for (new, old) in new_words.iter().zip(old_words) {
        let differs = u128::from_le_bytes(*new) ^ u128::from_le_bytes(*old);
        if differs != 0 {
            return length.wrapping_add(widen(differs.trailing_zeros() / 8));
        }
        length = length.wrapping_add(WIDE);
    }
    let old_rest = old.get(length..).unwrap_or_default();
    let rest = new_rest.iter().zip(old_rest);
    length.wrapping_add(rest.take_while(|(new, old)| new == old).count())
}

/// Positions are below 2^32: no input is that large.
#[inline(always)]
pub(super) fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[inline(always)]
pub(super) fn widen(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
