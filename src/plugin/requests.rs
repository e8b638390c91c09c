//! The request callbacks: what becomes of a request, its body, and its end or abort.

use super::{Plugin, Stage, report};
use crate::config::HostKind;
use crate::delivery::outbox::Charge;
use crate::exchange::{Announced, Exchange, Mirrored, Parts, Plan};
use crate::metric::{Leg, Metric};
use crate::mirror::capture::Refusal;
use crate::mirror::decide::{self, Decision};
use crate::mirror::headers::{Head, MARKER, Pair, compose};
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::sls::intake;
use crate::time::Millis;

/// Up to here a body that is being collected may take whatever is free: nearly every envelope is smaller.
const LARGE_BYTES: usize = 262_144;

impl Plugin {
    /// Request callback: what becomes of a request, from its method and target.
    pub fn decide(&mut self, method: &[u8], target: &[u8]) -> Option<Plan> {
        let decision = match &self.config.rum {
            Some(rum) => decide::decide(rum, method, target),
            None => Decision::Ignore,
        };
        let rum = match decision {
            Decision::Ignore => None,
            Decision::Skip(reason, project) => {
                self.skip(Leg::Rum, reason, project.map(ProjectId::get));
                None
            }
            Decision::Mirror(target) => Some(target),
        };
        let sls = match self.sls.is_some().then(|| intake::decide(method, target)) {
            Some(Some(Ok(project))) => Some(project),
            Some(Some(Err((reason, project)))) => {
                self.skip(Leg::Sls, reason, project.map(ProjectId::get));
                None
            }
            _ => None,
        };
        (rum.is_some() || sls.is_some()).then_some(Plan { rum, sls })
    }

