//! A leg of copies: those waiting for their call, and what happens to each. `ruled` has those that a rule decides about,
//! `limits` what a second Sentry says about its limits, `closed` what it does not accept.

mod closed;
mod limits;
mod ruled;
mod turns;

pub(crate) use ruled::Taken;
pub(crate) use turns::{MAX_ACTIVE, MAX_ACTIVE_SECOND};

use super::copy::Copy;
use super::reply::{self, BODY_BYTES};
use super::report;
use super::scrub::Scrub;
use super::settings::Copies;
use crate::delivery::answer::Answer;
use crate::delivery::call::Call;
use crate::delivery::caller::{CallId, Caller, Context, Next};
use crate::delivery::outbox::{self, Id, Outbox, Policy, Settled};
use crate::delivery::verdict::Verdict;
use crate::metric::{Gauges, Leg, Metric};
use crate::time::{Millis, Moment, earliest};
use closed::Closed;
use ruled::{Ruled, no_room};

/// How long after the call's timeout the host may take to report it. Then the answer counts as lost.
const ANSWER_GRACE_MS: u64 = 2_000;

/// The result of a refused dispatch.
const NEVER_SENT: Verdict = Verdict::NotTaken {
    status: 0,
    retry_after_ms: None,
};

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct CopyLeg {
    outbox: Outbox<Copy>,
    scheme: &'static str,
    timeout_ms: u32,
    /// Requests that went on as the copy and have no answer yet. Their calls are the proxy's own.
    forwarded: usize,
    ruled: Box<Ruled>,
    /// What a second Sentry does not accept for longer than a copy may wait.
    closed: Closed,
}

impl CopyLeg {
    pub(crate) fn new(
        copies: &Copies,
        policy: Policy,
        max_active: usize,
        max_decoded_bytes: usize,
        scrub: Option<Box<dyn Scrub>>,
    ) -> Self {
        Self {
            ruled: Box::new(Ruled::new(max_active, max_decoded_bytes, scrub)),
            outbox: Outbox::new(policy),
            closed: Closed::default(),
            scheme: copies.scheme,
            timeout_ms: copies.timeout_ms,
            forwarded: 0,
        }
    }

    /// How much room a share has.
    pub(crate) fn room(&self, share: usize) -> usize {
        self.outbox.room(share)
    }

    /// Bytes pending, and the maximum.
    pub(crate) fn budget(&self) -> (usize, usize) {
        (self.outbox.bytes(), self.outbox.policy().max_bytes)
    }

    /// The unused part of the leg's budget.
    pub(crate) fn free(&self) -> usize {
        self.outbox
            .policy()
            .max_bytes
            .saturating_sub(self.outbox.bytes())
    }

    /// Takes a complete copy, for which there may be no room besides the `reserved` bytes. `answered`: the primary has
    /// answered its request or need not be waited for.
    pub(crate) fn take(
        &mut self,
        copy: Copy,
        reserved: usize,
        now: Millis,
        answered: bool,
        context: &mut Context<'_>,
    ) -> Taken {
        if copy.target.destination.is_ruled {
            return self.take_by_rules(copy, reserved, now, answered, context);
        }
        self.enter(copy, reserved, now, context)
    }

    /// Takes a copy that is to be sent.
    fn enter(
        &mut self,
        copy: Copy,
        reserved: usize,
        now: Millis,
        context: &mut Context<'_>,
    ) -> Taken {
        let charge = copy.charge();
        match self.outbox.push(copy, charge, reserved, now) {
            Ok(_) => {
                context.ledger.one(Metric::Captured);
                Taken::Done
            }
            Err(_) => no_room(context),
        }
    }

    /// A request goes on as the copy.
    pub(crate) fn forward(&mut self, context: &mut Context<'_>) {
        for metric in [Metric::Captured, Metric::Attempts, Metric::InPlace] {
            context.ledger.one(metric);
        }
        self.forwarded = self.forwarded.saturating_add(1);
    }

    /// A request that went on as the copy is over, and with it its only attempt. `ended` is when it was complete.
    pub(crate) fn forwarded_ended(
        &mut self,
        project: u64,
        bytes: usize,
        verdict: Verdict,
        waited_ms: u64,
        context: &mut Context<'_>,
    ) {
        // A finished drain has counted it already.
        let Some(left) = self.forwarded.checked_sub(1) else {
            return;
        };
        self.forwarded = left;
        context.ledger.grow(Metric::Bytes, bytes);
        if verdict == Verdict::Delivered {
            context.ledger.one(Metric::Delivered);
            context.ledger.latency(waited_ms);
        } else {
            context.ledger.one(Metric::Failed);
            report::forwarded_failed(context, project, verdict);
        }
    }

    fn end_attempt(&mut self, id: Id, verdict: Verdict, now: Millis, context: &mut Context<'_>) {
        let settled = self.outbox.settle(id, verdict, now, context.jitter);
        if let Settled::Delivered(entry) = &settled {
            context.ledger.latency(now.since(entry.created));
        }
        self.book(id, settled, verdict, context);
    }

    fn book(&self, id: Id, settled: Settled<Copy>, verdict: Verdict, context: &mut Context<'_>) {
        match settled {
            Settled::Delivered(_) => context.ledger.one(Metric::Delivered),
            Settled::Failed(entry) => {
                context.ledger.one(Metric::Failed);
                report::failed(context, &entry, verdict);
            }
            Settled::Retrying => {
                if let Some(entry) = self.outbox.get(id) {
                    report::retrying(context, entry, verdict);
                }
            }
            Settled::Unknown => {}
        }
    }
}

