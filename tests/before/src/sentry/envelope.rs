//! The envelope, Sentry's container format, read without copying it.
//!
//! ```text
//! {"event_id":"9ec79c33ec9942ab8353589fcb2e04dc","sent_at":"2026-11-21T03:36:18.046Z"}   envelope header LF
//! {"type":"event","length":41}                                                           item header LF
//! {"message":"hello world","level":"error"}                                              payload LF
//! {"type":"session"}                                                                     no length: to the next LF
//! {"sid":"4f625c1d4fc94f418f2387d00fb4890a"}                                             last LF may be missing
//! ```
//!
//! What is accepted is what Relay accepts (`relay-server/src/envelope`), which is not what the published grammar says:
//! headers go through a streaming JSON reader, so white space, blank lines included, may stand before each of them, and
//! they may span lines; then LF or the end must follow at once (no CR, no space). A payload of given length ends with LF
//! or the end of the input; without a length (or `null`) it reaches to the next LF or the end. Items of unknown type are
//! items. A header alone is an envelope. Nothing may follow the last LF.
//!
//! Relay refuses an envelope as a whole, so whoever needs all items or none calls [`check`] first: it allocates nothing
//! that grows with the number of items. Offsets and lengths are bytes of the decoded body.

// These have not changed.
#[path = "../../../../src/sentry/envelope/event_id.rs"]
mod event_id;
#[path = "../../../../src/sentry/envelope/header.rs"]
mod header;
#[path = "../../../../src/sentry/envelope/value.rs"]
mod value;

pub use event_id::EventId;
pub use header::{Header, ItemHeader, Trace};

use header::Fault;

/// An envelope that Relay would refuse. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, byte {offset}: {reason}")]
pub struct Malformed {
    /// Which part.
    pub place: Place,
    /// Where in the decoded body.
    pub offset: usize,
    /// What was expected there. Never repeats what was found, which may be anything.
    pub reason: Reason,
}

/// A part of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first line.
    Header,
    /// The item with this index.
    Item(usize),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("envelope header"),
            Self::Item(index) => write!(f, "item {index}"),
        }
    }
}

/// What is wrong with an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// There is nothing.
    #[error("empty body")]
    Empty,
    /// White space, then the end, where an item header should be.
    #[error("expected an item header, found the end")]
    NoHeader,
    /// A header that is not the JSON it should be.
    #[error("{0}")]
    Json(String),
    /// Something between a header or a payload and its LF.
    #[error("expected LF or the end after {after}, found byte {found:#04x}")]
    Unterminated {
        /// "the header" or "the payload".
        after: &'static str,
        /// The byte.
        found: u8,
    },
    /// The item's length leads past the end.
    #[error("length is {length}, but {left} bytes are left")]
    TooShort {
        /// As announced.
        length: u32,
        /// Bytes from the payload's first to the end.
        left: usize,
    },
    /// An item type that only Relay itself may make.
    #[error("item type `integration` is internal to Relay")]
    Internal,
}

/// One item of an envelope.
#[derive(Debug, Clone)]
pub struct Item<'a> {
    /// Its header.
    pub header: ItemHeader<'a>,
    /// Its payload, a slice of the envelope.
    pub payload: &'a [u8],
    /// Where the payload begins.
    pub offset: usize,
}

/// An envelope's header and, as an iterator, its items. After an error there is nothing more.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// The first line.
    pub header: Header<'a>,
    bytes: &'a [u8],
    offset: usize,
    index: usize,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope header; items are read when they are asked for.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let malformed = |offset, reason| Malformed {
            place: Place::Header,
            offset,
            reason,
        };
        if bytes.is_empty() {
            return Err(malformed(0, Reason::Empty));
        }
        let (header, end) = match header::read(bytes) {
            Some(Ok(read)) => read,
            Some(Err(Fault { offset, text })) => return Err(malformed(offset, Reason::Json(text))),
            None => return Err(malformed(bytes.len(), Reason::Empty)),
        };
        let offset = after_lf(bytes, end, "the header").map_err(|reason| malformed(end, reason))?;
        Ok(Self {
            header,
            bytes,
            offset,
            index: 0,
        })
    }

    fn item(&self) -> Result<(Item<'a>, usize), Malformed> {
        let malformed = |offset, reason| Malformed {
            place: Place::Item(self.index),
            offset,
            reason,
        };
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let (header, end) = match header::read::<ItemHeader<'a>>(rest) {
            Some(Ok((header, end))) => (header, self.offset.saturating_add(end)),
            Some(Err(Fault { offset, text })) => {
                return Err(malformed(
                    self.offset.saturating_add(offset),
                    Reason::Json(text),
                ));
            }
            None => return Err(malformed(self.bytes.len(), Reason::NoHeader)),
        };
        if header.ty == "integration" {
            return Err(malformed(self.offset, Reason::Internal));
        }
        let start =
            after_lf(self.bytes, end, "the header").map_err(|reason| malformed(end, reason))?;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let length = match header.length {
            None => memchr::memchr(b'\n', rest).unwrap_or(rest.len()),
            Some(length) => match usize::try_from(length) {
                Ok(usable) if usable <= rest.len() => usable,
                _ => {
                    return Err(malformed(
                        start,
                        Reason::TooShort {
                            length,
                            left: rest.len(),
                        },
                    ));
                }
            },
        };
        let end = start.saturating_add(length);
        let next =
            after_lf(self.bytes, end, "the payload").map_err(|reason| malformed(end, reason))?;
        let payload = rest.get(..length).unwrap_or_default();
        Ok((
            Item {
                header,
                payload,
                offset: start,
            },
            next,
        ))
    }
}

impl<'a> Iterator for Envelope<'a> {
    type Item = Result<Item<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.bytes.len() {
            return None;
        }
        match self.item() {
            Ok((item, next)) => {
                self.offset = next;
                self.index = self.index.saturating_add(1);
                Some(Ok(item))
            }
            Err(malformed) => {
                self.offset = self.bytes.len();
                Some(Err(malformed))
            }
        }
    }
}

/// Reads all headers, keeps nothing, and returns the number of items.
pub fn check(bytes: &[u8]) -> Result<usize, Malformed> {
    Envelope::read(bytes)?.try_fold(0_usize, |count, item| item.map(|_| count.saturating_add(1)))
}

/// The offset behind the LF at `end`; at the end of the input there need not be one.
fn after_lf(bytes: &[u8], end: usize, after: &'static str) -> Result<usize, Reason> {
    match bytes.get(end) {
        Some(b'\n') => Ok(end.saturating_add(1)),
        None => Ok(bytes.len()),
        Some(&found) => Err(Reason::Unterminated { after, found }),
    }
}
