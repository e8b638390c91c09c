//! Turns an envelope into its records, in steps: headers first, then item by item; and limits what one envelope may give.
//!
//! How one item is read is in [`super::item`].

use std::task::Poll;

use crate::meter::Meter;
use crate::sentry::decode::Undecodable;
use crate::sentry::envelope::{ItemPlace, Malformed, Walker};

use super::context::{Context, MAX_ITEMS};
use super::draft::Draft;
use super::fields::Record;
use super::inherit::Inherited;
use super::item::{ItemReader, RECORD};
use super::records::Records;

/// Bytes of all records of an envelope: so many times its own, and so many besides.
const BYTES_FACTOR: usize = 4;
const BYTES_BESIDES: usize = 1 << 20;
/// Units of a byte of a record that is handed out.
const BYTE: u64 = 1;

/// What became of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Records handed out.
    pub records: usize,
    /// Records, at least, that would have been too many; the last one handed out tells.
    pub left_out: usize,
    /// Items or entries that are not what they should be; their records tell.
    pub bad: usize,
    /// The envelope is malformed; its only record tells.
    pub malformed: Option<Malformed>,
}

/// Makes the records of a decoded envelope at once, whatever that costs, and hands each of them out.
pub fn records(bytes: &[u8], context: &Context<'_>, sink: &mut dyn FnMut(&Record)) -> Summary {
    let mut reader = EnvelopeReader::default();
    loop {
        let mut meter = Meter::unlimited();
        if let Poll::Ready(summary) = reader.step(bytes, context, &mut meter, sink) {
            return summary;
        }
    }
}

/// Makes the one record of a body that could not be decoded.
pub fn undecodable(error: &Undecodable, context: &Context<'_>, sink: &mut dyn FnMut(&Record)) {
    let mut draft = Draft::of("custom", context);
    draft.set("sentry.envelope_bytes", &error.size.to_string());
    draft.set("sentry.content_encoding", &error.encoding);
    draft.error("undecodable body", &error.reason.to_string());
    draft.finish(context);
    sink(&draft.record);
}

/// Reads an envelope. The bytes are passed at every step, and are always the same.
#[derive(Default)]
pub struct EnvelopeReader {
    walker: Walker,
    stage: Stage,
    inherited: Inherited,
    /// Relay takes all items or none: so all headers are read before the first record is made.
    places: Vec<ItemPlace>,
    summary: Summary,
    /// Bytes of the envelope, and of the records handed out.
    length: usize,
    bytes: usize,
}

#[derive(Default)]
enum Stage {
    #[default]
    Header,
    Places,
    /// The item with this index comes.
    Next(usize),
    Item(usize, Box<ItemReader>),
    /// Everything is over but the last word.
    End,
}

impl std::fmt::Debug for EnvelopeReader {
    /// Counts only: the rest is payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EnvelopeReader({:?})", self.summary)
    }
}

