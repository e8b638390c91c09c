//! The host's two clocks, and its timer. It ticks by the monotonic one, as both real hosts do; the plugin is shown the wall
//! clock, which jumps. What goes back is no time: `now` counts only the steps ahead, between the moments at which the plugin
//! looks.

pub struct Clocks {
    mono: u64,
    pub wall: u64,
    /// The wall clock when the plugin last looked, and the latest of these.
    seen: u64,
    latest: u64,
    /// The time that has passed for the plugin.
    now: u64,
    /// Period and next tick.
    tick: Option<(u64, u64)>,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            mono: 0,
            wall: 1_767_225_600_000,
            seen: u64::MAX,
            latest: 0,
            now: 0,
            tick: None,
        }
    }
}

impl Clocks {
    /// The plugin looks.
    pub fn look(&mut self) -> u64 {
        // The epoch is a clock that failed.
        if self.wall > 0 {
            self.now += self.wall.saturating_sub(self.seen);
            self.seen = self.wall;
        }
        self.latest = self.latest.max(self.wall);
        self.now
    }

    /// What the plugin saw when it last looked.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Milliseconds from here on; 0 ends it.
    pub fn set_tick(&mut self, period: u32) {
        let period = u64::from(period);
        self.tick = (period > 0).then_some((period, self.mono + period));
    }

    pub fn is_ticking(&self) -> bool {
        self.tick.is_some()
    }

    /// How long until the next tick, if there is one.
    pub fn until_tick(&self) -> Option<u64> {
        self.tick.map(|(_, due)| due.saturating_sub(self.mono))
    }

    /// Time passes: `ms`, but no further than to the next tick. Gives what is left of it if there was a tick. `least` is the
    /// least time between two: a busy worker is late.
    pub fn pass(&mut self, ms: u64, least: u64) -> Option<u64> {
        let until = self.mono + ms;
        let Some((period, due)) = self.tick.filter(|(_, due)| *due <= until) else {
            self.wall += ms;
            self.mono = until;
            return None;
        };
        self.wall += due - self.mono;
        self.mono = due;
        let left = until - due;
        let next = period.max(least).min(left + period);
        self.tick = Some((period, due + next));
        Some(left)
    }

    /// After all jumps: a moment at which everything is due.
    pub fn jump_beyond_everything(&mut self) {
        self.wall = self.latest.max(self.wall) + 100_000_000;
    }
}
