//! Walks through an envelope from header to header, in steps.

use std::task::{Poll, ready};

use super::header::{self, Fault, Header, ItemHeader};
use super::{Item, Malformed, Place, Reason};
use crate::meter::Meter;

/// The most bytes of a header that are looked at.
const MAX_HEADER: usize = 262_144;
/// What reading a header may cost, in units: 180 KB of plain text, 100 KB of other text, 10 KB of brackets and commas. It is
/// read at once. Relay itself has no such limit. The headers of SDKs have a few hundred bytes, and a kilobyte including all
/// they say about a trace.
const MAX_PRICE: u64 = 4_500_000;

/// Units of a header; of each string, comma and bracket in it; of a byte of plain text, of other text, and outside of text;
/// and of an escape. Also of a byte that is only skipped.
const HEADER: u64 = 2_000;
const PART: u64 = 350;
const PLAIN: u64 = 25;
const TEXT: u64 = 45;
const OTHER: u64 = 90;
const ESCAPE: u64 = 340;
const PASS: u64 = 4;
/// Units of white space.
const SPACE: u64 = 16;
/// The most bytes between two checks of the meter.
const PIECE: usize = 65_536;

/// The position of an item in an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemPlace {
    index: usize,
    header: usize,
    start: usize,
    length: usize,
}

impl ItemPlace {
    /// Its payload.
    #[must_use]
    pub fn payload(self, bytes: &[u8]) -> &[u8] {
        let end = self.start.saturating_add(self.length);
        bytes.get(self.start..end).unwrap_or_default()
    }

    /// From the first byte of its header to the end of its payload, without the LF that ends it.
    #[must_use]
    pub fn range(self) -> (usize, usize) {
        (self.header, self.start.saturating_add(self.length))
    }

    /// What reading its header once more costs, in units.
    #[must_use]
    pub fn price(self, bytes: &[u8]) -> u64 {
        // It has been read before: it is neither too long nor made of too many parts.
        price(bytes, self.header).unwrap_or(HEADER)
    }

    /// The item. Its header, already read once, is read again.
    ///
    /// # Errors
    /// What is wrong with it, if the bytes have changed.
    pub fn item(self, bytes: &[u8]) -> Result<Item<'_>, Malformed> {
        let place = Place::Item(self.index);
        let (header, _) = read::<ItemHeader<'_>>(bytes, self.header, place)?;
        Ok(Item {
            header,
            payload: self.payload(bytes),
            offset: self.start,
        })
    }
}

/// Reads the headers of an envelope one by one, and checks what is between them. It keeps no bytes: they are passed at every
/// step, and are always the same.
#[derive(Clone, Debug, Default)]
pub struct Walker {
    offset: usize,
    index: usize,
    /// Where the white space before a header began.
    began: Option<usize>,
    /// A payload without a length: its header, its first byte, and where to look for its end.
    open: Option<(usize, usize, usize)>,
}

