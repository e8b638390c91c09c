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

use super::requests::legs_of;
use super::{Worker, report};
use crate::config::Mode;
use crate::delivery::verdict::Verdict;
use crate::header_list::HeaderList;
use crate::metric::{Leg, Metric};
use crate::outcome::SkipReason;
use crate::rum::capture::Refusal;
use crate::rum::headers::{Head, Pair};
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::{Exchange, Mirrored, Parts, Plan};

/// What the host is to do with the request now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Let it, or this piece of it, go on.
    Pass,
    /// Keep it.
    Wait,
    /// Change its headers to [`Passage::headers`], and say how that went: [`Worker::placed`].
    PutInPlace,
    /// Answer it with 204, and say how that went: [`Worker::answered_here`].
    Answer,
}

/// Where a request is.
#[derive(Debug)]
enum Stage {
    /// Waits for its end.
    Held,
    /// Its headers are being changed; then it is forwarded.
    Placing,
    /// It is being answered.
    Answering,
    /// On its way.
    Forwarded,
    /// Forwarded and answered by the target, or answered here.
    Over,
}

/// A request in mode `rewrite`.
#[derive(Debug)]
pub struct Passage {
    stage: Stage,
    /// What is delivered from here: held, everything; forwarded, the SLS leg's part.
    exchange: Option<Ticket>,
    /// How it is forwarded, once it is not held any more.
    forward: Option<Mirrored>,
    /// Bytes of the body that went by.
    bytes: usize,
    /// The request is complete, and was at this time.
    ended: Option<Millis>,
    /// The headers are those of the copy.
    in_place: bool,
}

impl Passage {
    /// A request that no leg wants.
    #[must_use]
    pub fn unwanted() -> Self {
        Self::new(Stage::Answering, None)
    }

    fn new(stage: Stage, exchange: Option<Ticket>) -> Self {
        Self {
            stage,
            exchange,
            forward: None,
            bytes: 0,
            ended: None,
            in_place: false,
        }
    }

    /// The headers of the copy, for [`Step::PutInPlace`].
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderList> {
        self.forward.as_ref().map(|rum| &rum.headers)
    }

    /// Bytes of the body that the host keeps: those of a held request.
    #[must_use]
    pub fn kept(&self) -> usize {
        match self.stage {
            Stage::Held => self.bytes,
            _ => 0,
        }
    }

    /// Its headers are those of the copy, and it may go on.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.in_place
    }
}

