//! The request callbacks: what becomes of a request, its body, and its end or abort.

use super::schedule::Stage;
use super::{Worker, report};
use crate::copies::capture::Refusal;
use crate::copies::decide::{self, Decision};
use crate::copies::headers::{Head, MARKER, MAX_LINES, compose};
use crate::copies::leg::Taken;
use crate::delivery::outbox::Id;
use crate::header_map::Pair;
use crate::metric::{Leg, Metric};
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::sentry::route::{Route, recognise};
use crate::sls::intake;
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::{Announced, Mirrored, Parts, Plan};

impl Worker {
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
        let sls = match self
            .legs
            .sls
            .is_some()
            .then(|| intake::decide(method, target))
        {
            Some(Some(Ok(project))) => Some(project),
            Some(Some(Err((reason, project)))) => {
                self.skip(Leg::Sls, reason, project.map(ProjectId::get));
                None
            }
            _ => None,
        };
        (rum.is_some() || sls.is_some()).then_some(Plan { rum, sls })
    }

    /// Request callback: the request is for a host that is not this Sentry's. What would be ingest traffic is counted.
    pub fn other_host(&mut self, method: &[u8], target: &[u8]) {
        let Some(Route::Envelope(id) | Route::Other(id)) = recognise(method, target) else {
            return;
        };
        for leg in [Leg::Rum, Leg::Sls] {
            self.skip(leg, SkipReason::Host, Some(id.get()));
        }
    }

    /// Request callback: the headers are complete. `None` when the request is marked as a copy, its body is known to be
    /// too large, or there is no room.
    pub fn begin<'a, I>(&mut self, plan: Plan, head: &Head<'a, I>) -> Option<Ticket>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let parts = self.prepare(plan, head)?;
        self.open(parts)
            .map_err(|(parts, refusal)| self.refuse(parts.legs(), refusal))
            .ok()
    }

    /// What is needed of a request's headers. `None` when it is marked as a copy, or they are too many.
    pub(crate) fn prepare<'a, I>(&mut self, plan: Plan, head: &Head<'a, I>) -> Option<Parts>
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
        let oversized = match &rum {
            Some((_, copy)) => copy.oversized,
            None => head.headers.clone().nth(MAX_LINES).is_some(),
        };
        if oversized {
            self.skip_both(legs, SkipReason::TooLarge);
            return None;
        }
        let marked = match &rum {
            Some((_, copy)) => copy.marked,
            None => intake::first(head.headers.clone(), MARKER.as_bytes()).is_some(),
        };
        if marked {
            self.skip_both(legs, SkipReason::Loop);
            return None;
        }
        let omitted = rum.as_ref().map_or(0, |(_, copy)| copy.omitted);
        if omitted > 0 {
            self.legs.count(Leg::Rum, Metric::HeadersOmitted, omitted);
        }
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

    /// Request callback: a request that is held has ended, and nothing of its body came.
    pub(crate) fn never_fed(&mut self) {
        report::never_fed(&mut self.legs.log, "rewrite");
    }

    /// Request callback: a piece of the body, of `size` bytes, which `fill` appends. Gives the ticket back unless the
    /// exchange is over, which it may have been before.
    #[must_use]
    pub fn chunk(
        &mut self,
        ticket: Ticket,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Option<Ticket> {
        match self.collect(ticket, size, fill) {
            Ok(()) => Some(ticket),
            Err(refusal) => {
                let exchange = self.collecting.remove(ticket)?;
                self.refuse(exchange.legs(), refusal);
                None
            }
        }
    }

    /// Request callback: the request is complete, and the primary's answer is not waited for.
    pub fn end(&mut self, ticket: Ticket, now: Millis) {
        self.end_with(ticket, now, true);
    }

    /// Request callback: the request is complete. `answered`: the primary has answered it, or need not be waited for; else
    /// the copy may have to wait for it, under the name that this gives.
    pub(crate) fn end_with(&mut self, ticket: Ticket, now: Millis, answered: bool) -> Option<Id> {
        let now = self.moment(now);
        let exchange = self.collecting.remove(ticket)?;
        let collecting = self.collecting.bytes();
        let (copy, envelope) = exchange.into_parts(now.wall);
        let mut waits = None;
        if let Some(copy) = copy
            && let Some((rum, mut context)) = self.legs.rum()
        {
            let project = copy.target.project;
            match rum.take(copy, collecting, now.steady, answered, &mut context) {
                Taken::Done => {}
                Taken::Waits(id) => waits = Some(id),
                Taken::NoRoom => {
                    self.tell_no_room(Leg::Rum, project);
                    self.publish_soon();
                }
            }
        }
        if let Some(envelope) = envelope
            && let Some((sls, mut context)) = self.legs.sls()
        {
            sls.take(envelope, collecting, &mut context);
        }
        if !self.host().calls_in_ticks {
            self.schedule.stage = Stage::Sending;
        }
        waits
    }

    /// Request callback: the request ended before it was complete.
    pub fn abort(&mut self, ticket: Ticket) {
        if let Some(exchange) = self.collecting.remove(ticket) {
            self.skip_both(exchange.legs(), SkipReason::Aborted);
        }
    }

    /// What a body that is not collected counts as.
    pub(crate) fn refuse(&mut self, legs: [Option<u64>; 2], refusal: Refusal) {
        match refusal {
            Refusal::TooLarge => self.skip_both(legs, SkipReason::TooLarge),
            Refusal::Unreadable => self.skip_both(legs, SkipReason::Unreadable),
            Refusal::NoRoom => {
                // No leg that wants it has room for it.
                for (leg, project) in [Leg::Rum, Leg::Sls].into_iter().zip(legs) {
                    if let Some(project) = project {
                        self.tell_no_room(leg, project);
                    }
                }
                self.drop_unfinished(legs);
            }
        }
    }

    fn skip(&mut self, leg: Leg, reason: SkipReason, project: Option<u64>) {
        if let Some((_, context)) = self.legs.caller(leg) {
            // Other routes are ordinary traffic under `routes: envelope`, and it costs them nothing: their count goes with
            // the next publication, and causes one only now and then.
            match reason {
                SkipReason::Route => context.ledger.one_quietly(Metric::Skipped(reason)),
                _ => context.ledger.one(Metric::Skipped(reason)),
            }
            report::skipped(context.log, reason, project);
        }
        self.publish_soon();
    }

    pub(crate) fn skip_both(&mut self, [rum, sls]: [Option<u64>; 2], reason: SkipReason) {
        if rum.is_some() {
            self.skip(Leg::Rum, reason, rum);
        }
        if sls.is_some() {
            self.skip(Leg::Sls, reason, sls);
        }
    }

    fn tell_no_room(&mut self, leg: Leg, project: u64) {
        let pending = match leg {
            Leg::Sls => self.legs.sls.as_ref().map(|sls| sls.leg.bytes()),
            Leg::Rum | Leg::Sign => self.legs.rum.as_ref().map(|rum| rum.leg.bytes()),
        };
        let full = report::Full {
            max_bytes: self.config.leg_bytes(),
            pending: pending.unwrap_or_default(),
            collecting: self.collecting.bytes(),
        };
        report::no_room(&mut self.legs.log, leg, project, full);
    }

    /// Counts an exchange that is not collected to its end because there is no room.
    pub(super) fn drop_unfinished(&mut self, [rum, sls]: [Option<u64>; 2]) {
        if rum.is_some() {
            for metric in [Metric::Captured, Metric::Dropped] {
                self.legs.count(Leg::Rum, metric, 1);
            }
        }
        if sls.is_some() {
            for metric in [Metric::Unread, Metric::Captured, Metric::Dropped] {
                self.legs.count(Leg::Sls, metric, 1);
            }
        }
        self.publish_soon();
    }
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
