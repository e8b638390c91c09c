//! The host's clock, and time that never goes back.

use crate::time::{Millis, Moment};

/// Both clocks, as they were last known.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The host's clock when it last gave a time (the epoch: not yet).
    wall: Millis,
    /// The time that has passed according to it.
    steady: Millis,
}

impl Clock {
    /// The last known moment.
    pub(super) fn last(&self) -> Moment {
        Moment {
            steady: self.steady,
            wall: self.wall,
        }
    }

    /// Time that never goes back, derived from the host's clock, which may: a wait must not become an hour because NTP
    /// corrected the clock. A clock that failed answers with the epoch. Then no time has passed; otherwise the next answer
    /// would make everything pending half a century old. Returns how much time has passed, if that is known.
    pub(super) fn advance(&mut self, wall: Millis) -> Option<u64> {
        let unknown = Millis::default();
        if wall == unknown {
            return None;
        }
        let before = std::mem::replace(&mut self.wall, wall);
        if before == unknown {
            return None;
        }
        let passed = wall.since(before);
        self.steady = self.steady.after(passed);
        Some(passed)
    }
}
