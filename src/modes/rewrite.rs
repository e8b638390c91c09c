//! Mode `rewrite`: the arriving request is itself the copy. It is changed in place and goes on, or it is answered.
//!
//! ```text
//! headers ─▶ no leg wants it ─────────────────────────────────────────────────▶ Answer (204)
//!         ─▶ ReplaceHeaders ─ replaced ─▶ forwarded: Pass ... Pass ─ response ─▶ delivered or failed
//!         ─▶ held: Wait ... Wait ─ complete ─▶ Answer (204) ─ answered ─▶ the outbox (and the SLS leg)
//!                    └─ no room, too large ─▶ ReplaceHeaders: forwarded after all
//! ```
//! Forwarding is the plain path: the body streams through the proxy and none of it is kept, except for the SLS leg. Holding
//! is for `fast_ack` and for requests that only the SLS leg wants: the sender of the copy waits only until its request ends.
//! On nginx nothing is held, because a filter that answers a mirror subrequest makes nginx close the client's connection
//! (measured). What does not go on there is answered by the location's own configuration.
//!
//! If the headers cannot be replaced, the request does not leave: it would carry cookies. If it cannot even be answered, it
//! waits until the proxy gives it up.
//!
//! A forwarded request counts as captured when it leaves, then as pending and in flight until its response. It has one attempt.

mod forwarded;
mod held;

use super::arrival::arrive;
use super::{Mode, Replacement, Step, Stream};
use crate::config;
use crate::copies::capture::Refusal;
use crate::copies::in_place;
use crate::copies::reply::Reply;
use crate::delivery::verdict::Verdict;
use crate::outcome::SkipReason;
use crate::time::Millis;
use crate::worker::Worker;
use crate::worker::collect::Ticket;
use crate::worker::exchange::{Exchange, Mirrored, Parts};
use crate::worker::signing::LocalAnswer;
use held::{begin_logs, part};

/// The answer to the sender of a copy, who does not read it.
const NO_CONTENT: u16 = 204;

/// Where a request is.
#[derive(Debug)]
enum Stage {
    /// Waiting for its end.
    Held,
    /// Its headers are being replaced; then it is forwarded.
    Replacing,
    /// It is being answered.
    Answering,
    /// On its way.
    Forwarded,
    /// Forwarded and answered by the target, or answered here.
    Over,
}

/// A request that is a copy.
#[derive(Debug)]
pub(crate) struct Rewrite {
    stage: Stage,
    /// What is delivered from here: everything if held, only the SLS leg's part if forwarded.
    exchange: Option<Ticket>,
    /// How it is forwarded, once it is no longer held.
    forward: Option<Mirrored>,
    /// Bytes of the body that have passed.
    bytes: usize,
    /// When the request was complete, if it is.
    ended: Option<Millis>,
    /// The headers are those of the copy.
    in_place: bool,
}

impl Mode for Rewrite {
    fn headers(worker: &mut Worker, stream: &mut impl Stream, end: bool) -> (Self, Step) {
        let parts = arrive(worker, stream, |worker, plan, head| {
            worker.prepare(plan, head)
        });
        let mut request = Self::new();
        let step = match parts.flatten() {
            Some(parts) => {
                let now = worker.moment(stream.now()).steady;
                request.ended = end.then_some(now);
                request.begin(worker, stream, parts)
            }
            // No leg wants it.
            None => request.answer(),
        };
        (request, step)
    }

    fn body(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        size: usize,
        end: bool,
    ) -> Step {
        let end = end.then(|| worker.moment(stream.now()).steady);
        match self.stage {
            Stage::Held => {
                let before = std::mem::replace(&mut self.bytes, size);
                self.ended = end;
                self.held_piece(worker, stream, size, before)
            }
            Stage::Forwarded | Stage::Over if self.in_place => {
                self.bytes = self.bytes.saturating_add(size);
                self.log_piece(worker, size, |body| stream.append_body(size, body));
                if end.is_some() {
                    self.ended = end;
                    self.end_logs(worker, stream);
                }
                Step::Pass
            }
            _ => Step::Wait,
        }
    }

    /// For a held request the whole body is still available; for a forwarded one there is nothing new.
    fn trailers(&mut self, worker: &mut Worker, stream: &mut impl Stream) -> Step {
        let kept = match self.stage {
            Stage::Held => self.bytes,
            _ => 0,
        };
        self.body(worker, stream, kept, true)
    }

