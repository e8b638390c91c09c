//! The composition root of the core: one plugin instance in one worker.
//!
//! Request callbacks: [`decide`](Plugin::decide), [`begin`](Plugin::begin), [`chunk`](Plugin::chunk), then
//! [`end`](Plugin::end) or [`abort`](Plugin::abort). Root callbacks: [`start`](Plugin::start), [`tick`](Plugin::tick),
//! [`call_done`](Plugin::call_done) or [`drain`](Plugin::drain). After each, [`next_effect`](Plugin::next_effect) until
//! there is none.
//!
//! When calls leave: on nginx from ticks only, because a dispatch from anywhere else kills the worker. In Envoy a finished
//! copy leaves in the callback that finished it: the host files every call under the root context, whoever makes it, so
//! that the answer arrives when the stream is long gone; no tick has to be asked for and ended. Retries leave from ticks.
//!
//! When counters are published: together, so that they add up at every moment; at once when nothing is pending and
//! nothing was published in the last [`PUBLISH_MS`], else that much later.

mod report;

use crate::config::{Config, HostKind};
use crate::delivery::backoff::Jitter;
use crate::delivery::outbox::{Entry, Id, Next, Outbox, Policy, Settled};
use crate::delivery::verdict::Verdict;
use crate::effect::{Call, Effect, Level};
use crate::exchange::{Copy, Exchange};
use crate::journal::{Journal, Topic};
use crate::metric::{Ledger, Metric};
use crate::mirror::capture::Refusal;
use crate::mirror::decide::{self, Decision, Target};
use crate::mirror::headers::{Head, Pair, compose};
use crate::mirror::reply::Reply;
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::ticker::Ticker;
use crate::time::Millis;
use std::collections::VecDeque;

/// Counters are published this often at most: a few host calls a batch, not ten a request.
const PUBLISH_MS: u64 = 100;
/// After the call's timeout, how long the host may take to say so. Then the answer counts as lost.
const ANSWER_GRACE_MS: u64 = 2_000;
/// What a refused dispatch came to.
const NEVER_SENT: Verdict = Verdict::NotTaken {
    status: 0,
    retry_after_ms: None,
};
/// Steps of the outbox in one callback, sends and losses together.
const MAX_STEPS: u32 = 64;
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

/// What [`Plugin::next_effect`] is at.
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Serving,
    Draining { until: Millis },
    Over,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Plugin {
    config: Config,
    outbox: Outbox<Copy>,
    ledger: Ledger,
    journal: Journal,
    ticker: Ticker,
    jitter: Jitter,
    /// Bytes of the bodies that are being collected.
    collecting: usize,
    exchanges: usize,
    leaving: Option<Id>,
    stage: Stage,
    callback: Callback,
    /// Calls that have left in this callback, and steps of the outbox that were taken.
    sends: u32,
    steps: u32,
    last_published: Option<Millis>,
    /// The tick that publishes what was counted is on its way.
    publishing_soon: bool,
    effects: VecDeque<Effect<'static>>,
    /// The gauges as the host knows them.
    published: [usize; 3],
    life: Life,
    /// The host's clock at the last callback, and the time that has passed by it.
    wall: Millis,
    now: Millis,
}

