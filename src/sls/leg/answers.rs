//! What answers mean: here every decision of [`response`](crate::sls::response) becomes a verdict, and every log gets an outcome.

use super::{Context, OVERHEAD, SlsLeg};
use crate::delivery::outbox::{Id, Settled};
use crate::delivery::verdict::Verdict;
use crate::metric::Metric;
use crate::sls::clock::Learned;
use crate::sls::report;
use crate::sls::response::{Decision, Pace, Reason};
use crate::sls::write::{Batch, Refusal};
use crate::time::{Millis, Moment};

impl SlsLeg {
    /// An attempt is over: the meaning of its answer decides what follows.
    pub(super) fn end_attempt(
        &mut self,
        id: Id,
        decision: Decision,
        status: u16,
        now: Moment,
        context: &mut Context<'_>,
    ) {
        let signed = self.signed.remove(&id);
        // Plus at most as much again at random: see the outbox.
        let long = Some(self.outbox.longest_wait() / 2);
        let hold = |reason| {
            let retry_after_ms = long;
            (Verdict::Throttled { retry_after_ms }, reason)
        };
        let (verdict, reason) = match decision {
            Decision::Done => (Verdict::Delivered, Reason::Unknown),
            // Nobody is there: that applies to everything waiting.
            Decision::RetryAfter(Reason::Transport, pace) => {
                let retry_after_ms = match pace {
                    Pace::AtLeast(ms) => Some(ms),
                    Pace::Backoff | Pace::Long => None,
                };
                (Verdict::Throttled { retry_after_ms }, Reason::Transport)
            }
            Decision::RetryAfter(reason, Pace::Backoff) => (not_taken(status, None), reason),
            Decision::RetryAfter(Reason::Quota, Pace::AtLeast(ms)) => {
                let retry_after_ms = Some(ms);
                (Verdict::Throttled { retry_after_ms }, Reason::Quota)
            }
            Decision::RetryAfter(reason, Pace::AtLeast(ms)) => {
                (not_taken(status, Some(ms)), reason)
            }
            Decision::RetryAfter(reason, Pace::Long) => hold(reason),
            Decision::RetryNow { server_ms } => {
                let learned = self.clock.learn(now.wall.0, server_ms);
                // Signed before another answer corrected the clock: nothing new is learnt, but the next attempt will be right.
                let outdated = signed.is_some_and(|offset| offset != self.clock.offset_ms());
                if learned == Learned::Corrected || outdated {
                    (Verdict::Again, Reason::TimeExpired)
                } else {
                    hold(Reason::TimeExpired)
                }
            }
            Decision::RefreshCredential => {
                self.keys.ask_refresh();
                hold(Reason::Credential)
            }
            Decision::Split => return self.divide(id, Reason::TooLarge, status, context),
            Decision::IsolatePoison => return self.divide(id, Reason::Poison, status, context),
            Decision::Drop(reason) => (Verdict::Refused(status), reason),
        };
        let settled = self.outbox.settle(id, verdict, now.steady, context.jitter);
        self.book(id, settled, reason, status, now.steady, context);
    }

    /// Books the outcome of its logs.
    pub(super) fn book(
        &mut self,
        id: Id,
        settled: Settled<Batch>,
        reason: Reason,
        status: u16,
        now: Millis,
        context: &mut Context<'_>,
    ) {
        match settled {
            Settled::Delivered(entry) => {
                let logs = entry.payload.logs();
                self.gone(logs);
                context.ledger.grow(Metric::Delivered, logs);
                context.ledger.latency(now.since(entry.created));
            }
            Settled::Failed(entry) => {
                let logs = entry.payload.logs();
                self.gone(logs);
                context.ledger.grow(Metric::Failed, logs);
                report::failed(context.log, logs, reason, status);
            }
            Settled::Retrying => {
                let logs = self.outbox.get(id).map_or(0, |entry| entry.payload.logs());
                report::retrying(context.log, logs, reason, status);
            }
            Settled::Unknown => {}
        }
    }

    /// It is cut in ticks; both halves take its place, with its age.
    fn divide(&mut self, id: Id, reason: Reason, status: u16, context: &mut Context<'_>) {
        let Some(entry) = self.outbox.take(id) else {
            return;
        };
        let logs = entry.payload.logs();
        self.gone(logs);
        // Both of its forms are held while it is unpacked.
        let [wire, raw] = [entry.payload.bytes(), entry.payload.body().raw_size()];
        if wire.saturating_add(raw).saturating_add(OVERHEAD) > self.room() {
            context.ledger.grow(Metric::Dropped, logs);
            return report::no_room(context.log, self.max_bytes);
        }
        let created = entry.created;
        match entry.payload.divide() {
            Ok(dividing) => {
                let refusal = Refusal { reason, status };
                self.queue.divide(dividing, refusal, created);
            }
            Err(_) => {
                context.ledger.grow(Metric::Failed, logs);
                report::failed(context.log, logs, reason, status);
            }
        }
    }
}

fn not_taken(status: u16, retry_after_ms: Option<u64>) -> Verdict {
    Verdict::NotTaken {
        status,
        retry_after_ms,
    }
}
