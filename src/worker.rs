//! The composition root of the core: one instance in one worker of the proxy.
//!
//! Request callbacks, which the modes make: [`decide`](Worker::decide), [`begin`](Worker::begin), [`chunk`](Worker::chunk),
//! then [`end`](Worker::end) or [`abort`](Worker::abort); in mode `sign` those of [`signing`]. Root callbacks:
//! [`start`](Worker::start), [`tick`](Worker::tick), [`tick_for_lane`](Worker::tick_for_lane), [`answered`](Worker::answered)
//! or [`drain`](Worker::drain). Call [`carry_out`](Worker::carry_out) after each. After a root callback also call
//! [`keep_account`](Worker::keep_account), and then `carry_out` again.
//!
//! The legs share a body and nothing else. Each has its own outbox and its own metrics. When RUM and SLS are both configured,
//! each has half of the budgets; each second Sentry has budgets of its own. So a dead target takes nothing from the others.
//!
//! `legs` holds the legs, `schedule` decides what may leave, `publisher` what the host is told, `drain` how the worker ends.

pub mod account;
mod accounts;
mod clock;
pub mod collect;
mod collecting;
mod drain;
pub mod exchange;
mod forwarding;
pub mod lanes;
mod legs;
pub(crate) mod primary;
mod published;
mod publisher;
mod report;
mod requests;
mod schedule;
pub mod signing;
pub mod ticker;
mod wanted;

use crate::config::Config;
use crate::delivery::answer::Answer;
use crate::delivery::caller::Caller;
use crate::effect::{Effect, Proxy};
use crate::host::HostTraits;
use crate::log::Level;
use crate::metric::{Leg, Metric};
use crate::time::{Millis, Moment, earliest};
use clock::Clock;
use collect::Collecting;
use drain::{DRAIN_MS, Drain, Life};
use legs::Legs;
use publisher::Publisher;
use schedule::{Callback, Leaving, Schedule, Stage};

/// See the module's documentation.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    clock: Clock,
    legs: Legs,
    /// The bodies being received.
    pub(crate) collecting: Collecting,
    schedule: Schedule,
    publisher: Publisher,
    drain: Drain,
}

