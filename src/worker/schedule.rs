//! What may leave in this callback, and which leg is next.
//!
//! When calls leave: on nginx only from ticks, because a dispatch from anywhere else kills the worker. In Envoy a finished
//! copy leaves in the callback that finished it, so no tick has to be started and stopped. The host files every call under
//! the root context, whoever makes it, so the answer arrives even when the stream is long gone. Retries leave from ticks, and
//! so do calls that take work to prepare.
//!
//! On nginx a tick, including a lane's, makes at most one call ([`lanes`](super::lanes)), and the legs take turns.

use super::legs::Legs;
use crate::delivery::caller::{CallId, Next};
use crate::metric::Leg;
use crate::time::Moment;

/// Steps of the legs in one callback: calls and losses together.
const MAX_STEPS: u32 = 64;

/// The kind of callback that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callback {
    Request,
    Answer,
    Tick,
    /// Start or drain: everything is published.
    LifeCycle,
}

impl Callback {
    /// How many calls may leave in one callback. Each keeps the worker busy for some ten microseconds: a client's request
    /// must not wait for a backlog, nor may a backlog stall the worker's other clients. The rest follows with the next tick,
    /// a millisecond later.
    fn max_calls(self) -> u32 {
        match self {
            Self::Request => 1,
            Self::Answer => 2,
            Self::Tick => 16,
            Self::LifeCycle => 0,
        }
    }
}

/// Where a callback is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A tick's work comes first.
    Working,
    /// Sending what is ready.
    Sending,
    /// Nothing to send in this callback; counters and the tick remain.
    Settling,
    /// Handing over what was settled.
    Settled,
}

/// A call that was given to the host, which then says whether it took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaving {
    pub(super) leg: Leg,
    pub(super) id: CallId,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) stage: Stage,
    pub(super) callback: Callback,
    pub(super) leaving: Option<Leaving>,
    /// nginx: which leg may call first, by its place.
    turn: usize,
    /// nginx: a call may leave in this callback.
    slot: bool,
    /// nginx: calls without an answer, of all legs.
    max_calls: usize,
    /// Calls that have left in this callback, and steps taken.
    calls: u32,
    steps: u32,
}

impl Schedule {
    pub(super) fn new(max_calls: usize) -> Self {
        Self {
            stage: Stage::Settled,
            callback: Callback::Request,
            leaving: None,
            turn: 0,
            slot: false,
            max_calls,
            calls: 0,
            steps: 0,
        }
    }

    /// A tick begins. `slot`: a call may leave, where only one at a time may.
    pub(super) fn tick(&mut self, stage: Stage, slot: bool) {
        self.callback = Callback::Tick;
        self.slot = slot;
        self.stage = stage;
    }

    /// An answer has been processed.
    pub(super) fn after_answer(&mut self, in_ticks: bool) {
        self.callback = Callback::Answer;
        self.stage = if in_ticks {
            Stage::Settling
        } else {
            // The slot that is free now goes to the next copy.
            Stage::Sending
        };
    }

    /// The callback ends; what kind it was.
    pub(super) fn end(&mut self) -> Callback {
        (self.calls, self.steps) = (0, 0);
        self.stage = Stage::Settled;
        std::mem::replace(&mut self.callback, Callback::Request)
    }

    /// The next call of this callback, or `None` if there is none.
    pub(super) fn next(&mut self, legs: &mut Legs, now: Moment, in_ticks: bool) -> Option<Leaving> {
        loop {
            if self.calls >= self.callback.max_calls() || self.steps >= MAX_STEPS {
                return None;
            }
            self.steps = self.steps.saturating_add(1);
            match self.step(legs, now, in_ticks) {
                (Next::Call(id), leg) => {
                    let leaving = Leaving { leg, id };
                    self.leaving = Some(leaving);
                    self.calls = self.calls.saturating_add(1);
                    self.slot = false;
                    return Some(leaving);
                }
                (Next::Progress, _) => {}
                (Next::Idle, _) => return None,
            }
        }
    }

    /// What to do next. In Envoy the copies come first, because only they may leave at once. On nginx, where a tick makes one
    /// call at most, the legs take turns.
    fn step(&mut self, legs: &mut Legs, now: Moment, in_ticks: bool) -> (Next, Leg) {
        let turn = if in_ticks { self.turn } else { 0 };
        let open = !in_ticks || self.slot && legs.calls(now.steady) < self.max_calls;
        let [first, then] = legs.places().from(turn);
        for place in first.chain(then) {
            let leg = legs.at(place);
            let Some((caller, mut context)) = legs.caller(leg) else {
                continue;
            };
            if caller.calls_in_ticks() && self.callback != Callback::Tick {
                continue;
            }
            // A key's call takes a slot too.
            let open = open && (!in_ticks || caller.calls(now.steady) < caller.max_calls());
            match caller.next(now, open, &mut context) {
                Next::Idle => {}
                Next::Progress => return (Next::Progress, leg),
                Next::Call(id) => {
                    self.turn = place.saturating_add(1);
                    return (Next::Call(id), leg);
                }
            }
        }
        (Next::Idle, Leg::Rum)
    }
}
