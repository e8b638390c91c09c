//! The parts of a metablock's header that are read as a whole: numbers and descriptions of prefix codes (RFC 7932, sections 3
//! and 9.2).

use super::BROKEN;
use crate::meter::Meter;
use crate::sentry::decode::Reason;
use crate::sentry::decode::bits::Bits;
use crate::sentry::decode::prefix::{BUILD, BUILD_SYMBOL, Codes, Fit};

/// Symbols of the largest alphabet.
pub(super) const MAX_ALPHABET: usize = 704;

/// What reading a code costs, and each of its symbols, in units of a meter; measured.
const CODE: u64 = 700;
const SYMBOL: u64 = 50;

/// A number from 0 to 255: section 9.2, NBLTYPES and NTREES, less one.
pub(super) fn small_number(bits: &mut Bits, body: &[u8]) -> Result<usize, Reason> {
    if bits.take(body, 1)? == 0 {
        return Ok(0);
    }
    let width = u32::try_from(bits.take(body, 3)?).unwrap_or_default();
    let low = bits.take(body, width)?;
    Ok(1_usize.wrapping_shl(width).wrapping_add(low))
}

/// Reads the description of a code and builds it.
pub(super) fn code(
    bits: &mut Bits,
    body: &[u8],
    codes: &mut Codes,
    index: usize,
    meter: &mut Meter,
) -> Result<(), Reason> {
    meter.spend(CODE.saturating_add(BUILD));
    let skipped = bits.take(body, 2)?;
    if skipped == 1 {
        return simple(bits, body, codes, index, meter);
    }
    let mut lengths = [0_u8; MAX_ALPHABET];
    let alphabet = codes.alphabet();
    let lengths = lengths.get_mut(..alphabet).ok_or(BROKEN)?;
    // The place of the code itself is used first for the code that its lengths are sent with.
    code_of_lengths(bits, body, codes, index, skipped)?;
    meter.spend(BUILD.saturating_mul(2));
    let used = read_lengths(bits, body, codes, index, lengths, meter)?;
    let used = lengths.get(..used).ok_or(BROKEN)?;
    meter.spend_bytes(used.len(), BUILD_SYMBOL);
    if codes.build(index, used) == Some(Fit::Complete) {
        Ok(())
    } else {
        Err(BROKEN)
    }
}

/// One to four symbols: section 3.4.
fn simple(
    bits: &mut Bits,
    body: &[u8],
    codes: &mut Codes,
    index: usize,
    meter: &mut Meter,
) -> Result<(), Reason> {
    let count = bits.take(body, 2)?.wrapping_add(1);
    let alphabet = codes.alphabet();
    let width = usize::BITS.wrapping_sub(alphabet.wrapping_sub(1).leading_zeros());
    let mut symbols = [0_usize; 4];
    let symbols = symbols.get_mut(..count).unwrap_or_default();
    for symbol in symbols.iter_mut() {
        *symbol = bits.take(body, width)?;
        if *symbol >= alphabet {
            return Err(BROKEN);
        }
    }
    let sizes: [u8; 4] = match symbols.len() {
        1 => {
            let symbol = symbols.first().copied().unwrap_or_default();
            let symbol = u16::try_from(symbol).map_err(|_| BROKEN)?;
            return codes.build_single(index, symbol).ok_or(BROKEN);
        }
        2 => [1, 1, 0, 0],
        3 => [1, 2, 2, 0],
        _ if bits.take(body, 1)? == 0 => [2, 2, 2, 2],
        _ => [1, 2, 3, 3],
    };
    let mut lengths = [0_u8; MAX_ALPHABET];
    let most = symbols.iter().max().map_or(0, |most| most.wrapping_add(1));
    for (symbol, size) in symbols.iter().zip(sizes) {
        let length = lengths.get_mut(*symbol).ok_or(BROKEN)?;
        if *length != 0 {
            return Err(BROKEN);
        }
        *length = size;
    }
    meter.spend_bytes(most, BUILD_SYMBOL / 2);
    let used = lengths.get(..most).ok_or(BROKEN)?;
    codes.build(index, used).map(|_| ()).ok_or(BROKEN)
}

