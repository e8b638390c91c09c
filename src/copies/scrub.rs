//! What takes sensitive values out of a copy's items. The worker brings one: what is sensitive is the log's to know, and one
//! scrubber is for both legs.

use crate::client_ip::ClientIp;
use crate::meter::Meter;
use crate::sentry::envelope::ItemHeader;
use std::fmt::Debug;
use std::task::Poll;

/// Scrubs items.
pub(crate) trait Scrub: Debug {
    /// Whether such an item is JSON, which is scrubbed; others are not looked into.
    fn takes(&self, header: &ItemHeader<'_>) -> bool;

    /// Begins with an item. Of clients' addresses so much stays.
    fn begin(&self, client_ip: ClientIp) -> Box<dyn Scrubbing>;
}

/// An item that is being scrubbed.
pub(crate) trait Scrubbing: Debug {
    /// Goes on; the payload is the same at every step. What it becomes, or nothing if it stays as it is.
    fn step(
        &mut self,
        payload: &[u8],
        meter: &mut Meter,
    ) -> Poll<Result<Option<String>, Unscrubbable>>;
}

/// An item that should be JSON and is none, or is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unscrubbable;
