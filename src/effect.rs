//! What the core asks its host to do.

use crate::metric::{Leg, Series};
use crate::mirror::header_list::HeaderList;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Life cycle.
    Info,
    /// Odd, but nothing lost.
    Warn,
    /// Data lost, or an operator is needed.
    Error,
}

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

/// Something to do. After a dispatch the host says [`started`](crate::plugin::Plugin::call_started) or
/// [`refused`](crate::plugin::Plugin::call_refused) before it asks for the next effect.
#[derive(Debug)]
pub enum Effect<'a> {
    /// Send this.
    Dispatch(Call<'a>),
    /// Add to a counter, or in Envoy to a gauge: its workers share them.
    Add(Series, i64),
    /// Set a gauge: ngx_wasm_module traps on adding to one.
    Set(Series, u64),
    /// A sample of a leg's latency.
    Latency(Leg, u64),
    /// Write to the host's log.
    Log(Level, String),
    /// Tick every so many milliseconds from now on; 0 ends it.
    SetTick(u32),
    /// Work was done that took its time: the clock is to be asked again before the next effect.
    Worked,
    /// The root context may go.
    Done,
}