impl EnvelopeReader {
    /// Reads on, and hands out what records there are.
    pub fn step(
        &mut self,
        bytes: &[u8],
        context: &Context<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
    ) -> Poll<Summary> {
        self.length = bytes.len();
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            match &mut self.stage {
                Stage::Header => match self.walker.header(bytes, meter) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(header)) => {
                        self.inherited = Inherited::of(&header, context, meter);
                        self.stage = Stage::Places;
                    }
                    Poll::Ready(Err(malformed)) => {
                        self.refuse(bytes, malformed, context, meter, sink)
                    }
                },
                Stage::Places => match self.walker.next(bytes, meter) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(place))) => {
                        if self.places.len() < MAX_ITEMS {
                            self.places.push(place);
                        } else {
                            self.leave_out(1);
                        }
                    }
                    Poll::Ready(None) => self.stage = Stage::Next(0),
                    Poll::Ready(Some(Err(malformed))) => {
                        self.refuse(bytes, malformed, context, meter, sink);
                    }
                },
                Stage::Next(index) => {
                    let index = *index;
                    let Some(place) = self.places.get(index) else {
                        self.stage = Stage::End;
                        continue;
                    };
                    if self.is_full(context) {
                        self.leave_out(self.places.len().saturating_sub(index));
                        self.stage = Stage::End;
                        continue;
                    }
                    let units = place.price(bytes).saturating_add(RECORD);
                    if !meter.has(units) {
                        meter.spend(units / 4);
                        return Poll::Pending;
                    }
                    meter.spend(units);
                    self.stage = match place.item(bytes) {
                        Ok(item) => {
                            Stage::Item(index, Box::new(ItemReader::new(&item, context, meter)))
                        }
                        // It has been read before, so this does not happen.
                        Err(_) => Stage::Next(index.saturating_add(1)),
                    };
                }
                Stage::Item(index, reader) => {
                    let payload = match self.places.get(*index) {
                        Some(place) => place.payload(bytes),
                        None => &[],
                    };
                    if reader.step(payload, context, meter).is_pending() {
                        return Poll::Pending;
                    }
                    self.hand_out(context, meter, sink);
                }
                Stage::End => {
                    let summary = std::mem::take(&mut self.summary);
                    if summary.left_out == 0 {
                        return Poll::Ready(summary);
                    }
                    meter.spend(RECORD);
                    let left_out = summary.left_out;
                    let text = format!("at least {left_out} more records of this envelope");
                    return Poll::Ready(last_word(summary, "left out", &text, context, sink));
                }
            }
        }
    }

    /// The envelope is not read any further: it has cost too much.
    pub fn give_up(&mut self, context: &Context<'_>, sink: &mut dyn FnMut(&Record)) -> Summary {
        let items = match &self.stage {
            Stage::Header | Stage::Places => self.places.len().max(1),
            Stage::Next(index) | Stage::Item(index, _) => self.places.len().saturating_sub(*index),
            Stage::End => 0,
        };
        self.leave_out(items);
        let summary = std::mem::take(&mut self.summary);
        let text =
            "reading it took too much of the worker's time; what was read stands in other logs";
        last_word(summary, "left out", text, context, sink)
    }

    /// Hands out one record of the item that has been read.
    fn hand_out(
        &mut self,
        context: &Context<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
    ) {
        let is_full = self.is_full(context);
        let Stage::Item(index, reader) = &mut self.stage else {
            return;
        };
        let next = index.saturating_add(1);
        let Some(records) = reader.records() else {
            return;
        };
        if is_full {
            let left = records.len();
            self.leave_out(left);
        }
        let Some(records) = self.records().filter(|_| !is_full) else {
            return self.end_item(next);
        };
        match records.next(context) {
            Some(draft) => {
                meter.spend(RECORD);
                self.emit(draft, context, meter, sink);
            }
            None => self.end_item(next),
        }
    }

    fn records(&mut self) -> Option<&mut Records> {
        match &mut self.stage {
            Stage::Item(_, reader) => reader.records(),
            _ => None,
        }
    }

    fn end_item(&mut self, next: usize) {
        let left_out = self.records().map_or(0, |records| records.left_out);
        self.leave_out(left_out);
        self.stage = Stage::Next(next);
    }

    fn emit(
        &mut self,
        mut draft: Draft,
        context: &Context<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
    ) {
        self.inherited.fill(&mut draft);
        draft.finish(context);
        let size = draft.record.size();
        meter.spend_bytes(size, BYTE);
        let most = self.most_bytes();
        if self.bytes.saturating_add(size) > most {
            self.bytes = most;
            return self.leave_out(1);
        }
        self.bytes = self.bytes.saturating_add(size);
        self.summary.records = self.summary.records.saturating_add(1);
        if draft.is_bad() {
            self.summary.bad = self.summary.bad.saturating_add(1);
        }
        sink(&draft.record);
    }

    fn most_bytes(&self) -> usize {
        let own = self.length;
        own.saturating_mul(BYTES_FACTOR)
            .saturating_add(BYTES_BESIDES)
    }

    /// Whether there are enough records. Then it is not worth making more: what is left is only counted.
    fn is_full(&self, context: &Context<'_>) -> bool {
        self.summary.records >= context.options.max_records || self.bytes >= self.most_bytes()
    }

    fn leave_out(&mut self, count: usize) {
        self.summary.left_out = self.summary.left_out.saturating_add(count);
    }

    /// The one record of an envelope that Relay would refuse.
    fn refuse(
        &mut self,
        bytes: &[u8],
        malformed: Malformed,
        context: &Context<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
    ) {
        meter.spend(RECORD);
        let mut draft = Draft::of("custom", context);
        draft.set("sentry.envelope_bytes", &bytes.len().to_string());
        draft.error("malformed envelope", &malformed.to_string());
        draft.finish(context);
        sink(&draft.record);
        self.summary = Summary {
            records: 1,
            bad: 1,
            malformed: Some(malformed),
            left_out: 0,
        };
        self.stage = Stage::End;
    }
}

/// The log that tells what is not in the others.
fn last_word(
    mut summary: Summary,
    kind: &'static str,
    text: &str,
    context: &Context<'_>,
    sink: &mut dyn FnMut(&Record),
) -> Summary {
    let mut draft = Draft::of("custom", context);
    draft.error(kind, text);
    draft.finish(context);
    sink(&draft.record);
    summary.records = summary.records.saturating_add(1);
    summary
}
