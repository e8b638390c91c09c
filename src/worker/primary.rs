//! The primary's answer, for copies that are sent only if it is not a refusal (`only_accepted`).
//!
//! A complete copy waits in the leg. If the answer comes before the copy is complete, which is how servers refuse bodies that
//! are too large, the copy is decided at once and collected no further.

use super::Worker;
use super::schedule::Stage;
use crate::delivery::outbox::Id;
use crate::metric::Leg;
use crate::outcome::SkipReason;
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::Exchange;

/// A copy that waits for the primary's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(super) leg: Leg,
    pub(super) copy: Id,
}

impl Worker {
    /// Whether the primary's answer decides about the copy of an incomplete request.
    pub(crate) fn awaits_answer(&self, ticket: Ticket) -> bool {
        let exchange = self.collecting.get(ticket);
        exchange.is_some_and(Exchange::awaits_answer)
    }

    /// Request callback: the primary has refused an incomplete request. Gives the ticket back if another leg wants it.
    pub(crate) fn refused_early(&mut self, ticket: Ticket) -> Option<Ticket> {
        let taken = self.collecting.change(ticket, Exchange::take_unanswered)?;
        self.skip_all(taken, SkipReason::Refused);
        if self.collecting.get(ticket)?.is_unwanted() {
            self.collecting.remove(ticket);
            return None;
        }
        Some(ticket)
    }

    /// Request callback: the primary has answered the request whose copies wait for it, or never will.
    pub(crate) fn primary_answered(&mut self, copies: &[Waiting], refused: bool, now: Millis) {
        let now = self.moment(now).steady;
        for Waiting { leg, copy } in copies {
            if let Some((copies, mut context)) = self.legs.copies(*leg) {
                copies.primary_answered(*copy, refused, now, &mut context);
            }
        }
        if !self.host().calls_in_ticks {
            self.schedule.stage = Stage::Sending;
        }
    }
}

/// Whether a response with this status says that the primary has not kept the request: no key, not allowed, too large, over a
/// quota. Without a status nobody knows.
pub(crate) fn is_refusal(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 403 | 413 | 429))
}