/// The code that another code's lengths are sent with: section 3.5.
fn code_of_lengths(
    bits: &mut Bits,
    body: &[u8],
    codes: &mut Codes,
    index: usize,
    skipped: usize,
) -> Result<(), Reason> {
    const ORDER: [usize; 18] = [1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    /// By the next four bits: how many of them are consumed, and the length they mean.
    const FIXED: [(u32, u8); 16] = [
        (2, 0),
        (2, 4),
        (2, 3),
        (3, 2),
        (2, 0),
        (2, 4),
        (2, 3),
        (4, 1),
        (2, 0),
        (2, 4),
        (2, 3),
        (3, 2),
        (2, 0),
        (2, 4),
        (2, 3),
        (4, 5),
    ];
    const SPACE: i32 = 32;
    let mut lengths = [0_u8; 18];
    let (mut space, mut count, mut single) = (SPACE, 0_u32, 0_u16);
    for symbol in ORDER.iter().skip(skipped) {
        bits.fill(body);
        let next = usize::try_from(bits.peek() & 15).unwrap_or_default();
        let (width, length) = FIXED.get(next).copied().unwrap_or_default();
        bits.skip(width)?;
        if length != 0 {
            *lengths.get_mut(*symbol).ok_or(BROKEN)? = length;
            space = space.wrapping_sub(SPACE.wrapping_shr(length.into()));
            count = count.wrapping_add(1);
            single = u16::try_from(*symbol).unwrap_or_default();
            if space <= 0 {
                break;
            }
        }
    }
    if count == 1 {
        return codes.build_single(index, single).ok_or(BROKEN);
    }
    if space != 0 || codes.build(index, &lengths) != Some(Fit::Complete) {
        return Err(BROKEN);
    }
    Ok(())
}

/// Reads the lengths of a code's symbols; returns the number of symbols up to the last that has one.
fn read_lengths(
    bits: &mut Bits,
    body: &[u8],
    codes: &Codes,
    index: usize,
    lengths: &mut [u8],
    meter: &mut Meter,
) -> Result<usize, Reason> {
    const SPACE: i32 = 1 << 15;
    let code = codes.get(index).ok_or(BROKEN)?;
    let (mut space, mut at) = (SPACE, 0_usize);
    let (mut before, mut repeated, mut repeat) = (8_u8, 0_u8, 0_usize);
    while at < lengths.len() && space > 0 {
        meter.spend(SYMBOL);
        bits.fill(body);
        let symbol = code.read(bits)?.ok_or(BROKEN)?;
        let length = match u8::try_from(symbol).map_err(|_| BROKEN)? {
            symbol @ ..16 => {
                repeat = 0;
                *lengths.get_mut(at).ok_or(BROKEN)? = symbol;
                at = at.wrapping_add(1);
                if symbol == 0 {
                    continue;
                }
                before = symbol;
                space = space.wrapping_sub(SPACE.wrapping_shr(symbol.into()));
                continue;
            }
            16 => before,
            _ => 0,
        };
        let extra = u32::from(symbol).wrapping_sub(14);
        if repeated != length {
            (repeated, repeat) = (length, 0);
        }
        // A second one of the same kind multiplies the first.
        let already = repeat;
        let shifted = repeat.saturating_sub(2).wrapping_shl(extra);
        repeat = shifted
            .wrapping_add(bits.take_filled(extra)?)
            .wrapping_add(3);
        let count = repeat.saturating_sub(already);
        let end = at.saturating_add(count);
        lengths.get_mut(at..end).ok_or(BROKEN)?.fill(length);
        at = end;
        if length != 0 {
            let each = SPACE.wrapping_shr(length.into());
            let count = i32::try_from(count).map_err(|_| BROKEN)?;
            space = space.wrapping_sub(each.wrapping_mul(count));
        }
    }
    if space == 0 { Ok(at) } else { Err(BROKEN) }
}