    fn replaced(&mut self, worker: &mut Worker, stream: &mut impl Stream, done: bool) -> Step {
        self.in_place = done;
        if !done {
            return self.cannot_leave(worker);
        }
        self.depart(worker, stream);
        Step::Pass
    }

    fn answered(&mut self, worker: &mut Worker, stream: &mut impl Stream, done: bool) -> Step {
        self.stage = Stage::Over;
        let Some(exchange) = self.exchange.take() else {
            return Step::Wait;
        };
        if done {
            worker.end(exchange, stream.now());
            return Step::Wait;
        }
        // The logs have the whole body; the copy goes on.
        (self.forward, self.exchange) = part(worker, exchange);
        if self.forward.is_some() {
            return self.replace(worker, stream);
        }
        self.end_logs(worker, stream);
        Step::Wait
    }

    fn response(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        let status = stream.status();
        let now = stream.now();
        let reply = Reply {
            status,
            ..Reply::default()
        };
        match self.stage {
            Stage::Forwarded => {
                let steady = worker.moment(now).steady;
                self.delivered(worker, reply.verdict(now), steady);
            }
            Stage::Held => {
                let reason = match status {
                    Some(413) => SkipReason::TooLarge,
                    _ => SkipReason::Aborted,
                };
                self.forget(worker, reason);
            }
            Stage::Replacing | Stage::Answering | Stage::Over => {}
        }
    }

    fn gone(&mut self, worker: &mut Worker, stream: &mut impl Stream) {
        if let Stage::Forwarded = self.stage {
            let now = worker.moment(stream.now()).steady;
            self.delivered(worker, Verdict::Ambiguous(0), now);
        }
        if matches!(self.stage, Stage::Held) && self.bytes == 0 && self.ended.is_none() {
            worker.never_fed();
        }
        self.forget(worker, SkipReason::Aborted);
    }
}

impl Rewrite {
    fn new() -> Self {
        Self {
            stage: Stage::Over,
            exchange: None,
            forward: None,
            bytes: 0,
            ended: None,
            in_place: false,
        }
    }

    /// Its headers are those of the copy, and it may go on.
    pub(super) fn is_rewritten(&self) -> bool {
        self.in_place
    }

    fn begin(&mut self, worker: &mut Worker, stream: &impl Stream, mut parts: Parts) -> Step {
        // Malformed, and refused by the proxy: see `Tee::end_of_headers`.
        if self.ended.is_some() && parts.announced.is_more_than(0) {
            worker.skip_all(parts.wanted(), SkipReason::Aborted);
            return self.answer();
        }
        let config = worker.config();
        let fast_ack = config.mode == config::Mode::Rewrite { fast_ack: true };
        if parts.rum.is_some() && !fast_ack {
            self.forward = parts.rum.take();
            self.exchange = begin_logs(worker, parts);
            return self.replace(worker, stream);
        }
        if !config.host.traits().answers_requests {
            worker.refuse(parts.wanted(), Refusal::Unreadable);
            return self.answer();
        }
        self.hold(worker, stream, parts)
    }

    fn replace(&mut self, worker: &mut Worker, stream: &impl Stream) -> Step {
        self.stage = Stage::Replacing;
        let whole = worker.config().host.traits().replaces_headers;
        match self.replacement(stream, whole) {
            Some(replacement) => Step::ReplaceHeaders(replacement),
            None => self.cannot_leave(worker),
        }
    }

    fn replacement(&self, stream: &impl Stream, whole: bool) -> Option<Replacement> {
        let copy = &self.forward.as_ref()?.headers;
        let request = stream.headers();
        // Every request has headers. If they cannot be seen, it would leave unchanged.
        if request.is_empty() {
            return None;
        }
        if whole {
            let headers = in_place::whole_map(copy, request.iter());
            return Some(Replacement::All(headers));
        }
        let headers = in_place::replacements(copy, request.iter()).ok()?;
        Some(Replacement::Each(headers))
    }

    fn answer(&mut self) -> Step {
        self.stage = Stage::Answering;
        Step::Answer(LocalAnswer::empty(NO_CONTENT))
    }

    /// What was to be delivered from here is incomplete.
    fn forget(&mut self, worker: &mut Worker, reason: SkipReason) {
        if let Some(exchange) = self.take_exchange(worker) {
            worker.skip_all(exchange.wanted(), reason);
        }
        if !matches!(self.stage, Stage::Forwarded) {
            self.stage = Stage::Over;
        }
    }

    /// The exchange, unless it is over.
    fn take_exchange(&mut self, worker: &mut Worker) -> Option<Exchange> {
        worker.collecting.remove(self.exchange.take()?)
    }
}
