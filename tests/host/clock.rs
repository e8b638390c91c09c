//! Scripted time: two clocks and the ticks of the root contexts.
//!
//! Envoy (`Wasm::setTimerPeriod`, `tickHandler`): setting a period re-arms the timer from now, 0 stops it, and after
//! each tick the timer is armed again with the period of that moment. nginx arms the same period again until it stops.

use super::instance::Host;
use super::state::ContextId;
use super::trap::Trap;

pub(super) const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) monotonic: u64,
    pub(super) wall: u64,
    /// The wall clock stands still.
    pub(super) stopped: bool,
}

impl Clock {
    fn move_to(&mut self, monotonic: u64) {
        if !self.stopped {
            self.wall += monotonic - self.monotonic;
        }
        self.monotonic = monotonic;
    }
}

/// A running tick timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    pub(super) period_ms: u32,
    pub(super) due: u64,
}

/// What is due next.
#[derive(Clone, Copy)]
enum Due {
    Tick(ContextId),
    Timeout(u32),
}

impl Host {
    /// Milliseconds since the instance started.
    pub fn now_ms(&self) -> u64 {
        self.state().clock.monotonic / MILLISECOND
    }

    /// Wall clock, milliseconds since 1970.
    pub fn wall_ms(&self) -> u64 {
        self.state().clock.wall / MILLISECOND
    }

    /// The wall clock jumps, as when NTP corrects it; the monotonic clock and the ticks do not notice.
    pub fn jump_wall_clock(&mut self, ms: i64) {
        let wall = &mut self.state_mut().clock.wall;
        *wall = wall.saturating_add_signed(ms * MILLISECOND as i64);
    }

    /// The wall clock stands still, or goes on from where it stood.
    pub fn stop_wall_clock(&mut self, stopped: bool) {
        self.state_mut().clock.stopped = stopped;
    }

    /// Time passes; everything that falls due happens, in order and at its time.
    pub fn advance(&mut self, ms: u64) {
        self.try_advance(ms).unwrap_or_else(|trap| trap.raise());
    }

    pub fn try_advance(&mut self, ms: u64) -> Result<(), Trap> {
        let target = self.state().clock.monotonic + ms * MILLISECOND;
        while let Some((at, due)) = self.next_due().filter(|(at, _)| *at <= target) {
            let clock = &mut self.state_mut().clock;
            clock.move_to(at.max(clock.monotonic));
            match due {
                Due::Tick(root) => self.run_due_tick(root)?,
                Due::Timeout(token) => self.time_out(token)?,
            }
        }
        self.state_mut().clock.move_to(target);
        Ok(())
    }

    /// Calls `on_tick` of this root now, outside its timer: what a host that misbehaves might do.
    pub fn try_tick(&mut self, root: ContextId) -> Result<(), Trap> {
        self.state_mut().ticks += 1;
        self.call("proxy_on_tick", root, &[root])?;
        self.settle()
    }

    /// The tick period of a root context; `None` when it does not tick.
    pub fn tick_period(&self, root: ContextId) -> Option<u32> {
        self.state()
            .roots
            .get(&root)
            .and_then(|root| root.tick)
            .map(|tick| tick.period_ms)
    }

    /// Does any root context tick? Nothing to do must mean no ticks.
    pub fn is_ticking(&self) -> bool {
        self.state().roots.values().any(|root| root.tick.is_some())
    }

    /// Ticks so far.
    pub fn ticks(&self) -> u64 {
        self.state().ticks
    }

    fn run_due_tick(&mut self, root: ContextId) -> Result<(), Trap> {
        let result = self.try_tick(root);
        let state = self.state_mut();
        let now = state.clock.monotonic;
        if let Some(tick) = state
            .roots
            .get_mut(&root)
            .and_then(|root| root.tick.as_mut())
        {
            tick.due = now + u64::from(tick.period_ms) * MILLISECOND;
        }
        result
    }

    fn next_due(&self) -> Option<(u64, Due)> {
        let state = self.state();
        if self.is_dead() || state.stopping {
            return None;
        }
        let ticks = state
            .roots
            .iter()
            .filter_map(|(id, root)| Some((root.tick?.due, Due::Tick(*id))));
        let timeouts = state
            .in_flight
            .iter()
            .filter(|_| state.options.enforce_timeouts)
            .map(|(token, flight)| (flight.deadline, Due::Timeout(*token)));
        // `min_by_key` takes the first of equals: roots by their id, ticks before timeouts.
        ticks.chain(timeouts).min_by_key(|(at, _)| *at)
    }
}

/// Arms or stops the timer of a root context, as `proxy_set_tick_period_milliseconds` asks.
pub(super) fn set_period(tick: &mut Option<Tick>, period_ms: u32, now: u64) {
    *tick = (period_ms > 0).then(|| Tick {
        period_ms,
        due: now + u64::from(period_ms) * MILLISECOND,
    });
}
