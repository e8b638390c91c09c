//! One item to its records, in steps: which kind it is, how much of it is read, and what it gives.

use std::task::Poll;

use crate::meter::Meter;
use crate::sentry::envelope::Item;
use crate::sls::json::NotJson;
use crate::sls::scrub::{Kind, Pass, Passed};

use super::containers::{
    AGGREGATE, CLIENT_REPORT, CONTAINER, DISCARD, LOG, METRIC, SESSIONS, SPAN_V2,
};
use super::draft::Draft;
use super::event::{EVENT, SPAN};
use super::metadata::{PROFILE, RECORDING};
use super::small::{CHECK_IN, OPAQUE, SECURITY, SESSION, USER_REPORT};
use super::stack::{exception, start};

use super::taker::{Entry, NO_OBJECT, Plan, Taker};
use super::text::Text;
use super::{Context, INHERITED, MAX_VALUE, base};

/// Of the first line of a `replay_recording`, in bytes.
const MAX_LINE: usize = 4_096;

/// Units of a record that is made, and of a byte in it.
pub(super) const RECORD: u64 = 20_000;
/// Units of an entry that is freed.
const FREED: u64 = 500;

/// Items that may be a list.
const LISTS: &[&str] = &[
    "nel",
    "security",
    "raw_security",
    "metric_buckets",
    "form_data",
];

/// What a span shares with its transaction.
const SHARED: &[&str] = &[
    "event_id",
    "app.version",
    "app.env",
    "sentry.transaction",
    "sentry.platform",
    "user.id",
];

/// What an entry shares with the container around it.
const OF_CONTAINER: &[&str] = &[
    "sentry.item_type",
    "app.version",
    "app.env",
    "sentry.user_agent",
];

/// What an item gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gives {
    /// One record.
    One,
    /// One for each of its entries.
    Entries,
    /// One, and one for each of its spans.
    Spans,
    /// One, with nothing of its payload but what a table says.
    Metadata,
}

/// What of an item is read.
fn plan(ty: &str, context: &Context<'_>) -> (Gives, Option<Plan>) {
    let options = &context.options;
    let plan = |table, single, entries| Plan {
        table,
        single,
        entries,
        max_entries: options.max_records,
        payload: options.payload.then_some(options.max_payload),
    };
    let one = |table| (Gives::One, Some(plan(table, None, None)));
    let entries = |table, entry, single| {
        let plan = plan(table, single, Some(entry));
        (Gives::Entries, Some(plan))
    };
    let metadata = |table| (Gives::Metadata, Some(plan(table, None, None)));
    match ty {
        "event" | "feedback" | "replay_event" => one(EVENT),
        "transaction" if options.spans => (Gives::Spans, Some(plan(EVENT, None, Some(SPAN)))),
        "transaction" => one(EVENT),
        "session" => one(SESSION),
        "check_in" => one(CHECK_IN),
        "user_report" => one(USER_REPORT),
        "security" | "raw_security" | "nel" => one(SECURITY),
        "metric_buckets" | "metric_meta" | "form_data" => one(OPAQUE),
        "log" => entries(CONTAINER, LOG, Some(LOG)),
        "trace_metric" => entries(CONTAINER, METRIC, Some(METRIC)),
        "span" => entries(CONTAINER, SPAN_V2, Some(SPAN)),
        "sessions" => entries(SESSIONS, AGGREGATE, None),
        "client_report" => entries(CLIENT_REPORT, DISCARD, None),
        "profile" | "profile_chunk" | "profile_chunk_ui" => metadata(PROFILE),
        "replay_recording" => metadata(RECORDING),
        _ => (Gives::Metadata, None),
    }
}

/// An item that is being read.
pub(super) struct ItemReader {
    ty: String,
    gives: Gives,
    stage: Stage,
    item_count: Option<u32>,
    /// Bytes of the payload, and how many of them are read.
    length: usize,
    read: usize,
}

enum Stage {
    Text(Text, Plan, Draft),
    Pass(Box<Pass>, Box<Taker>),
    /// The records that are left, and how many entries there were besides.
    Records(Records),
}

/// What an item gave.
#[derive(Default)]
pub(super) struct Records {
    /// The item's own, unless only its entries are records.
    own: Option<Draft>,
    /// What the entries share.
    whole: Draft,
    entries: std::vec::IntoIter<Entry>,
    /// Entries that were not read.
    pub(super) left_out: usize,
}

