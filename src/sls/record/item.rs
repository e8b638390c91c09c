//! Turns one item into its records, in steps: how much of it is read, and what becomes of it.
//!
//! What is special about its kind is looked up ([`kind::of`]); no kind is named here.

use std::task::Poll;

use crate::meter::Meter;
use crate::sentry::envelope::Item;
use crate::sls::json::NotJson;
use crate::sls::scrub::{Kind, Pass, Passed};

use super::context::{Context, Options};
use super::described::{DESCRIBED, described};
use super::draft::Draft;
use super::item_kind::{Gives, ItemKind, Reads};
use super::kind;
use super::records::{OF_TRANSACTION, Records};
use super::taker::{NO_OBJECT, Plan, Taker};
use super::text::Text;

/// Of the first line of an item of which that is read, in bytes.
const MAX_LINE: usize = 4_096;

/// Units of a record that is made, and of a byte in it.
pub(super) const RECORD: u64 = 20_000;
/// Units of an entry that is freed.
const FREED: u64 = 500;

/// What of an item's JSON goes where.
fn plan(kind: &ItemKind, options: &Options<'_>) -> Plan {
    let (single, entries) = match kind.gives {
        Gives::One | Gives::Metadata => (None, None),
        Gives::Entries(entries) => (entries.single, Some(entries.table)),
        Gives::Spans(table) => (None, options.spans.then_some(table)),
    };
    Plan {
        table: kind.table,
        single,
        entries,
        max_entries: options.max_records,
        payload: options.payload.then_some(options.max_payload),
    }
}

/// How many bytes of an item are JSON before any others, if its kind may have such and its header says so.
fn head(item: &Item<'_>, kind: &ItemKind) -> Option<usize> {
    let has_head = matches!(kind.reads, Reads::Head | Reads::HeadOrObject);
    let length = item.header.meta_length.filter(|_| has_head)?;
    // What is more than an address is beyond any item.
    Some(usize::try_from(length).unwrap_or(usize::MAX))
}

/// The one record of an item that is not what it should be.
fn bad(kind: &'static ItemKind, mut draft: Draft, error: &str) -> Records {
    draft.set("event_type", kind.broken);
    draft.error("bad item", error);
    Records::new(kind, Some(draft))
}

/// An item that is being read.
pub(super) struct ItemReader {
    kind: &'static ItemKind,
    stage: Stage,
    item_count: Option<u32>,
    /// Bytes of the payload without what follows its head, and how many of them are read.
    length: usize,
    read: usize,
}

enum Stage {
    Text(Text, Plan, Draft),
    Pass(Box<Pass>, Box<Taker>),
    Records(Records),
}

impl ItemReader {
    pub(super) fn new(item: &Item<'_>, context: &Context<'_>, meter: &mut Meter) -> Self {
        let kind = kind::of(&item.header.ty, item.header.content_type.as_deref());
        let draft = described(item, kind.event_type, context, meter);
        let whole = item.payload.len();
        let head = head(item, kind);
        let length = head.unwrap_or(whole).min(whole);
        let read = match kind.reads {
            Reads::FirstLine => {
                let line = item.payload.get(..MAX_LINE).unwrap_or(item.payload);
                memchr::memchr(b'\n', line).unwrap_or(line.len())
            }
            Reads::Object | Reads::AnyJson | Reads::Nothing | Reads::Head | Reads::HeadOrObject => {
                length.min(context.options.max_item_bytes)
            }
        };
        let is_any = kind.reads == Reads::Nothing || kind.reads == Reads::Head && head.is_none();
        let stage = if is_any {
            Stage::Records(Records::new(kind, Some(draft)))
        } else if head.is_some_and(|head| head > whole) {
            Stage::Records(bad(kind, draft, "`meta_length` is beyond the item"))
        } else {
            Stage::Text(Text::default(), plan(kind, &context.options), draft)
        };
        Self {
            kind,
            stage,
            item_count: item.header.item_count,
            length,
            read,
        }
    }