    /// Request callback: the headers are complete. `None` when the request is marked as a copy, its body is known to be
    /// too large, or there is no room.
    pub fn begin<'a, I>(&mut self, plan: Plan, head: &Head<'a, I>) -> Option<Box<Exchange>>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let parts = self.prepare(plan, head)?;
        self.open(parts)
            .map_err(|(parts, refusal)| self.refuse(parts.legs(), refusal))
            .ok()
    }

    /// What is needed of a request's headers. `None` when it is marked as a copy.
    pub(super) fn prepare<'a, I>(&mut self, plan: Plan, head: &Head<'a, I>) -> Option<Parts>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let legs = [plan.rum.as_ref().map(|target| target.project), plan.sls];
        let app = plan
            .sls
            .and_then(|project| decide::destination(self.config.rum.as_ref()?, project));
        let rum = plan.rum.map(|target| {
            let copy = compose(self.config.host, &target, head);
            (target, copy)
        });
        let marked = match &rum {
            Some((_, copy)) => copy.marked,
            None => intake::first(head.headers.clone(), MARKER.as_bytes()).is_some(),
        };
        if marked {
            self.skip_both(legs, SkipReason::Loop);
            return None;
        }
        let omitted = rum.as_ref().map_or(0, |(_, copy)| copy.omitted);
        self.book.ledger.grow(Metric::HeadersOmitted, omitted);
        let sls = plan.sls.map(|project| {
            let encoding = intake::first(head.headers.clone(), b"content-encoding");
            let encoding = encoding.unwrap_or_default().to_vec();
            intake::Head {
                project,
                app,
                encoding,
            }
        });
        let announced = match &rum {
            Some((_, copy)) => Announced {
                length: copy.content_length,
                transfer_encoding: copy.transfer_encoding,
            },
            None => announced(head),
        };
        let rum = rum.map(|(target, copy)| Mirrored::new(target, copy));
        Some(Parts {
            rum,
            sls,
            announced,
        })
    }

    /// Begins to collect a body, if it may become one that fits.
    pub(super) fn open(&mut self, parts: Parts) -> Result<Box<Exchange>, (Box<Parts>, Refusal)> {
        let exchange = Exchange::new(parts, self.config.limits.max_body_bytes)
            .map_err(|parts| (parts, Refusal::TooLarge))?;
        if exchange.held() > self.room_for(&exchange, self.collecting) {
            return Err((exchange.restart(), Refusal::NoRoom));
        }
        self.collecting = self.collecting.saturating_add(exchange.held());
        self.exchanges = self.exchanges.saturating_add(1);
        Ok(exchange)
    }

    /// Request callback: a piece of the body, of `size` bytes, which `fill` appends. Gives the exchange back unless it is
    /// over.
    #[must_use]
    pub fn chunk(
        &mut self,
        mut exchange: Box<Exchange>,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<Box<Exchange>> {
        let room = self.room_for(&exchange, self.others(&exchange));
        match self.collect(&mut exchange, size, room, fill) {
            Ok(()) => Some(exchange),
            Err(refusal) => {
                self.refuse(legs_of(&exchange), refusal);
                self.release(&exchange);
                None
            }
        }
    }

    pub(super) fn collect(
        &mut self,
        exchange: &mut Exchange,
        size: usize,
        room: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Result<(), Refusal> {
        let before = exchange.held();
        let pushed = exchange.capture().push(size, room, fill);
        self.collecting = self
            .collecting
            .saturating_sub(before)
            .saturating_add(exchange.held());
        pushed
    }

    /// Request callback: the request is complete.
    pub fn end(&mut self, exchange: Box<Exchange>, now: Millis) {
        let now = self.moment(now);
        self.release(&exchange);
        let (copy, envelope) = exchange.into_parts(now.wall);
        if let Some(copy) = copy {
            self.book.ledger.one(Metric::Captured);
            let project = copy.target.project;
            let charge = Charge {
                size: copy.size(),
                group: project,
                share: copy.target.destination.share,
            };
            let pushed = self.outbox.push(copy, charge, self.collecting, now.steady);
            let full = pushed.is_err();
            if full {
                self.drop_for_room(project);
            }
        }
        if let (Some(side), Some(envelope)) = (&mut self.sls, envelope) {
            let (leg, mut books) = side.with(&mut self.journal);
            leg.take(envelope, self.collecting, &mut books);
        }
        if self.config.host == HostKind::Envoy {
            self.stage = Stage::Sending;
        }
    }

    /// Request callback: the request ended before it was complete.
    pub fn abort(&mut self, exchange: &Exchange) {
        self.release(exchange);
        self.skip_both(legs_of(exchange), SkipReason::Aborted);
    }

    /// What a body that is not collected counts as.
    pub(super) fn refuse(&mut self, legs: [Option<u64>; 2], refusal: Refusal) {
        match refusal {
            Refusal::TooLarge => self.skip_both(legs, SkipReason::TooLarge),
            Refusal::Unreadable => self.skip_both(legs, SkipReason::Unreadable),
            Refusal::NoRoom => self.drop_unfinished(legs),
        }
    }

    fn skip(&mut self, leg: Leg, reason: SkipReason, project: Option<u64>) {
        let ledger = match (leg, &mut self.sls) {
            (Leg::Sls, Some(side)) => &mut side.book.ledger,
            _ => &mut self.book.ledger,
        };
        // Other routes are ordinary traffic under `routes: envelope`, and it costs them nothing: their count goes with
        // the next publication, and causes one only now and then.
        match reason {
            SkipReason::Route => ledger.one_quietly(Metric::Skipped(reason)),
            _ => ledger.one(Metric::Skipped(reason)),
        }
        report::skipped(&mut self.journal, reason, project);
        self.publish_soon();
    }

    pub(super) fn skip_both(&mut self, [rum, sls]: [Option<u64>; 2], reason: SkipReason) {
        if rum.is_some() {
            self.skip(Leg::Rum, reason, rum);
        }
        if sls.is_some() {
            self.skip(Leg::Sls, reason, sls);
        }
    }

    fn drop_for_room(&mut self, project: u64) {
        self.book.ledger.one(Metric::Dropped);
        report::no_room(&mut self.journal, project, self.max_pending_bytes);
        self.publish_soon();
    }

    /// No leg that wants the exchange has room for it.
    fn drop_unfinished(&mut self, [rum, sls]: [Option<u64>; 2]) {
        if let Some(project) = rum {
            self.book.ledger.one(Metric::Captured);
            self.drop_for_room(project);
        }
        if let (Some(side), Some(_)) = (&mut self.sls, sls) {
            let (leg, mut books) = side.with(&mut self.journal);
            leg.unread(1, &mut books);
            self.publish_soon();
        }
    }

    /// What all other open exchanges hold.
    pub(super) fn others(&self, exchange: &Exchange) -> usize {
        self.collecting.saturating_sub(exchange.held())
    }

    fn room_for(&self, exchange: &Exchange, others: usize) -> usize {
        let sls = exchange.sls().is_some();
        self.room(exchange.share(), sls, exchange.held(), others)
    }

    /// What the body of an exchange that holds so much may still grow by, when all `others` hold so much: while one leg has
    /// room, it is collected.
    pub(super) fn room(&self, rum: Option<usize>, sls: bool, held: usize, others: usize) -> usize {
        let rum = rum.map(|share| self.outbox.room(share));
        let side = self.sls.as_deref().filter(|_| sls);
        let sls = side.map(|side| side.leg.room());
        let room = rum.max(sls).unwrap_or_default();
        fair(room.saturating_sub(self.collecting), held, others)
    }

    /// Something was counted in a request callback: a tick must come, unless one is on its way.
    pub(super) fn publish_soon(&mut self) {
        let missing = self.is_pressing() && !self.publishing_soon;
        if missing && self.config.host == HostKind::Envoy {
            self.stage = Stage::Settling;
        }
    }

    pub(super) fn release(&mut self, exchange: &Exchange) {
        self.collecting = self.collecting.saturating_sub(exchange.held());
        self.exchanges = self.exchanges.saturating_sub(1);
    }
}

/// What of `free` a body may take that holds so much, when all `others` hold so much. Of several at a time, a large one may
/// hold no more than it leaves free: a few that are huge, however slowly they come, do not take the room from all the small
/// ones.
pub(super) fn fair(free: usize, held: usize, others: usize) -> usize {
    if others == 0 {
        return free;
    }
    let fair = (free.saturating_sub(held) / 2).max(LARGE_BYTES.saturating_sub(held));
    free.min(fair)
}

pub(super) fn legs_of(exchange: &Exchange) -> [Option<u64>; 2] {
    [exchange.rum(), exchange.sls()]
}

/// What the headers say of a body, when the RUM leg has not read them.
fn announced<'a, I>(head: &Head<'a, I>) -> Announced
where
    I: Iterator<Item = Pair<'a>> + Clone,
{
    let first = |name| intake::first(head.headers.clone(), name);
    Announced {
        length: first(b"content-length")
            .and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()),
        transfer_encoding: first(b"transfer-encoding").is_some(),
    }
}
