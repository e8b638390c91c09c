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
//! What is accepted is what Relay accepts (`relay-server/src/envelope`), which differs from the published grammar. Headers go
//! through a streaming JSON reader. So white space, including blank lines, may precede each of them, and they may span lines;
//! then LF or the end must follow at once (no CR, no space). A payload of given length ends with LF or the end of the input;
//! without a length (or with `null`) it reaches to the next LF or the end. Items of unknown type are items. A header alone is
//! an envelope. Nothing may follow the last LF.
//!
//! In addition, a header must not take too long to read: at most 180 KB of plain text or 10 KB of brackets and commas, many
//! times what SDKs send.
//!
//! Relay refuses an envelope as a whole, so whoever needs all items or none reads all headers first. A [`Walker`] does that
//! in steps, [`check`] at once. Offsets and lengths are bytes of the decoded body.

mod event_id;
mod header;
mod member;
mod value;
mod walker;

pub use event_id::EventId;
pub use header::{Header, ItemHeader, Trace};
pub use member::member;
pub use walker::{ItemPlace, Walker};

use std::task::Poll;

use crate::meter::Meter;

/// An envelope that Relay would refuse. The client's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}, byte {offset}: {reason}")]
pub struct Malformed {
    /// Which part.
    pub place: Place,
    /// Where in the decoded body.
    pub offset: usize,
    /// What was expected there. It never repeats what was found, which may be anything.
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
    /// There are no bytes.
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
    /// A header that would take too long to read.
    #[error(
        "expected a header that takes less to read (180 KB of plain text at most, 10 KB of brackets and commas)"
    )]
    TooLong,
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

/// An envelope's header and, as an iterator, its items. After an error there are no more. It is read at once; see [`Walker`]
/// for steps.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// The first line.
    pub header: Header<'a>,
    bytes: &'a [u8],
    walker: Walker,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope header; items are read on demand.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut walker = Walker::default();
        loop {
            if let Poll::Ready(header) = walker.header(bytes, &mut Meter::unlimited()) {
                let header = header?;
                return Ok(Self {
                    header,
                    bytes,
                    walker,
                });
            }
        }
    }
}

impl<'a> Iterator for Envelope<'a> {
    type Item = Result<Item<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Poll::Ready(place) = self.walker.next(self.bytes, &mut Meter::unlimited()) {
                return Some(place?.and_then(|place| place.item(self.bytes)));
            }
        }
    }
}

/// Reads all headers, keeps nothing, and returns the number of items.
///
/// # Errors
/// What is wrong with the first bad one.
pub fn check(bytes: &[u8]) -> Result<usize, Malformed> {
    Envelope::read(bytes)?.try_fold(0_usize, |count, item| item.map(|_| count.saturating_add(1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn items(text: &str) -> Result<Vec<(String, String)>, String> {
        let envelope = Envelope::read(text.as_bytes()).map_err(|error| error.to_string())?;
        envelope
            .map(|item| {
                let item = item.map_err(|error| error.to_string())?;
                Ok((
                    item.header.ty.to_string(),
                    String::from_utf8_lossy(item.payload).into_owned(),
                ))
            })
            .collect()
    }

    fn payloads(text: &str) -> Vec<String> {
        items(text)
            .unwrap()
            .into_iter()
            .map(|(_, payload)| payload)
            .collect()
    }

    #[test]
    fn ends_and_lengths() {
        for header_only in ["{}", "{}\n", " \n{}"] {
            assert_eq!(payloads(header_only), [""; 0], "{header_only:?}");
        }
        assert_eq!(payloads("{}\n{\"type\":\"a\",\"length\":2}\nhi"), ["hi"]);
        assert_eq!(payloads("{}\n{\"type\":\"a\",\"length\":2}\nhi\n"), ["hi"]);
        assert_eq!(
            payloads("{}\n{\"type\":\"a\",\"length\":3}\nhi\n"),
            ["hi\n"]
        );
        assert_eq!(
            payloads("{}\n{\"type\":\"a\",\"length\":null}\nhi\r\n"),
            ["hi\r"]
        );
        assert_eq!(payloads("{}\n{\"type\":\"a\"}"), [""]);
        assert_eq!(payloads("{}\n{\"type\":\"a\",\"length\":0}"), [""]);
        assert_eq!(
            payloads("{}\n{\"type\":\"a\",\"length\":0}\n\n{\"type\":\"b\"}\nx"),
            ["", "x"]
        );
        assert_eq!(
            payloads("{}\n{\"type\":\"a\"}\n\n\n \n{\n\"type\":\"b\"}\nx"),
            ["", "x"]
        );
    }

    #[test]
    fn errors_say_where_and_what() {
        let error = |text: &str| items(text).unwrap_err();
        assert_eq!(error(""), "envelope header, byte 0: empty body");
        assert_eq!(error(" \n"), "envelope header, byte 2: empty body");
        assert_eq!(
            error("{}\r\n"),
            "envelope header, byte 2: expected LF or the end after the header, found byte 0x0d"
        );
        assert_eq!(
            error("{}\n{\"type\":\"a\"}\n\n\n"),
            "item 1, byte 18: expected an item header, found the end"
        );
        assert_eq!(
            error("{}\n{\"type\":\"a\",\"length\":9}\nhi"),
            "item 0, byte 27: length is 9, but 2 bytes are left"
        );
        assert_eq!(
            error("{}\n{\"type\":\"a\",\"length\":1}\nhi"),
            "item 0, byte 28: expected LF or the end after the payload, found byte 0x69"
        );
        assert_eq!(
            error("{}\n{\"type\":\"integration\"}"),
            "item 0, byte 3: item type `integration` is internal to Relay"
        );
        assert_eq!(
            error("{}\n{\"length\":1}\nx"),
            "item 0, byte 15: `type` is missing"
        );
    }

    #[test]
    fn an_error_is_the_last_item() {
        let mut envelope =
            Envelope::read(b"{}\n{\"type\":\"a\"}\nx\n{}\n{\"type\":\"b\"}\n").unwrap();
        assert!(envelope.next().unwrap().is_ok());
        assert!(envelope.next().unwrap().is_err());
        assert!(envelope.next().is_none());
    }
}