    /// Reads on. When it is ready, [`records`](Self::records) has what came of it.
    pub(super) fn step(
        &mut self,
        payload: &[u8],
        context: &Context<'_>,
        meter: &mut Meter,
    ) -> Poll<()> {
        loop {
            if meter.is_empty() {
                return Poll::Pending;
            }
            let is_cut = self.read < self.length && self.kind.reads != Reads::FirstLine;
            match &mut self.stage {
                Stage::Text(text, plan, draft) => {
                    let bytes = payload.get(..self.read).unwrap_or(payload);
                    let text = match text.step(bytes, is_cut, meter) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(text) => text,
                    };
                    let draft = std::mem::take(draft);
                    self.stage = match text {
                        Ok(text) => {
                            let taker = Taker::new(*plan, draft);
                            let pass = Pass::new(text, is_cut);
                            let pass = pass.with_client_ip(context.options.client_ip);
                            Stage::Pass(Box::new(pass), Box::new(taker))
                        }
                        Err(error) => Stage::Records(bad(self.kind, draft, &error)),
                    };
                }
                Stage::Pass(pass, taker) => {
                    let scrubber = context.options.scrub;
                    let passed = match pass.step(scrubber, &mut **taker, meter) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(passed) => passed,
                    };
                    let none = Stage::Records(Records::new(self.kind, None));
                    let stage = std::mem::replace(&mut self.stage, none);
                    if let Stage::Pass(_, taker) = stage {
                        let entries = u64::try_from(taker.entries.len()).unwrap_or(u64::MAX);
                        meter.spend(RECORD.saturating_add(entries.saturating_mul(FREED)));
                        let records = self.passed(passed, *taker, is_cut, context);
                        self.stage = Stage::Records(records);
                    }
                }
                Stage::Records(_) => return Poll::Ready(()),
            }
        }
    }

    /// What came of the item, once it is read.
    pub(super) fn records(&mut self) -> Option<&mut Records> {
        match &mut self.stage {
            Stage::Records(records) => Some(records),
            Stage::Text(..) | Stage::Pass(..) => None,
        }
    }

    fn passed(
        &self,
        passed: Result<Passed, NotJson>,
        mut taker: Taker,
        is_cut: bool,
        context: &Context<'_>,
    ) -> Records {
        let (mut whole, single) = taker.finish();
        let passed = match passed {
            Ok(passed) => passed,
            Err(not_json) => {
                let mut draft = Draft::of(self.kind.event_type, context);
                for key in DESCRIBED {
                    draft.fill(key, whole.record.get(key));
                }
                return bad(self.kind, draft, &not_json.to_string());
            }
        };
        whole.is_cut = is_cut;
        let is_object = taker.kind == Some(Kind::Object);
        let payload = |draft: &mut Draft| {
            if context.options.payload {
                let length = if is_cut {
                    self.length
                } else {
                    passed.json.len()
                };
                let limit = context.options.max_payload;
                draft.set_within("payload", &passed.json, limit, length);
            }
        };
        let entries = std::mem::take(&mut taker.entries);
        let found = taker.count;
        let mut records = Records::new(self.kind, None);
        records.left_out = found.saturating_sub(entries.len());
        records.entries = entries.into_iter();
        match self.kind.gives {
            Gives::Entries(_) if found > 0 => {
                if is_cut {
                    let announced = self
                        .item_count
                        .and_then(|count| usize::try_from(count).ok());
                    let missing = announced.map_or(1, |announced| announced.saturating_sub(found));
                    records.left_out = records.left_out.saturating_add(missing);
                }
                records.whole = whole;
                return records;
            }
            Gives::Entries(_) => {
                records.left_out = self.missing(0, &taker);
                let may_be_entry = taker.may_be_entry() && taker.lists == 0;
                if !is_object {
                    whole.error("bad item", NO_OBJECT);
                } else if may_be_entry {
                    whole.take(&single);
                    payload(&mut whole);
                } else {
                    whole.error("bad item", "no entries");
                }
            }
            Gives::Metadata if !is_object => whole.error("bad item", NO_OBJECT),
            Gives::Metadata => {}
            Gives::One | Gives::Spans(_) if is_object || self.kind.reads == Reads::AnyJson => {
                payload(&mut whole);
            }
            Gives::One | Gives::Spans(_) => whole.error("bad item", NO_OBJECT),
        }
        // The list is only counted where its elements become no records.
        let spans = context.options.spans && matches!(self.kind.gives, Gives::Spans(_));
        if spans && taker.lists > 0 {
            whole.set("sentry.span_count", &found.to_string());
        }
        self.kind.finish.run(&mut whole);
        if spans {
            for key in OF_TRANSACTION {
                records.whole.fill(key, whole.record.get(key));
            }
        }
        records.own = Some(whole);
        records
    }

    /// Entries, at least, behind what has been read: as many as the header announces, but not more than there is room for.
    fn missing(&self, found: usize, taker: &Taker) -> usize {
        let unread = self.length.saturating_sub(self.read);
        if unread == 0 || !taker.list_is_open && found > 0 {
            return 0;
        }
        let announced = self
            .item_count
            .and_then(|count| usize::try_from(count).ok());
        let announced = announced.map(|announced| announced.saturating_sub(found));
        let unknown = usize::from(taker.list_is_open && !taker.entry_is_open);
        // An entry takes two bytes and a comma.
        announced
            .unwrap_or(unknown)
            .min((unread / 3).saturating_add(1))
    }
}
