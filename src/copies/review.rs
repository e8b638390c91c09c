//! What becomes of a copy whose envelope a rule looks into, in steps: whether it is in its project's sample, and which of its
//! items go.
//!
//! *Sample.* The trace id decides (`trace.trace_id` of the first line), or the event id if there is none. Both stand in the
//! first line; so of a compressed body only so much is decoded. What is not in the sample is read on, for it may hold an item
//! that is never sampled ([`super::sorting::ALWAYS`]). What cannot be decided goes: an envelope without either id, with an encoding
//! that is unknown or broken, with a first line of more than [`MAX_LINE`] bytes, or one that takes too long to read.
//!
//! *Items, and scrubbing.* The whole envelope is decoded, and if something in it stays or is replaced, put together anew
//! without that, not encoded. Else it goes as it came. What cannot be read stays: nobody knows what is in it.

use super::copy::Copy;
use super::rules::Rules;
use super::scrub::Scrub;
use super::sorting::{Framed, Framing, Sorting};
use crate::meter::Meter;
use crate::sentry::decode::{Decoded, Decoder};
use crate::sentry::envelope::{EventId, Header, Walker};
use std::task::{Poll, ready};

/// Of the first line, in bytes. Those of SDKs have up to a kilobyte.
const MAX_LINE: usize = 16_384;
/// What one copy may cost in all, in units. Decoding 10 MiB takes about as much; scrubbing a megabyte half of the second one.
const MAX_UNITS: u64 = 400_000_000;
const MAX_UNITS_SCRUBBED: u64 = 2_000_000_000;
/// Units between two looks for the end of the first line, and of a byte that is looked at.
const PIECE: u64 = 20_000;
const LOOK: u64 = 1;
/// Units of a copy besides, and of the hash.
const COPY: u64 = 5_000;
const HASH: u64 = 20_000;

/// What becomes of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes as it came.
    Goes,
    /// It goes with this body, which is not encoded.
    Becomes(Vec<u8>),
    /// Its trace is not in the sample.
    NotSampled,
    /// No item of it goes, or it cannot be read.
    NoItems,
    /// It was to be scrubbed, and cannot be.
    Unscrubbable,
}

/// What reading needs of its leg.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs<'a> {
    pub(super) max_decoded_bytes: usize,
    pub(super) scrub: Option<&'a dyn Scrub>,
}

/// A copy that is being read.
#[derive(Debug, Default)]
pub(super) struct Review {
    stage: Stage,
    /// Its trace is not in the sample.
    is_out: bool,
    spent: u64,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    New,
    /// The end of the first line is looked for, behind so many bytes.
    Line(Box<Decoder>, usize),
    /// The first line ends behind so many bytes.
    Header(Box<Decoder>, usize, Walker),
    /// The sample has decided; the rest is being decoded.
    Rest(Box<Decoder>),
    /// All of it, which was so short that the sample has to decide yet. `None` is the body as it came.
    Short(Option<Vec<u8>>, Walker),
    /// All of it.
    Whole(Option<Vec<u8>>, Walker),
    /// Its items are looked at.
    Items(Option<Vec<u8>>, Sorting),
    /// It is put together anew.
    Frame(Option<Vec<u8>>, Framing),
}

impl Review {
    /// Reads on.
    pub(super) fn step(
        &mut self,
        copy: &Copy,
        needs: Needs<'_>,
        meter: &mut Meter,
    ) -> Poll<Outcome> {
        let before = meter.spent();
        let outcome = self.go_on(copy, needs, meter);
        let spent = meter.spent().saturating_sub(before);
        self.spent = self.spent.saturating_add(spent);
        let rules = &copy.target.destination.rules;
        let most = if rules.scrub {
            MAX_UNITS_SCRUBBED
        } else {
            MAX_UNITS
        };
        if outcome.is_pending() && self.spent > most {
            return Poll::Ready(unreadable(rules));
        }
        outcome
    }

    /// Units that it has cost.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// What becomes of a copy that is not read to its end.
    pub(super) fn unread(copy: &Copy) -> Outcome {
        unreadable(&copy.target.destination.rules)
    }

