//! Calls and their answers: which one leaves next, and what became of those of the RUM leg.

use super::{ANSWER_GRACE_MS, Callback, Leaving, Step, Worker, report};
use crate::delivery::call::Call;
use crate::delivery::outbox::{Entry, Id, Next, Settled};
use crate::delivery::verdict::Verdict;
use crate::log::Level;
use crate::log::Topic;
use crate::metric::{Leg, Metric};
use crate::rum::reply::Reply;
use crate::sls::leg;
use crate::time::{Millis, Moment};
use crate::worker::effect::Effect;
use crate::worker::exchange::Copy;

/// What a refused dispatch came to.
const NEVER_SENT: Verdict = Verdict::NotTaken {
    status: 0,
    retry_after_ms: None,
};

impl Worker {
    /// Root callback: a call has ended.
    pub fn call_done(&mut self, token: u32, reply: &Reply<'_>, now: Millis) {
        let now = self.moment(now);
        match self.outbox.call(token) {
            // A date in Retry-After is wall clock time.
            Some(id) => self.settle(id, reply.verdict(now.wall), now.steady),
            None => {
                self.book.ledger.one(Metric::UnexpectedReplies);
                self.log
                    .note(Topic::new("unexpected reply"), Level::Warn, || {
                        "an answer came for a call that was given up, or never made".to_owned()
                    });
            }
        }
        self.after_answer();
    }

    /// The host took the call of the last [`Effect::Dispatch`].
    pub fn call_started(&mut self, token: u32, now: Millis) {
        let now = self.moment(now).steady;
        // nginx's timeouts are for each step of a call: what trickles may end long after ours, and does not give its slot
        // away before (see `lanes`).
        let tells = self.host().tells_every_end;
        match self.leaving.take() {
            Some(Leaving::Rum(id)) => {
                let timeout = self.config.rum.as_ref().map_or(0, |rum| rum.timeout_ms);
                let wait = u64::from(timeout).saturating_add(ANSWER_GRACE_MS);
                let wait = if tells { u64::MAX } else { wait };
                self.outbox.started(id, token, now.after(wait));
            }
            Some(Leaving::Sls(leaving)) => {
                if let Some(side) = &mut self.sls {
                    side.leg.started(leaving, token, now, tells);
                }
            }
            Some(Leaving::Keys(id)) => {
                if let Some(side) = &mut self.sign {
                    side.started(id, token, now);
                }
            }
            None => {}
        }
    }

    /// The host refused the call of the last [`Effect::Dispatch`].
    pub fn call_refused(&mut self, now: Millis) {
        let now = self.moment(now).steady;
        let id = match self.leaving.take() {
            Some(Leaving::Rum(id)) => id,
            Some(Leaving::Sls(leaving)) => {
                if let Some(side) = &mut self.sls {
                    let (leg, mut books) = side.with(&mut self.log);
                    leg.refused(leaving, now, &mut self.jitter, &mut books);
                }
                return;
            }
            Some(Leaving::Keys(id)) => {
                if let Some(side) = &mut self.sign {
                    side.refused(id, now);
                }
                return;
            }
            None => return,
        };
        if let Some(entry) = self.outbox.get(id) {
            let upstream = &entry.payload.target.destination.upstream;
            self.log.note(Topic::new("dispatch refused"), Level::Warn, || {
                format!("the proxy refused a call to {upstream}: unknown, without a host, or over its circuit breaker")
            });
        }
        let settled = self.outbox.refused(id, now, &mut self.jitter);
        self.settled(id, settled, NEVER_SENT);
    }

