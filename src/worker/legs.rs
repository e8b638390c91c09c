//! The configured legs, each with its metrics, and what they share: the log and the jitter.

use super::published::PublishedMetrics;
use super::signing::Signer;
use super::wanted::{Places, RUM, SENTRY, SIGN, SLS};
use crate::config::Config;
use crate::copies::leg::{CopyLeg, MAX_ACTIVE, MAX_ACTIVE_SECOND};
use crate::copies::scrub::Scrub;
use crate::copies::settings::Copies;
use crate::delivery::backoff::Jitter;
use crate::delivery::caller::{Caller, Context};
use crate::delivery::outbox::Policy;
use crate::effect::Effect;
use crate::log::RateLimitedLog;
use crate::metric::{Leg, Metric, TargetName};
use crate::sls::leg::SlsLeg;
use crate::sls::record::ItemScrubber;
use crate::time::{Millis, Moment, earliest};
use std::collections::VecDeque;

/// A leg and its metrics.
#[derive(Debug)]
pub(super) struct Counted<L> {
    pub(super) leg: L,
    pub(super) metrics: PublishedMetrics,
}

impl<L: Caller> Counted<L> {
    fn new(leg: L, name: Leg) -> Self {
        Self {
            leg,
            metrics: PublishedMetrics::new(name),
        }
    }

    fn publish(&mut self, sets: bool, collecting: usize, effects: &mut VecDeque<Effect<'static>>) {
        let gauges = self.leg.gauges(collecting);
        self.metrics.publish(sets, gauges, effects);
    }
}

// Functions here marked `inline(never)` have many callers; inlined, they would bloat the module.
/// The larger legs are behind a pointer: most configurations do not have them.
#[derive(Debug)]
pub(super) struct Legs {
    pub(super) rum: Option<Counted<CopyLeg>>,
    pub(super) sls: Option<Box<Counted<SlsLeg>>>,
    /// Mode `sign`.
    pub(super) sign: Option<Box<Counted<Signer>>>,
    /// The second Sentries, in the order of the configuration.
    pub(super) sentries: Vec<Counted<CopyLeg>>,
    /// The places of the legs: [`at`](Self::at) says which leg has which.
    places: Places,
    pub(super) log: RateLimitedLog,
    jitter: Jitter,
}

/// How many calls may be without an answer: in all, and per leg. RUM and SLS have half of them each; a second Sentry has its
/// own, unless all share one set of slots.
pub(super) fn max_calls(config: &Config) -> (usize, usize) {
    let shared =
        usize::from(config.rum.is_some()).saturating_add(usize::from(config.sls.is_some()));
    let limit = config.limits.max_in_flight;
    if config.host.traits().calls_in_ticks {
        let all = limit.min(config.lanes.into());
        let legs = shared.saturating_add(config.sentries.len());
        // A few, but not all when there are two legs: a leg that hangs leaves the other one a slot.
        return (all, all.div_ceil(legs.max(1)));
    }
    (
        limit,
        if shared > 1 {
            (limit / 2).max(1)
        } else {
            limit
        },
    )
}

/// A leg of copies with these bounds.
fn copy_leg(
    config: &Config,
    copies: &Copies,
    max_active: usize,
    max_bytes: usize,
    max_in_flight: usize,
) -> CopyLeg {
    let policy = Policy {
        max_bytes,
        max_held_bytes: max_bytes.saturating_sub(max_bytes / 4),
        shares: copies.targets,
        max_in_flight,
        max_attempts: config.retry.max_attempts,
        backoff: config.retry.backoff,
        max_age_ms: config.retry.max_age_ms,
        retry_ambiguous: config.retry.ambiguous,
    };
    let decoded = config.limits.max_decoded_bytes;
    let scrubber = copies
        .scrubs()
        .then(|| ItemScrubber::new(&copies.scrub_keys));
    let scrub = scrubber.map(|scrubber| Box::new(scrubber) as Box<dyn Scrub>);
    CopyLeg::new(copies, policy, max_active, decoded, scrub)
}

