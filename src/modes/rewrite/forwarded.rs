//! A copy that goes on: its headers are replaced and its body streams through the proxy.

use super::{Rewrite, Stage, Step, Stream};
use crate::delivery::verdict::Verdict;
use crate::outcome::SkipReason;
use crate::time::Millis;
use crate::worker::Worker;

impl Rewrite {
    /// The copy leaves with the request.
    pub(super) fn depart(&mut self, worker: &mut Worker, stream: &impl Stream) {
        self.stage = Stage::Forwarded;
        worker.forward();
        if self.ended.is_some() {
            self.end_logs(worker, stream);
        }
    }

    /// Its headers cannot be replaced, so it stays here.
    pub(super) fn cannot_leave(&mut self, worker: &mut Worker) -> Step {
        if let Some(copy) = self.forward.take() {
            worker.not_in_place(copy.target.project);
        }
        if let Some(exchange) = self.take_exchange(worker) {
            worker.skip_all(exchange.wanted(), SkipReason::Aborted);
        }
        self.answer()
    }

    /// The end of its only attempt.
    pub(super) fn delivered(&mut self, worker: &mut Worker, verdict: Verdict, now: Millis) {
        self.stage = Stage::Over;
        let Some(copy) = self.forward.take() else {
            return;
        };
        let waited_ms = now.since(self.ended.unwrap_or(now));
        worker.forwarded_ended(copy.target.project, self.bytes, verdict, waited_ms);
    }

    /// A piece of its body, for the SLS leg.
    pub(super) fn log_piece(
        &mut self,
        worker: &mut Worker,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) {
        self.exchange = match (self.exchange.take(), size) {
            (Some(exchange), 1..) => worker.chunk(exchange, size, fill),
            (exchange, _) => exchange,
        };
    }

    /// Its body is complete, for the SLS leg.
    pub(super) fn end_logs(&mut self, worker: &mut Worker, stream: &impl Stream) {
        if let Some(exchange) = self.exchange.take() {
            worker.end(exchange, stream.now());
        }
    }
}
