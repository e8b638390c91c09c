//! The items of a decoded envelope: which are sent, and the envelope made of those.
//!
//! Items are slices of the envelope. A scrubbed item gets another payload, and its header the new length; the others are left
//! untouched. A new envelope is its header, then the header and payload of each item that is sent, each followed by an LF.
//! White space between items is dropped.

use super::rules::Rules;
use super::scrub::{Scrub, Scrubbing};
use crate::meter::Meter;
use crate::sentry::envelope::{ItemPlace, Walker, member};
use std::ops::Range;
use std::task::{Poll, ready};
use std::vec::IntoIter;

/// Items that count many events, or whose absence is noticed: an envelope with one of them is not sampled.
pub(super) const ALWAYS: [&str; 4] = ["session", "sessions", "client_report", "check_in"];
/// The most items of one envelope; real ones have a few. More cannot be sorted.
const MAX_ITEMS: usize = 50_000;
/// Bytes copied per unit.
const BYTES_PER_UNIT: usize = 16;
/// The most bytes copied at a time.
const PIECE: usize = 1 << 20;
/// Units per part, and per byte of a header that is searched for the length.
const PART: u64 = 100;
const HEADER_BYTE: u64 = 20;
/// Units per type that a rule names, for each item.
const TYPE: u64 = 30;

/// An item, or the envelope's header.
#[derive(Clone, Copy, Debug)]
struct Part {
    header: usize,
    /// Where its header ends, and where its payload ends.
    start: usize,
    end: usize,
    /// Its header says how long the payload is.
    has_length: bool,
    /// It is to be scrubbed.
    scrubs: bool,
}

/// The items of an envelope, read one by one.
#[derive(Debug)]
pub(super) struct Sorting {
    walker: Walker,
    place: Option<ItemPlace>,
    /// Where the envelope's header ends.
    header: usize,
    parts: Vec<Part>,
    left_out: usize,
    always: bool,
}

impl Sorting {
    /// Starts after the header of the envelope.
    pub(super) fn new(walker: Walker) -> Self {
        Self {
            header: walker.offset(),
            walker,
            place: None,
            parts: Vec::new(),
            left_out: 0,
            always: false,
        }
    }

    /// Reads further. `false`: it cannot be read.
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        scrub: Option<&dyn Scrub>,
        meter: &mut Meter,
    ) -> Poll<bool> {
        let scrub = scrub.filter(|_| rules.scrub);
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            let Some(place) = self.place else {
                match ready!(self.walker.next(bytes, meter)) {
                    None => return Poll::Ready(true),
                    Some(Ok(place)) => self.place = Some(place),
                    Some(Err(_)) => return Poll::Ready(false),
                }
                continue;
            };
            // Its header is read once more, right away.
            let price = place.price(bytes);
            if !meter.has(price) {
                return Poll::Pending;
            }
            meter.spend(price);
            self.place = None;
            let Ok(item) = place.item(bytes) else {
                return Poll::Ready(false);
            };
            let ty = &*item.header.ty;
            self.always |= ALWAYS.contains(&ty);
            let types = rules.items.as_ref().map_or(0, |items| items.types().len());
            meter.spend_bytes(types, TYPE);
            if rules.items.as_ref().is_some_and(|items| !items.has(ty)) {
                self.left_out = self.left_out.saturating_add(1);
            } else if self.parts.len() < MAX_ITEMS {
                let (header, end) = place.range();
                self.parts.push(Part {
                    header,
                    start: item.offset,
                    end,
                    has_length: item.header.length.is_some(),
                    scrubs: scrub.is_some_and(|scrub| scrub.takes(&item.header)),
                });
            } else if rules.items.is_some() || rules.scrub {
                return Poll::Ready(false);
            }
        }
    }

    /// Whether there is an item that is never sampled.
    pub(super) fn always(&self) -> bool {
        self.always
    }

    /// Whether every item is sent and none is scrubbed.
    pub(super) fn is_whole(&self) -> bool {
        self.left_out == 0 && !self.parts.iter().any(|part| part.scrubs)
    }

    /// The envelope of the items that are sent, with `header` if it is replaced. `None` if there are no items or no memory.
    pub(super) fn framing(&mut self, bytes: &[u8], header: Option<Vec<u8>>) -> Option<Framing> {
        if self.parts.is_empty() {
            return None;
        }
        let lf = bytes.get(self.header.saturating_sub(1)) == Some(&b'\n');
        let end = self.header.saturating_sub(usize::from(lf));
        let mut parts = Vec::with_capacity(self.parts.len().saturating_add(1));
        if header.is_none() {
            parts.push(Part {
                header: 0,
                start: end,
                end,
                has_length: false,
                scrubs: false,
            });
        }
        parts.append(&mut self.parts);
        let sizes = parts
            .iter()
            .map(|part| part.end.saturating_sub(part.header));
        let size = sizes.fold(parts.len(), usize::saturating_add);
        let new = header.as_ref().map_or(0, Vec::len).saturating_add(1);
        let mut written = Vec::new();
        written.try_reserve_exact(size.saturating_add(new)).ok()?;
        let changed = self.left_out > 0 || header.is_some();
        if let Some(header) = header {
            written.extend_from_slice(&header);
            written.push(b'\n');
        }
        Some(Framing {
            parts: parts.into_iter(),
            current: None,
            written,
            changed,
        })
    }
}

