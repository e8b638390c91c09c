//! What the core asks its host to do.

use crate::delivery::call::Call;
use crate::log::Level;
use crate::metric::{Leg, Series};

/// Something to do. After a dispatch the host says [`started`](crate::worker::Worker::call_started) or
/// [`refused`](crate::worker::Worker::call_refused) before it asks for the next effect.
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
