//! Reviews, in steps, a copy whose envelope a rule has to look into: whether it is in its project's sample, and which of its
//! items are sent.
//!
//! *Sample.* The trace id decides (`trace.trace_id` of the first line), or the event id if there is none. Both are in the first
//! line, so only that much of a compressed body is decoded. What is not in the sample is read further, since it may hold an item
//! that is never sampled ([`super::sorting::ALWAYS`]). What cannot be decided is sent: an envelope without either id, with an
//! unknown or broken encoding, with a first line of more than [`MAX_LINE`] bytes, or one that takes too long to read.
//!
//! *A second Sentry.* The header of an envelope may name the project at the first Sentry; then it is replaced. The first item
//! says what the envelope counts as there. Both are usually in the first two lines.
//!
//! *Items, and scrubbing.* The whole envelope is decoded. If something in it is left out or replaced, it is rebuilt,
//! unencoded or as gzip; otherwise it is sent as received. What cannot be read is not sent: nobody knows what is in it.

mod lines;

use super::copy::Copy;
use super::rekey;
use super::rules::Rules;
use super::scrub::Scrub;
use super::settings::Destination;
use super::sorting::{Framed, Framing, Sorting};
use super::splice::Splice;
use crate::deflater::{Deflater, Format};
use crate::meter::Meter;
use crate::sentry::category::Category;
use crate::sentry::decode::{Decoded, Decoder};
use crate::sentry::dsn::Dsn;
use crate::sentry::envelope::{EventId, Header, Walker, member};
use lines::{Lines, MAX_LINE};
use std::borrow::Cow;
use std::task::{Poll, ready};

/// What one copy may cost in all, in units. Decoding 10 MiB takes about as much; scrubbing a megabyte half of the second one.
const MAX_UNITS: u64 = 400_000_000;
const MAX_UNITS_SCRUBBED: u64 = 2_000_000_000;
/// Units between two searches for the ends of the first lines, and bytes searched per unit.
const PIECE: u64 = 20_000;
const LOOKED_PER_UNIT: usize = 4;
/// Units for a copy's other work, and for the hash.
const COPY: u64 = 12_000;
const HASH: u64 = 20_000;
/// Units per byte of the lines that are searched for a second Sentry's names.
const ADDRESS: u64 = 40;

/// What happens to a copy.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is sent as received.
    Goes,
    /// It is sent with this body, which is encoded as the rules say.
    Becomes(Vec<u8>),
    /// Its trace is not in the sample.
    NotSampled,
    /// None of its items are sent, or it cannot be read.
    NoItems,
    /// It was to be scrubbed, but cannot be.
    Unscrubbable,
}

/// What reading needs from its leg.
#[derive(Clone, Copy, Debug)]
pub(super) struct Needs<'a> {
    pub(super) max_decoded_bytes: usize,
    pub(super) scrub: Option<&'a dyn Scrub>,
}

/// A copy being read.
#[derive(Debug, Default)]
pub(super) struct Review {
    stage: Stage,
    /// Its trace is not in the sample.
    is_out: bool,
    /// What is known of it with regard to a second Sentry.
    addressed: Option<Addressed>,
    spent: u64,
}

/// What the beginning of an envelope says with regard to a second Sentry.
#[derive(Debug)]
struct Addressed {
    /// The category of its first item.
    category: Category,
    /// Where its header ends, and the header that replaces it.
    header: Option<(usize, Vec<u8>)>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    New,
    /// Looking for the ends of the first lines.
    Lines(Box<Decoder>, Lines),
    /// The ends are known.
    Header(Box<Decoder>, Lines, Walker),
    /// The sample has decided; the rest is being decoded.
    Rest(Box<Decoder>),
    /// All of it: so short that the sample has yet to decide. `None` is the body as received.
    Short(Option<Vec<u8>>, Walker),
    /// All of it.
    Whole(Option<Vec<u8>>, Walker),
    /// Looking at its items.
    Items(Option<Vec<u8>>, Sorting),
    /// Rebuilding it.
    Frame(Option<Vec<u8>>, Framing),
    /// Giving it another header.
    Splice(Option<Vec<u8>>, Splice),
    /// Encoding the result.
    Encode(Vec<u8>, Deflater),
}

