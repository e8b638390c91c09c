//! The composition root of the core: one worker instance in one worker.
//!
//! Request callbacks: [`decide`](Worker::decide), [`begin`](Worker::begin), [`chunk`](Worker::chunk), then
//! [`end`](Worker::end) or [`abort`](Worker::abort); in mode `rewrite` those of [`rewrite`], in mode `sign` those of [`signing`].
//! Root callbacks: [`start`](Worker::start), [`tick`](Worker::tick), [`lend`](Worker::lend),
//! [`call_done`](Worker::call_done), [`answered`](Worker::answered) or [`drain`](Worker::drain). After each, [`next_effect`](Worker::next_effect) until
//! there is none. After a root callback, [`keep_account`](Worker::keep_account) besides, and then again.
//!
//! When calls leave: on nginx from ticks only, because a dispatch from anywhere else kills the worker. In Envoy a finished
//! copy leaves in the callback that finished it: the host files every call under the root context, whoever makes it, so
//! that the answer arrives when the stream is long gone; no tick has to be asked for and ended. Retries leave from ticks.
//!
//! Two legs: RUM and SLS share a body, and nothing else. Each has its own outbox, its own books and, when both are
//! configured, half of the budgets, so that a dead target of one takes nothing from the other. On nginx a tick makes one
//! call at most, that of a lane included ([`lanes`]), and the legs take turns.
//!
//! When counters are published: together, so that they add up at every moment; at once when nothing is pending and
//! nothing was published in the last [`PUBLISH_MS`], else that much later.

pub mod account;
mod accounts;
mod books;
mod calls;
pub mod collect;
mod collecting;
pub mod effect;
pub mod exchange;
pub mod lanes;
mod report;
mod requests;
pub mod rewrite;
mod settling;
pub mod signing;
mod sls;
pub mod ticker;

use crate::config::Config;
use crate::delivery::backoff::Jitter;
use crate::delivery::outbox::{Id, Outbox, Policy};
use crate::host::HostTraits;
use crate::log::Level;
use crate::log::RateLimitedLog;
use crate::metric::Leg;
use crate::sls::leg;
use crate::time::{Millis, Moment};
use crate::worker::account::Account;
use crate::worker::collect::Collecting;
use crate::worker::effect::Effect;
use crate::worker::exchange::Copy;
use crate::worker::ticker::Ticker;
use books::Book;
use sls::Side;
use std::collections::VecDeque;

/// Counters are published this often at most: a few host calls a batch, not ten a request.
const PUBLISH_MS: u64 = 100;
/// After the call's timeout, how long the host may take to say so. Then the answer counts as lost.
const ANSWER_GRACE_MS: u64 = 2_000;
/// Steps of the outbox in one callback, sends and losses together.
const MAX_STEPS: u32 = 64;
/// Copies or writes that are given up in one tick: each has buffers to be freed.
const MAX_LOST: usize = 1_000;
/// How long a drain may take before what is left is given up.
const DRAIN_MS: u64 = 10_000;

impl Callback {
    /// How many calls may leave in one callback. Each keeps the worker busy for some ten microseconds: a client's request
    /// must not wait for a backlog, nor may a backlog stall the other clients of the worker. The rest follows with the
    /// next tick, a millisecond later.
    fn max_sends(self) -> u32 {
        match self {
            Self::Request => 1,
            Self::Answer => 2,
            Self::Tick => 16,
            Self::LifeCycle => 0,
        }
    }
}

/// What is to be done next, while calls may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Call(Leaving),
    /// Something ended by itself; there may be more.
    Progress,
    Idle,
}

/// What [`Worker::next_effect`] is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Sending what is ready.
    Sending,
    /// Nothing to send in this callback; counters and the tick are left.
    Settling,
    /// Handing out what was settled.
    Settled,
}

/// The kind of the callback that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    Request,
    Answer,
    Tick,
    /// Start, drain: everything is published.
    LifeCycle,
}

