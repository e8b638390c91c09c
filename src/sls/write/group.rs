//! A sealed group of logs, before it is packed and after.

use super::super::compress::Body;
use super::super::put_logs::Destination;
use std::cell::Cell;
use std::rc::Rc;

/// How many requests beyond the first a batch and all its parts may use when divided, see [`super::Dividing`]. 12 halvings of
/// two requests each find one bad log among the default 4096; the rest is for a second one.
pub const EXTRA_REQUESTS: u16 = 32;

/// What is known of a group in every form.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub(super) destination: Rc<Destination>,
    pub(super) logs: usize,
    pub(super) opened_ms: u64,
    /// What is left of [`EXTRA_REQUESTS`] once it was divided: shared by all parts of the original batch.
    pub(super) extra: Option<Rc<Cell<u16>>>,
}

/// A complete log group before compression.
pub struct Group {
    pub(super) label: Label,
    pub(super) raw: Vec<u8>,
}

impl Group {
    /// `raw` is the whole message, with its trailer.
    #[must_use]
    pub fn new(destination: Rc<Destination>, raw: Vec<u8>, logs: usize, opened_ms: u64) -> Self {
        Self {
            label: Label {
                destination,
                logs,
                opened_ms,
                extra: None,
            },
            raw,
        }
    }

    /// Where it goes.
    #[must_use]
    pub fn destination(&self) -> &Rc<Destination> {
        &self.label.destination
    }

    /// The message.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// How many logs it holds.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.label.logs
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.raw.capacity()
    }

    /// When its first log came.
    #[must_use]
    pub fn opened_ms(&self) -> u64 {
        self.label.opened_ms
    }
}

impl std::fmt::Debug for Group {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Group({} logs, {} bytes)", self.logs(), self.raw.len())
    }
}

/// A packed group: one request's body.
#[derive(Debug)]
pub struct Batch {
    pub(super) label: Label,
    pub(super) body: Body,
}

impl Batch {
    /// Where it goes.
    #[must_use]
    pub fn destination(&self) -> &Rc<Destination> {
        &self.label.destination
    }

    /// The compressed body.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// How many logs it holds.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.label.logs
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.wire().len()
    }

    /// When its first log came, for the age limit of retries.
    #[must_use]
    pub fn opened_ms(&self) -> u64 {
        self.label.opened_ms
    }
}
