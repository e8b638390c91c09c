//! What the core asks a proxy to do.

use crate::delivery::call::Call;
use crate::log::Level;
use crate::metric::{Leg, Series};
use crate::time::Millis;

/// A proxy that does what the core asks for: see [`Worker::carry_out`](crate::worker::Worker::carry_out).
pub trait Proxy {
    /// The clock, which is read again after work that took noticeable time.
    fn now(&mut self) -> Millis;

    /// Sends this call. Returns the token that the answer will have; `None` if the proxy refuses.
    fn dispatch(&mut self, call: &Call<'_>) -> Option<u32>;

    /// Adds to a counter, or in Envoy to a gauge: its workers share them.
    fn add(&mut self, series: Series, amount: i64);

    /// Sets a gauge: ngx_wasm_module traps on adding to one.
    fn set(&mut self, series: Series, value: u64);

    /// Records a sample of a leg's latency.
    fn latency(&mut self, leg: Leg, ms: u64);

    /// Writes to the proxy's log.
    fn log(&mut self, level: Level, line: &str);

    /// Ticks every `period_ms` milliseconds from now on; 0 stops it. `false` if the proxy refuses.
    fn set_tick(&mut self, period_ms: u32) -> bool;
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Effect<'a> {
    /// [`Proxy::dispatch`]
    Dispatch(Call<'a>),
    /// [`Proxy::add`]
    Add(Series, i64),
    /// [`Proxy::set`]
    Set(Series, u64),
    /// [`Proxy::latency`]
    Latency(Leg, u64),
    /// [`Proxy::log`]
    Log(Level, String),
    /// [`Proxy::set_tick`]
    SetTick(u32),
    /// Work took noticeable time: [`Proxy::now`] must be read before the next effect.
    Worked,
    /// The root context may be deleted.
    Done,
}
