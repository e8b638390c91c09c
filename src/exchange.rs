//! One mirrored HTTP exchange: its headers, the body as it streams past, and one end.
//!
//! An exchange is begun, fed and ended (or aborted) through the [`Plugin`](crate::plugin::Plugin), which owns the
//! budget and the counters. It never holds up the request: whatever goes wrong, the exchange is over and the request
//! goes on.

use crate::mirror::capture::Capture;
use crate::mirror::decide::Target;
use crate::mirror::header_list::HeaderList;
use crate::mirror::headers::CopyHeaders;
use crate::sentry::first_line;

/// A request that is being copied.
#[derive(Debug)]
pub struct Exchange {
    pub(crate) target: Target,
    headers: HeaderList,
    basic: Option<Vec<u8>>,
    capture: Capture,
    no_length: bool,
    empty: bool,
}

impl Exchange {
    /// `None` when the announced body is over the limit.
    pub(crate) fn new(target: Target, copy: CopyHeaders, max_body_bytes: usize) -> Option<Self> {
        Some(Self {
            target,
            capture: Capture::new(copy.content_length, max_body_bytes)?,
            no_length: copy.content_length.is_none() && !copy.transfer_encoding,
            empty: copy.content_length == Some(0),
            headers: copy.list,
            basic: copy.basic,
        })
    }

    pub(crate) fn capture(&mut self) -> &mut Capture {
        &mut self.capture
    }

    /// The headers say that there is no body.
    #[must_use]
    pub fn has_no_body(&self) -> bool {
        self.empty
    }

    /// The headers say nothing of a body: in HTTP/1 there is none, in HTTP/2 there may be one.
    #[must_use]
    pub fn announces_no_body(&self) -> bool {
        self.no_length
    }

    /// Bytes of the budget that it occupies: open requests without a body are bounded too.
    #[must_use]
    pub fn held(&self) -> usize {
        self.capture
            .held()
            .saturating_add(self.headers.allocated())
            .saturating_add(self.basic.as_ref().map_or(0, Vec::capacity))
            .saturating_add(Copy::OVERHEAD)
    }

    /// Whether a piece of the body has come.
    #[must_use]
    pub fn has_body(&self) -> bool {
        self.capture.held() > 0
    }

    /// What is to be delivered.
    pub(crate) fn into_copy(self) -> Copy {
        let body = self.capture.into_body();
        let mut headers = self.headers;
        // Relay uses the envelope's own DSN only when nothing else is a credential; so when there is one, a Basic
        // next to it is somebody's password. An encoded first line cannot be read: then the user name, which has the
        // form of a Sentry key, decides alone.
        if let Some(basic) = self.basic.filter(|_| first_line::dsn(&body).is_none()) {
            headers.push(b"authorization", &[&basic]);
        }
        Copy {
            target: self.target,
            headers,
            body,
        }
    }
}

/// A finished copy.
#[derive(Debug)]
pub struct Copy {
    /// Where it goes.
    pub target: Target,
    /// What goes with it.
    pub headers: HeaderList,
    /// The body as received.
    pub body: Vec<u8>,
}

impl Copy {
    /// What an entry costs beside its buffers: so that copies without a body are bounded too.
    const OVERHEAD: usize = 512;

    /// What the copy is charged with.
    #[must_use]
    pub fn size(&self) -> usize {
        self.body
            .capacity()
            .saturating_add(self.headers.allocated())
            .saturating_add(Self::OVERHEAD)
    }
}