impl Legs {
    pub(super) fn new(config: &Config, seed: u64) -> Self {
        let (max_bytes, (_, max_in_flight)) = (config.leg_bytes(), max_calls(config));
        let rum = config.rum.as_ref().map(|rum| {
            let leg = copy_leg(config, rum, MAX_ACTIVE, max_bytes, max_in_flight);
            Counted::new(leg, Leg::Rum)
        });
        let sentries = config.sentries.iter().map(|sentry| {
            let most = if config.host.traits().calls_in_ticks {
                max_in_flight.min(sentry.max_in_flight)
            } else {
                sentry.max_in_flight
            };
            let bytes = sentry.max_pending_bytes;
            let leg = copy_leg(config, &sentry.copies, MAX_ACTIVE_SECOND, bytes, most);
            Counted::new(leg, Leg::Sentry(sentry.name))
        });
        let sentries: Vec<_> = sentries.collect();
        let sls = config.sls.clone().map(|sls| {
            let decoded = config.limits.max_decoded_bytes;
            let leg = SlsLeg::new(sls, max_bytes, max_in_flight, decoded, seed);
            Box::new(Counted::new(leg, Leg::Sls))
        });
        let sign = config.sign.clone().map(|sign| {
            let signer = Signer::new(sign, config.limits.max_pending_bytes, seed);
            Box::new(Counted::new(signer, Leg::Sign))
        });
        let places = Places::default()
            .with(RUM, rum.is_some())
            .with(SLS, sls.is_some())
            .with(SIGN, sign.is_some());
        let after = (SENTRY..).take(sentries.len());
        Self {
            places: after.fold(places, |places, place| places.with(place, true)),
            rum,
            sls,
            sign,
            sentries,
            log: RateLimitedLog::default(),
            jitter: Jitter::new(seed),
        }
    }

    /// The places of the legs.
    pub(super) fn places(&self) -> Places {
        self.places
    }

    /// The leg at a place.
    pub(super) fn at(&self, place: usize) -> Leg {
        match place {
            RUM => Leg::Rum,
            SLS => Leg::Sls,
            _ => {
                let index = place.checked_sub(SENTRY);
                let sentry = index.and_then(|index| self.sentries.get(index));
                sentry.map_or(Leg::Sign, |sentry| sentry.metrics.leg())
            }
        }
    }

    /// All configured legs.
    pub(super) fn names(&self) -> impl Iterator<Item = Leg> {
        self.places().map(|place| self.at(place))
    }

    /// Bytes pending in the legs that share this leg's budget, and that budget.
    pub(super) fn budget(&self, leg: Leg) -> (usize, usize) {
        match leg {
            Leg::Sls => self.sls.as_ref().map(|sls| sls.leg.budget()),
            Leg::Rum | Leg::Sign => self.rum.as_ref().map(|rum| rum.leg.budget()),
            Leg::Sentry(name) => self.sentry(name).map(|sentry| sentry.leg.budget()),
        }
        .unwrap_or_default()
    }

    fn sentry(&self, name: TargetName) -> Option<&Counted<CopyLeg>> {
        let is_it = |sentry: &&Counted<CopyLeg>| sentry.metrics.leg() == Leg::Sentry(name);
        self.sentries.iter().find(is_it)
    }

    /// A leg of copies, and what it uses of the worker.
    pub(super) fn copies(&mut self, leg: Leg) -> Option<(&mut CopyLeg, Context<'_>)> {
        let counted = match leg {
            Leg::Rum => self.rum.as_mut(),
            Leg::Sls | Leg::Sign => None,
            Leg::Sentry(_) => {
                let mut sentries = self.sentries.iter_mut();
                sentries.find(|sentry| sentry.metrics.leg() == leg)
            }
        };
        Some(with(counted?, &mut self.log, &mut self.jitter))
    }

    /// A leg and its metrics.
    #[inline(never)]
    pub(super) fn get(&self, leg: Leg) -> Option<(&dyn Caller, &PublishedMetrics)> {
        match leg {
            Leg::Rum => self.rum.as_ref().map(|rum| (&rum.leg as _, &rum.metrics)),
            Leg::Sls => self.sls.as_ref().map(|sls| (&sls.leg as _, &sls.metrics)),
            Leg::Sign => self
                .sign
                .as_ref()
                .map(|sign| (&sign.leg as _, &sign.metrics)),
            Leg::Sentry(name) => self
                .sentry(name)
                .map(|sentry| (&sentry.leg as _, &sentry.metrics)),
        }
    }

    /// A leg, and what it uses of the worker.
    #[inline(never)]
    pub(super) fn caller(&mut self, leg: Leg) -> Option<(&mut dyn Caller, Context<'_>)> {
        match leg {
            Leg::Rum => self.rum().map(|(rum, context)| (rum as _, context)),
            Leg::Sentry(_) => self
                .copies(leg)
                .map(|(copies, context)| (copies as _, context)),
            Leg::Sls => self.sls().map(|(sls, context)| (sls as _, context)),
            Leg::Sign => self
                .signer()
                .map(|(signer, context)| (signer as _, context)),
        }
    }

    /// The RUM leg, and what it uses of the worker.
    pub(super) fn rum(&mut self) -> Option<(&mut CopyLeg, Context<'_>)> {
        Some(with(self.rum.as_mut()?, &mut self.log, &mut self.jitter))
    }

