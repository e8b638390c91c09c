//! Copies that a rule decides about: those waiting for the primary's answer, and those whose envelopes are read.
//!
//! While they wait they are in the outbox, put aside, and charged to the leg's budget. They count as captured only once it is
//! known that they are sent. Those waiting for the primary hold at most half of the budget, for at most [`HOLD_MS`]: beyond
//! that a copy is sent as if the primary had accepted it.

use super::CopyLeg;
use super::turns::Turns;
use crate::copies::copy::Copy;
use crate::copies::limiter::Limiter;
use crate::copies::report;
use crate::copies::review::{Needs, Outcome, Review};
use crate::copies::scrub::Scrub;
use crate::delivery::caller::Context;
use crate::delivery::outbox::Id;
use crate::meter::Meter;
use crate::metric::Metric;
use crate::outcome::SkipReason;
use crate::pace::Pace;
use crate::time::{Millis, earliest};
use std::collections::BTreeMap;
use std::task::Poll;

/// How long a copy waits for the primary's answer.
const HOLD_MS: u64 = 30_000;
/// Units of reading in one tick; reading for SLS has its own.
const SLICE: u64 = 1_000_000;
/// Units that one copy may spend before another has its turn.
const TURN: u64 = 250_000;
/// Units for a copy that was gone before it was read.
const GONE: u64 = 500;
/// Copies sent in one tick because their time is up.
const MAX_OVERDUE: usize = 64;

/// What happened to a complete copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is counted, or will be.
    Done,
    /// There was no room for it.
    NoRoom,
    /// It waits for the primary's answer under this ID.
    Waits(Id),
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Ruled {
    /// Until when each waits for the primary.
    unanswered: BTreeMap<Id, Millis>,
    turns: Turns,
    max_decoded_bytes: usize,
    scrub: Option<Box<dyn Scrub>>,
    limiter: Limiter,
    pace: Pace,
}

impl Ruled {
    pub(super) fn new(
        max_active: usize,
        max_decoded_bytes: usize,
        scrub: Option<Box<dyn Scrub>>,
    ) -> Self {
        Self {
            unanswered: BTreeMap::new(),
            turns: Turns::new(max_active),
            max_decoded_bytes,
            scrub,
            limiter: Limiter::default(),
            pace: Pace::default(),
        }
    }

    /// Nothing waits any longer.
    pub(super) fn clear(&mut self) {
        self.unanswered.clear();
        self.turns.clear();
    }

    /// When a tick next has something to do.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        let slice = (!self.turns.is_empty()).then(|| self.pace.due(now));
        let overdue = self.unanswered.first_key_value().map(|(_, until)| *until);
        earliest([slice, overdue])
    }

    /// Whether a copy may be sent. If so, it is charged to the rate.
    fn is_within_rate(&mut self, copy: &Copy, now: Millis) -> bool {
        let target = &copy.target;
        let rate = target.destination.rules.rate;
        rate.is_none_or(|rate| {
            let bytes = copy.body.len();
            self.limiter.take(target.project, rate, bytes, now)
        })
    }

    pub(super) fn worked(&mut self, now: Millis) {
        self.pace.worked(now);
    }
}

impl CopyLeg {
    /// Takes a copy that rules decide about. `answered`: the primary has answered, or need not be waited for.
    pub(super) fn take_by_rules(
        &mut self,
        copy: Copy,
        reserved: usize,
        now: Millis,
        answered: bool,
        context: &mut Context<'_>,
    ) -> Taken {
        let waits = copy.target.destination.rules.only_accepted && !answered;
        let waits = waits && self.may_wait(copy.size());
        if waits || is_read(&copy) {
            let charge = copy.charge();
            let Ok(id) = self.outbox.push_aside(copy, charge, reserved, now) else {
                return no_room(context);
            };
            if waits {
                self.ruled.unanswered.insert(id, now.after(HOLD_MS));
                return Taken::Waits(id);
            }
            self.ruled.turns.push(charge.group, id);
            return Taken::Done;
        }
        let is_closed = self.closed.is_closed(copy.charge(), now);
        if is_closed || !self.ruled.is_within_rate(&copy, now) {
            skip(SkipReason::Limited, copy.target.project, context);
            return Taken::Done;
        }
        self.enter(copy, reserved, now, context)
    }

    /// The primary's answer has come, or never will.
    pub(crate) fn primary_answered(
        &mut self,
        id: Id,
        refused: bool,
        now: Millis,
        context: &mut Context<'_>,
    ) {
        // Its time may already have been up.
        if self.ruled.unanswered.remove(&id).is_none() {
            return;
        }
        if refused {
            self.leave_out(id, SkipReason::Refused, context);
        } else {
            self.accepted(id, now, context);
        }
    }

