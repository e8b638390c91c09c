//! Mode `rewrite`: the request that arrives is the copy. It is changed in place and goes on, or it is answered.
//!
//! ```text
//! arrive ─▶ no leg wants it ──────────────────────────────────────────────────────▶ Answer (204)
//!        ─▶ PutInPlace ─ placed ─▶ forwarded: Pass ... Pass ─ response ─▶ delivered or failed
//!        ─▶ held: Wait ... Wait ─ complete ─▶ Answer (204) ─ answered ─▶ the outbox (and the SLS leg)
//!                   └─ no room, too large ─▶ PutInPlace: forwarded after all
//! ```
//! Forwarded is the plain way: the body streams through the proxy and nothing of it is kept, but for the SLS leg.
//! Held is the way of `fast_ack`, and of requests that only the SLS leg wants: whoever sent the copy waits no longer than
//! until its end. nginx bears no answer of a filter in a mirror subrequest (it closes the client's connection, measured):
//! there nothing is held, and what does not go on is answered by the location's own configuration.
//!
//! The host does what a [`Step`] says and tells whether it could. What cannot be put in place does not leave: it would
//! carry cookies. What cannot even be answered waits until the proxy gives it up.
//!
//! A forwarded request counts as captured when it leaves, as pending and in flight until its answer; it has one attempt.

mod request;

pub use request::{RewriteRequest, Step};

use super::requests::legs_of;
use super::{Worker, report};
use crate::config::Mode;
use crate::delivery::verdict::Verdict;
use crate::metric::{Leg, Metric};
use crate::outcome::SkipReason;
use crate::rum::capture::Refusal;
use crate::rum::headers::{Head, Pair};
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::{Exchange, Mirrored, Parts, Plan};
use request::Stage;