impl Walker {
    /// The first header.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn header<'a>(
        &mut self,
        bytes: &'a [u8],
        meter: &mut Meter,
    ) -> Poll<Result<Header<'a>, Malformed>> {
        if self.space(bytes, meter).is_pending() {
            return Poll::Pending;
        }
        let place = Place::Header;
        let malformed = |offset, reason| {
            Poll::Ready(Err(Malformed {
                place,
                offset,
                reason,
            }))
        };
        if self.offset >= bytes.len() {
            return malformed(bytes.len(), Reason::Empty);
        }
        self.began = None;
        let (header, end) = ready!(self.charged(bytes, place, meter))?;
        match after_lf(bytes, end, "the header") {
            Ok(offset) => self.offset = offset,
            Err(reason) => return malformed(end, reason),
        }
        Poll::Ready(Ok(header))
    }

    /// The offset after what has been read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next item; `None` at the end, and after an error.
    pub fn next(
        &mut self,
        bytes: &[u8],
        meter: &mut Meter,
    ) -> Poll<Option<Result<ItemPlace, Malformed>>> {
        if self.offset >= bytes.len() && self.began.is_none() {
            return Poll::Ready(None);
        }
        let Poll::Ready(found) = self.item(bytes, meter) else {
            return Poll::Pending;
        };
        self.began = None;
        self.open = None;
        match &found {
            Ok(_) => self.index = self.index.saturating_add(1),
            Err(_) => self.offset = bytes.len(),
        }
        Poll::Ready(Some(found))
    }

    fn item(&mut self, bytes: &[u8], meter: &mut Meter) -> Poll<Result<ItemPlace, Malformed>> {
        let place = Place::Item(self.index);
        let malformed = |offset, reason| {
            Poll::Ready(Err(Malformed {
                place,
                offset,
                reason,
            }))
        };
        let (header, start, length) = match self.open {
            Some((header, start, _)) => (header, start, None),
            None => {
                if self.space(bytes, meter).is_pending() {
                    return Poll::Pending;
                }
                if self.offset >= bytes.len() {
                    return malformed(bytes.len(), Reason::NoHeader);
                }
                let (header, end): (ItemHeader<'_>, _) = ready!(self.charged(bytes, place, meter))?;
                if header.ty == "integration" {
                    return malformed(self.began.unwrap_or(self.offset), Reason::Internal);
                }
                match after_lf(bytes, end, "the header") {
                    Ok(start) => (self.offset, start, header.length),
                    Err(reason) => return malformed(end, reason),
                }
            }
        };
        let left = bytes.len().saturating_sub(start);
        let length = match length {
            None => {
                let Poll::Ready(end) = self.line(bytes, header, start, meter) else {
                    return Poll::Pending;
                };
                end.saturating_sub(start)
            }
            Some(length) => match usize::try_from(length) {
                Ok(usable) if usable <= left => usable,
                _ => return malformed(start, Reason::TooShort { length, left }),
            },
        };
        let end = start.saturating_add(length);
        match after_lf(bytes, end, "the payload") {
            Ok(offset) => self.offset = offset,
            Err(reason) => return malformed(end, reason),
        }
        Poll::Ready(Ok(ItemPlace {
            index: self.index,
            header,
            start,
            length,
        }))
    }

    /// Reads the header at the offset, once the meter has enough for it; returns it with the offset after it.
    fn charged<'a, T: serde::Deserialize<'a>>(
        &self,
        bytes: &'a [u8],
        place: Place,
        meter: &mut Meter,
    ) -> Poll<Result<(T, usize), Malformed>> {
        let offset = self.offset;
        match price(bytes, offset) {
            Ok(units) if meter.has(units) => {
                meter.spend(units);
                Poll::Ready(read(bytes, offset, place))
            }
            Ok(units) => {
                meter.spend(units / 4);
                Poll::Pending
            }
            Err((reason, units)) => {
                meter.spend(units);
                Poll::Ready(Err(Malformed {
                    place,
                    offset,
                    reason,
                }))
            }
        }
    }

    /// The LF that ends a payload without a length, or the end.
    fn line(
        &mut self,
        bytes: &[u8],
        header: usize,
        start: usize,
        meter: &mut Meter,
    ) -> Poll<usize> {
        let mut at = self.open.map_or(start, |(_, _, at)| at);
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let room = meter.bytes(PASS).min(PIECE);
            if room == 0 {
                self.open = Some((header, start, at));
                return Poll::Pending;
            }
            let piece = rest.get(..room).unwrap_or(rest);
            let found = memchr::memchr(b'\n', piece);
            let length = found.unwrap_or(piece.len());
            meter.spend_bytes(length, PASS);
            at = at.saturating_add(length);
            if found.is_some() || piece.len() == rest.len() {
                return Poll::Ready(at);
            }
        }
    }

    /// Skips the white space before a header.
    fn space(&mut self, bytes: &[u8], meter: &mut Meter) -> Poll<()> {
        self.began.get_or_insert(self.offset);
        let rest = bytes.get(self.offset..).unwrap_or_default();
        let room = meter.bytes(SPACE);
        let piece = rest.get(..room).unwrap_or(rest);
        let dark = |byte: &u8| !matches!(*byte, b' ' | b'\n' | b'\r' | b'\t');
        let found = piece.iter().position(dark);
        let length = found.unwrap_or(piece.len());
        meter.spend_bytes(length, SPACE);
        self.offset = self.offset.saturating_add(length);
        if found.is_none() && piece.len() < rest.len() {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

/// What reading the header at `offset` costs, in units.
fn price(bytes: &[u8], offset: usize) -> Result<u64, (Reason, u64)> {
    let rest = bytes.get(offset..).unwrap_or_default();
    let bytes = rest.get(..MAX_HEADER).unwrap_or(rest);
    let (mut depth, mut at, mut price) = (0_usize, 0_usize, HEADER);
    while let Some(byte) = bytes.get(at) {
        at = at.saturating_add(1);
        price = price.saturating_add(OTHER);
        match byte {
            b'"' => {
                let (end, units) = price_of_text(bytes, at);
                price = price.saturating_add(units).saturating_add(PART);
                at = end;
            }
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                price = price.saturating_add(PART);
            }
            b',' => price = price.saturating_add(PART),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if price > MAX_PRICE {
            return Err((Reason::TooLong, price));
        }
        if depth == 0 {
            return Ok(price);
        }
    }
    if bytes.len() < rest.len() {
        Err((Reason::TooLong, price))
    } else {
        Ok(price)
    }
}

/// The offset after the string whose contents begin at `start`, and what reading it costs.
fn price_of_text(bytes: &[u8], start: usize) -> (usize, u64) {
    let (mut at, mut price) = (start, 0_u64);
    while price <= MAX_PRICE
        && let Some(rest) = bytes.get(at..)
        && let Some(found) = memchr::memchr2(b'"', b'\\', rest)
    {
        let text = rest.get(..found).unwrap_or_default();
        let per_byte = if text.is_ascii() { PLAIN } else { TEXT };
        let length = u64::try_from(found).unwrap_or(u64::MAX);
        price = price.saturating_add(length.saturating_mul(per_byte));
        at = at.saturating_add(found).saturating_add(1);
        if rest.get(found) == Some(&b'"') {
            return (at, price);
        }
        // The escaped character.
        at = at.saturating_add(1);
        price = price.saturating_add(ESCAPE);
    }
    let left = bytes.len().saturating_sub(at);
    let left = u64::try_from(left).unwrap_or(u64::MAX).saturating_mul(TEXT);
    (bytes.len(), price.saturating_add(left))
}

/// Reads the header at `offset`; returns it with the offset after it.
fn read<'a, T: serde::Deserialize<'a>>(
    bytes: &'a [u8],
    offset: usize,
    place: Place,
) -> Result<(T, usize), Malformed> {
    /// For what is not an object: enough to say so.
    const OF_OTHERS: usize = 64;
    let rest = bytes.get(offset..).unwrap_or_default();
    let most = match rest.first() {
        Some(b'{' | b'[' | b'"') => MAX_HEADER,
        _ => OF_OTHERS,
    };
    let piece = rest.get(..most).unwrap_or(rest);
    let malformed = |at: usize, reason| Malformed {
        place,
        offset: offset.saturating_add(at),
        reason,
    };
    match header::read(piece) {
        Some(Ok((header, end))) => Ok((header, offset.saturating_add(end))),
        Some(Err(Fault { offset, text })) => Err(malformed(offset, Reason::Json(text))),
        None => Err(malformed(0, Reason::NoHeader)),
    }
}

/// The offset after the LF at `end`; at the end of the input it may be missing.
fn after_lf(bytes: &[u8], end: usize, after: &'static str) -> Result<usize, Reason> {
    match bytes.get(end) {
        Some(b'\n') => Ok(end.saturating_add(1)),
        None => Ok(bytes.len()),
        Some(&found) => Err(Reason::Unterminated { after, found }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
