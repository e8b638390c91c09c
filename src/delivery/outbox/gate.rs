//! Gates: what a target refuses waits here, and is let out so that a fleet does not return all at once.
//!
//! ```text
//! open ──refused──▶ closed ──its time is up──▶ probing ──taken──▶ passing ──nothing waits──▶ open
//!                     ▲                           │ refused          │ refused
//!                     └───────────────────────────┴──────────────────┘
//! ```
//! A 429 closes the gate of a group or of a part of one. So do limits that a target announces with any answer. Three refusals
//! in a row that are not a 429 close the gate of the whole target (a share).
//!
//! *Closed*: nothing leaves, and the wait grows with the refusals. *Probing*: one call. *Passing*: what is waiting leaves in
//! order, twice as fast as it came. So an outage costs few calls, and a target that comes back sees one call from each
//! worker, and then twice its usual load. `benches/fleet` shows how it goes without that.

use super::{Charge, Id};
use crate::time::Millis;
use std::collections::BTreeSet;

/// This many accepted calls make up for one refusal: if more than one in nine is refused, the waits grow.
const MAKE_UP: u32 = 8;

/// What a gate is for, in the order in which an entry passes the gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Target,
    Group,
    Part,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Target, Self::Group, Self::Part];
}

/// What is held back as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) level: Level,
    id: u64,
    part: u8,
}

impl Key {
    /// Of an entry with this charge. Part 0 means no part: it never has a gate.
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

    /// Of a part of a group; with part 0, of the group.
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
    /// Refusals in a row while it is open; after that, how often it was closed. The wait grows with it.
    pub(super) refusals: u32,
    /// Calls accepted since it first closed.
    taken: u32,
    /// In order of arrival. Some may be gone.
    pub(super) waiting: BTreeSet<(Millis, Id)>,
    /// The one among these that was refused last. Others go first, since it may be the reason.
    pub(super) refused: Option<Id>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    Open,
    Closed { until: Millis },
    Probing(Id),
    Passing(Passing),
}

/// A number of calls in a span of time.
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
            // The target was away. That says nothing about how much it accepts.
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

    /// The time from the first to the last that is waiting.
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