    /// The SLS leg, and what it uses of the worker.
    pub(super) fn sls(&mut self) -> Option<(&mut SlsLeg, Context<'_>)> {
        Some(with(self.sls.as_mut()?, &mut self.log, &mut self.jitter))
    }

    /// Mode `sign`, and what it uses of the worker.
    pub(super) fn signer(&mut self) -> Option<(&mut Signer, Context<'_>)> {
        Some(with(self.sign.as_mut()?, &mut self.log, &mut self.jitter))
    }

    /// All configured legs.
    pub(super) fn all(&self) -> impl Iterator<Item = (&dyn Caller, &PublishedMetrics)> {
        self.names().filter_map(|leg| self.get(leg))
    }

    /// Adds to a counter of a leg.
    #[inline(never)]
    pub(super) fn count(&mut self, leg: Leg, metric: Metric, amount: usize) {
        if let Some((_, context)) = self.caller(leg) {
            context.ledger.grow(metric, amount);
        }
    }

    /// Publishes everything that has changed, in one go.
    pub(super) fn publish(
        &mut self,
        sets: bool,
        collecting: usize,
        effects: &mut VecDeque<Effect<'static>>,
    ) {
        if let Some(rum) = &mut self.rum {
            rum.publish(sets, collecting, effects);
        }
        if let Some(sls) = &mut self.sls {
            sls.publish(sets, collecting, effects);
        }
        if let Some(sign) = &mut self.sign {
            sign.publish(sets, collecting, effects);
        }
        for sentry in &mut self.sentries {
            sentry.publish(sets, collecting, effects);
        }
    }

    /// Whether something was counted that must be published without waiting for other work.
    pub(super) fn is_pressing(&self) -> bool {
        // Runs in every request: no detours.
        let rum = self.rum.as_ref();
        let (sls, sign) = (self.sls.as_ref(), self.sign.as_ref());
        rum.is_some_and(|rum| rum.metrics.ledger.is_pressing())
            || sls.is_some_and(|sls| sls.metrics.ledger.is_pressing())
            || sign.is_some_and(|sign| sign.metrics.ledger.is_pressing())
            || self
                .sentries
                .iter()
                .any(|sentry| sentry.metrics.ledger.is_pressing())
    }

    /// Whether the host's gauges differ from these.
    pub(super) fn is_stale(&self, collecting: usize) -> bool {
        fn differs<L: Caller>(counted: &Counted<L>, collecting: usize) -> bool {
            counted.metrics.is_stale(counted.leg.gauges(collecting))
        }
        let rum = self.rum.as_ref();
        let (sls, sign) = (self.sls.as_ref(), self.sign.as_ref());
        rum.is_some_and(|rum| differs(rum, collecting))
            || sls.is_some_and(|sls| differs(sls, collecting))
            || sign.is_some_and(|sign| differs(sign, collecting))
            || self
                .sentries
                .iter()
                .any(|sentry| differs(sentry, collecting))
    }

    /// When a leg next has something to do.
    pub(super) fn due(&self, now: Moment) -> Option<Millis> {
        let rum = self.rum.as_ref().and_then(|rum| rum.leg.due(now));
        let sls = self.sls.as_ref().and_then(|sls| sls.leg.due(now));
        let sign = self.sign.as_ref().and_then(|sign| sign.leg.due(now));
        let sentries = self.sentries.iter();
        let sentries = sentries.filter_map(|sentry| sentry.leg.due(now)).min();
        earliest([rum, sls, sign, sentries])
    }

    /// The leg that is waiting for the answer to a call.
    pub(super) fn waits_for(&self, token: u32) -> Option<Leg> {
        // Nearly every answer is for the first one.
        let waits = |leg: &CopyLeg| leg.answer_bytes(token, None).is_some();
        if self.rum.as_ref().is_some_and(|rum| waits(&rum.leg)) {
            return Some(Leg::Rum);
        }
        let waits = |caller: &dyn Caller| caller.answer_bytes(token, None).is_some();
        let is_it = |leg: &Leg| self.get(*leg).is_some_and(|(caller, _)| waits(caller));
        self.names().find(is_it)
    }

    /// Calls without an answer, over all legs.
    pub(super) fn calls(&self, now: Millis) -> usize {
        let calls = self.all().map(|(caller, _)| caller.calls(now));
        calls.fold(0, usize::saturating_add)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.all().all(|(caller, _)| caller.is_idle())
    }
}

fn with<'a, L>(
    counted: &'a mut Counted<L>,
    log: &'a mut RateLimitedLog,
    jitter: &'a mut Jitter,
) -> (&'a mut L, Context<'a>) {
    let ledger = &mut counted.metrics.ledger;
    (
        &mut counted.leg,
        Context {
            ledger,
            log,
            jitter,
        },
    )
}
