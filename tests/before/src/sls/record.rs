//! From an envelope to log records: which, with which fields, at which time.
//!
//! One record per item. Containers (`log`, `trace_metric`, `span`) and `client_report` give one per entry, `sessions` one
//! per aggregate; the spans of a transaction are counted, and records of their own only on demand. Attachments, profiles,
//! replay recordings and unknown items give their metadata, never their bytes. An item that is not what it should be
//! gives a record that says so; a malformed envelope, which Relay refuses as a whole, gives one record for all of it.
//! Nothing is lost silently: beyond [`Options::max_records`] a last record has the number.
//!
//! Fields have RUM's spelling where RUM has one (`app.version`, `exception.message`), else `sentry.*`; the tables in the
//! files of this module are the list. SLS documents keys of letters, digits and `_` only, yet RUM's own rows have dots.
//! Values are text: numbers as the SDK wrote them, sub-trees as JSON. An absent, null or empty value gives no field.
//!
//! Order of work: the item's JSON is scrubbed first, in one pass, and everything is read from the result, in a second
//! one; so nothing can be taken out around the scrubber. Strings are borrowed from the body wherever they stand there as
//! they are meant.
//!
//! Bounds: one value has at most [`MAX_VALUE`] bytes, `payload` at most [`Options::max_payload`]; what is longer is cut
//! and `sentry.cut` names it. A record stays below 4 MiB: under the 10 MB of one PutLogs.

mod batch;
mod draft;
mod event;
mod item;
mod metadata;
mod walk;

use std::borrow::Cow;

use crate::sentry::decode::Undecodable;
use crate::sentry::envelope::{Envelope, Header, Malformed};
use crate::sls::scrub::Scrubber;

use draft::Draft;

/// One value but `payload`, in bytes. SLS takes 1 MiB, but tens of fields of that size would exceed one PutLogs.
pub const MAX_VALUE: usize = 64 << 10;

/// SLS's limit for one value, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Records of one envelope. An SDK sends 1000 logs at once at the very most; 32 MiB of empty items would be 2 million.
pub const MAX_RECORDS: usize = 10_000;

/// Items of one envelope that are looked at. Real ones have a few; 32 MiB can hold two million, which would keep the
/// worker, and with it the primary exchanges of others, for seconds.
const MAX_ITEMS: usize = 50_000;

/// One log: when, and what.
#[derive(Default)]
pub struct Record<'a> {
    /// SLS's `Time`: seconds since 1970, within the window that SLS accepts.
    pub time_s: u32,
    /// SLS's `Time_ns`: the nanoseconds after that second.
    pub time_ns: u32,
    /// Keys and values. A key comes once.
    pub fields: Vec<(&'static str, Cow<'a, str>)>,
}

impl Record<'_> {
    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(name, _)| *name == key);
        found.map(|(_, value)| value.as_ref())
    }
}

/// Keys and sizes only: values are payload, which is never shown.
impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields = self.fields.iter().map(|(key, value)| (key, value.len()));
        f.debug_map()
            .entry(&"time_s", &self.time_s)
            .entries(fields)
            .finish()
    }
}

/// What a record needs to know besides the envelope.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The project id of the request's path.
    pub project_id: &'a str,
    /// RUM's `app.id`: the service id that the project is mirrored to, if it is.
    pub app_id: Option<&'a str>,
    /// When the request came in, in milliseconds since 1970.
    pub received_ms: u64,
    /// What the operator wants.
    pub options: Options<'a>,
}

impl Context<'_> {
    /// A text that did not go through the scrubber as part of an item's JSON.
    fn scrub<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        match self.options.scrub.map(|scrubber| scrubber.text(&text)) {
            Some(Cow::Owned(scrubbed)) => Cow::Owned(scrubbed),
            _ => text,
        }
    }
}

/// What the operator wants to have in the records.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Keep each item's own JSON in the field `payload`.
    pub payload: bool,
    /// Make records of a transaction's spans.
    pub spans: bool,
    /// Take sensitive values out.
    pub scrub: Option<&'a Scrubber>,
    /// Where `payload` is cut, in bytes, marker included.
    pub max_payload: usize,
    /// Records of one envelope.
    pub max_records: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            payload: true,
            spans: false,
            scrub: None,
            max_payload: MAX_PAYLOAD,
            max_records: MAX_RECORDS,
        }
    }
}

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

