//! What a record needs besides the envelope: the request, the operator's settings, and the bounds.
//!
//! It knows no record and no item.

use std::borrow::Cow;

use crate::client_ip::ClientIp;
use crate::meter::Meter;
use crate::sls::scrub::Scrubber;

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
pub(super) const MAX_ITEMS: usize = 50_000;

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
    pub(super) fn header_text<'a>(
        &self,
        text: &'a str,
        meter: &mut Meter,
    ) -> (Cow<'a, str>, usize) {
        /// Behind what is kept: so that something sensitive that is cut there is found all the same.
        const BEHIND: usize = 128;
        let end = text.floor_char_boundary(INHERITED.saturating_add(BEHIND));
        let start = text.get(..end).unwrap_or_default();
        let start = match self.options.scrub {
            Some(scrubber) => scrubber.short_text(start, meter),
            None => Cow::Borrowed(start),
        };
        let length = if end < text.len() {
            text.len()
        } else {
            start.len()
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
    /// What stays of clients' addresses.
    pub client_ip: ClientIp,
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
            client_ip: ClientIp::Full,
            max_payload: MAX_PAYLOAD,
            max_records: MAX_RECORDS,
            max_item_bytes: MAX_ITEM_BYTES,
        }
    }
}
