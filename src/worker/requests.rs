//! The request callbacks: what happens to a request, its body, and its end or abort.

use super::primary::Waiting;
use super::schedule::Stage;
use super::wanted::{SENTRY, Wanted};
use super::{Worker, report};
use crate::copies::capture::Refusal;
use crate::copies::decide::{self, Decision, Target};
use crate::copies::headers::{CopyHeaders, Head, MARKER, MAX_LINES, compose};
use crate::copies::leg::Taken;
use crate::header_map::Pair;
use crate::host::HostKind;
use crate::metric::{Leg, Metric};
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::sentry::route::{Route, recognise};
use crate::sls::intake;
use crate::time::Millis;
use crate::worker::collect::Ticket;
use crate::worker::exchange::{Announced, Mirrored, Parts, Plan};

impl Worker {
    /// Request callback: decides what happens to a request, from its method and target.
    pub fn decide(&mut self, method: &[u8], target: &[u8]) -> Option<Plan> {
        let decision = match &self.config.rum {
            Some(rum) => decide::decide(rum, method, target),
            None => Decision::Ignore,
        };
        let rum = self.decided(Leg::Rum, decision);
        let mut sentries = Vec::new();
        for index in 0..self.config.sentries.len() {
            if let Some(sentry) = self.config.sentries.get(index) {
                let leg = Leg::Sentry(sentry.name);
                let decision = decide::decide(&sentry.copies, method, target);
                let copy = self.decided(leg, decision);
                sentries.extend(copy.map(|target| (index, target)));
            }
        }
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
        let is_wanted = rum.is_some() || sls.is_some() || !sentries.is_empty();
        is_wanted.then_some(Plan { rum, sls, sentries })
    }

    /// Where a leg's copy goes. If there is no copy, that is counted.
    fn decided(&mut self, leg: Leg, decision: Decision) -> Option<Target> {
        match decision {
            Decision::Ignore => None,
            Decision::Skip(reason, project) => {
                self.skip(leg, reason, project.map(ProjectId::get));
                None
            }
            Decision::Mirror(target) => Some(target),
        }
    }

    /// Request callback: the request is for a host that is not this Sentry's. Requests that would be ingest traffic are counted.
    pub fn other_host(&mut self, method: &[u8], target: &[u8]) {
        let Some(Route::Envelope(id) | Route::Other(id)) = recognise(method, target) else {
            return;
        };
        for place in self.legs.places() {
            self.skip(self.legs.at(place), SkipReason::Host, Some(id.get()));
        }
    }