    /// A tick's share of the work. `true` if it took noticeable time.
    pub(super) fn work_by_rules(
        &mut self,
        now: Millis,
        reserved: usize,
        context: &mut Context<'_>,
    ) -> bool {
        for _ in 0..MAX_OVERDUE {
            let first = self.ruled.unanswered.first_key_value();
            let Some((&id, _)) = first.filter(|(_, until)| **until <= now) else {
                break;
            };
            self.ruled.unanswered.remove(&id);
            self.accepted(id, now, context);
        }
        if !self.ruled.pace.is_due(now) {
            return false;
        }
        let mut meter = Meter::new(SLICE);
        while !meter.is_empty() {
            let Some(mut active) = self.ruled.turns.next() else {
                break;
            };
            let id = active.id;
            // It may have been given up meanwhile.
            let Some(entry) = self.outbox.get(id) else {
                meter.spend(GONE);
                continue;
            };
            let needs = Needs {
                max_decoded_bytes: self.ruled.max_decoded_bytes,
                scrub: self.ruled.scrub.as_deref(),
            };
            let mut turn = meter.part(TURN);
            let outcome = active.review.step(&entry.payload, needs, &mut turn);
            meter.spend(turn.spent());
            let outcome = match outcome {
                Poll::Ready(outcome) => outcome,
                Poll::Pending if self.ruled.turns.is_in_the_way(&active) => {
                    Review::unread(&entry.payload)
                }
                Poll::Pending => {
                    self.ruled.turns.back(active);
                    continue;
                }
            };
            if let Some(category) = active.review.category() {
                self.outbox.assign(id, category.number());
            }
            match outcome {
                Outcome::Goes => self.goes(id, now, context),
                Outcome::Becomes(body) => self.becomes(id, body, reserved, now, context),
                Outcome::NotSampled => self.leave_out(id, SkipReason::Sampled, context),
                Outcome::NoItems => self.leave_out(id, SkipReason::Items, context),
                Outcome::Unscrubbable => self.leave_out(id, SkipReason::Unscrubbable, context),
            }
        }
        self.ruled.pace.spent(meter.spent(), now)
    }

    /// Whether another copy of this size may wait for the primary.
    fn may_wait(&self, size: usize) -> bool {
        let half = self.outbox.policy().max_bytes / 2;
        self.outbox.bytes_aside().saturating_add(size) <= half
    }

    /// The primary has accepted it, as far as is known.
    fn accepted(&mut self, id: Id, now: Millis, context: &mut Context<'_>) {
        match self.outbox.get(id) {
            Some(entry) if is_read(&entry.payload) => {
                self.ruled.turns.push(entry.charge.group, id);
            }
            Some(_) => self.goes(id, now, context),
            None => {}
        }
    }

    /// Sends it, if it is within the rate.
    fn goes(&mut self, id: Id, now: Millis, context: &mut Context<'_>) {
        let Some(entry) = self.outbox.get(id) else {
            return;
        };
        let charge = entry.charge;
        let is_closed = self.closed.is_closed(charge, now);
        if is_closed || !self.ruled.is_within_rate(&entry.payload, now) {
            self.leave_out(id, SkipReason::Limited, context);
        } else {
            match self.outbox.release(id, now) {
                Some(true) => context.ledger.one(Metric::Captured),
                Some(false) => {
                    no_room(context);
                    report::no_room(context, charge.group);
                }
                None => {}
            }
        }
    }

    /// Sends it with another body, if there is room for that.
    fn becomes(
        &mut self,
        id: Id,
        body: Vec<u8>,
        reserved: usize,
        now: Millis,
        context: &mut Context<'_>,
    ) {
        let Some(entry) = self.outbox.take(id) else {
            return;
        };
        let category = entry.charge.part;
        let mut copy = entry.payload.with_body(body);
        copy.target.category = category;
        let project = copy.target.project;
        let is_closed = self.closed.is_closed(copy.charge(), now);
        if is_closed || !self.ruled.is_within_rate(&copy, now) {
            skip(SkipReason::Limited, project, context);
        } else if self.enter(copy, reserved, now, context) == Taken::NoRoom {
            report::no_room(context, project);
        }
    }

    fn leave_out(&mut self, id: Id, reason: SkipReason, context: &mut Context<'_>) {
        if let Some(entry) = self.outbox.take(id) {
            skip(reason, entry.charge.group, context);
        }
    }
}

/// Whether its envelope is read before it is sent.
fn is_read(copy: &Copy) -> bool {
    copy.target.is_envelope && copy.target.destination.reads()
}

fn skip(reason: SkipReason, project: u64, context: &mut Context<'_>) {
    context.ledger.one(Metric::Skipped(reason));
    report::skipped(context, reason, project);
}

pub(super) fn no_room(context: &mut Context<'_>) -> Taken {
    for metric in [Metric::Captured, Metric::Dropped] {
        context.ledger.one(metric);
    }
    Taken::NoRoom
}