impl Plugin {
    /// `seed` is for jitter: any number that differs between workers.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let max_in_flight = match config.host {
            HostKind::Envoy => config.limits.max_in_flight,
            // HOSTS.md: a second call in flight leaks a connection slot each time one ends.
            HostKind::Nginx => 1,
        };
        let policy = Policy {
            max_bytes: config.limits.max_pending_bytes,
            max_in_flight,
            max_attempts: config.retry.max_attempts,
            backoff: config.retry.backoff,
            max_age_ms: config.retry.max_age_ms,
            retry_ambiguous: config.retry.ambiguous,
        };
        Self {
            outbox: Outbox::new(policy),
            ledger: Ledger::default(),
            journal: Journal::default(),
            ticker: Ticker::new(config.host),
            jitter: Jitter::new(seed),
            collecting: 0,
            exchanges: 0,
            leaving: None,
            stage: Stage::Settled,
            callback: Callback::Request,
            sends: 0,
            steps: 0,
            last_published: None,
            publishing_soon: false,
            effects: VecDeque::new(),
            published: [0; 3],
            life: Life::Serving,
            wall: Millis(u64::MAX),
            now: Millis::default(),
            config,
        }
    }

    /// Time that never goes back, from the host's clock, which may: a wait must not become an hour because NTP
    /// corrected the clock.
    fn steady(&mut self, wall: Millis) -> Millis {
        let passed = wall.since(std::mem::replace(&mut self.wall, wall));
        self.now = self.now.after(passed);
        self.now
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Root callback: the configuration is in force.
    pub fn start(&mut self, version: &str) {
        let text = format!("sentry-edge-mirror {version} started");
        self.journal.say(Level::Info, text);
        if self.config.rum.default.is_none() && self.config.rum.projects.is_empty() {
            let text = "rum has neither `default` nor `projects`: nothing is mirrored";
            self.journal.say(Level::Warn, text.to_owned());
        }
        self.life_cycle();
    }

    /// Request callback: what becomes of a request, from its method and target.
    pub fn decide(&mut self, method: &[u8], target: &[u8]) -> Option<Target> {
        match decide::decide(&self.config.rum, method, target) {
            Decision::Ignore => None,
            Decision::Skip(reason, id) => {
                self.skip(reason, id.map(ProjectId::get));
                None
            }
            Decision::Mirror(target) => Some(target),
        }
    }

    /// Request callback: the headers are complete. `None` when the body is known to be too large, or there is no room.
    pub fn begin<'a, I>(&mut self, target: Target, head: &Head<'a, I>) -> Option<Exchange>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let project = target.project;
        let copy = compose(self.config.host, &target, head);
        self.ledger.grow(Metric::HeadersOmitted, copy.omitted);
        let limits = self.config.limits;
        let Some(exchange) = Exchange::new(target, copy, limits.max_body_bytes) else {
            self.skip(SkipReason::TooLarge, Some(project));
            return None;
        };
        let collecting = self.collecting.saturating_add(exchange.held());
        if self.outbox.bytes().saturating_add(collecting) > limits.max_pending_bytes {
            self.ledger.one(Metric::Captured);
            self.drop_for_room(project);
            return None;
        }
        self.collecting = collecting;
        self.exchanges = self.exchanges.saturating_add(1);
        Some(exchange)
    }

    /// Request callback: a piece of the body, of `size` bytes, which `fill` appends. Gives the exchange back unless it is
    /// over.
    #[must_use]
    pub fn chunk(
        &mut self,
        mut exchange: Exchange,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<Exchange> {
        let used = self.outbox.bytes().saturating_add(self.collecting);
        let room = self.config.limits.max_pending_bytes.saturating_sub(used);
        let before = exchange.held();
        let pushed = exchange.capture().push(size, room, fill);
        self.collecting = self
            .collecting
            .saturating_sub(before)
            .saturating_add(exchange.held());
        let project = exchange.target.project;
        match pushed {
            Ok(()) => return Some(exchange),
            Err(Refusal::TooLarge) => self.skip(SkipReason::TooLarge, Some(project)),
            Err(Refusal::Unreadable) => self.skip(SkipReason::Unreadable, Some(project)),
            Err(Refusal::NoRoom) => {
                self.ledger.one(Metric::Captured);
                self.drop_for_room(project);
            }
        }
        self.release(&exchange);
        None
    }

    /// Request callback: the request is complete.
    pub fn end(&mut self, exchange: Exchange, now: Millis) {
        let now = self.steady(now);
        self.release(&exchange);
        self.ledger.one(Metric::Captured);
        let copy = exchange.into_copy();
        let (project, size) = (copy.target.project, copy.size());
        let full = self
            .outbox
            .push(copy, size, project, self.collecting, now)
            .is_err();
        if full {
            self.drop_for_room(project);
        }
        if self.config.host == HostKind::Envoy {
            self.stage = Stage::Sending;
        }
    }

    /// Request callback: the request ended before it was complete.
    pub fn abort(&mut self, exchange: &Exchange) {
        self.release(exchange);
        self.skip(SkipReason::Aborted, Some(exchange.target.project));
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

    /// Root callback: the tick.
    pub fn tick(&mut self) {
        self.callback = Callback::Tick;
        self.publishing_soon = false;
        self.stage = Stage::Sending;
    }

    /// Root callback: a call has ended.
    pub fn call_done(&mut self, token: u32, reply: &Reply<'_>, now: Millis) {
        // A date in Retry-After is wall clock time.
        let verdict = reply.verdict(now);
        let now = self.steady(now);
        match self.outbox.call(token) {
            Some(id) => self.settle(id, verdict, now),
            None => {
                self.ledger.one(Metric::UnexpectedReplies);
                self.journal.note(Topic::UnexpectedReply, Level::Warn, || {
                    "an answer came for a call that was given up, or never made".to_owned()
                });
            }
        }
        self.callback = Callback::Answer;
        self.stage = match self.config.host {
            // The slot that is free now is for the next copy.
            HostKind::Envoy => Stage::Sending,
            HostKind::Nginx => Stage::Settling,
        };
    }

    /// The host took the call of the last [`Effect::Dispatch`].
    pub fn call_started(&mut self, token: u32, now: Millis) {
        let now = self.steady(now);
        let Some(id) = self.leaving.take() else {
            return;
        };
        let timeout = u64::from(self.config.rum.timeout_ms);
        let deadline = now.after(timeout.saturating_add(ANSWER_GRACE_MS));
        self.outbox.started(id, token, deadline);
    }

    /// The host refused the call of the last [`Effect::Dispatch`].
    pub fn call_refused(&mut self, now: Millis) {
        let now = self.steady(now);
        let Some(id) = self.leaving.take() else {
            return;
        };
        if let Some(entry) = self.outbox.get(id) {
            let upstream = &entry.payload.target.destination.upstream;
            self.journal.note(Topic::DispatchRefused, Level::Warn, || {
                format!("the proxy refused a call to {upstream}: unknown, without a host, or over its circuit breaker")
            });
        }
        let settled = self.outbox.refused(id, now, &mut self.jitter);
        self.settled(id, settled, NEVER_SENT);
    }

    /// Root callback: the plugin is to end. [`Effect::Done`] follows, now or later.
    pub fn drain(&mut self, now: Millis) {
        let now = self.steady(now);
        if self.life == Life::Serving {
            let until = now.after(DRAIN_MS);
            self.life = Life::Draining { until };
        }
        self.life_cycle();
    }

    /// Root callback: the plugin ends now, whatever is pending.
    pub fn give_up(&mut self, now: Millis) {
        if self.life == Life::Over {
            return;
        }
        let now = self.steady(now);
        self.life = Life::Draining { until: now };
        self.life_cycle();
    }

    /// What the host is to do next.
    pub fn next_effect(&mut self, now: Millis) -> Option<Effect<'_>> {
        let now = self.steady(now);
        // A host that says nothing about a dispatch has refused it.
        if self.leaving.is_some() {
            self.call_refused(self.wall);
        }
        while self.stage == Stage::Sending {
            if self.sends >= self.callback.max_sends() || self.steps >= MAX_STEPS {
                self.stage = Stage::Settling;
                break;
            }
            self.steps = self.steps.saturating_add(1);
            match self.outbox.next(now) {
                Next::Dispatch(id) => {
                    self.leaving = Some(id);
                    self.sends = self.sends.saturating_add(1);
                    return self.dispatch(id);
                }
                Next::Expired(entry) => self.expired(&entry),
                Next::Lost(id) => self.settle(id, Verdict::Ambiguous(0), now),
                Next::Idle => self.stage = Stage::Settling,
            }
        }
        if self.stage == Stage::Settling {
            self.settle_callback(now);
        }
        self.effects.pop_front()
    }

    fn life_cycle(&mut self) {
        self.callback = Callback::LifeCycle;
        self.stage = Stage::Settling;
    }

    fn dispatch(&mut self, id: Id) -> Option<Effect<'_>> {
        let entry = self.outbox.get(id)?;
        self.ledger.one(Metric::Attempts);
        if entry.attempts > 1 || entry.refusals > 0 {
            self.ledger.one(Metric::Retries);
        }
        let copy = &entry.payload;
        self.ledger.grow(Metric::Bytes, copy.body.len());
        Some(Effect::Dispatch(Call {
            destination: &copy.target.destination,
            scheme: self.config.rum.scheme,
            headers: &copy.headers,
            body: &copy.body,
            timeout_ms: self.config.rum.timeout_ms,
        }))
    }

    fn settle(&mut self, id: Id, verdict: Verdict, now: Millis) {
        let settled = self.outbox.settle(id, verdict, now, &mut self.jitter);
        if let Settled::Delivered(entry) = &settled {
            self.ledger.latency(now.since(entry.created));
        }
        self.settled(id, settled, verdict);
    }

    fn settled(&mut self, id: Id, settled: Settled<Copy>, verdict: Verdict) {
        match settled {
            Settled::Delivered(_) => self.ledger.one(Metric::Delivered),
            Settled::Failed(entry) => {
                self.ledger.one(Metric::Failed);
                report::failed(&mut self.journal, &entry, verdict);
            }
            Settled::Retrying => {
                if let Some(entry) = self.outbox.get(id) {
                    report::retrying(&mut self.journal, entry, verdict);
                }
            }
            Settled::Unknown => {}
        }
    }

    fn expired(&mut self, entry: &Entry<Copy>) {
        self.ledger.one(Metric::Failed);
        report::expired(&mut self.journal, entry, self.config.retry.max_age_ms);
    }

    fn skip(&mut self, reason: SkipReason, project: Option<u64>) {
        // Other routes are ordinary traffic under `routes: envelope`, and it costs them nothing: their count goes with
        // the next publication, and causes one only now and then.
        match reason {
            SkipReason::Route => self.ledger.one_quietly(Metric::Skipped(reason)),
            _ => self.ledger.one(Metric::Skipped(reason)),
        }
        report::skipped(&mut self.journal, reason, project);
        self.publish_soon();
    }

    fn drop_for_room(&mut self, project: u64) {
        self.ledger.one(Metric::Dropped);
        report::no_room(
            &mut self.journal,
            project,
            self.config.limits.max_pending_bytes,
        );
        self.publish_soon();
    }

    /// Something was counted in a request callback: a tick must come, unless one is on its way.
    fn publish_soon(&mut self) {
        let missing = self.ledger.is_pressing() && !self.publishing_soon;
        if missing && self.config.host == HostKind::Envoy {
            self.stage = Stage::Settling;
        }
    }

    fn release(&mut self, exchange: &Exchange) {
        self.collecting = self.collecting.saturating_sub(exchange.held());
        self.exchanges = self.exchanges.saturating_sub(1);
    }

    /// Everything is sent: what else is to be done before the callback ends?
    fn settle_callback(&mut self, now: Millis) {
        let callback = std::mem::replace(&mut self.callback, Callback::Request);
        (self.sends, self.steps) = (0, 0);
        self.stage = Stage::Settled;
        let over = callback != Callback::Request && self.is_over(now);
        if self.publishes(callback, over, now) {
            self.publish(now);
        }
        let stale = self.gauges().map(|(_, value)| value) != self.published;
        let unpublished = (stale || self.ledger.is_pressing()).then(|| self.publish_due(now));
        self.publishing_soon = unpublished.is_some();
        let drained = match self.life {
            Life::Draining { until } => Some(until),
            Life::Serving | Life::Over => None,
        };
        let due = [self.outbox.due(now), drained, unpublished];
        let due = due.into_iter().flatten().min();
        let period = match callback {
            Callback::Request => due.and_then(|due| self.ticker.hurry(now, due)),
            _ => self.ticker.settle(now, due, callback == Callback::Tick),
        };
        self.effects.extend(period.map(Effect::SetTick));
        if over {
            self.effects.push_back(Effect::Done);
        }
    }

    /// Whether the drain ends in this callback. What is still pending then is lost.
    fn is_over(&mut self, now: Millis) -> bool {
        let over = match self.life {
            Life::Draining { until } => {
                now >= until || (self.outbox.is_empty() && self.exchanges == 0)
            }
            Life::Serving | Life::Over => false,
        };
        if over {
            self.life = Life::Over;
        }
        if self.life == Life::Over {
            let lost = self.outbox.clear().count();
            self.ledger.grow(Metric::Dropped, lost);
            if lost > 0 {
                let text = format!(
                    "{lost} copies were still pending at the end of the drain and are lost"
                );
                self.journal.say(Level::Error, text);
            }
        }
        over
    }

    fn publishes(&self, callback: Callback, over: bool, now: Millis) -> bool {
        // A clock that went back must not silence the counters.
        let quiet = self
            .last_published
            .is_none_or(|last| now < last || now.since(last) >= PUBLISH_MS);
        match callback {
            Callback::Request => false,
            Callback::Answer => over || (quiet && self.outbox.is_empty()),
            Callback::Tick => over || quiet,
            Callback::LifeCycle => true,
        }
    }

    fn publish_due(&self, now: Millis) -> Millis {
        let latest = now.after(PUBLISH_MS);
        match self.last_published {
            Some(last) => last.after(PUBLISH_MS).clamp(now, latest),
            None => latest,
        }
    }

    fn publish(&mut self, now: Millis) {
        self.last_published = Some(now);
        self.publish_gauges();
        let effects = &mut self.effects;
        let mut latencies = Vec::new();
        self.ledger.publish(
            |metric, amount| effects.push_back(Effect::Add(metric, amount)),
            |ms| latencies.push(Effect::Latency(ms)),
        );
        effects.extend(latencies);
        let last = self.life == Life::Over;
        self.journal.flush(now, last, |level, line| {
            effects.push_back(Effect::Log(level, line))
        });
    }

    fn gauges(&self) -> [(Metric, usize); 3] {
        [
            (Metric::Pending, self.outbox.len()),
            (Metric::PendingBytes, self.outbox.bytes()),
            (Metric::InFlight, self.outbox.in_flight()),
        ]
    }

    fn publish_gauges(&mut self) {
        let gauges = self.gauges();
        let known = std::mem::replace(&mut self.published, gauges.map(|(_, value)| value));
        for ((metric, value), known) in gauges.into_iter().zip(known) {
            if value == known {
                continue;
            }
            let [value, known] = [value, known].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            self.effects.push_back(match self.config.host {
                HostKind::Envoy => Effect::Add(metric, value.saturating_sub(known)),
                HostKind::Nginx => Effect::Set(metric, value.unsigned_abs()),
            });
        }
    }
}

#[cfg(test)]
mod tests;
