//! What leaves, and when: the next call, signed at that moment, and whether the host took it.

use super::{Books, GRACE_MS, Leaving, Leg, Step};
use crate::delivery::backoff::Jitter;
use crate::delivery::call::Call;
use crate::delivery::outbox::{Id, Next};
use crate::header_list::HeaderList;
use crate::metric::Metric;
use crate::sls::response::{self, Reason};
use crate::sls::{put_logs, report};
use crate::time::{Millis, Moment};

impl Leg {
    /// Whether there is a key to sign with, and the target is not being probed already.
    pub(super) fn may_write(&self, now: Millis) -> bool {
        let probed = self.probing && self.outbox.in_flight() > 0;
        !probed && self.keys.current(now).is_some()
    }

    /// What is to be done next; a call only if the host has a slot (`open`). To be called until there is nothing.
    pub fn step(
        &mut self,
        moment: Moment,
        open: bool,
        jitter: &mut Jitter,
        books: &mut Books<'_>,
    ) -> Step {
        let now = moment.steady;
        if open && let Some(id) = self.keys.next_call(now) {
            return Step::Call(Leaving::Metadata(id));
        }
        if self.keys.current(now).is_none() && !self.outbox.is_empty() {
            report::no_credential(books.log);
        }
        let open = open && self.signs > 0 && self.may_write(now);
        match self.outbox.next_if(now, open) {
            Next::Dispatch(id) => {
                self.signs = self.signs.saturating_sub(1);
                self.sign(id, moment);
                return Step::Call(Leaving::Write(id));
            }
            Next::Expired(entry) => {
                let logs = entry.payload.logs();
                self.gone(logs);
                books.ledger.grow(Metric::Failed, logs);
                report::expired(books.log, logs, self.max_age_ms);
            }
            Next::Lost(id) => self.settle(id, response::NO_ANSWER, 0, moment, jitter, books),
            Next::Idle => return Step::Idle,
        }
        Step::Progress
    }

    /// Signs a write, at every attempt anew: its body was hashed once, when it was packed.
    fn sign(&mut self, id: Id, now: Moment) {
        let entry = self.outbox.get(id);
        let credential = self.keys.current(now.steady);
        let (Some(entry), Some(credential)) = (entry, credential) else {
            return;
        };
        let (batch, now_ms) = (&entry.payload, self.clock.now(now.wall.0));
        let request = put_logs::build(
            batch.destination(),
            batch.body(),
            &self.config.signature,
            credential,
            now_ms,
        );
        self.headers = HeaderList::with_capacity(16, 1_024);
        let list = &mut self.headers;
        list.push(b":method", &[request.method.as_bytes()]);
        list.push(b":path", &[request.path.as_bytes()]);
        list.push(b":authority", &[request.host.as_bytes()]);
        for (name, value) in request.headers.iter() {
            list.push(name.as_bytes(), &[value.as_bytes()]);
        }
        self.signed.insert(id, self.clock.offset_ms());
    }

    /// The call to hand to the host, which is counted here.
    pub fn call(&self, leaving: Leaving, books: &mut Books<'_>) -> Option<Call<'_>> {
        let id = match leaving {
            Leaving::Write(id) => id,
            Leaving::Metadata(_) => return Some(self.keys.call()),
        };
        let entry = self.outbox.get(id)?;
        let body = entry.payload.body().wire();
        books.ledger.one(Metric::Attempts);
        if entry.attempts > 1 || entry.refusals > 0 {
            books.ledger.one(Metric::Retries);
        }
        books.ledger.grow(Metric::Bytes, body.len());
        Some(Call {
            upstream: &self.config.upstream,
            scheme: self.config.scheme,
            headers: &self.headers,
            body,
            timeout_ms: self.config.timeout_ms,
        })
    }

    /// The host took the call. `tells` says that it always tells its end; else the answer may be lost.
    pub fn started(&mut self, leaving: Leaving, token: u32, now: Millis, tells: bool) {
        match leaving {
            Leaving::Write(id) => {
                self.headers = HeaderList::default();
                let timeout = u64::from(self.config.timeout_ms);
                let wait = match tells {
                    true => u64::MAX,
                    false => timeout.saturating_add(GRACE_MS),
                };
                self.outbox.started(id, token, now.after(wait));
            }
            Leaving::Metadata(id) => self.keys.started(id, token, now),
        }
    }

    /// The host refused the call.
    pub fn refused(
        &mut self,
        leaving: Leaving,
        now: Millis,
        jitter: &mut Jitter,
        books: &mut Books<'_>,
    ) {
        match leaving {
            Leaving::Write(id) => {
                self.headers = HeaderList::default();
                self.signed.remove(&id);
                let settled = self.outbox.refused(id, now, jitter);
                self.settled(id, settled, Reason::Transport, 0, now, books);
            }
            Leaving::Metadata(id) => self.keys.refused(id, now),
        }
    }
}