/// The result of building a new envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framed {
    /// It differs from the one received.
    Changed(Vec<u8>),
    /// Nothing was scrubbed or left out.
    Same,
    /// An item could not be scrubbed, or there is no memory.
    Failed,
}

/// An envelope being rebuilt.
#[derive(Debug)]
pub(super) struct Framing {
    parts: IntoIter<Part>,
    current: Option<Current>,
    written: Vec<u8>,
    changed: bool,
}

/// What is being done with a part.
#[derive(Debug)]
enum Current {
    /// These bytes are to be copied.
    Copy(usize, usize),
    Scrub(Part, Box<dyn Scrubbing>),
}

impl Framing {
    /// Continues.
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
        scrub: Option<&dyn Scrub>,
        meter: &mut Meter,
    ) -> Poll<Framed> {
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            let Some(current) = self.current.take() else {
                meter.spend(PART);
                let Some(part) = self.parts.next() else {
                    let written = std::mem::take(&mut self.written);
                    return Poll::Ready(if self.changed {
                        Framed::Changed(written)
                    } else {
                        Framed::Same
                    });
                };
                let scrub = scrub.filter(|_| part.scrubs);
                self.current = Some(match scrub {
                    Some(scrub) => Current::Scrub(part, scrub.begin(rules.client_ip)),
                    None => Current::Copy(part.header, part.end),
                });
                continue;
            };
            match current {
                Current::Copy(start, end) => {
                    let stop = end.min(start.saturating_add(PIECE));
                    let piece = bytes.get(start..stop).unwrap_or_default();
                    meter.spend_bytes(piece.len().div_ceil(BYTES_PER_UNIT), 1);
                    if self.write(piece).is_none() {
                        return Poll::Ready(Framed::Failed);
                    }
                    if stop < end {
                        self.current = Some(Current::Copy(stop, end));
                    } else if self.write(b"\n").is_none() {
                        return Poll::Ready(Framed::Failed);
                    }
                }
                Current::Scrub(part, mut scrubbing) => {
                    let payload = bytes.get(part.start..part.end).unwrap_or_default();
                    let Poll::Ready(scrubbed) = scrubbing.step(payload, meter) else {
                        self.current = Some(Current::Scrub(part, scrubbing));
                        return Poll::Pending;
                    };
                    match scrubbed {
                        Ok(None) => self.current = Some(Current::Copy(part.header, part.end)),
                        Ok(Some(becomes)) => {
                            let header = bytes.get(part.header..part.start).unwrap_or_default();
                            meter.spend_bytes(header.len(), HEADER_BYTE);
                            meter.spend_bytes(becomes.len().div_ceil(BYTES_PER_UNIT), 1);
                            if self.replace(part, header, &becomes).is_none() {
                                return Poll::Ready(Framed::Failed);
                            }
                            self.changed = true;
                        }
                        Err(_) => return Poll::Ready(Framed::Failed),
                    }
                }
            }
        }
    }

    /// Writes an item with another payload.
    fn replace(&mut self, part: Part, header: &[u8], payload: &str) -> Option<()> {
        if part.has_length {
            let length = length(header)?;
            self.write(header.get(..length.start)?)?;
            self.write(payload.len().to_string().as_bytes())?;
            self.write(header.get(length.end..)?)?;
        } else {
            // The payload goes to the next LF, and contains none.
            self.write(header)?;
        }
        self.write(payload.as_bytes())?;
        self.write(b"\n")
    }

    fn write(&mut self, bytes: &[u8]) -> Option<()> {
        self.written.try_reserve(bytes.len()).ok()?;
        self.written.extend_from_slice(bytes);
        Some(())
    }
}

/// Where the value of the member `length` is in an item's header, which has already been read, if it is a number.
fn length(header: &[u8]) -> Option<Range<usize>> {
    let value = member(header, "length")?;
    let digits = header.get(value.clone())?;
    digits.iter().all(u8::is_ascii_digit).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::length;

    #[test]
    fn the_length_of_a_header() {
        for (header, found) in [
            (r#"{"length":12}"#, Some("12")),
            (r#"{"type":"length","length" : 7 ,"x":1}"#, Some("7")),
            (
                r#"{"a":{"length":5},"b":["length",9],"length":3}"#,
                Some("3"),
            ),
            (r#"{"a\"length":5,"length":30}"#, Some("30")),
            (r#"{"len\u0067th":8}"#, Some("8")),
            (r#"{"a":"\\","length":1}"#, Some("1")),
            (r#"{"length":null}"#, None),
            (r#"{"type":"length"}"#, None),
        ] {
            let text = |value: std::ops::Range<usize>| &header[value];
            assert_eq!(length(header.as_bytes()).map(text), found, "{header}");
        }
    }
}
