//! The leg as the worker sees it: its share of each tick, the next call, its answer, the end.

use super::{Context, GRACE_MS, MAX_SIGNS, SIGN, SlsLeg};
use crate::delivery::answer::Answer;
use crate::delivery::call::Call;
use crate::delivery::caller::{CallId, Caller, Next};
use crate::delivery::outbox;
use crate::header_list::HeaderList;
use crate::meter::{CALLBACK, Meter, TICK};
use crate::metric::{Gauges, Metric};
use crate::sls::response::{self, Reason};
use crate::sls::{metadata, report};
use crate::time::{Millis, Moment, earliest};

impl Caller for SlsLeg {
    fn calls_in_ticks(&self) -> bool {
        true
    }

    /// Packs what is sealed, reads on, seals what is due, and packs that too, so that a small batch leaves in the tick that
    /// seals it.
    fn work(&mut self, now: Moment, reserved: usize, context: &mut Context<'_>) -> bool {
        self.signs = MAX_SIGNS;
        if !self.pace.is_due(now.steady) {
            return false;
        }
        let mut meter = Meter::new(TICK);
        self.work_within(&mut meter, now, reserved, context);
        let left = CALLBACK.saturating_sub(meter.spent().saturating_mul(2));
        self.signs = left.div_ceil(SIGN).clamp(1, MAX_SIGNS);
        self.pace.spent(meter.spent(), now.steady)
    }

    fn worked(&mut self, now: Millis) {
        self.pace.worked(now);
    }

    fn next(&mut self, moment: Moment, open: bool, context: &mut Context<'_>) -> Next {
        let now = moment.steady;
        if open && let Some(id) = self.keys.next_call(now) {
            return Next::Call(CallId::Key(id));
        }
        if self.keys.current(now).is_none() && !self.outbox.is_empty() {
            report::no_credential(context.log);
        }
        let open = open && self.signs > 0 && self.may_write(now);
        match self.outbox.next_if(now, open) {
            outbox::Next::Dispatch(id) => {
                self.signs = self.signs.saturating_sub(1);
                self.sign(id, moment);
                return Next::Call(CallId::Entry(id));
            }
            outbox::Next::Expired(entry) => {
                let logs = entry.payload.logs();
                self.gone(logs);
                context.ledger.grow(Metric::Failed, logs);
                report::expired(context.log, logs, self.config.retry.max_age_ms);
            }
            outbox::Next::Lost(id) => {
                self.end_attempt(id, response::NO_ANSWER, 0, moment, context);
            }
            outbox::Next::Idle => return Next::Idle,
        }
        Next::Progress
    }

    fn call(&self, id: CallId, context: &mut Context<'_>) -> Option<Call<'_>> {
        let id = match id {
            CallId::Entry(id) => id,
            CallId::Key(_) => return Some(self.keys.call()),
        };
        let entry = self.outbox.get(id)?;
        let body = entry.payload.body().wire();
        context.ledger.one(Metric::Attempts);
        if entry.attempts > 1 || entry.refusals > 0 {
            context.ledger.one(Metric::Retries);
        }
        context.ledger.grow(Metric::Bytes, body.len());
        Some(Call {
            upstream: &self.config.upstream,
            scheme: self.config.scheme,
            headers: &self.headers,
            body,
            timeout_ms: self.config.timeout_ms,
        })
    }

    fn started(&mut self, id: CallId, token: u32, now: Millis, tells: bool) {
        match id {
            CallId::Entry(id) => {
                self.headers = HeaderList::default();
                let wait = u64::from(self.config.timeout_ms).saturating_add(GRACE_MS);
                let wait = if tells { u64::MAX } else { wait };
                self.outbox.started(id, token, now.after(wait));
            }
            CallId::Key(id) => self.keys.started(id, token, now),
        }
    }

    fn refused(&mut self, id: CallId, now: Millis, context: &mut Context<'_>) {
        match id {
            CallId::Entry(id) => {
                self.headers = HeaderList::default();
                self.signed.remove(&id);
                let settled = self.outbox.refused(id, now, context.jitter);
                self.book(id, settled, Reason::Transport, 0, now, context);
            }
            CallId::Key(id) => self.keys.refused(id, now),
        }
    }

    /// Nothing is read of an ordinary success.
    fn answer_bytes(&self, token: u32, status: Option<u16>) -> Option<usize> {
        match (self.outbox.call(token), status) {
            (Some(_), Some(200)) => Some(0),
            (Some(_), _) => Some(response::MAX_ERROR_BYTES),
            (None, _) => self
                .keys
                .waits_for(token)
                .then_some(metadata::MAX_REPLY_BYTES),
        }
    }

    fn answered(
        &mut self,
        token: u32,
        answer: &Answer<'_>,
        now: Moment,
        context: &mut Context<'_>,
    ) -> bool {
        if let Some(id) = self.outbox.call(token) {
            let decision = answer.status.map_or(response::NO_ANSWER, |status| {
                response::classify(status, answer.header, answer.body)
            });
            let status = answer.status.unwrap_or_default();
            self.end_attempt(id, decision, status, now, context);
            return true;
        }
        self.keys.answered(token, answer, now)
    }

    /// Never at once, since all of the work is done in ticks.
    fn due(&self, now: Moment) -> Option<Millis> {
        let (wall, now) = (now.wall, now.steady);
        let soon = now.after(1);
        // Not before the worker may work again.
        let slice = self.pace.due(now);
        let unread = (self.queued() > 0 || !self.queue.is_empty()).then_some(slice);
        let corrected = self.clock.now(wall.0);
        let batch = self.batcher.next_due().filter(|_| !self.gathers());
        let batch = batch.map(|due| {
            if self.draining {
                slice
            } else {
                now.after(due.saturating_sub(corrected)).max(slice)
            }
        });
        let outbox = if self.may_write(now) {
            self.outbox.due(now)
        } else {
            self.outbox.due_closed()
        };
        let lookup = self.keys.wake_at();
        let due = earliest([unread, batch, outbox, lookup]);
        due.map(|due| due.max(soon))
    }

    fn calls(&self, now: Millis) -> usize {
        let lookups = usize::from(self.keys.has_call(now));
        self.outbox.in_flight().saturating_add(lookups)
    }

    fn max_calls(&self) -> usize {
        self.outbox.policy().max_in_flight
    }

    /// Only if there is a key.
    fn has_ready(&self) -> bool {
        self.outbox.has_ready()
    }

    fn gauges(&self, collecting: usize) -> Gauges {
        [
            self.pending(),
            self.bytes(),
            self.outbox.in_flight(),
            self.queued(),
            collecting,
        ]
    }

    fn is_idle(&self) -> bool {
        self.queued() == 0
            && self.batcher.logs() == 0
            && self.queue.is_empty()
            && self.outbox.is_empty()
    }

    fn drain(&mut self) {
        self.draining = true;
        self.outbox.hurry();
    }

    fn give_up(&mut self, most: usize, context: &mut Context<'_>) -> usize {
        let written = self.give_up_writes(most, context);
        let unread = self.give_up_unread(most, context);
        written.saturating_add(unread)
    }

    fn has_backlog(&self) -> bool {
        !self.outbox.is_empty() || !self.intake.is_empty()
    }

    /// Ends what is being read, batched and packed.
    fn end(&mut self, context: &mut Context<'_>) -> usize {
        let logs = self.pending();
        context.ledger.grow(Metric::Dropped, logs);
        let unread = self.queued();
        self.unread(unread, context);
        self.readers.clear();
        self.batcher.seal();
        self.queue.clear();
        self.signed.clear();
        logs.saturating_add(unread)
    }
}