impl Review {
    /// Reads further.
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

    /// Units that it has cost so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// The category that a second Sentry's limits may be about; `None` for a copy for RUM.
    pub(super) fn category(&self) -> Option<Category> {
        self.addressed.as_ref().map(|addressed| addressed.category)
    }

    /// What happens to a copy that is not read to its end.
    pub(super) fn unread(copy: &Copy) -> Outcome {
        unreadable(&copy.target.destination.rules)
    }

    fn go_on(&mut self, copy: &Copy, needs: Needs<'_>, meter: &mut Meter) -> Poll<Outcome> {
        let body = copy.body.as_slice();
        let destination = &*copy.target.destination;
        let rules = &destination.rules;
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            self.stage = match &mut self.stage {
                Stage::New => {
                    meter.spend(COPY);
                    let encoding = copy.headers.get(b"content-encoding").unwrap_or_default();
                    let begins = !rules.sample.is_all() || destination.dsn.is_some();
                    match Decoder::new(encoding, body.len(), needs.max_decoded_bytes) {
                        Ok(decoder) if begins => Stage::Lines(Box::new(decoder), Lines::default()),
                        Ok(decoder) => Stage::Rest(Box::new(decoder)),
                        Err(_) => return Poll::Ready(unreadable(rules)),
                    }
                }
                Stage::Lines(decoder, lines) => {
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
                    meter.spend_bytes(begun.len().min(2 * MAX_LINE) / LOOKED_PER_UNIT, 1);
                    *lines = Lines::of(begun, destination.dsn.is_some());
                    if !lines.are_enough {
                        continue;
                    }
                    let lines = *lines;
                    let Stage::Lines(decoder, ..) = std::mem::take(&mut self.stage) else {
                        return Poll::Ready(unreadable(rules));
                    };
                    Stage::Header(decoder, lines, Walker::default())
                }
                Stage::Header(decoder, lines, walker) => {
                    let begun = decoder.beginning();
                    let head = ready!(head(begun, *lines, destination, walker, meter));
                    self.is_out = !head.is_in;
                    let is_known = head.addressed.is_some() || destination.dsn.is_none();
                    let stays = head.addressed.as_ref().is_none_or(|to| to.header.is_none());
                    self.addressed = head.addressed;
                    if !self.is_out && !rules.touch() && is_known && stays {
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
                    let lines = Lines::of(whole, destination.dsn.is_some());
                    let head = ready!(head(whole, lines, destination, walker, meter));
                    self.is_out = !head.is_in;
                    self.addressed = head.addressed;
                    Stage::Whole(decoded.take(), Walker::default())
                }
                Stage::Whole(decoded, walker) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    // A header that does not end with the first line is found only here.
                    let unknown = destination
                        .dsn
                        .as_deref()
                        .filter(|_| self.addressed.is_none());
                    if self.is_out || rules.touch() || unknown.is_some() {
                        if ready!(walker.header(whole, meter)).is_err() {
                            return Poll::Ready(unreadable(rules));
                        }
                        if let Some(dsn) = unknown {
                            let end = walker.offset();
                            self.addressed = Some(address(dsn, whole, end, whole.len(), meter));
                        }
                    }
                    if self.is_out || rules.touch() {
                        Stage::Items(decoded.take(), Sorting::new(std::mem::take(walker)))
                    } else {
                        match splice(self.addressed.as_ref(), whole) {
                            Some(splice) => Stage::Splice(decoded.take(), splice),
                            None => return Poll::Ready(Outcome::Goes),
                        }
                    }
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
                        match splice(self.addressed.as_ref(), whole) {
                            Some(splice) => Stage::Splice(decoded.take(), splice),
                            None => return Poll::Ready(Outcome::Goes),
                        }
                    } else {
                        let header = self.addressed.as_mut().and_then(|to| to.header.take());
                        match sorting.framing(whole, header.map(|(_, header)| header)) {
                            Some(framing) => Stage::Frame(decoded.take(), framing),
                            None => return Poll::Ready(Outcome::NoItems),
                        }
                    }
                }
                Stage::Frame(decoded, framing) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    let framed = ready!(framing.step(whole, rules, needs.scrub, meter));
                    match framed {
                        Framed::Changed(body) if rules.gzip => encode(body),
                        Framed::Changed(body) => return Poll::Ready(Outcome::Becomes(body)),
                        Framed::Same => return Poll::Ready(Outcome::Goes),
                        Framed::Failed => return Poll::Ready(unreadable(rules)),
                    }
                }
                Stage::Splice(decoded, splice) => {
                    let whole = decoded.as_deref().unwrap_or(body);
                    let body = ready!(splice.step(whole, meter));
                    if !rules.gzip {
                        return Poll::Ready(Outcome::Becomes(body));
                    }
                    encode(body)
                }
                Stage::Encode(body, deflater) => {
                    return Poll::Ready(match ready!(deflater.step(body, meter)) {
                        Ok(encoded) => Outcome::Becomes(encoded),
                        Err(_) => unreadable(rules),
                    });
                }
            };
        }
    }
}