    /// Request callback: the headers are complete. `None` if the request is marked as a copy, its body is known to be too
    /// large, or there is no room.
    pub fn begin<'a, I>(&mut self, plan: Plan, head: &Head<'a, I>) -> Option<Ticket>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let parts = self.prepare(plan, head)?;
        self.open(parts)
            .map_err(|(parts, refusal)| self.refuse(parts.wanted(), refusal))
            .ok()
    }

    /// What is needed of a request's headers. `None` if it is marked as a copy or has too many headers.
    pub(crate) fn prepare<'a, I>(&mut self, plan: Plan, head: &Head<'a, I>) -> Option<Parts>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let wanted = plan.wanted();
        let app = plan
            .sls
            .and_then(|project| decide::destination(self.config.rum.as_ref()?, project));
        let rum = plan.rum.map(|target| {
            let copy = compose(self.config.host, &target, head);
            (target, copy)
        });
        let sentries = if plan.sentries.is_empty() {
            Vec::new()
        } else {
            for_sentries(self.config.host, plan.sentries, head)
        };
        // About the request they all say the same.
        let first = sentries.first().map(|(_, composed)| composed);
        let first = rum.as_ref().or(first).map(|(_, copy)| copy);
        let oversized = match first {
            Some(copy) => copy.oversized,
            None => head.headers.clone().nth(MAX_LINES).is_some(),
        };
        if oversized {
            self.skip_all(wanted, SkipReason::TooLarge);
            return None;
        }
        let marked = match first {
            Some(copy) => copy.marked,
            None => intake::first(head.headers.clone(), MARKER.as_bytes()).is_some(),
        };
        if marked {
            self.skip_all(wanted, SkipReason::Loop);
            return None;
        }
        let omitted = first.map_or(0, |copy| copy.omitted);
        if omitted > 0 {
            for place in self.legs.places().among(wanted.places()) {
                let leg = self.legs.at(place);
                if leg.sends_copies() {
                    self.legs.count(leg, Metric::HeadersOmitted, omitted);
                }
            }
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
        let announced = match first {
            Some(copy) => Announced {
                length: copy.content_length,
                transfer_encoding: copy.transfer_encoding,
            },
            None => announced(head),
        };
        let rum = rum.map(|(target, copy)| Mirrored::new(target, copy));
        let sentries = if sentries.is_empty() {
            Vec::new()
        } else {
            mirrored(sentries)
        };
        Some(Parts {
            rum,
            sls,
            sentries,
            announced,
        })
    }

    /// Request callback: a held request has ended and no part of its body came.
    pub(crate) fn never_fed(&mut self) {
        report::never_fed(&mut self.legs.log, "rewrite");
    }

    /// Request callback: a piece of the body, of `size` bytes, which `fill` appends. Gives the ticket back unless the
    /// exchange is over, which it may have been already.
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
                self.refuse(exchange.wanted(), refusal);
                None
            }
        }
    }

    /// Request callback: the request is complete, and the primary's answer is not waited for.
    pub fn end(&mut self, ticket: Ticket, now: Millis) {
        self.end_with(ticket, now, true);
    }

    /// Request callback: the request is complete. `answered`: the primary has answered it or need not be waited for.
    /// Otherwise returns the copies that have to wait for it.
    pub(crate) fn end_with(&mut self, ticket: Ticket, now: Millis, answered: bool) -> Vec<Waiting> {
        let now = self.moment(now);
        let mut waits = Vec::new();
        let Some(exchange) = self.collecting.remove(ticket) else {
            return waits;
        };
        let collecting = self.collecting.bytes();
        let ended = exchange.into_parts(now.wall);
        if let Some(copy) = ended.rum
            && let Some((rum, mut context)) = self.legs.rum()
        {
            let project = copy.target.project;
            let taken = rum.take(copy, collecting, now.steady, answered, &mut context);
            waits.extend(self.taken(Leg::Rum, project, taken));
        }
        for (index, copy) in ended.sentries {
            let leg = self.legs.at(index.saturating_add(SENTRY));
            if let Some((copies, mut context)) = self.legs.copies(leg) {
                let project = copy.target.project;
                let taken = copies.take(copy, 0, now.steady, answered, &mut context);
                waits.extend(self.taken(leg, project, taken));
            }
        }
        if let Some(envelope) = ended.sls
            && let Some((sls, mut context)) = self.legs.sls()
        {
            sls.take(envelope, collecting, &mut context);
        }
        if !self.host().calls_in_ticks {
            self.schedule.stage = Stage::Sending;
        }
        waits
    }

    /// Handles what a leg made of a copy. Returns the copy if it waits for the primary.
    fn taken(&mut self, leg: Leg, project: u64, taken: Taken) -> Option<Waiting> {
        match taken {
            Taken::Done => None,
            Taken::Waits(copy) => Some(Waiting { leg, copy }),
            Taken::NoRoom => {
                self.tell_no_room(leg, project);
                self.publish_soon();
                None
            }
        }
    }

    /// Request callback: the request ended before it was complete.
    pub fn abort(&mut self, ticket: Ticket) {
        if let Some(exchange) = self.collecting.remove(ticket) {
            self.skip_all(exchange.wanted(), SkipReason::Aborted);
        }
    }

    /// Counts a body that is not collected.
    pub(crate) fn refuse(&mut self, wanted: Wanted, refusal: Refusal) {
        match refusal {
            Refusal::TooLarge => self.skip_all(wanted, SkipReason::TooLarge),
            Refusal::Unreadable => self.skip_all(wanted, SkipReason::Unreadable),
            Refusal::NoRoom => {
                // No leg that wants it has room for it.
                for place in self.legs.places().among(wanted.places()) {
                    self.tell_no_room(self.legs.at(place), wanted.project);
                }
                self.drop_unfinished(wanted);
            }
        }
    }

    fn skip(&mut self, leg: Leg, reason: SkipReason, project: Option<u64>) {
        if let Some((_, context)) = self.legs.caller(leg) {
            let metric = Metric::Skipped(reason);
            // Other routes are ordinary traffic under `routes: envelope`, and must cost nothing: they are counted in the next
            // publication, and cause one only now and then. So are projects without a second Sentry when others have one.
            let named = matches!(leg, Leg::Sentry(_));
            match reason {
                SkipReason::Route => context.ledger.one_quietly(metric),
                SkipReason::Unmapped if named => context.ledger.one_quietly(metric),
                _ => {
                    context.ledger.one(metric);
                    report::skipped(context.log, reason, project);
                }
            }
        }
        self.publish_soon();
    }

    pub(crate) fn skip_all(&mut self, wanted: Wanted, reason: SkipReason) {
        for place in self.legs.places().among(wanted.places()) {
            self.skip(self.legs.at(place), reason, Some(wanted.project));
        }
    }

    fn tell_no_room(&mut self, leg: Leg, project: u64) {
        let (pending, max_bytes) = self.legs.budget(leg);
        let full = report::Full {
            max_bytes,
            pending,
            collecting: self.collecting.bytes(),
        };
        report::no_room(&mut self.legs.log, leg, project, full);
    }

    /// Counts an exchange that is abandoned because there is no room.
    pub(super) fn drop_unfinished(&mut self, wanted: Wanted) {
        for place in self.legs.places().among(wanted.places()) {
            let leg = self.legs.at(place);
            if leg == Leg::Sls {
                self.legs.count(leg, Metric::Unread, 1);
            }
            for metric in [Metric::Captured, Metric::Dropped] {
                self.legs.count(leg, metric, 1);
            }
        }
        self.publish_soon();
    }
}

/// The headers of the copies for second Sentries.
// Most requests have none: kept apart so that they do not pay for it.
#[inline(never)]
fn for_sentries<'a, I>(
    host: HostKind,
    targets: Vec<(usize, Target)>,
    head: &Head<'a, I>,
) -> Vec<(usize, (Target, CopyHeaders))>
where
    I: Iterator<Item = Pair<'a>> + Clone,
{
    let copies = targets.into_iter().map(|(index, target)| {
        let copy = compose(host, &target, head);
        (index, (target, copy))
    });
    copies.collect()
}

#[inline(never)]
fn mirrored(copies: Vec<(usize, (Target, CopyHeaders))>) -> Vec<(usize, Mirrored)> {
    let copies = copies.into_iter();
    let copies = copies.map(|(index, (target, copy))| (index, Mirrored::new(target, copy)));
    copies.collect()
}

/// What the headers say about a body, if the RUM leg has not read them.
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