impl Worker {
    /// Request callback: the headers are complete. `has_body` says whether a body follows.
    pub fn arrive<'a, I>(
        &mut self,
        plan: Plan,
        head: &Head<'a, I>,
        has_body: bool,
        now: Millis,
    ) -> (RewriteRequest, Step)
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let now = self.moment(now).steady;
        let ended = (!has_body).then_some(now);
        let fast_ack = self.config.mode == Mode::Rewrite { fast_ack: true };
        let Some(mut parts) = self.prepare(plan, head) else {
            return answer(RewriteRequest::unwanted());
        };
        if parts.rum.is_some() && !fast_ack {
            let mut request = RewriteRequest::new(Stage::Over, None);
            request.ended = ended;
            request.forward = parts.rum.take();
            request.exchange = self.begin_logs(parts);
            return place(request);
        }
        if !self.host().answers_requests {
            self.refuse(parts.legs(), Refusal::Unreadable);
            return answer(RewriteRequest::unwanted());
        }
        let mut request = RewriteRequest::new(Stage::Held, None);
        request.ended = ended;
        match self.open(parts) {
            Ok(exchange) => request.exchange = Some(exchange),
            Err((mut parts, refusal)) => {
                request.forward = parts.rum.take();
                match request.forward {
                    Some(_) => request.exchange = self.begin_logs(*parts),
                    None => self.refuse(parts.legs(), refusal),
                }
                return self.let_go(request, refusal);
            }
        }
        if !has_body {
            return answer(request);
        }
        (request, Step::Wait)
    }

    /// Request callback: a piece of the body; with the last one the time is given. `size` is what the host would hand out
    /// now, which of a held request is all that has come; `fill` appends it.
    pub fn piece(
        &mut self,
        mut request: RewriteRequest,
        size: usize,
        end: Option<Millis>,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> (RewriteRequest, Step) {
        let end = end.map(|now| self.moment(now).steady);
        match request.stage {
            Stage::Held => {
                let before = std::mem::replace(&mut request.bytes, size);
                request.ended = end;
                self.held_piece(request, size, before, fill)
            }
            Stage::Forwarded | Stage::Over if request.in_place => {
                request.bytes = request.bytes.saturating_add(size);
                self.log_piece(&mut request, size, fill);
                if end.is_some() {
                    request.ended = end;
                    self.end_logs(&mut request);
                }
                (request, Step::Pass)
            }
            _ => (request, Step::Wait),
        }
    }

    /// The host has changed the headers, or could not.
    pub fn placed(&mut self, mut request: RewriteRequest, done: bool) -> (RewriteRequest, Step) {
        let Stage::Placing = request.stage else {
            return (request, Step::Wait);
        };
        request.in_place = done;
        if !done {
            return self.cannot_leave(request);
        }
        self.depart(&mut request);
        (request, Step::Pass)
    }

    /// nginx's location does not answer what is no copy.
    pub fn unguarded(&mut self) {
        report::unguarded(&mut self.legs.log);
    }

    /// The host has answered the request, or could not.
    pub fn answered_here(
        &mut self,
        mut request: RewriteRequest,
        done: bool,
        now: Millis,
    ) -> (RewriteRequest, Step) {
        let Stage::Answering = request.stage else {
            return (request, Step::Wait);
        };
        request.stage = Stage::Over;
        let Some(exchange) = request.exchange.take() else {
            return (request, Step::Wait);
        };
        if done {
            self.end(exchange, now);
            return (request, Step::Wait);
        }
        // The logs have it in full; as a copy it goes on.
        (request.forward, request.exchange) = self.part(exchange);
        if request.forward.is_some() {
            return place(request);
        }
        self.end_logs(&mut request);
        (request, Step::Wait)
    }

    /// Response callback: the target has answered, or the proxy in its place.
    pub fn response(
        &mut self,
        request: &mut RewriteRequest,
        status: u16,
        verdict: Verdict,
        now: Millis,
    ) {
        let now = self.moment(now).steady;
        match request.stage {
            Stage::Forwarded => self.arrived(request, verdict, now),
            Stage::Held => {
                let reason = match status {
                    413 => SkipReason::TooLarge,
                    _ => SkipReason::Aborted,
                };
                self.forget(request, reason);
            }
            Stage::Placing | Stage::Answering | Stage::Over => {}
        }
    }

    /// The stream is over, whatever has become of it.
    pub fn leave(&mut self, request: &mut RewriteRequest, now: Millis) {
        let now = self.moment(now).steady;
        if let Stage::Forwarded = request.stage {
            self.arrived(request, Verdict::Ambiguous(0), now);
        }
        self.forget(request, SkipReason::Aborted);
    }

    fn held_piece(
        &mut self,
        mut request: RewriteRequest,
        size: usize,
        before: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> (RewriteRequest, Step) {
        let Some(ticket) = request.exchange else {
            return (request, Step::Wait);
        };
        let Some(room) = self.room_to_hold(ticket, size, before) else {
            // It was too slow, or gave way: that is counted, and nobody has to wait any more.
            request.exchange = None;
            return answer(request);
        };
        let mut fill = Some(fill);
        let complete = request.ended.is_some();
        let result = match (size, complete) {
            _ if size > self.config.limits.max_body_bytes => Err(Refusal::TooLarge),
            _ if size > room => Err(Refusal::NoRoom),
            (0, _) | (_, false) => Ok(()),
            (size, true) => self
                .collecting
                .push(ticket, size, room, |body| fill.take()?(body)),
        };
        let Err(refusal) = result else {
            return if complete {
                answer(request)
            } else {
                (request, Step::Wait)
            };
        };
        (request.forward, request.exchange) = self.part(ticket);
        match (refusal, fill) {
            (Refusal::NoRoom, Some(fill)) => self.log_piece(&mut request, size, fill),
            _ => {
                if let Some(logs) = self.take_exchange(&mut request) {
                    self.refuse(legs_of(&logs), refusal);
                }
            }
        }
        self.let_go(request, refusal)
    }

    /// What may be held of a body of which `before` bytes had come, and now there are `size`: what the RUM leg has room
    /// for, because the other way for it is open still. The proxy keeps it until it is complete, so it needs no part of
    /// what is set aside for bodies that are being received. `None` if its exchange is over.
    fn room_to_hold(&mut self, ticket: Ticket, size: usize, before: usize) -> Option<usize> {
        let wants = self.collecting.grows(ticket, size.saturating_sub(before))?;
        let room = self.room(wants.rum, wants.rum.is_none() && wants.sls);
        Some(room.saturating_sub(self.collecting.bytes()))
    }

    /// The exchange of a request, unless it is over.
    fn take_exchange(&mut self, request: &mut RewriteRequest) -> Option<Exchange> {
        let ticket = request.exchange.take()?;
        self.collecting.remove(ticket)
    }

    /// A request is not held any more: it goes on, if it is a copy.
    fn let_go(&mut self, request: RewriteRequest, refusal: Refusal) -> (RewriteRequest, Step) {
        let Some(rum) = &request.forward else {
            return answer(request);
        };
        report::let_go(&mut self.legs.log, rum.target.project, refusal);
        place(request)
    }

    /// Takes an exchange apart: what is forwarded, and what is still to be delivered from here.
    fn part(&mut self, ticket: Ticket) -> (Option<Mirrored>, Option<Ticket>) {
        let logs = self.collecting.get(ticket).and_then(Exchange::sls);
        let rum = self.collecting.change(ticket, Exchange::take_rum);
        let rest = logs.map(|_| ticket);
        if rest.is_none() {
            self.collecting.remove(ticket);
        }
        (rum.flatten(), rest)
    }

    /// The copy leaves with the request.
    fn depart(&mut self, request: &mut RewriteRequest) {
        request.stage = Stage::Forwarded;
        if let Some((rum, mut context)) = self.legs.rum() {
            rum.forward(&mut context);
        }
        self.publish_soon();
        if request.ended.is_some() {
            self.end_logs(request);
        }
    }

    /// Its headers cannot be changed: it stays here.
    fn cannot_leave(&mut self, mut request: RewriteRequest) -> (RewriteRequest, Step) {
        let forward = request.forward.take();
        if let Some(project) = forward.map(|rum| rum.target.project) {
            for metric in [Metric::Captured, Metric::Failed] {
                self.legs.count(Leg::Rum, metric, 1);
            }
            report::not_in_place(&mut self.legs.log, project);
        }
        if let Some(exchange) = self.take_exchange(&mut request) {
            let [_, sls] = legs_of(&exchange);
            self.skip_both([None, sls], SkipReason::Aborted);
        }
        self.publish_soon();
        request.stage = Stage::Answering;
        (request, Step::Answer)
    }

    /// The end of a forwarded request's only attempt.
    fn arrived(&mut self, request: &mut RewriteRequest, verdict: Verdict, now: Millis) {
        request.stage = Stage::Over;
        let Some(copy) = request.forward.take() else {
            return;
        };
        if let Some((rum, mut context)) = self.legs.rum() {
            let waited_ms = now.since(request.ended.unwrap_or(now));
            let project = copy.target.project;
            rum.forwarded_ended(project, request.bytes, verdict, waited_ms, &mut context);
        }
        self.publish_soon();
    }

    /// What was to be delivered from here is not complete.
    fn forget(&mut self, request: &mut RewriteRequest, reason: SkipReason) {
        if let Some(exchange) = self.take_exchange(request) {
            self.skip_both(legs_of(&exchange), reason);
        }
        if !matches!(request.stage, Stage::Forwarded) {
            request.stage = Stage::Over;
        }
    }

    /// The SLS leg's part of a forwarded request.
    fn begin_logs(&mut self, parts: Parts) -> Option<Ticket> {
        parts.sls.as_ref()?;
        self.open(parts)
            .map_err(|(parts, refusal)| self.refuse(parts.legs(), refusal))
            .ok()
    }

    fn log_piece(
        &mut self,
        request: &mut RewriteRequest,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) {
        request.exchange = match (request.exchange.take(), size) {
            (Some(exchange), 1..) => self.chunk(exchange, size, fill),
            (exchange, _) => exchange,
        };
    }

    fn end_logs(&mut self, request: &mut RewriteRequest) {
        if let Some(exchange) = request.exchange.take() {
            self.end(exchange, self.clock.last().wall);
        }
    }
}

fn place(mut request: RewriteRequest) -> (RewriteRequest, Step) {
    request.stage = Stage::Placing;
    (request, Step::PutInPlace)
}

fn answer(mut request: RewriteRequest) -> (RewriteRequest, Step) {
    request.stage = Stage::Answering;
    (request, Step::Answer)
}
