//! Which copies are read next: those of one project keep their order, and projects take turns. For RUM two are read at a
//! time, from different projects, so that one that takes long holds up only its own project.

use crate::copies::review::Review;
use crate::delivery::by_project::ByProject;
use crate::delivery::outbox::Id;
use std::collections::VecDeque;

/// The number read at a time for RUM. Each may hold a decoded body and what is made of it.
pub(crate) const MAX_ACTIVE: usize = 2;
/// The same for a second Sentry: there may be several of those.
pub(crate) const MAX_ACTIVE_SECOND: usize = 1;
/// A copy that has cost this many units is slow: decoding three megabytes costs less.
const SLOW: u64 = 100_000_000;

/// A copy being read.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) project: u64,
    pub(super) id: Id,
    pub(super) review: Review,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Turns {
    waiting: ByProject<Id>,
    active: VecDeque<Active>,
    max_active: usize,
}

impl Turns {
    pub(super) fn new(max_active: usize) -> Self {
        Self {
            waiting: ByProject::default(),
            active: VecDeque::new(),
            max_active,
        }
    }

    /// Adds a copy to be read.
    pub(super) fn push(&mut self, project: u64, id: Id) {
        self.waiting.push(project, id);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.projects().is_empty() && self.active.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.max_active);
    }

    /// The copy whose turn it is, until it is [given back](Self::back).
    pub(super) fn next(&mut self) -> Option<Active> {
        while self.active.len() < self.max_active {
            let busy = |project| is_busy(&self.active, project);
            let Some((project, id)) = self.waiting.pop(busy) else {
                break;
            };
            self.active.push_back(Active {
                project,
                id,
                review: Review::default(),
            });
        }
        self.active.pop_front()
    }

    /// Gives back a copy that has not been read to its end.
    pub(super) fn back(&mut self, active: Active) {
        self.active.push_back(active);
    }

    /// Whether all that are being read are slow, this one has cost the most, and other projects wait.
    pub(super) fn is_in_the_way(&self, active: &Active) -> bool {
        let spent = active.review.spent();
        let full = self.active.len().saturating_add(1) >= self.max_active;
        let mut others = self.active.iter().map(|other| other.review.spent());
        let slowest = others.all(|other| other > SLOW && other <= spent);
        let mut projects = self.waiting.projects().iter();
        let others_wait = projects.any(|project| !is_busy(&self.active, *project));
        full && slowest && spent > SLOW && others_wait
    }
}

fn is_busy(active: &VecDeque<Active>, project: u64) -> bool {
    active.iter().any(|active| active.project == project)
}

#[cfg(test)]
mod tests {
    use super::Turns;
    use crate::delivery::backoff::Backoff;
    use crate::delivery::outbox::{Charge, Id, Outbox, Policy};
    use crate::time::Millis;

    fn ids() -> impl Iterator<Item = Id> {
        let mut outbox = Outbox::new(Policy {
            max_bytes: 1_000,
            max_held_bytes: 0,
            shares: 1,
            max_in_flight: 1,
            max_attempts: 1,
            backoff: Backoff::new(1, 1).unwrap(),
            max_age_ms: 1,
            retry_ambiguous: false,
        });
        let charge = Charge {
            size: 0,
            group: 0,
            part: 0,
            share: 0,
        };
        std::iter::repeat_with(move || outbox.push_aside((), charge, 0, Millis(0)).unwrap())
    }

    #[test]
    fn projects_take_turns() {
        let (mut turns, mut ids) = (Turns::new(super::MAX_ACTIVE), ids());
        for project in [1, 1, 1, 2, 3] {
            turns.push(project, ids.next().unwrap());
        }
        // One of project 1 takes long.
        let slow = turns.next().unwrap();
        assert_eq!(slow.project, 1);
        turns.back(slow);
        let mut order = Vec::new();
        while let Some(active) = turns.next() {
            order.push(active.project);
            if active.project == 1 && order.len() < 6 {
                turns.back(active);
            }
        }
        assert_eq!(order, [2, 1, 3, 1, 1, 1, 1, 1]);
        assert!(turns.is_empty());
    }
}