impl Worker {
    /// Request callback: the headers are complete. `has_body` says whether a body follows.
    pub fn arrive<'a, I>(
        &mut self,
        plan: Plan,
        head: &Head<'a, I>,
        has_body: bool,
        now: Millis,
    ) -> (Passage, Step)
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let now = self.moment(now).steady;
        let ended = (!has_body).then_some(now);
        let fast_ack = self.config.mode == Mode::Rewrite { fast_ack: true };
        let Some(mut parts) = self.prepare(plan, head) else {
            return answer(Passage::unwanted());
        };
        if parts.rum.is_some() && !fast_ack {
            let mut passage = Passage::new(Stage::Over, None);
            passage.ended = ended;
            passage.forward = parts.rum.take();
            passage.exchange = self.begin_logs(parts);
            return place(passage);
        }
        if !self.host().answers_requests {
            self.refuse(parts.legs(), Refusal::Unreadable);
            return answer(Passage::unwanted());
        }
        let mut passage = Passage::new(Stage::Held, None);
        passage.ended = ended;
        match self.open(parts) {
            Ok(exchange) => passage.exchange = Some(exchange),
            Err((mut parts, refusal)) => {
                passage.forward = parts.rum.take();
                match passage.forward {
                    Some(_) => passage.exchange = self.begin_logs(*parts),
                    None => self.refuse(parts.legs(), refusal),
                }
                return self.let_go(passage, refusal);
            }
        }
        if !has_body {
            return answer(passage);
        }
        (passage, Step::Wait)
    }

    /// Request callback: a piece of the body; with the last one the time is given. `size` is what the host would hand out
    /// now, which of a held request is all that has come; `fill` appends it.
    pub fn piece(
        &mut self,
        mut passage: Passage,
        size: usize,
        end: Option<Millis>,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> (Passage, Step) {
        let end = end.map(|now| self.moment(now).steady);
        match passage.stage {
            Stage::Held => {
                let before = std::mem::replace(&mut passage.bytes, size);
                passage.ended = end;
                self.held_piece(passage, size, before, fill)
            }
            Stage::Forwarded | Stage::Over if passage.in_place => {
                passage.bytes = passage.bytes.saturating_add(size);
                self.log_piece(&mut passage, size, fill);
                if end.is_some() {
                    passage.ended = end;
                    self.end_logs(&mut passage);
                }
                (passage, Step::Pass)
            }
            _ => (passage, Step::Wait),
        }
    }

    /// The host has changed the headers, or could not.
    pub fn placed(&mut self, mut passage: Passage, done: bool) -> (Passage, Step) {
        let Stage::Placing = passage.stage else {
            return (passage, Step::Wait);
        };
        passage.in_place = done;
        if !done {
            return self.cannot_leave(passage);
        }
        self.depart(&mut passage);
        (passage, Step::Pass)
    }

    /// nginx's location does not answer what is no copy.
    pub fn unguarded(&mut self) {
        report::unguarded(&mut self.legs.log);
    }

    /// The host has answered the request, or could not.
    pub fn answered_here(
        &mut self,
        mut passage: Passage,
        done: bool,
        now: Millis,
    ) -> (Passage, Step) {
        let Stage::Answering = passage.stage else {
            return (passage, Step::Wait);
        };
        passage.stage = Stage::Over;
        let Some(exchange) = passage.exchange.take() else {
            return (passage, Step::Wait);
        };
        if done {
            self.end(exchange, now);
            return (passage, Step::Wait);
        }
        // The logs have it in full; as a copy it goes on.
        (passage.forward, passage.exchange) = self.part(exchange);
        if passage.forward.is_some() {
            return place(passage);
        }
        self.end_logs(&mut passage);
        (passage, Step::Wait)
    }

    /// Response callback: the target has answered, or the proxy in its place.
    pub fn response(&mut self, passage: &mut Passage, status: u16, verdict: Verdict, now: Millis) {
        let now = self.moment(now).steady;
        match passage.stage {
            Stage::Forwarded => self.arrived(passage, verdict, now),
            Stage::Held => {
                let reason = match status {
                    413 => SkipReason::TooLarge,
                    _ => SkipReason::Aborted,
                };
                self.forget(passage, reason);
            }
            Stage::Placing | Stage::Answering | Stage::Over => {}
        }
    }

    /// The stream is over, whatever has become of it.
    pub fn leave(&mut self, passage: &mut Passage, now: Millis) {
        let now = self.moment(now).steady;
        if let Stage::Forwarded = passage.stage {
            self.arrived(passage, Verdict::Ambiguous(0), now);
        }
        self.forget(passage, SkipReason::Aborted);
    }

    fn held_piece(
        &mut self,
        mut passage: Passage,
        size: usize,
        before: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> (Passage, Step) {
        let Some(ticket) = passage.exchange else {
            return (passage, Step::Wait);
        };
        let Some(room) = self.room_to_hold(ticket, size, before) else {
            // It was too slow, or gave way: that is counted, and nobody has to wait any more.
            passage.exchange = None;
            return answer(passage);
        };
        let mut fill = Some(fill);
        let complete = passage.ended.is_some();
        let result = match (size, complete) {
            _ if size > self.config.limits.max_body_bytes => Err(Refusal::TooLarge),
            _ if size > room => Err(Refusal::NoRoom),
            (0, _) | (_, false) => Ok(()),
            (size, true) => self
                .collecting
                .push(ticket, size, room, |body| fill.take()?(body)),
        };
        let Err(refusal) = result else {
            return match complete {
                true => answer(passage),
                false => (passage, Step::Wait),
            };
        };
        (passage.forward, passage.exchange) = self.part(ticket);
        match (refusal, fill) {
            (Refusal::NoRoom, Some(fill)) => self.log_piece(&mut passage, size, fill),
            _ => {
                if let Some(logs) = self.take_exchange(&mut passage) {
                    self.refuse(legs_of(&logs), refusal);
                }
            }
        }
        self.let_go(passage, refusal)
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
    fn take_exchange(&mut self, passage: &mut Passage) -> Option<Exchange> {
        let ticket = passage.exchange.take()?;
        self.collecting.remove(ticket)
    }

    /// A request is not held any more: it goes on, if it is a copy.
    fn let_go(&mut self, passage: Passage, refusal: Refusal) -> (Passage, Step) {
        let Some(rum) = &passage.forward else {
            return answer(passage);
        };
        report::let_go(&mut self.legs.log, rum.target.project, refusal);
        place(passage)
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
    fn depart(&mut self, passage: &mut Passage) {
        passage.stage = Stage::Forwarded;
        if let Some((rum, mut context)) = self.legs.rum() {
            rum.forward(&mut context);
        }
        self.publish_soon();
        if passage.ended.is_some() {
            self.end_logs(passage);
        }
    }

    /// Its headers cannot be changed: it stays here.
    fn cannot_leave(&mut self, mut passage: Passage) -> (Passage, Step) {
        let forward = passage.forward.take();
        if let Some(project) = forward.map(|rum| rum.target.project) {
            for metric in [Metric::Captured, Metric::Failed] {
                self.legs.count(Leg::Rum, metric, 1);
            }
            report::not_in_place(&mut self.legs.log, project);
        }
        if let Some(exchange) = self.take_exchange(&mut passage) {
            let [_, sls] = legs_of(&exchange);
            self.skip_both([None, sls], SkipReason::Aborted);
        }
        self.publish_soon();
        passage.stage = Stage::Answering;
        (passage, Step::Answer)
    }

    /// The end of a forwarded request's only attempt.
    fn arrived(&mut self, passage: &mut Passage, verdict: Verdict, now: Millis) {
        passage.stage = Stage::Over;
        let Some(copy) = passage.forward.take() else {
            return;
        };
        if let Some((rum, mut context)) = self.legs.rum() {
            let waited_ms = now.since(passage.ended.unwrap_or(now));
            let project = copy.target.project;
            rum.forwarded_ended(project, passage.bytes, verdict, waited_ms, &mut context);
        }
        self.publish_soon();
    }

    /// What was to be delivered from here is not complete.
    fn forget(&mut self, passage: &mut Passage, reason: SkipReason) {
        if let Some(exchange) = self.take_exchange(passage) {
            self.skip_both(legs_of(&exchange), reason);
        }
        if !matches!(passage.stage, Stage::Forwarded) {
            passage.stage = Stage::Over;
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
        passage: &mut Passage,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) {
        passage.exchange = match (passage.exchange.take(), size) {
            (Some(exchange), 1..) => self.chunk(exchange, size, fill),
            (exchange, _) => exchange,
        };
    }

    fn end_logs(&mut self, passage: &mut Passage) {
        if let Some(exchange) = passage.exchange.take() {
            self.end(exchange, self.clock.last().wall);
        }
    }
}

fn place(mut passage: Passage) -> (Passage, Step) {
    passage.stage = Stage::Placing;
    (passage, Step::PutInPlace)
}

fn answer(mut passage: Passage) -> (Passage, Step) {
    passage.stage = Stage::Answering;
    (passage, Step::Answer)
}
