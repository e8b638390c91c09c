//! Gates: what a target refuses waits here, and comes out so that a fleet does not come back at once.
//!
//! ```text
//! open ──refused──▶ closed ──its time is up──▶ probing ──taken──▶ passing ──nothing waits──▶ open
//!                     ▲                           │ refused          │ refused
//!                     └───────────────────────────┴──────────────────┘
//! ```
//! A 429 closes the gate of a group, or of a part of one, and so do limits that a target tells with any answer; three refusals
//! in a row without one, that of the whole target (a share).
//!
//! *Closed*: nothing leaves, and the wait grows with the refusals. *Probing*: one call. *Passing*: what waits leaves in its
//! order, twice as fast as it came. So an outage costs few calls, and a target that comes back sees one call of each worker, and
//! then twice what it usually gets. `benches/fleet` shows what it is without that.

use super::{Charge, Id};
use crate::time::Millis;
use std::collections::BTreeSet;

/// So many calls that were taken make up for a refusal: more than one of nine refused, and the waits grow.
const MAKE_UP: u32 = 8;

/// Of what a gate is, in the order in which an entry passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Target,
    Group,
    Part,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Target, Self::Group, Self::Part];
}

/// What is held back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) level: Level,
    id: u64,
    part: u8,
}

impl Key {
    /// Of what is charged so. Part 0 is none: there is never a gate of it.
    pub(super) fn of(charge: Charge, level: Level) -> Self {
        let Charge {
            group, part, share, ..
        } = charge;
        let (id, part) = match level {
            Level::Target => (u64::try_from(share).unwrap_or(u64::MAX), 0),
            Level::Group => (group, 0),
            Level::Part => (group, part),
        };
        Self { level, id, part }
    }

    /// Of a part of a group, or with 0 of the group.
    pub(super) fn of_group(group: u64, part: u8) -> Self {
        let level = match part {
            0 => Level::Group,
            _ => Level::Part,
        };
        let id = group;
        Self { level, id, part }
    }

    pub(super) fn is_target(self) -> bool {
        self.level == Level::Target
    }

    fn bit(self) -> u8 {
        match self.level {
            Level::Target => 1,
            Level::Group => 2,
            Level::Part => 4,
        }
    }
}

/// The gates that have let an entry out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed(u8);

impl Passed {
    pub(super) fn has(self, key: Key) -> bool {
        self.0 & key.bit() != 0
    }

    pub(super) fn set(&mut self, key: Key) {
        self.0 |= key.bit();
    }

    pub(super) fn unset(&mut self, key: Key) {
        self.0 &= !key.bit();
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) phase: Phase,
    /// Refusals in a row while it is open, then how often it was closed: the wait grows with it.
    pub(super) refusals: u32,
    /// Calls that were taken since it closed first.
    taken: u32,
    /// In the order in which they came. Some may be gone.
    pub(super) waiting: BTreeSet<(Millis, Id)>,
    /// Of these, who was refused last: others come first, since the reason may be this one.
    pub(super) refused: Option<Id>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Open,
    Closed { until: Millis },
    Probing(Id),
    Passing(Passing),
}

/// So many calls in so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) since: Millis,
    pub(super) passed: u64,
    pub(super) calls: u64,
    pub(super) span_ms: u64,
}

impl Passing {
    /// When the next one may pass.
    pub(super) fn due(&self) -> Millis {
        let waited = self.passed.saturating_mul(self.span_ms);
        self.since.after(waited.div_ceil(self.calls.max(1)))
    }
}

impl Gate {
    pub(super) fn open() -> Self {
        Self {
            phase: Phase::Open,
            refusals: 0,
            taken: 0,
            waiting: BTreeSet::new(),
            refused: None,
        }
    }

    pub(super) fn due(&self) -> Option<Millis> {
        match self.phase {
            Phase::Open | Phase::Probing(_) => None,
            Phase::Closed { until } => Some(until),
            Phase::Passing(passing) => Some(passing.due()),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    pub(super) fn was_taken(&mut self) {
        self.taken = self.taken.saturating_add(1);
        if self.taken == 1 {
            // It was away. That says nothing of how much it takes.
            self.refusals = 0;
        }
        if self.taken.is_multiple_of(MAKE_UP) {
            self.refusals = self.refusals.saturating_sub(1);
        }
    }

    /// Who is next.
    pub(super) fn pop(&mut self) -> Option<Id> {
        let first = self.waiting.pop_first()?;
        if self.refused == Some(first.1)
            && let Some((_, next)) = self.waiting.pop_first()
        {
            self.waiting.insert(first);
            return Some(next);
        }
        Some(first.1)
    }

    /// From the first to the last that waits.
    pub(super) fn span_ms(&self) -> u64 {
        match (self.waiting.first(), self.waiting.last()) {
            (Some((first, _)), Some((last, _))) => last.since(*first),
            _ => 0,
        }
    }

    pub(super) fn is_probe(&self, id: Id) -> bool {
        matches!(self.phase, Phase::Probing(probe) if probe == id)
    }

    pub(super) fn stops(&self, id: Id, passed: bool) -> bool {
        match self.phase {
            Phase::Open => false,
            Phase::Closed { .. } => true,
            Phase::Probing(probe) => probe != id,
            Phase::Passing(_) => !passed,
        }
    }
}
