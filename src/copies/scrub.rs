//! What removes sensitive values from a copy's items. The worker provides the scrubber: the log decides what is sensitive,
//! and both legs use the same one.

use crate::client_ip::ClientIp;
use crate::meter::Meter;
use crate::sentry::envelope::ItemHeader;
use std::fmt::Debug;
use std::task::Poll;

/// Scrubs items.
pub(crate) trait Scrub: Debug {
    /// Whether such an item is JSON and is scrubbed; others are not looked into.
    fn takes(&self, header: &ItemHeader<'_>) -> bool;

    /// Begins an item. `client_ip` is how much of clients' addresses stays.
    fn begin(&self, client_ip: ClientIp) -> Box<dyn Scrubbing>;
}

/// An item being scrubbed.
pub(crate) trait Scrubbing: Debug {
    /// Continues; the payload is the same at every step. Returns the new payload, or nothing if it stays as it is.
    fn step(
        &mut self,
        payload: &[u8],
        meter: &mut Meter,
    ) -> Poll<Result<Option<String>, Unscrubbable>>;
}

/// An item that should be JSON but is not, or is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unscrubbable;
