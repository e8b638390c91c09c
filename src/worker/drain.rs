//! The end of a worker: what is given up, a little at a time, and when the host hears that it is over.

use super::Worker;
use super::schedule::Callback;
use crate::log::Level;
use crate::metric::Leg;
use crate::time::Millis;

/// How long a drain may take before what is left is given up.
pub(super) const DRAIN_MS: u64 = 10_000;
/// Copies or writes given up in one tick: each has buffers to free.
const MAX_LOST: usize = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    Draining { until: Millis },
    Over,
}

/// How far the worker's end has come, and what has been given up.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) life: Life,
    /// Copies and logs.
    lost: [usize; 2],
}

impl Drain {
    pub(super) fn new() -> Self {
        Self {
            life: Life::Serving,
            lost: [0; 2],
        }
    }

    /// When what is left will be given up.
    pub(super) fn due(&self) -> Option<Millis> {
        match self.life {
            Life::Draining { until } => Some(until),
            Life::Serving | Life::Over => None,
        }
    }

    fn add(&mut self, leg: Leg, count: usize) {
        let slot = match leg {
            Leg::Rum | Leg::Sentry(_) => self.lost.first_mut(),
            Leg::Sls => self.lost.last_mut(),
            // The proxy holds its requests.
            Leg::Sign => None,
        };
        if let Some(lost) = slot {
            *lost = lost.saturating_add(count);
        }
    }
}

impl Worker {
    /// Whether the drain ends in this callback. What is still pending then is lost.
    pub(super) fn is_over(&mut self, callback: Callback, now: Millis) -> bool {
        let due = self.drain.due();
        if due.is_some_and(|until| now >= until) {
            // What is lost is freed a little at a time, unless nothing comes after this.
            let most = match callback {
                Callback::LifeCycle => usize::MAX,
                _ => MAX_LOST,
            };
            if !self.lose(most) {
                return false;
            }
        }
        let is_idle = || self.legs.is_idle() && self.collecting.len() == 0;
        let over = due.is_some_and(|until| now >= until || is_idle());
        if over {
            self.drain.life = Life::Over;
        }
        if self.drain.life == Life::Over {
            self.lose_the_rest();
        }
        over
    }

    /// Gives up at most this many bodies, then copies, then writes. `true` if none is left.
    fn lose(&mut self, most: usize) -> bool {
        let mut left = most;
        for _ in 0..most {
            let Some(exchange) = self.collecting.take() else {
                break;
            };
            let wanted = exchange.wanted();
            for place in self.legs.places().among(wanted.places()) {
                self.drain.add(self.legs.at(place), 1);
            }
            self.drop_unfinished(wanted);
        }
        if self.collecting.len() > 0 {
            return false;
        }
        for place in self.legs.places() {
            let leg = self.legs.at(place);
            if let Some((caller, mut context)) = self.legs.caller(leg) {
                let lost = caller.give_up(left, &mut context);
                left = left.saturating_sub(lost);
                let has_more = caller.has_backlog();
                self.drain.add(leg, lost);
                if has_more {
                    return false;
                }
            }
        }
        true
    }

    fn lose_the_rest(&mut self) {
        self.lose(usize::MAX);
        for place in self.legs.places() {
            let leg = self.legs.at(place);
            if let Some((caller, mut context)) = self.legs.caller(leg) {
                let lost = caller.end(&mut context);
                self.drain.add(leg, lost);
            }
        }
        let [copies, logs] = std::mem::take(&mut self.drain.lost);
        if copies > 0 || logs > 0 {
            let text = format!(
                "{copies} copies and {logs} logs were still pending at the end of the drain and are lost"
            );
            self.legs.log.say(Level::Error, text);
        }
    }
}
