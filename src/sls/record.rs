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
//! Order of work: one pass over an item's JSON checks it, scrubs it, and takes from what the scrubber leaves; so nothing can
//! be taken out around it. All of it is done in steps ([`EnvelopeReader`]), and nothing is looked at twice but headers.
//!
//! Bounds, beyond which something is cut or left out, and counted:
//!
//! | what | bound |
//! | --- | --- |
//! | a value | [`MAX_VALUE`] bytes; `payload` [`Options::max_payload`]; what is cut stands in `sentry.cut` |
//! | a value that all logs of an envelope or a container inherit | [`INHERITED`] bytes |
//! | an item | its first [`Options::max_item_bytes`] bytes are read |
//! | records of an envelope | [`Options::max_records`] |
//! | bytes of all records of an envelope | 4 times its own, and 1 MiB |

mod containers;
mod draft;
mod event;
mod fields;
mod inherit;
mod item;
mod metadata;
mod reader;
mod small;
mod stack;
mod take;
mod taker;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::task::Poll;

use crate::meter::Meter;
use crate::sentry::decode::Undecodable;
use crate::sentry::envelope::Malformed;
use crate::sls::scrub::Scrubber;

pub use fields::Record;
pub use reader::EnvelopeReader;

use draft::Draft;

/// Of a value that all logs of an envelope or a container inherit, in bytes.
pub const INHERITED: usize = 512;

/// Of an item, in bytes, unless the configuration says otherwise.
pub const MAX_ITEM_BYTES: usize = 1 << 20;

/// One value but `payload`, in bytes. SLS takes 1 MiB, but tens of fields of that size would exceed one PutLogs.
pub const MAX_VALUE: usize = 64 << 10;

/// SLS's limit for one value, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Records of one envelope. An SDK sends 1000 logs at once at the very most; 32 MiB of empty items would be 2 million.
pub const MAX_RECORDS: usize = 10_000;

/// Items of one envelope whose place is kept; what follows is only counted. Real ones have a few; 32 MiB can hold two
/// million.
const MAX_ITEMS: usize = 50_000;

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
    /// The beginning of a text of a header, which did not go through the scrubber as part of an item's JSON; and how long the
    /// whole of it is.
    fn header_text<'a>(&self, text: &'a str, meter: &mut Meter) -> (Cow<'a, str>, usize) {
        /// Behind what is kept: so that something sensitive that is cut there is found all the same.
        const BEHIND: usize = 128;
        let end = text.floor_char_boundary(INHERITED.saturating_add(BEHIND));
        let start = text.get(..end).unwrap_or_default();
        let start = match self.options.scrub {
            Some(scrubber) => scrubber.short_text(start, meter),
            None => Cow::Borrowed(start),
        };
        let length = match end < text.len() {
            true => text.len(),
            false => start.len(),
        };
        (start, length)
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
    /// Bytes of one item that are read.
    pub max_item_bytes: usize,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            payload: true,
            spans: false,
            scrub: None,
            max_payload: MAX_PAYLOAD,
            max_records: MAX_RECORDS,
            max_item_bytes: MAX_ITEM_BYTES,
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
    let mut draft = base(context);
    draft.set("sentry.envelope_bytes", &error.size.to_string());
    draft.set("sentry.content_encoding", &error.encoding);
    draft.error("undecodable body", &error.reason.to_string());
    draft.finish(context);
    sink(&draft.record);
}

/// A record with what all have in common.
fn base(context: &Context<'_>) -> Draft {
    let mut draft = Draft::default();
    draft.set("event_type", "custom");
    draft.fill("app.id", context.app_id);
    draft.set("sentry.project_id", context.project_id);
    draft
}
