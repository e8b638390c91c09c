//! The SLS leg inside the worker: its books, and what the worker passes on to it.

use super::books::{Book, Gauges};
use super::{Callback, Leaving, Step, Worker};
use crate::log::RateLimitedLog;
use crate::metric::Leg;
use crate::sls::keys::Answer;
use crate::sls::leg::{self, Books};
use crate::time::{Millis, Moment};

/// The leg with its books.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) leg: leg::Leg,
    pub(super) book: Book,
}

impl Side {
    pub(super) fn new(leg: leg::Leg) -> Self {
        Self {
            leg,
            book: Book::new(Leg::Sls),
        }
    }

    /// The leg, and where it counts and writes.
    pub(super) fn with<'a>(
        &'a mut self,
        log: &'a mut RateLimitedLog,
    ) -> (&'a mut leg::Leg, Books<'a>) {
        let ledger = &mut self.book.ledger;
        (&mut self.leg, Books { ledger, log })
    }

    /// `collecting` is what the bodies hold that are being received.
    pub(super) fn gauges(&self, collecting: usize) -> Gauges {
        let leg = &self.leg;
        [
            leg.pending(),
            leg.bytes(),
            leg.in_flight(),
            leg.queued(),
            collecting,
        ]
    }
}

impl Worker {
    /// Root callback: how much of the body of this answer is to be read, if it is one for the SLS leg or for a key, whose
    /// answers go to [`answered`](Self::answered).
    #[must_use]
    pub fn answer_bytes(&self, token: u32, status: Option<u16>) -> Option<usize> {
        if let Some(side) = &self.sign {
            return side.answer_bytes(token);
        }
        let leg = &self.sls.as_ref()?.leg;
        leg.waits_for(token).then(|| leg.body_bytes(token, status))
    }

    /// Root callback: a call of the SLS leg, or for a key, has ended.
    pub fn answered(&mut self, token: u32, answer: &Answer<'_>, now: Millis) {
        let now = self.moment(now);
        if let Some(side) = &mut self.sign {
            side.answered(token, answer, now);
        }
        if let Some(side) = &mut self.sls {
            let (leg, mut books) = side.with(&mut self.log);
            leg.answered(token, answer, now, &mut self.jitter, &mut books);
        }
        self.after_answer();
    }

    /// A tick's work, before anything is sent. `true` if it took its time: then [`worked`](Self::worked) is to hear when it ended.
    pub(super) fn work(&mut self, now: Moment) -> bool {
        self.sweep();
        // What is being collected is charged to the other leg as far as it has room.
        let rum = self.config.rum.as_ref().map_or(0, |_| {
            self.max_pending_bytes.saturating_sub(self.outbox.bytes())
        });
        let reserved = self.collecting.bytes().saturating_sub(rum);
        let Some(side) = &mut self.sls else {
            return false;
        };
        let (leg, mut books) = side.with(&mut self.log);
        leg.work(now, reserved, &mut books)
    }

    /// The clock has been asked since.
    pub(super) fn worked(&mut self, now: Millis) {
        if let Some(side) = &mut self.sls {
            side.leg.worked(now);
        }
    }

    /// The SLS leg's next step: in ticks only, because signing takes its time.
    pub(super) fn step_of_sls(&mut self, now: Moment, open: bool) -> Step {
        let in_ticks = self.host().calls_in_ticks;
        let Some(side) = self
            .sls
            .as_mut()
            .filter(|_| self.callback == Callback::Tick)
        else {
            return Step::Idle;
        };
        // Where a context makes one call at a time, a key's call takes a slot too.
        let open = open && (!in_ticks || side.leg.calls(now.steady) < self.max_in_flight);
        let (leg, mut books) = side.with(&mut self.log);
        match leg.step(now, open, &mut self.jitter, &mut books) {
            leg::Step::Call(leaving) => Step::Call(Leaving::Sls(leaving)),
            leg::Step::Progress => Step::Progress,
            leg::Step::Idle => Step::Idle,
        }
    }
}
