//! A call to be made.

use crate::header_list::HeaderList;

/// A call to a target, borrowed from an outbox: the body goes to the host once per attempt.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Envoy cluster, or `host:port` on nginx.
    pub upstream: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Pseudo headers first.
    pub headers: &'a HeaderList,
    /// The body, as received or as signed.
    pub body: &'a [u8],
    /// For the whole call.
    pub timeout_ms: u32,
}