fn encode(body: Vec<u8>) -> Stage {
    Stage::Encode(body, Deflater::new(Format::Gzip))
}

fn splice(addressed: Option<&Addressed>, whole: &[u8]) -> Option<Splice> {
    let (end, header) = addressed?.header.as_ref()?;
    Splice::new(header, *end, whole)
}

fn bytes(decoded: Decoded) -> Option<Vec<u8>> {
    match decoded {
        Decoded::Same => None,
        Decoded::Bytes(bytes) => Some(bytes),
    }
}

/// What happens to an envelope that cannot be read.
fn unreadable(rules: &Rules) -> Outcome {
    match rules.items {
        _ if rules.scrub && !rules.sends_unscrubbable => Outcome::Unscrubbable,
        Some(_) => Outcome::NoItems,
        None => Outcome::Goes,
    }
}

/// What the first lines say.
struct Head {
    is_in: bool,
    addressed: Option<Addressed>,
}

/// Reads the first lines: whether the envelope is in the sample, going by its ids alone, and for a second Sentry what has to
/// be replaced in its header.
fn head(
    begun: &[u8],
    lines: Lines,
    destination: &Destination,
    walker: &mut Walker,
    meter: &mut Meter,
) -> Poll<Head> {
    let line = begun.get(..lines.first).unwrap_or_default();
    if line.is_empty() {
        let (is_in, addressed) = (true, None);
        return Poll::Ready(Head { is_in, addressed });
    }
    let header = ready!(walker.header(line, meter)).ok();
    let sample = destination.rules.sample;
    let mut is_in = true;
    if !sample.is_all() {
        meter.spend(HASH);
        let id = header.as_ref().and_then(id);
        is_in = id.is_none_or(|id| sample.has(&id.to_string()));
    }
    let dsn = destination.dsn.as_deref().filter(|_| header.is_some());
    let addressed = dsn.map(|dsn| address(dsn, begun, lines.first, lines.second, meter));
    Poll::Ready(Head { is_in, addressed })
}

/// What an envelope says whose header ends at `header`, with its LF, and the header of whose first item ends at `item` or before.
fn address(dsn: &Dsn, bytes: &[u8], header: usize, item: usize, meter: &mut Meter) -> Addressed {
    let item = item.min(header.saturating_add(MAX_LINE));
    meter.spend_bytes(item, ADDRESS);
    let first = bytes.get(header..item).unwrap_or_default();
    let ty = member(first, "type").and_then(|ty| first.get(ty));
    let ty = ty.and_then(|ty| serde_json::from_slice::<Cow<'_, str>>(ty).ok());
    let line = bytes.get(..header).unwrap_or_default();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    Addressed {
        category: ty.map_or(Category::Other, |ty| Category::of_item(&ty)),
        header: rekey::envelope_header(dsn, line).map(|header| (line.len(), header)),
    }
}

/// The id that decides about the sample.
fn id(header: &Header<'_>) -> Option<EventId> {
    let trace = header.trace.trace_id.as_deref();
    trace.and_then(EventId::parse).or(header.event_id)
}

#[cfg(test)]
mod tests;
