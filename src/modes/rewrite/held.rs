//! A copy that is held until it is complete, then answered and delivered from here.

use super::{Rewrite, Stage, Step, Stream};
use crate::copies::capture::Refusal;
use crate::worker::Worker;
use crate::worker::collect::Ticket;
use crate::worker::exchange::{Exchange, Mirrored, Parts};

impl Rewrite {
    /// Holds the request, if there is room.
    pub(super) fn hold(&mut self, worker: &mut Worker, stream: &impl Stream, parts: Parts) -> Step {
        self.stage = Stage::Held;
        match worker.open(parts) {
            Ok(exchange) => self.exchange = Some(exchange),
            Err((mut parts, refusal)) => {
                self.forward = parts.rum.take();
                match self.forward {
                    Some(_) => self.exchange = begin_logs(worker, *parts),
                    None => worker.refuse(parts.wanted(), refusal),
                }
                return self.let_go(worker, stream, refusal);
            }
        }
        if self.ended.is_some() {
            return self.answer();
        }
        Step::Wait
    }

    /// A piece arrived: the proxy had `before` bytes, and now holds `size`.
    pub(super) fn held_piece(
        &mut self,
        worker: &mut Worker,
        stream: &mut impl Stream,
        size: usize,
        before: usize,
    ) -> Step {
        let Some(ticket) = self.exchange else {
            return Step::Wait;
        };
        let Some(room) = room_to_hold(worker, ticket, size, before) else {
            // It was too slow or was dropped for another. That is counted already, and nobody has to wait any longer.
            self.exchange = None;
            return self.answer();
        };
        let complete = self.ended.is_some();
        let mut was_read = false;
        let result = match (size, complete) {
            _ if size > worker.config().limits.max_body_bytes => Err(Refusal::TooLarge),
            _ if size > room => Err(Refusal::NoRoom),
            (0, _) | (_, false) => Ok(()),
            (size, true) => worker.collecting.push(ticket, size, room, |body| {
                was_read = true;
                stream.append_body(size, body)
            }),
        };
        let Err(refusal) = result else {
            return if complete { self.answer() } else { Step::Wait };
        };
        (self.forward, self.exchange) = part(worker, ticket);
        if refusal == Refusal::NoRoom && !was_read {
            self.log_piece(worker, size, |body| stream.append_body(size, body));
        } else if let Some(logs) = self.take_exchange(worker) {
            worker.refuse(logs.wanted(), refusal);
        }
        self.let_go(worker, stream, refusal)
    }

    /// Stops holding it. It goes on if it is a copy.
    fn let_go(&mut self, worker: &mut Worker, stream: &impl Stream, refusal: Refusal) -> Step {
        let Some(rum) = &self.forward else {
            return self.answer();
        };
        worker.let_go(rum.target.project, refusal);
        self.replace(worker, stream)
    }
}

/// How much of a body may be held that had `before` bytes and now has `size`: whatever the RUM leg has room for, since it can
/// still be forwarded instead. The proxy keeps the body until it is complete, so it takes nothing of the share set aside for
/// bodies being received. `None` if its exchange is over.
fn room_to_hold(worker: &mut Worker, ticket: Ticket, size: usize, before: usize) -> Option<usize> {
    let mut wants = worker
        .collecting
        .grows(ticket, size.saturating_sub(before))?;
    wants.sls &= wants.rum.is_none();
    let room = worker.room(wants);
    Some(room.saturating_sub(worker.collecting.bytes()))
}

/// Splits an exchange into what is forwarded and what is still to be delivered from here.
pub(super) fn part(worker: &mut Worker, ticket: Ticket) -> (Option<Mirrored>, Option<Ticket>) {
    let rum = worker.collecting.change(ticket, Exchange::take_rum);
    let rest = worker.collecting.get(ticket);
    let rest = rest.filter(|exchange| !exchange.is_unwanted());
    let rest = rest.map(|_| ticket);
    if rest.is_none() {
        worker.collecting.remove(ticket);
    }
    (rum.flatten(), rest)
}

/// The SLS leg's part of a forwarded request.
pub(super) fn begin_logs(worker: &mut Worker, parts: Parts) -> Option<Ticket> {
    parts.sls.as_ref()?;
    worker
        .open(parts)
        .map_err(|(parts, refusal)| worker.refuse(parts.wanted(), refusal))
        .ok()
}
