//! The primary's answer, for copies that go only if it is no refusal (`only_accepted`).
//!
//! A complete copy waits in the leg. One that is not complete when the answer comes, which is how servers refuse what is too
//! large, is decided about at once, and collected no further.

use super::Worker;
use super::schedule::Stage;
use crate::delivery::outbox::Id;
use crate::outcome::SkipReason;
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::Exchange;

impl Worker {
    /// Whether the primary's answer decides about the copy of a request that is not complete.
    pub(crate) fn awaits_answer(&self, ticket: Ticket) -> bool {
        let exchange = self.collecting.get(ticket);
        exchange.is_some_and(Exchange::awaits_answer)
    }

    /// Request callback: the primary has refused a request that is not complete. Gives the ticket back if the other leg wants
    /// it.
    pub(crate) fn refused_early(&mut self, ticket: Ticket) -> Option<Ticket> {
        let taken = self.collecting.change(ticket, Exchange::take_rum);
        if let Some(rum) = taken.flatten() {
            let project = rum.target.project;
            self.skip_both([Some(project), None], SkipReason::Refused);
        }
        if self.collecting.get(ticket)?.sls().is_some() {
            return Some(ticket);
        }
        self.collecting.remove(ticket);
        None
    }

    /// Request callback: the primary has answered the request of a copy that waits for it, or never will.
    pub(crate) fn primary_answered(&mut self, copy: Id, refused: bool, now: Millis) {
        let now = self.moment(now).steady;
        if let Some((rum, mut context)) = self.legs.rum() {
            rum.primary_answered(copy, refused, now, &mut context);
        }
        if !self.host().calls_in_ticks {
            self.schedule.stage = Stage::Sending;
        }
    }
}

/// Whether an answer with this status says that the primary has not kept the request: no key, not allowed, too large, over a
/// quota. Without a status nobody knows.
pub(crate) fn is_refusal(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 403 | 413 | 429))
}
