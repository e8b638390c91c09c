//! From header to header through an envelope, in steps.

use std::task::Poll;

use super::header::{self, Fault, Header, ItemHeader};
use super::{Item, Malformed, Place, Reason};
use crate::meter::Meter;

/// The most bytes of a header. Relay has no such limit of its own; those of SDKs have some hundred bytes, and a kilobyte with
/// all that they say of a trace.
pub const MAX_HEADER: usize = 73_728;

/// Units of a header, of a byte in it, and of a byte that is only passed.
const HEADER: u64 = 2_000;
const HEADER_BYTE: u64 = 60;
const PASS: u64 = 4;
/// Of white space.
const SPACE: u64 = 16;
/// The most bytes between two looks at the meter.
const PIECE: usize = 65_536;

/// Where an item stands in an envelope.
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

    /// The item. Its header, which has been read before, is read again.
    ///
    /// # Errors
    /// What is wrong with it, should the bytes be others.
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

/// Reads the headers of an envelope one by one, and checks what stands between them. It keeps no bytes: they are passed at
/// every step, and are always the same.
#[derive(Clone, Debug, Default)]
pub struct Walker {
    offset: usize,
    index: usize,
    /// Where the white space before a header began.
    began: Option<usize>,
    /// A payload without a length: its header, its first byte, and where its end is looked for.
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
        let (header, end) = match read(bytes, self.offset, place) {
            Ok(read) => read,
            Err(error) => return Poll::Ready(Err(error)),
        };
        meter.spend(HEADER);
        meter.spend_bytes(end.saturating_sub(self.offset), HEADER_BYTE);
        match after_lf(bytes, end, "the header") {
            Ok(offset) => self.offset = offset,
            Err(reason) => return malformed(end, reason),
        }
        Poll::Ready(Ok(header))
    }

    /// The next item; none at the end, also behind an error.
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
                let (header, end) = match read::<ItemHeader<'_>>(bytes, self.offset, place) {
                    Ok(read) => read,
                    Err(error) => return Poll::Ready(Err(error)),
                };
                meter.spend(HEADER);
                meter.spend_bytes(end.saturating_sub(self.offset), HEADER_BYTE);
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

    /// Over the white space before a header.
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

/// Reads the header at `offset`; gives it with the offset behind it.
fn read<'a, T: serde::Deserialize<'a>>(
    bytes: &'a [u8],
    offset: usize,
    place: Place,
) -> Result<(T, usize), Malformed> {
    let rest = bytes.get(offset..).unwrap_or_default();
    let piece = rest.get(..MAX_HEADER).unwrap_or(rest);
    let malformed = |at: usize, reason| Malformed {
        place,
        offset: offset.saturating_add(at),
        reason,
    };
    match header::read(piece) {
        Some(Ok((header, end))) => Ok((header, offset.saturating_add(end))),
        Some(Err(fault)) if fault.at_end && piece.len() < rest.len() => {
            Err(malformed(0, Reason::TooLong))
        }
        Some(Err(Fault { offset, text, .. })) => Err(malformed(offset, Reason::Json(text))),
        None => Err(malformed(0, Reason::NoHeader)),
    }
}

/// The offset behind the LF at `end`; at the end of the input there need not be one.
fn after_lf(bytes: &[u8], end: usize, after: &'static str) -> Result<usize, Reason> {
    match bytes.get(end) {
        Some(b'\n') => Ok(end.saturating_add(1)),
        None => Ok(bytes.len()),
        Some(&found) => Err(Reason::Unterminated { after, found }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// All places, or the first error, with so many units a step.
    fn walk(bytes: &[u8], units: u64) -> Result<Vec<ItemPlace>, Malformed> {
        let mut walker = Walker::default();
        while let Poll::Pending = walker.header(bytes, &mut Meter::new(units)).map(drop) {}
        let mut places = Vec::new();
        loop {
            match walker.next(bytes, &mut Meter::new(units)) {
                Poll::Pending => {}
                Poll::Ready(None) => return Ok(places),
                Poll::Ready(Some(place)) => places.push(place?),
            }
        }
    }

    #[test]
    fn every_step_finds_the_same() {
        let blank = "\n \t".repeat(40_000);
        let long = "x".repeat(200_000);
        let envelope = format!(
            "{blank}{{}}\n{blank}{{\"type\":\"a\"}}\n{long}\n{blank}{{\"type\":\"b\",\"length\":3}}\n{{\n}}\n{{\"type\":\"c\"}}\n{long}"
        );
        let whole = walk(envelope.as_bytes(), u64::MAX).unwrap();
        let lengths: Vec<_> = whole.iter().map(|place| place.length).collect();
        assert_eq!(lengths, [200_000, 3, 200_000]);
        for units in [1, 5_000, 300_000] {
            assert_eq!(walk(envelope.as_bytes(), units).unwrap(), whole);
        }
        for place in whole {
            let item = place.item(envelope.as_bytes()).unwrap();
            assert_eq!(item.payload.len(), place.length);
        }
        let open = format!("{{}}\n{blank}");
        let error = walk(open.as_bytes(), 1).unwrap_err();
        assert_eq!((error.reason, error.offset), (Reason::NoHeader, open.len()));
    }

    #[test]
    fn a_header_has_a_most_of_bytes() {
        let header = |length: usize| format!("{{\"a\":\"{}\"}}\n", "x".repeat(length));
        let fits = header(MAX_HEADER - 8);
        assert_eq!(walk(fits.as_bytes(), 1).unwrap(), []);
        let error = Walker::default()
            .header(header(MAX_HEADER - 7).as_bytes(), &mut Meter::unlimited())
            .map(Result::unwrap_err);
        let Poll::Ready(error) = error else {
            unreachable!("an unlimited meter is never empty")
        };
        assert_eq!((error.reason, error.offset), (Reason::TooLong, 0));
        // Broken is broken, however long.
        let broken = format!("{{]{}", "x".repeat(MAX_HEADER));
        let error = Walker::default().header(broken.as_bytes(), &mut Meter::unlimited());
        assert!(matches!(
            error,
            Poll::Ready(Err(Malformed {
                reason: Reason::Json(_),
                ..
            }))
        ));
    }
}
