//! What answers mean: every decision of [`response`] ends here in a verdict, and every log in an outcome.

use super::{Books, Leg, OVERHEAD};
use crate::delivery::backoff::Jitter;
use crate::delivery::outbox::{Id, Settled};
use crate::delivery::verdict::Verdict;
use crate::metric::Metric;
use crate::sls::clock::Learned;
use crate::sls::keys::Answer;
use crate::sls::response::{self, Decision, Pace, Reason};
use crate::sls::write::{Batch, Refusal};
use crate::sls::{metadata, report};
use crate::time::{Millis, Moment};

impl Leg {
    /// Whether the leg waits for this answer.
    #[must_use]
    pub fn waits_for(&self, token: u32) -> bool {
        self.outbox.call(token).is_some() || self.keys.waits_for(token)
    }

    /// How much of an answer's body is worth reading: nothing of an ordinary success.
    #[must_use]
    pub fn body_bytes(&self, token: u32, status: Option<u16>) -> usize {
        match (self.outbox.call(token), status) {
            (Some(_), Some(200)) => 0,
            (Some(_), _) => response::MAX_ERROR_BYTES,
            (None, _) => metadata::MAX_REPLY_BYTES,
        }
    }

    /// An answer came for a call that the leg [waits for](Self::waits_for).
    pub fn answered(
        &mut self,
        token: u32,
        answer: &Answer<'_>,
        now: Moment,
        jitter: &mut Jitter,
        books: &mut Books<'_>,
    ) {
        if let Some(id) = self.outbox.call(token) {
            let decision = answer.status.map_or(response::NO_ANSWER, |status| {
                response::classify(status, answer.header, answer.body)
            });
            let status = answer.status.unwrap_or_default();
            return self.settle(id, decision, status, now, jitter, books);
        }
        self.keys.answered(token, answer, now);
    }

    pub(super) fn settle(
        &mut self,
        id: Id,
        decision: Decision,
        status: u16,
        now: Moment,
        jitter: &mut Jitter,
        books: &mut Books<'_>,
    ) {
        let signed = self.signed.remove(&id);
        let long = self.outbox.longest_wait() / 2;
        let mut hold = |reason| {
            // All workers were refused at the same time: they must not come back at the same time.
            let wait = long.saturating_add(jitter.up_to(long));
            let retry_after_ms = Some(wait);
            (Verdict::Throttled { retry_after_ms }, reason)
        };
        let (verdict, reason) = match decision {
            Decision::Done => (Verdict::Delivered, Reason::Unknown),
            // Nobody there: it is the same for all that waits.
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
                // Signed before another answer corrected the clock: this one has learnt nothing new, but it will be right.
                let outdated = signed.is_some_and(|offset| offset != self.clock.offset_ms());
                match learned == Learned::Corrected || outdated {
                    true => (Verdict::Again, Reason::TimeExpired),
                    false => hold(Reason::TimeExpired),
                }
            }
            Decision::RefreshCredential => {
                self.keys.ask_refresh();
                hold(Reason::Credential)
            }
            Decision::Split => return self.divide(id, Reason::TooLarge, status, books),
            Decision::IsolatePoison => return self.divide(id, Reason::Poison, status, books),
            Decision::Drop(reason) => (Verdict::Refused(status), reason),
        };
        self.probing = matches!(verdict, Verdict::Throttled { .. });
        let settled = self.outbox.settle(id, verdict, now.steady, jitter);
        self.settled(id, settled, reason, status, now.steady, books);
    }

    pub(super) fn settled(
        &mut self,
        id: Id,
        settled: Settled<Batch>,
        reason: Reason,
        status: u16,
        now: Millis,
        books: &mut Books<'_>,
    ) {
        match settled {
            Settled::Delivered(entry) => {
                let logs = entry.payload.logs();
                self.gone(logs);
                books.ledger.grow(Metric::Delivered, logs);
                books.ledger.latency(now.since(entry.created));
            }
            Settled::Failed(entry) => {
                let logs = entry.payload.logs();
                self.gone(logs);
                books.ledger.grow(Metric::Failed, logs);
                report::failed(books.log, logs, reason, status);
            }
            Settled::Retrying => {
                let logs = self.outbox.get(id).map_or(0, |entry| entry.payload.logs());
                report::retrying(books.log, logs, reason, status);
            }
            Settled::Unknown => {}
        }
    }

    /// It is cut in ticks; both halves go on in its place, as old as it is.
    fn divide(&mut self, id: Id, reason: Reason, status: u16, books: &mut Books<'_>) {
        let Some(entry) = self.outbox.take(id) else {
            return;
        };
        let logs = entry.payload.logs();
        self.gone(logs);
        // Both its forms are held while it is unpacked.
        let [wire, raw] = [entry.payload.bytes(), entry.payload.body().raw_size()];
        if wire.saturating_add(raw).saturating_add(OVERHEAD) > self.room() {
            books.ledger.grow(Metric::Dropped, logs);
            return report::no_room(books.log, self.max_bytes);
        }
        match entry.payload.divide() {
            Ok(dividing) => {
                let refusal = Refusal { reason, status };
                self.queue.divide(dividing, refusal, entry.created);
            }
            Err(_) => {
                books.ledger.grow(Metric::Failed, logs);
                report::failed(books.log, logs, reason, status);
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
