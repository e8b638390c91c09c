//! A request in mode `rewrite`, and what the host is to do with it.

use crate::header_list::HeaderList;
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::Mirrored;

/// What the host is to do with the request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Let it, or this piece of it, go on.
    Pass,
    /// Keep it.
    Wait,
    /// Change its headers to [`RewriteRequest::headers`], and say how that went: [`Worker::placed`](crate::worker::Worker::placed).
    PutInPlace,
    /// Answer it with 204, and say how that went: [`Worker::answered_here`](crate::worker::Worker::answered_here).
    Answer,
}

/// Where a request is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Waits for its end.
    Held,
    /// Its headers are being changed; then it is forwarded.
    Placing,
    /// It is being answered.
    Answering,
    /// On its way.
    Forwarded,
    /// Forwarded and answered by the target, or answered here.
    Over,
}

/// A request in mode `rewrite`.
#[derive(Debug)]
pub struct RewriteRequest {
    pub(super) stage: Stage,
    /// What is delivered from here: held, everything; forwarded, the SLS leg's part.
    pub(super) exchange: Option<Ticket>,
    /// How it is forwarded, once it is not held any more.
    pub(super) forward: Option<Mirrored>,
    /// Bytes of the body that went by.
    pub(super) bytes: usize,
    /// The request is complete, and was at this time.
    pub(super) ended: Option<Millis>,
    /// The headers are those of the copy.
    pub(super) in_place: bool,
}

impl RewriteRequest {
    /// A request that no leg wants.
    #[must_use]
    pub fn unwanted() -> Self {
        Self::new(Stage::Answering, None)
    }

    pub(super) fn new(stage: Stage, exchange: Option<Ticket>) -> Self {
        Self {
            stage,
            exchange,
            forward: None,
            bytes: 0,
            ended: None,
            in_place: false,
        }
    }

    /// The headers of the copy, for [`Step::PutInPlace`].
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderList> {
        self.forward.as_ref().map(|rum| &rum.headers)
    }

    /// Bytes of the body that the host keeps: those of a held request.
    #[must_use]
    pub fn kept(&self) -> usize {
        match self.stage {
            Stage::Held => self.bytes,
            _ => 0,
        }
    }

    /// Its headers are those of the copy, and it may go on.
    #[must_use]
    pub fn is_rewritten(&self) -> bool {
        self.in_place
    }
}