/// A call that was given to the host, which says next whether it took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Rum(Id),
    Sls(leg::Leaving),
    /// Mode `sign`: for a key.
    Keys(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    Draining { until: Millis },
    Over,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    /// The RUM leg's; empty without one.
    outbox: Outbox<Copy>,
    book: Book,
    sls: Option<Box<Side>>,
    /// Mode `sign`.
    sign: Option<Box<signing::Side>>,
    /// The RUM leg's share of the budget.
    max_pending_bytes: usize,
    /// What bodies that are being received may hold of it.
    max_collecting_bytes: usize,
    /// What the gauges have added, for whoever comes after this instance.
    account: Account,
    log: RateLimitedLog,
    ticker: Ticker,
    jitter: Jitter,
    /// The bodies that are being received.
    collecting: Collecting,
    /// Requests that were forwarded in place and have no answer yet.
    forwarded: usize,
    leaving: Option<Leaving>,
    /// nginx: which leg may call first.
    turn: Leg,
    /// nginx: a call may leave in this callback.
    slot: bool,
    /// Calls without an answer: of a leg, and on nginx of both.
    max_in_flight: usize,
    max_calls: usize,
    /// This tick's work is not done yet.
    working: bool,
    stage: Stage,
    callback: Callback,
    /// Calls that have left in this callback, and steps of the outbox that were taken.
    sends: u32,
    steps: u32,
    last_published: Option<Millis>,
    /// The tick that publishes what was counted is on its way.
    publishing_soon: bool,
    effects: VecDeque<Effect<'static>>,
    life: Life,
    /// Copies and logs that were given up at the end of the drain.
    lost: [usize; 2],
    /// The host's clock when it last had a time (the epoch: never yet), and the time that has passed by it.
    wall: Millis,
    steady: Millis,
}