impl Caller for CopyLeg {
    fn calls_in_ticks(&self) -> bool {
        false
    }

    fn work(&mut self, now: Moment, reserved: usize, context: &mut Context<'_>) -> bool {
        self.outbox.aside() > 0 && self.work_by_rules(now.steady, reserved, context)
    }

    fn worked(&mut self, now: Millis) {
        self.ruled.worked(now);
    }

    fn next(&mut self, now: Moment, open: bool, context: &mut Context<'_>) -> Next {
        match self.outbox.next_if(now.steady, open) {
            outbox::Next::Dispatch(id) => return Next::Call(CallId::Entry(id)),
            outbox::Next::Expired(entry) => {
                context.ledger.one(Metric::Failed);
                report::expired(context, &entry, self.outbox.policy().max_age_ms);
            }
            outbox::Next::Lost(id) => {
                self.end_attempt(id, Verdict::Ambiguous(0), now.steady, context);
            }
            outbox::Next::Idle => return Next::Idle,
        }
        Next::Progress
    }

    fn call(&self, id: CallId, context: &mut Context<'_>) -> Option<Call<'_>> {
        let CallId::Entry(id) = id else { return None };
        let entry = self.outbox.get(id)?;
        context.ledger.one(Metric::Attempts);
        if entry.attempts > 1 || entry.refusals > 0 {
            context.ledger.one(Metric::Retries);
        }
        let copy = &entry.payload;
        context.ledger.grow(Metric::Bytes, copy.body.len());
        Some(Call {
            upstream: &copy.target.destination.upstream,
            scheme: self.scheme,
            headers: &copy.headers,
            body: &copy.body,
            timeout_ms: self.timeout_ms,
        })
    }

    fn started(&mut self, id: CallId, token: u32, now: Millis, tells: bool) {
        let CallId::Entry(id) = id else { return };
        let wait = u64::from(self.timeout_ms).saturating_add(ANSWER_GRACE_MS);
        let wait = if tells { u64::MAX } else { wait };
        self.outbox.started(id, token, now.after(wait));
    }

    fn refused(&mut self, id: CallId, now: Millis, context: &mut Context<'_>) {
        let CallId::Entry(id) = id else { return };
        if let Some(entry) = self.outbox.get(id) {
            report::dispatch_refused(context, &entry.payload.target.destination.upstream);
        }
        let settled = self.outbox.refused(id, now, context.jitter);
        self.book(id, settled, NEVER_SENT, context);
    }

    fn answer_bytes(&self, token: u32, status: Option<u16>) -> Option<usize> {
        self.outbox.call(token)?;
        Some(match status {
            Some(502 | 503) => BODY_BYTES,
            _ => 0,
        })
    }

    fn answered(
        &mut self,
        token: u32,
        answer: &Answer<'_>,
        now: Moment,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(id) = self.outbox.call(token) else {
            return false;
        };
        // A date in Retry-After is wall clock time.
        let verdict = reply::verdict(answer, now.wall);
        let verdict = match context.ledger.leg() {
            Leg::Sentry(_) => self.by_limits(id, verdict, answer, now.steady, context.jitter),
            Leg::Rum | Leg::Sls | Leg::Sign => verdict,
        };
        self.end_attempt(id, verdict, now.steady, context);
        true
    }

    fn due(&self, now: Moment) -> Option<Millis> {
        let now = now.steady;
        if self.outbox.aside() == 0 {
            return self.outbox.due(now);
        }
        earliest([self.outbox.due(now), self.ruled.due(now)])
    }

    fn calls(&self, _now: Millis) -> usize {
        self.outbox.in_flight()
    }

    fn max_calls(&self) -> usize {
        self.outbox.policy().max_in_flight
    }

    fn has_ready(&self) -> bool {
        self.outbox.has_ready()
    }

    fn gauges(&self, collecting: usize) -> Gauges {
        let outbox = &self.outbox;
        let aside = outbox.aside();
        let goes = outbox.len().saturating_sub(aside);
        let [pending, in_flight] =
            [goes, outbox.in_flight()].map(|n| n.saturating_add(self.forwarded));
        [pending, outbox.bytes(), in_flight, aside, collecting]
    }

    fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.forwarded == 0
    }

    fn drain(&mut self) {
        self.outbox.hurry();
    }

    fn give_up(&mut self, most: usize, context: &mut Context<'_>) -> usize {
        let aside = self.outbox.aside();
        let lost = std::iter::from_fn(|| self.outbox.give_up());
        let lost = lost.take(most).count();
        // What was put aside is counted only now.
        let undecided = aside.saturating_sub(self.outbox.aside());
        context.ledger.grow(Metric::Captured, undecided);
        context.ledger.grow(Metric::Dropped, lost);
        if self.outbox.is_empty() {
            self.ruled.clear();
        }
        lost
    }

    fn has_backlog(&self) -> bool {
        !self.outbox.is_empty()
    }

    fn end(&mut self, context: &mut Context<'_>) -> usize {
        let lost = std::mem::take(&mut self.forwarded);
        context.ledger.grow(Metric::Dropped, lost);
        lost
    }
}
