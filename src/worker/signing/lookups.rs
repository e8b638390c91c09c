//! Mode `sign` as the worker sees it: the look-ups of its key. The writes themselves are the proxy's own calls.

use super::signer::Signer;
use crate::delivery::answer::Answer;
use crate::delivery::call::Call;
use crate::delivery::caller::{CallId, Caller, Context, Next};
use crate::metric::Gauges;
use crate::sls::metadata;
use crate::time::{Millis, Moment, earliest};

impl Caller for Signer {
    fn calls_in_ticks(&self) -> bool {
        true
    }

    fn next(&mut self, now: Moment, _open: bool, _context: &mut Context<'_>) -> Next {
        match self.keys.next_call(now.steady) {
            Some(id) => Next::Call(CallId::Key(id)),
            None => Next::Idle,
        }
    }

    fn call(&self, _id: CallId, _context: &mut Context<'_>) -> Option<Call<'_>> {
        Some(self.keys.call())
    }

    fn started(&mut self, id: CallId, token: u32, now: Millis, _tells: bool) {
        if let CallId::Key(id) = id {
            self.keys.started(id, token, now);
        }
    }

    fn refused(&mut self, id: CallId, now: Millis, _context: &mut Context<'_>) {
        if let CallId::Key(id) = id {
            self.keys.refused(id, now);
        }
    }

    fn answer_bytes(&self, token: u32, _status: Option<u16>) -> Option<usize> {
        let waits = self.keys.waits_for(token);
        waits.then_some(metadata::MAX_REPLY_BYTES)
    }

    fn answered(
        &mut self,
        token: u32,
        answer: &Answer<'_>,
        now: Moment,
        _context: &mut Context<'_>,
    ) -> bool {
        self.keys.answered(token, answer, now)
    }

    /// For a key, or for writes that wait for their turn.
    fn due(&self, _now: Moment) -> Option<Millis> {
        earliest([self.keys.wake_at(), self.backlog.due()])
    }

    fn calls(&self, now: Millis) -> usize {
        usize::from(self.keys.has_call(now))
    }

    fn max_calls(&self) -> usize {
        1
    }

    fn has_ready(&self) -> bool {
        false
    }

    fn gauges(&self, _collecting: usize) -> Gauges {
        [self.open.held, self.open.bytes, self.open.in_flight, 0, 0]
    }

    fn is_idle(&self) -> bool {
        self.open.held == 0 && self.open.in_flight == 0
    }

    /// Open requests are the proxy's, and end with it.
    fn give_up(&mut self, _most: usize, _context: &mut Context<'_>) -> usize {
        0
    }

    fn has_backlog(&self) -> bool {
        false
    }

    fn end(&mut self, _context: &mut Context<'_>) -> usize {
        0
    }
}
