//! The end of an attempt: delivered, failed, or a wait before the next one.

use super::entry::{Entries, Standing, State};
use super::gate::{Key, Level};
use super::gates::Moment;
use super::register::Register;
use super::{Charge, Entry, Id, Outbox};
use crate::delivery::backoff::Jitter;
use crate::delivery::verdict::Verdict;
use crate::time::Millis;

/// What happened to an entry after an attempt.
#[derive(Debug)]
pub enum Settled<T> {
    /// The target has it.
    Delivered(Entry<T>),
    /// Given up.
    Failed(Entry<T>),
    /// It will be tried again.
    Retrying,
    /// There is no such entry (any more).
    Unknown,
}

/// The same, without the entry's payload.
enum End {
    Delivered,
    Failed,
    Retrying,
    Unknown,
}

impl<T> Outbox<T> {
    /// Ends an attempt.
    pub fn settle(
        &mut self,
        id: Id,
        verdict: Verdict,
        now: Millis,
        jitter: &mut Jitter,
    ) -> Settled<T> {
        let all = &mut self.entries;
        let end = self.register.settle(all, id, verdict, now, jitter);
        self.ended(id, end)
    }

    /// The host refused the dispatch: nothing was sent. Only the age limits how often that is retried.
    pub fn refused(&mut self, id: Id, now: Millis, jitter: &mut Jitter) -> Settled<T> {
        let end = self.register.refused(&mut self.entries, id, now, jitter);
        self.ended(id, end)
    }

    fn ended(&mut self, id: Id, end: End) -> Settled<T> {
        match end {
            End::Delivered => self.remove(id).map_or(Settled::Unknown, Settled::Delivered),
            End::Failed => self.remove(id).map_or(Settled::Unknown, Settled::Failed),
            End::Retrying => Settled::Retrying,
            End::Unknown => Settled::Unknown,
        }
    }
}

impl Register {
    fn settle(
        &mut self,
        all: &mut dyn Entries,
        id: Id,
        verdict: Verdict,
        now: Millis,
        jitter: &mut Jitter,
    ) -> End {
        let Some(entry) = self.land(all, id) else {
            return End::Unknown;
        };
        let Self { gates, policy, .. } = self;
        if verdict == Verdict::Delivered && gates.is_empty() {
            return End::Delivered;
        }
        let Standing {
            charge,
            created,
            attempts,
            ..
        } = *entry;
        let mut at = Moment {
            policy,
            now,
            jitter,
        };
        if !gates.is_empty() {
            gates.heard(id, charge, verdict, &mut at);
        }
        let (retry, refused) = match verdict {
            Verdict::Delivered => return End::Delivered,
            Verdict::Refused(_) => (false, None),
            Verdict::Ambiguous(_) => (policy.retry_ambiguous, None),
            Verdict::NotTaken { retry_after_ms, .. } => {
                (true, Some((Key::of(charge, Level::Target), retry_after_ms)))
            }
            Verdict::Throttled { retry_after_ms } => {
                (true, Some((Key::of(charge, Level::Group), retry_after_ms)))
            }
            Verdict::Limited { ms } => (true, Some((Key::of(charge, Level::Part), Some(ms)))),
            Verdict::Again => (true, None),
        };
        let (wait, closed) = match refused {
            Some((key, asked)) => gates.refused(key, attempts, asked, &mut at),
            None if verdict == Verdict::Again => (0, false),
            None => (policy.backoff.wait(attempts, at.jitter), false),
        };
        let due = now.after(wait);
        let last = attempts >= policy.max_attempts;
        let old = due.since(created) > policy.max_age_ms;
        if !retry || last || old {
            return End::Failed;
        }
        // A gate that another entry closed may open sooner.
        match self.stopped_by(all, id).filter(|_| closed) {
            Some(gate) => self.stop(all, id, gate, true),
            None => self.wait(all, id, due),
        }
        End::Retrying
    }

    fn refused(&mut self, all: &mut dyn Entries, id: Id, now: Millis, jitter: &mut Jitter) -> End {
        let Some(entry) = all.of_mut(id) else {
            return End::Unknown;
        };
        entry.attempts = entry.attempts.saturating_sub(1);
        entry.refusals = entry.refusals.saturating_add(1);
        let due = now.after(self.policy.backoff.wait(entry.refusals, jitter));
        if due.since(entry.created) > self.policy.max_age_ms {
            return End::Failed;
        }
        self.wait(all, id, due);
        End::Retrying
    }

    fn wait(&mut self, all: &mut dyn Entries, id: Id, due: Millis) {
        if let Some(entry) = all.of_mut(id) {
            entry.state = State::Waiting(due);
            self.waiting.insert((due, id));
        }
    }

    /// Takes a call out of flight; returns the entry as it is then.
    pub(super) fn land<'a>(
        &mut self,
        all: &'a mut dyn Entries,
        id: Id,
    ) -> Option<&'a mut Standing> {
        let entry = all.of_mut(id)?;
        if let State::InFlight { token, deadline } = entry.state {
            entry.state = State::Leaving;
            let Charge { size, share, .. } = entry.charge;
            self.in_flight.remove(share, 1);
            self.bytes_in_flight.remove(share, size);
            self.deadlines.remove(&(deadline, id));
            if self.calls.get(&token.into()) == Some(&id) {
                self.calls.remove(&token.into());
            }
        }
        Some(entry)
    }
}