    /// What is to be done next. In Envoy the copies come first, because only they may leave at once; on nginx, where a tick
    /// makes one call at most, the legs take turns.
    pub(super) fn step(&mut self, now: Moment) -> Step {
        if let Some(side) = self
            .sign
            .as_mut()
            .filter(|_| self.callback == Callback::Tick)
        {
            return side.step(now.steady);
        }
        let in_ticks = self.host().calls_in_ticks;
        let first = if in_ticks && self.sls.is_some() {
            self.turn
        } else {
            Leg::Rum
        };
        let open = !in_ticks || self.slot && self.calls(now.steady) < self.max_calls;
        let second = match first {
            Leg::Rum => Leg::Sls,
            Leg::Sls | Leg::Sign => Leg::Rum,
        };
        for (leg, other) in [(first, second), (second, first)] {
            match self.step_of(leg, now, open) {
                Step::Idle => {}
                Step::Progress => return Step::Progress,
                Step::Call(leaving) => {
                    self.turn = other;
                    return Step::Call(leaving);
                }
            }
        }
        Step::Idle
    }

    fn calls(&self, now: Millis) -> usize {
        let logs = self.sls.as_deref().map_or(0, |side| side.leg.calls(now));
        self.outbox.in_flight().saturating_add(logs)
    }

    fn step_of(&mut self, leg: Leg, now: Moment, open: bool) -> Step {
        match leg {
            Leg::Rum => self.step_of_rum(now.steady, open),
            Leg::Sls => self.step_of_sls(now, open),
            Leg::Sign => Step::Idle,
        }
    }

    fn step_of_rum(&mut self, now: Millis, open: bool) -> Step {
        match self.outbox.next_if(now, open) {
            Next::Dispatch(id) => return Step::Call(Leaving::Rum(id)),
            Next::Expired(entry) => self.expired(&entry),
            Next::Lost(id) => self.settle(id, Verdict::Ambiguous(0), now),
            Next::Idle => return Step::Idle,
        }
        Step::Progress
    }

    pub(super) fn dispatch(&mut self, leaving: Leaving) -> Option<Effect<'_>> {
        let id = match leaving {
            Leaving::Rum(id) => id,
            Leaving::Sls(leaving) => {
                let (leg, mut books) = self.sls.as_mut()?.with(&mut self.log);
                let leg: &leg::Leg = leg;
                return leg.call(leaving, &mut books).map(Effect::Dispatch);
            }
            Leaving::Keys(_) => return Some(Effect::Dispatch(self.sign.as_ref()?.call())),
        };
        let entry = self.outbox.get(id)?;
        let rum = self.config.rum.as_ref()?;
        let ledger = &mut self.book.ledger;
        ledger.one(Metric::Attempts);
        if entry.attempts > 1 || entry.refusals > 0 {
            ledger.one(Metric::Retries);
        }
        let copy = &entry.payload;
        ledger.grow(Metric::Bytes, copy.body.len());
        Some(Effect::Dispatch(Call {
            upstream: &copy.target.destination.upstream,
            scheme: rum.scheme,
            headers: &copy.headers,
            body: &copy.body,
            timeout_ms: rum.timeout_ms,
        }))
    }

    fn settle(&mut self, id: Id, verdict: Verdict, now: Millis) {
        let settled = self.outbox.settle(id, verdict, now, &mut self.jitter);
        if let Settled::Delivered(entry) = &settled {
            self.book.ledger.latency(now.since(entry.created));
        }
        self.settled(id, settled, verdict);
    }

    fn settled(&mut self, id: Id, settled: Settled<Copy>, verdict: Verdict) {
        match settled {
            Settled::Delivered(_) => self.book.ledger.one(Metric::Delivered),
            Settled::Failed(entry) => {
                self.book.ledger.one(Metric::Failed);
                report::failed(&mut self.log, &entry, verdict);
            }
            Settled::Retrying => {
                if let Some(entry) = self.outbox.get(id) {
                    report::retrying(&mut self.log, entry, verdict);
                }
            }
            Settled::Unknown => {}
        }
    }

    fn expired(&mut self, entry: &Entry<Copy>) {
        self.book.ledger.one(Metric::Failed);
        report::expired(&mut self.log, entry, self.config.retry.max_age_ms);
    }
}