/// Makes the records of a decoded envelope and hands each of them out.
pub fn records(bytes: &[u8], context: &Context<'_>, sink: &mut dyn FnMut(&Record<'_>)) -> Summary {
    let mut out = Out {
        context,
        sink,
        summary: Summary::default(),
    };
    // Relay takes all items or none: so all headers are read before the first record is made.
    let read = Envelope::read(bytes).and_then(|envelope| Ok((count(envelope.clone())?, envelope)));
    match read {
        Ok((items, envelope)) => {
            let header = scrubbed(envelope.header.clone(), context);
            for (index, item) in envelope.take(items).flatten().enumerate() {
                if out.is_full() {
                    out.leave_out(items.saturating_sub(index));
                    break;
                }
                item::records(&mut out, &header, &item);
            }
        }
        Err(malformed) => {
            let mut draft = out.draft();
            draft.set("sentry.envelope_bytes", bytes.len().to_string());
            draft.error("malformed envelope", &malformed.to_string());
            out.emit(&mut draft);
            out.summary.malformed = Some(malformed);
        }
    }
    if out.summary.left_out > 0 {
        let text = format!(
            "at least {} more records of this envelope",
            out.summary.left_out
        );
        let mut draft = out.draft();
        draft.error("left out", &text);
        draft.finish(context);
        (out.sink)(&draft.record);
        out.summary.records = out.summary.records.saturating_add(1);
    }
    out.summary
}

/// The number of items, up to [`MAX_ITEMS`]: what comes behind them is not looked at.
fn count(envelope: Envelope<'_>) -> Result<usize, Malformed> {
    envelope
        .take(MAX_ITEMS)
        .try_fold(0_usize, |count, item| item.map(|_| count.saturating_add(1)))
}

/// Makes the one record of a body that could not be decoded.
pub fn undecodable(error: &Undecodable, context: &Context<'_>, sink: &mut dyn FnMut(&Record<'_>)) {
    let mut out = Out {
        context,
        sink,
        summary: Summary::default(),
    };
    let mut draft = out.draft();
    draft.set("sentry.envelope_bytes", error.size.to_string());
    draft.set("sentry.content_encoding", error.encoding.as_str());
    draft.error("undecodable body", &error.reason.to_string());
    out.emit(&mut draft);
}

/// Where records go.
struct Out<'c, 's> {
    context: &'c Context<'c>,
    sink: &'s mut dyn FnMut(&Record<'_>),
    summary: Summary,
}

impl<'c> Out<'c, '_> {
    /// A record with what all have in common.
    fn draft(&self) -> Draft<'c> {
        let mut draft = Draft::default();
        draft.set("event_type", "custom");
        draft.fill("app.id", self.context.app_id.map(Cow::Borrowed));
        draft.set("sentry.project_id", self.context.project_id);
        draft
    }

    /// Whether there are enough records. Then it is not worth making more: entries are counted with [`Out::leave_out`].
    fn is_full(&self) -> bool {
        self.summary.records >= self.context.options.max_records
    }

    fn leave_out(&mut self, count: usize) {
        self.summary.left_out = self.summary.left_out.saturating_add(count);
    }

    /// Hands a record out. What is in it afterwards may still be borrowed by others.
    fn emit(&mut self, draft: &mut Draft<'_>) {
        if self.is_full() {
            return self.leave_out(1);
        }
        self.summary.records = self.summary.records.saturating_add(1);
        if draft.is_bad() {
            self.summary.bad = self.summary.bad.saturating_add(1);
        }
        draft.finish(self.context);
        (self.sink)(&draft.record);
    }
}

/// The header, with what is taken from it scrubbed.
fn scrubbed<'a>(mut header: Header<'a>, context: &Context<'_>) -> Header<'a> {
    let Header {
        sdk_name,
        sdk_version,
        trace,
        ..
    } = &mut header;
    for text in [
        sdk_name,
        sdk_version,
        &mut trace.trace_id,
        &mut trace.release,
        &mut trace.environment,
    ] {
        *text = text.take().map(|text| context.scrub(text));
    }
    header
}

/// What the envelope's header knows, where the item itself does not say.
fn inherit<'a>(draft: &mut Draft<'a>, header: &'a Header<'_>) {
    if let Some(id) = header.event_id {
        // It beats the one in the payload.
        draft.set("event_id", id.to_string());
    }
    draft.fill(
        "trace_id",
        header.trace.trace_id.as_deref().map(Cow::Borrowed),
    );
    draft.fill(
        "app.version",
        header.trace.release.as_deref().map(Cow::Borrowed),
    );
    draft.fill(
        "app.env",
        header.trace.environment.as_deref().map(Cow::Borrowed),
    );
    draft.fill(
        "sentry.sdk.name",
        header.sdk_name.as_deref().map(Cow::Borrowed),
    );
    draft.fill(
        "sentry.sdk.version",
        header.sdk_version.as_deref().map(Cow::Borrowed),
    );
}