impl Worker {
    /// `seed` is for jitter and for the account's ID: any number that differs between instances.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let (max_calls, _) = legs::max_calls(&config);
        Self {
            clock: Clock::default(),
            legs: Legs::new(&config, seed),
            collecting: Collecting::default(),
            schedule: Schedule::new(max_calls),
            publisher: Publisher::new(config.host, seed),
            drain: Drain::new(),
            config,
        }
    }

    /// What the proxy can do.
    fn host(&self) -> &'static HostTraits {
        self.config.host.traits()
    }

    /// Both clocks, given the current time of the host's clock.
    pub(crate) fn moment(&mut self, wall: Millis) -> Moment {
        if let Some(passed) = self.clock.advance(wall) {
            self.collecting.pass(passed);
        }
        self.clock.last()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Root callback: the configuration is in force.
    pub fn start(&mut self, version: &str) {
        let text = format!("sentry-edge-mirror {version} started");
        self.legs.log.say(Level::Info, text);
        let nobody = |rum: &crate::copies::settings::Copies| {
            rum.default.is_none() && rum.projects.is_empty()
        };
        if self.config.rum.as_ref().is_some_and(nobody) {
            let text = "rum has neither `default` nor `projects`: nothing is mirrored";
            self.legs.log.say(Level::Warn, text.to_owned());
        }
        for warning in self.config.warnings() {
            self.legs.log.say(Level::Warn, warning.to_string());
        }
        self.life_cycle();
    }

    /// The configured legs, or the mode that takes their place.
    pub fn legs(&self) -> impl Iterator<Item = Leg> {
        self.legs.names()
    }

    /// The proxy will be asked again.
    fn tick_refused(&mut self) {
        self.publisher.ticker.refused();
        self.publisher.is_due_soon = false;
    }

    /// Request callback: whether there are effects. Most requests have none, and then the clock need not be read.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        self.schedule.stage != Stage::Settled
    }

    /// Root callback: the tick. `slot` says whether the root context may make a call. On nginx it may not while one of its
    /// own calls is in flight.
    pub fn tick(&mut self, slot: bool) {
        self.publisher.is_due_soon = false;
        self.schedule.tick(Stage::Working, slot);
    }

    /// nginx, root callback: a lane's tick, which may make one call for this worker.
    pub fn tick_for_lane(&mut self) {
        self.schedule.tick(Stage::Sending, true);
    }

    /// nginx: whether a call waits for a root context to make it.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.legs.all().any(|(caller, _)| caller.has_ready())
    }

    /// Calls still without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.legs.calls(self.clock.last().steady)
    }

    /// Root callback: which leg is waiting for the answer to a call.
    #[must_use]
    pub fn waits_for(&self, token: u32) -> Option<Leg> {
        self.legs.waits_for(token)
    }

    /// Root callback: how much of this answer's body should be read.
    #[must_use]
    pub fn answer_bytes(&self, token: u32, status: Option<u16>) -> usize {
        let leg = self.waits_for(token).and_then(|leg| self.legs.get(leg));
        let bytes = leg.and_then(|(caller, _)| caller.answer_bytes(token, status));
        bytes.unwrap_or_default()
    }

    /// Root callback: a call has ended.
    pub fn answered(&mut self, token: u32, answer: &Answer<'_>, now: Millis) {
        let now = self.moment(now);
        if let Some(leg) = self.legs.waits_for(token)
            && let Some((caller, mut context)) = self.legs.caller(leg)
        {
            caller.answered(token, answer, now, &mut context);
        } else {
            let leg = self.legs().next().unwrap_or(Leg::Rum);
            self.legs.count(leg, Metric::UnexpectedReplies, 1);
            report::unexpected(&mut self.legs.log);
        }
        self.schedule.after_answer(self.host().calls_in_ticks);
    }

    /// The proxy took the call.
    fn call_started(&mut self, token: u32, now: Millis) {
        // If each step of a call has its own timeout, a response that trickles may end long after our timeout. It keeps its
        // slot until then (see `lanes`).
        let tells = self.host().tells_every_end;
        if let Some(Leaving { leg, id }) = self.schedule.leaving.take()
            && let Some((caller, _)) = self.legs.caller(leg)
        {
            caller.started(id, token, now, tells);
        }
    }

    /// The proxy refused the call.
    fn call_refused(&mut self, now: Millis) {
        if let Some(Leaving { leg, id }) = self.schedule.leaving.take()
            && let Some((caller, mut context)) = self.legs.caller(leg)
        {
            caller.refused(id, now, &mut context);
        }
    }

    /// Root callback: the worker should end. [`carry_out`](Self::carry_out) says when it has.
    pub fn drain(&mut self, now: Millis) {
        let now = self.moment(now).steady;
        if self.drain.life == Life::Serving {
            let until = now.after(DRAIN_MS);
            self.drain.life = Life::Draining { until };
        }
        for place in self.legs.places() {
            if let Some((caller, _)) = self.legs.caller(self.legs.at(place)) {
                caller.drain();
            }
        }
        self.life_cycle();
    }

    /// Root callback: the worker ends now, whatever is pending. Open requests have already been aborted or abandoned.
    pub fn give_up(&mut self, now: Millis) {
        let until = self.moment(now).steady;
        // After a drain there may still be something to publish.
        if self.drain.life != Life::Over {
            self.drain.life = Life::Draining { until };
        }
        self.life_cycle();
    }

    fn life_cycle(&mut self) {
        self.schedule.callback = Callback::LifeCycle;
        self.schedule.stage = Stage::Settling;
    }

    /// Has the proxy do what the callback asks for. `true`: the root context may be deleted.
    // Several callers: not inlined, to keep the module small.
    #[inline(never)]
    pub fn carry_out(&mut self, proxy: &mut impl Proxy, now: Millis) -> bool {
        let mut over = false;
        let mut now = self.moment(now);
        while let Some(effect) = self.next_effect(now) {
            match effect {
                Effect::Dispatch(call) => match proxy.dispatch(&call) {
                    Some(token) => self.call_started(token, now.steady),
                    None => self.call_refused(now.steady),
                },
                Effect::Add(series, amount) => proxy.add(series, amount),
                Effect::Set(series, value) => proxy.set(series, value),
                Effect::Latency(leg, ms) => proxy.latency(leg, ms),
                Effect::Log(level, line) => proxy.log(level, &line),
                Effect::SetTick(period) => {
                    if !proxy.set_tick(period) {
                        self.tick_refused();
                    }
                }
                Effect::Worked => now = self.moment(proxy.now()),
                Effect::Done => over = true,
            }
        }
        over
    }

    fn next_effect(&mut self, now: Moment) -> Option<Effect<'_>> {
        if self.schedule.stage == Stage::Working {
            self.schedule.stage = Stage::Sending;
            if self.work(now) {
                return Some(Effect::Worked);
            }
        }
        if self.schedule.stage == Stage::Sending {
            if self.schedule.callback == Callback::Tick {
                self.worked(now.steady);
            }
            let in_ticks = self.host().calls_in_ticks;
            if let Some(Leaving { leg, id }) = self.schedule.next(&mut self.legs, now, in_ticks) {
                let (caller, mut context) = self.legs.caller(leg)?;
                let caller: &dyn Caller = caller;
                return caller.call(id, &mut context).map(Effect::Dispatch);
            }
            self.schedule.stage = Stage::Settling;
        }
        if self.schedule.stage == Stage::Settling {
            self.end_callback(now);
        }
        self.publisher.effects.pop_front()
    }

    /// The tick's work, before anything is sent. `true` if it took noticeable time: then [`worked`](Self::worked) must be
    /// told when it ended.
    fn work(&mut self, now: Moment) -> bool {
        self.sweep();
        // Bytes being collected are charged to the other leg only as far as it has room.
        let rum = self.legs.rum.as_ref().map_or(0, |rum| rum.leg.free());
        let collecting = self.collecting.bytes();
        let mut took_time = false;
        for place in self.legs.places() {
            let leg = self.legs.at(place);
            // One slice is enough for one tick.
            if !took_time && let Some((caller, mut context)) = self.legs.caller(leg) {
                let reserved = match leg {
                    Leg::Rum => collecting,
                    Leg::Sls | Leg::Sign => collecting.saturating_sub(rum),
                    Leg::Sentry(_) => 0,
                };
                took_time = caller.work(now, reserved, &mut context);
            }
        }
        took_time
    }

    /// The clock has been read again since.
    fn worked(&mut self, now: Millis) {
        for place in self.legs.places() {
            if let Some((caller, _)) = self.legs.caller(self.legs.at(place)) {
                caller.worked(now);
            }
        }
    }

    /// Everything is sent: is the drain over, what is published, and when is the next tick due?
    fn end_callback(&mut self, now: Moment) {
        let callback = self.schedule.end();
        let steady = now.steady;
        let over = callback != Callback::Request && self.is_over(callback, steady);
        let collecting = self.collecting.bytes();
        let is_idle = callback == Callback::Answer && self.legs.is_idle();
        if self.publisher.publishes(callback, over, is_idle, steady) {
            let last = self.drain.life == Life::Over;
            self.publisher
                .publish(&mut self.legs, collecting, last, steady);
        }
        let unpublished = self.legs.is_stale(collecting) || self.legs.is_pressing();
        let unpublished = unpublished.then(|| self.publisher.due(steady));
        self.publisher.is_due_soon = unpublished.is_some();
        let due = earliest([
            self.legs.due(now),
            self.drain.due(),
            unpublished,
            self.next_pulse(steady),
            self.publisher.account.due(steady),
        ]);
        let ticker = &mut self.publisher.ticker;
        let period = match callback {
            Callback::Request => due.and_then(|due| ticker.hurry(steady, due)),
            _ => ticker.settle(steady, due, callback == Callback::Tick),
        };
        let effects = &mut self.publisher.effects;
        effects.extend(period.map(Effect::SetTick));
        if over {
            effects.push_back(Effect::Done);
        }
    }

    /// Something was counted in a request callback: a tick must come, unless one is already on its way.
    pub(crate) fn publish_soon(&mut self) {
        if !self.publisher.is_due_soon && self.legs.is_pressing() {
            self.wake();
        }
    }

    /// Marks the timer to be checked before the callback ends. A callback that sends does so anyway.
    fn wake(&mut self) {
        if !self.host().calls_in_ticks && self.schedule.stage == Stage::Settled {
            self.schedule.stage = Stage::Settling;
        }
    }
}
