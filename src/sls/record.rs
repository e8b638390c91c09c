//! From an envelope to log records: which, with which fields, at which time.
//!
//! One record per item. Containers (`log`, `trace_metric`, `span`) and `client_report` give one per entry, `sessions` one per
//! aggregate; a transaction's spans are counted, and become records only on demand. Attachments, profiles, replay recordings
//! and unknown items give their metadata, never their bytes. A malformed item gives a record that says so; a malformed
//! envelope, which Relay refuses as a whole, gives one record for all of it. Nothing is lost silently: beyond
//! [`Options::max_records`] a last record has the number.
//!
//! Field names are RUM's where RUM has one (`app.version`, `exception.message`), else `sentry.*`. The tables in `kind/`, one
//! file per item kind, list them all. SLS documents only keys of letters, digits and `_`, yet RUM's own rows have dots.
//! Values are text: numbers as the SDK wrote them, sub-trees as JSON. An absent, null or empty value gives no field.
//!
//! Order of work: one pass over an item's JSON checks it, scrubs it, and takes fields from what the scrubber leaves, so nothing
//! can bypass the scrubber. All of it is done in steps ([`EnvelopeReader`]), and nothing but headers is looked at twice.
//!
//! Bounds beyond which something is cut or left out, and counted:
//!
//! | what | bound |
//! | --- | --- |
//! | a value | [`MAX_VALUE`] bytes; `payload` [`Options::max_payload`]; what is cut stands in `sentry.cut` |
//! | a value that all logs of an envelope or a container inherit | [`INHERITED`] bytes |
//! | an item | its first [`Options::max_item_bytes`] bytes are read |
//! | records of an envelope | [`Options::max_records`] |
//! | bytes of all records of an envelope | 4 times its own, and 1 MiB |
//!
//! So SLS accepts every record unchanged. Field names come from the tables; each occurs once in a record ([`Record`]), and
//! the largest record (all fields at their bounds) is smaller than a write may be. Only its time may have to be moved again,
//! see [`super::log_time`].
//!
//! Dependencies run one way, from the top. Nothing below uses what this file defines.
//!
//! | file | owns |
//! | --- | --- |
//! | `reader` | an envelope, in steps; how many records it may give |
//! | `item`, `records` | one item, in steps; the records that came of it |
//! | `scrubbing` | an item of a copy, scrubbed |
//! | `kind`, `kind/*` | which item kinds there are; each: its members and what it gives |
//! | `item_kind`, `members`, `stack`, `take` | the words of the kinds: for an item, for what several have, for a member |
//! | `taker`, `text` | walking through an item's JSON, and its bytes |
//! | `described`, `inherit` | what the headers of item and envelope tell |
//! | `draft`, `fields`, `context` | a record while it is made, when it is done, and what it is made with |

mod context;
mod described;
mod draft;
mod fields;
mod inherit;
mod item;
mod item_kind;
mod kind;
mod members;
mod reader;
mod records;
mod scrubbing;
mod stack;
mod take;
mod taker;
#[cfg(test)]
mod tests;
mod text;

pub use context::{
    Context, INHERITED, MAX_ITEM_BYTES, MAX_PAYLOAD, MAX_RECORDS, MAX_VALUE, Options,
};
pub use fields::Record;
pub use reader::{EnvelopeReader, Summary, records, undecodable};
pub(crate) use scrubbing::ItemScrubber;
pub use scrubbing::MAX_SCRUBBED;

/// Whether anybody is known to send items of this type.
#[must_use]
pub fn is_known_type(ty: &str) -> bool {
    kind::is_known(ty)
}