impl ItemReader {
    pub(super) fn new(item: &Item<'_>, context: &Context<'_>, meter: &mut Meter) -> Self {
        let ty = item.header.ty.as_ref();
        let (gives, plan) = plan(ty, context);
        let draft = described(item, context, meter);
        let length = item.payload.len();
        let limit = context.options.max_item_bytes;
        let read = match ty {
            "replay_recording" => {
                let line = item.payload.get(..MAX_LINE).unwrap_or(item.payload);
                memchr::memchr(b'\n', line).unwrap_or(line.len())
            }
            _ => length.min(limit),
        };
        let stage = match plan {
            Some(plan) => Stage::Text(Text::default(), plan, draft),
            None => Stage::Records(Records {
                own: Some(draft),
                ..Records::default()
            }),
        };
        Self {
            ty: start(ty, MAX_VALUE).to_owned(),
            gives,
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
            let is_cut = self.read < self.length && self.ty != "replay_recording";
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
                            Stage::Pass(Box::new(Pass::new(text, is_cut)), Box::new(taker))
                        }
                        Err(error) => Stage::Records(self.bad(draft, &error)),
                    };
                }
                Stage::Pass(pass, taker) => {
                    let scrubber = context.options.scrub;
                    let passed = match pass.step(scrubber, &mut **taker, meter) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(passed) => passed,
                    };
                    let stage =
                        std::mem::replace(&mut self.stage, Stage::Records(Records::default()));
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

    /// The one record of an item that is not what it should be.
    fn bad(&self, mut draft: Draft, error: &str) -> Records {
        draft.error("bad item", error);
        // A transaction that cannot be read is no view of anything.
        if self.ty != "transaction" {
            self.complete(&mut draft);
        }
        Records {
            own: Some(draft),
            ..Records::default()
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
                let mut draft = base(context);
                for key in DESCRIBED {
                    draft.fill(key, whole.record.get(key));
                }
                return self.bad(draft, &not_json.to_string());
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
        let mut records = Records {
            left_out: found.saturating_sub(entries.len()),
            entries: entries.into_iter(),
            ..Records::default()
        };
        match self.gives {
            Gives::Entries if found > 0 => {
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
            Gives::Entries => {
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
            Gives::One | Gives::Spans if is_object || LISTS.contains(&&*self.ty) => {
                payload(&mut whole);
            }
            Gives::One | Gives::Spans => whole.error("bad item", NO_OBJECT),
        }
        if self.gives == Gives::Spans && taker.lists > 0 {
            whole.set("sentry.span_count", &found.to_string());
        }
        self.complete(&mut whole);
        if self.gives == Gives::Spans {
            for key in SHARED {
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

    /// What its kind makes of an item's record at the end.
    fn complete(&self, draft: &mut Draft) {
        match &*self.ty {
            "event" | "feedback" => exception(draft),
            "replay_event" => draft.duration(),
            "transaction" => {
                draft.set("event_type", "view");
                let name = draft.record.get("sentry.transaction").unwrap_or_default();
                let name = name.to_owned();
                draft.set("view.name", &name);
                draft.duration();
            }
            "session" => {
                draft.set("event_type", "session");
                if let Some(started) = draft.start {
                    draft.set("sentry.session.started", &started.ms().to_string());
                }
            }
            "sessions" => {
                draft.set("event_type", "session");
                draft.duration();
            }
            "log" | "trace_metric" | "span" | "client_report" => draft.duration(),
            _ => {}
        }
    }
}

impl Records {
    /// How many are left.
    pub(super) fn len(&self) -> usize {
        usize::from(self.own.is_some()).saturating_add(self.entries.len())
    }

    /// The next one.
    pub(super) fn next(&mut self, context: &Context<'_>) -> Option<Draft> {
        if let Some(own) = self.own.take() {
            return Some(own);
        }
        let Entry { list, draft: entry } = self.entries.next()?;
        let mut draft = base(context);
        let is_span = list == "sentry.span_count";
        if is_span {
            draft.set("sentry.item_type", "span");
        } else {
            draft.time = self.whole.time;
            for key in OF_CONTAINER {
                let value = self.whole.record.get(key).unwrap_or_default();
                draft.set_within(key, value, INHERITED, value.len());
            }
        }
        if list.ends_with("_events") {
            draft.set("sentry.discard.list", list);
        }
        draft.take(&entry);
        if self.whole.record.get("sentry.item_type") == Some("sessions") {
            draft.set("event_type", "session");
        }
        draft.duration();
        if is_span {
            for key in SHARED {
                let value = self.whole.record.get(key).unwrap_or_default();
                if draft.record.get(key).is_none() {
                    draft.set_within(key, value, INHERITED, value.len());
                }
            }
        }
        Some(draft)
    }
}

/// The fields that the item's header gives.
const DESCRIBED: &[&str] = &[
    "sentry.item_type",
    "sentry.item_bytes",
    "sentry.content_type",
    "sentry.attachment_type",
    "sentry.filename",
    "sentry.platform",
];

/// A record with what any item's header tells.
fn described(item: &Item<'_>, context: &Context<'_>, meter: &mut Meter) -> Draft {
    let header = &item.header;
    let mut draft = base(context);
    let mut fill = |key, text: Option<&str>| {
        let (value, length) = context.header_text(text.unwrap_or_default(), meter);
        draft.set_within(key, &value, INHERITED, length);
    };
    fill("sentry.item_type", Some(&header.ty));
    fill("sentry.item_bytes", Some(&item.payload.len().to_string()));
    fill("sentry.content_type", header.content_type.as_deref());
    fill("sentry.attachment_type", header.attachment_type.as_deref());
    fill("sentry.filename", header.filename.as_deref());
    fill("sentry.platform", header.platform.as_deref());
    draft
}