    fn go_on(&mut self, copy: &Copy, needs: Needs<'_>, meter: &mut Meter) -> Poll<Outcome> {
        let body = copy.body.as_slice();
        let rules = &copy.target.destination.rules;
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            self.stage = match &mut self.stage {
                Stage::New => {
                    meter.spend(COPY);
                    let encoding = copy.headers.get(b"content-encoding").unwrap_or_default();
                    match Decoder::new(encoding, body.len(), needs.max_decoded_bytes) {
                        Ok(decoder) if rules.sample.is_all() => Stage::Rest(Box::new(decoder)),
                        Ok(decoder) => Stage::Line(Box::new(decoder), 0),
                        Err(_) => return Poll::Ready(unreadable(rules)),
                    }
                }
                Stage::Line(decoder, looked) => {
                    let mut piece = meter.part(PIECE);
                    let decoded = decoder.step(body, &mut piece);
                    meter.spend(piece.spent());
                    if let Poll::Ready(decoded) = decoded {
                        let Ok(decoded) = decoded else {
                            return Poll::Ready(unreadable(rules));
                        };
                        self.stage = Stage::Short(bytes(decoded), Walker::default());
                        continue;
                    }
                    let begun = decoder.beginning();
                    let new = begun.get(*looked..).unwrap_or_default();
                    meter.spend_bytes(new.len(), LOOK);
                    let is_long = begun.len() > MAX_LINE;
                    match memchr::memchr(b'\n', new) {
                        None if !is_long => {
                            *looked = begun.len();
                            continue;
                        }
                        found => {
                            // A line that is too long goes, whatever it says.
                            let end = found.unwrap_or(MAX_LINE);
                            let end = looked.saturating_add(end).saturating_add(1);
                            let Stage::Line(decoder, _) = std::mem::take(&mut self.stage) else {
                                return Poll::Ready(unreadable(rules));
                            };
                            Stage::Header(decoder, end, Walker::default())
                        }
                    }
                }
                Stage::Header(decoder, end, walker) => {
                    let line = decoder.beginning().get(..*end).unwrap_or_default();
                    self.is_out = !ready!(is_in(line, rules, walker, meter));
                    if !self.is_out && !rules.touch() {
                        return Poll::Ready(Outcome::Goes);
                    }
                    let Stage::Header(decoder, ..) = std::mem::take(&mut self.stage) else {
                        return Poll::Ready(unreadable(rules));
                    };
                    Stage::Rest(decoder)
                }
                Stage::Rest(decoder) => match ready!(decoder.step(body, meter)) {
                    Ok(decoded) => Stage::Whole(bytes(decoded), Walker::default()),
                    Err(_) => return Poll::Ready(unreadable(rules)),
                },
                Stage::Short(decoded, walker) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    let line = whole.get(..MAX_LINE).unwrap_or(whole);
                    let end = memchr::memchr(b'\n', line);
                    let end = end.map_or(whole.len(), |at| at.saturating_add(1));
                    let line = whole.get(..end).unwrap_or_default();
                    self.is_out = !ready!(is_in(line, rules, walker, meter));
                    if !self.is_out && !rules.touch() {
                        return Poll::Ready(Outcome::Goes);
                    }
                    Stage::Whole(decoded.take(), Walker::default())
                }
                Stage::Whole(decoded, walker) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    let is_read = ready!(walker.header(whole, meter)).is_ok();
                    if !is_read {
                        return Poll::Ready(unreadable(rules));
                    }
                    Stage::Items(decoded.take(), Sorting::new(std::mem::take(walker)))
                }
                Stage::Items(decoded, sorting) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    if !ready!(sorting.step(whole, rules, needs.scrub, meter)) {
                        return Poll::Ready(unreadable(rules));
                    }
                    if self.is_out && !sorting.always() {
                        return Poll::Ready(Outcome::NotSampled);
                    }
                    if sorting.is_whole() {
                        return Poll::Ready(Outcome::Goes);
                    }
                    match sorting.framing(whole) {
                        Some(framing) => Stage::Frame(decoded.take(), framing),
                        None => return Poll::Ready(Outcome::NoItems),
                    }
                }
                Stage::Frame(decoded, framing) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    let framed = ready!(framing.step(whole, rules, needs.scrub, meter));
                    return Poll::Ready(match framed {
                        Framed::Changed(body) => Outcome::Becomes(body),
                        Framed::Same => Outcome::Goes,
                        Framed::Failed => unreadable(rules),
                    });
                }
            };
        }
    }
}

fn bytes(decoded: Decoded) -> Option<Vec<u8>> {
    match decoded {
        Decoded::Same => None,
        Decoded::Bytes(bytes) => Some(bytes),
    }
}

/// What becomes of an envelope that cannot be read.
fn unreadable(rules: &Rules) -> Outcome {
    match rules.items {
        _ if rules.scrub => Outcome::Unscrubbable,
        Some(_) => Outcome::NoItems,
        None => Outcome::Goes,
    }
}

/// Whether an envelope with this first line is in the sample, by its ids alone.
fn is_in(line: &[u8], rules: &Rules, walker: &mut Walker, meter: &mut Meter) -> Poll<bool> {
    if line.len() > MAX_LINE {
        return Poll::Ready(true);
    }
    let header = ready!(walker.header(line, meter));
    let id = header.ok().as_ref().and_then(id);
    meter.spend(HASH);
    Poll::Ready(id.is_none_or(|id| rules.sample.has(&id.to_string())))
}

/// What the sample is decided by.
fn id(header: &Header<'_>) -> Option<EventId> {
    let trace = header.trace.trace_id.as_deref();
    trace.and_then(EventId::parse).or(header.event_id)
}

#[cfg(test)]
mod tests;
