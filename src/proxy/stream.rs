//! A stream context: what is known of a request between its callbacks.

use super::host::{self, Map};
use crate::header_list::HeaderList;
use crate::worker::collect::Ticket;
use crate::worker::rewrite::RewriteRequest;
use crate::worker::signing::Write;
use proxy_wasm::types::Action;
use std::num::NonZeroU16;

/// Where a request is.
#[derive(Default)]
pub(super) enum Turn {
    /// Its headers have not come.
    #[default]
    New,
    /// It is held, with its headers in the host's format.
    Held(Box<Write>, Vec<u8>),
    /// It went on.
    Signed(Box<Write>),
    /// It was answered here, or is over.
    Answered,
}

/// A stream context.
pub(super) struct Stream {
    /// Its root context.
    pub(super) root: u32,
    /// The exchange, while it is being copied.
    pub(super) exchange: Option<Ticket>,
    /// Mode `sign`: where it is.
    pub(super) turn: Turn,
    /// Mode `rewrite`: where it is.
    pub(super) request: Option<Box<RewriteRequest>>,
    /// Once its root context has ended, it is held.
    pub(super) is_held: bool,
    /// The status that it was answered with here.
    pub(super) answered: Option<NonZeroU16>,
}

impl Stream {
    pub(super) fn new(root: u32) -> Self {
        Self {
            root,
            exchange: None,
            turn: Turn::default(),
            request: None,
            is_held: false,
            answered: None,
        }
    }

    /// Answers the request. `false` if the host refuses.
    pub(super) fn answer(&mut self, status: u16, headers: &HeaderList, body: &[u8]) -> bool {
        let done = host::send_local_response(status.into(), headers, body);
        self.answered = NonZeroU16::new(status).filter(|_| done);
        done
    }

    /// Our own answer passes. Envoy turns that to a gRPC request (`content-type: application/grpc`) into status 200, with the
    /// status in other headers: a client that speaks no gRPC would take a refusal for success. What cannot be put right does
    /// not pass.
    #[cold]
    pub(super) fn own_answer(status: NonZeroU16) -> Action {
        let status = status.to_string();
        let told = host::header(Map::Response, ":status");
        if told.as_deref() == Some(status.as_bytes()) {
            return Action::Continue;
        }
        match host::replace_header(Map::Response, ":status", status.as_bytes()) {
            Some(()) => Action::Continue,
            None => Action::Pause,
        }
    }
}