impl Worker {
    /// `seed` is for jitter, and the name of the account: any number that differs between instances.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let legs = [config.rum.is_some(), config.sls.is_some()];
        let share = |budget: usize| match legs {
            [true, true] => (budget / 2).max(1),
            _ => budget,
        };
        let host = config.host.traits();
        let (max_calls, max_in_flight) = if host.calls_in_ticks {
            let max_calls = config.limits.max_in_flight.min(config.lanes.into());
            // A few, and never all but one of two legs' worth: what hangs leaves the other leg one.
            let both = legs == [true, true];
            let max_in_flight = if both {
                max_calls.div_ceil(2)
            } else {
                max_calls
            };
            (max_calls, max_in_flight)
        } else {
            let max_calls = config.limits.max_in_flight;
            (max_calls, share(max_calls))
        };
        let max_pending_bytes = config.leg_bytes();
        let sls = config.sls.clone().map(|sls| {
            let decoded = config.limits.max_decoded_bytes;
            let leg = leg::Leg::new(sls, max_pending_bytes, max_in_flight, decoded, seed);
            Box::new(Side::new(leg))
        });
        let sign = config.sign.clone().map(|sign| {
            let side = signing::Side::new(sign, config.limits.max_pending_bytes, seed);
            Box::new(side)
        });
        let policy = Policy {
            max_bytes: max_pending_bytes,
            max_held_bytes: max_pending_bytes.saturating_sub(max_pending_bytes / 4),
            shares: config.rum.as_ref().map_or(1, |rum| rum.targets),
            max_in_flight,
            max_attempts: config.retry.max_attempts,
            backoff: config.retry.backoff,
            max_age_ms: config.retry.max_age_ms,
            retry_ambiguous: config.retry.ambiguous,
        };
        Self {
            outbox: Outbox::new(policy),
            book: Book::new(Leg::Rum),
            sls,
            sign,
            max_pending_bytes,
            max_collecting_bytes: config.collecting_bytes(),
            account: Account::new(seed, host.shares_data),
            log: RateLimitedLog::default(),
            ticker: Ticker::new(config.host),
            jitter: Jitter::new(seed),
            collecting: Collecting::default(),
            forwarded: 0,
            leaving: None,
            turn: Leg::Rum,
            slot: false,
            max_in_flight,
            max_calls,
            working: false,
            stage: Stage::Settled,
            callback: Callback::Request,
            sends: 0,
            steps: 0,
            last_published: None,
            publishing_soon: false,
            effects: VecDeque::new(),
            life: Life::Serving,
            lost: [0; 2],
            wall: Millis::default(),
            steady: Millis::default(),
            config,
        }
    }

    /// Time that never goes back, from the host's clock, which may: a wait must not become an hour because NTP
    /// corrected the clock. The epoch is the answer of a clock that failed: then no time has passed, or the next answer
    /// would make everything that is pending half a century old.
    fn moment(&mut self, wall: Millis) -> Moment {
        let unknown = Millis::default();
        if wall != unknown {
            let before = std::mem::replace(&mut self.wall, wall);
            if before != unknown {
                let passed = wall.since(before);
                self.steady = self.steady.after(passed);
                self.collecting.pass(passed);
            }
        }
        Moment {
            steady: self.steady,
            wall: self.wall,
        }
    }

    /// What the proxy does.
    fn host(&self) -> &'static HostTraits {
        self.config.host.traits()
    }

    /// The answer to a call has been heard.
    fn after_answer(&mut self) {
        self.callback = Callback::Answer;
        self.stage = if self.host().calls_in_ticks {
            Stage::Settling
        } else {
            // The slot that is free now is for the next copy.
            Stage::Sending
        };
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Root callback: the configuration is in force.
    pub fn start(&mut self, version: &str) {
        let text = format!("sentry-edge-mirror {version} started");
        self.log.say(Level::Info, text);
        let nobody =
            |rum: &crate::rum::settings::Rum| rum.default.is_none() && rum.projects.is_empty();
        if self.config.rum.as_ref().is_some_and(nobody) {
            let text = "rum has neither `default` nor `projects`: nothing is mirrored";
            self.log.say(Level::Warn, text.to_owned());
        }
        for warning in self.config.warnings() {
            self.log.say(Level::Warn, warning.to_string());
        }
        self.life_cycle();
    }

    /// The legs that there are, or the mode that stands in their place.
    pub fn legs(&self) -> impl Iterator<Item = Leg> {
        let rum = self.config.rum.as_ref().map(|_| Leg::Rum);
        let sls = self.config.sls.as_ref().map(|_| Leg::Sls);
        let sign = self.config.sign.as_ref().map(|_| Leg::Sign);
        rum.into_iter().chain(sls).chain(sign)
    }

    /// The host refused the last [`Effect::SetTick`]: it will be asked again.
    pub fn tick_refused(&mut self) {
        self.ticker.refused();
        self.publishing_soon = false;
    }

    /// Request callback: whether there are effects. Most requests cause none, and then the clock need not be read.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        self.stage != Stage::Settled
    }

    /// Root callback: the tick. `slot` says whether the root context may make a call, which on nginx it may not while one of
    /// its own is out.
    pub fn tick(&mut self, slot: bool) {
        self.callback = Callback::Tick;
        self.slot = slot;
        self.working = true;
        self.publishing_soon = false;
        self.stage = Stage::Sending;
    }

    /// nginx: whether a call waits for a root context to make it.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        let sls = self.sls.as_deref();
        self.outbox.has_ready() || sls.is_some_and(|side| side.leg.has_ready())
    }

    /// Copies and writes in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let logs = self.sls.as_deref().map_or(0, |side| side.leg.in_flight());
        self.outbox.in_flight().saturating_add(logs)
    }

    /// nginx, root callback: the tick of a lane, which may make one call for this worker.
    pub fn lend(&mut self) {
        self.callback = Callback::Tick;
        self.slot = true;
        self.stage = Stage::Sending;
    }

    /// Root callback: the worker is to end. [`Effect::Done`] follows, now or later.
    pub fn drain(&mut self, now: Millis) {
        let now = self.moment(now).steady;
        if self.life == Life::Serving {
            let until = now.after(DRAIN_MS);
            self.life = Life::Draining { until };
        }
        if let Some(side) = &mut self.sls {
            side.leg.drain();
        }
        self.life_cycle();
    }

    /// Root callback: the worker ends now, whatever is pending. Requests that are open have been aborted, or left, before.
    pub fn give_up(&mut self, now: Millis) {
        let until = self.moment(now).steady;
        // After a drain there may still be something to publish.
        if self.life != Life::Over {
            self.life = Life::Draining { until };
        }
        self.life_cycle();
    }

    /// What the host is to do next.
    pub fn next_effect(&mut self, now: Millis) -> Option<Effect<'_>> {
        let now = self.moment(now);
        // A host that says nothing about a dispatch has refused it.
        if self.leaving.is_some() {
            self.call_refused(self.wall);
        }
        if std::mem::take(&mut self.working) && self.work(now) {
            return Some(Effect::Worked);
        }
        self.worked(now.steady);
        while self.stage == Stage::Sending {
            if self.sends >= self.callback.max_sends() || self.steps >= MAX_STEPS {
                self.stage = Stage::Settling;
                break;
            }
            self.steps = self.steps.saturating_add(1);
            match self.step(now) {
                Step::Call(leaving) => {
                    self.leaving = Some(leaving);
                    self.sends = self.sends.saturating_add(1);
                    self.slot = false;
                    return self.dispatch(leaving);
                }
                Step::Progress => {}
                Step::Idle => self.stage = Stage::Settling,
            }
        }
        if self.stage == Stage::Settling {
            self.settle_callback(now.steady);
        }
        self.effects.pop_front()
    }

    fn life_cycle(&mut self) {
        self.callback = Callback::LifeCycle;
        self.stage = Stage::Settling;
    }
}
