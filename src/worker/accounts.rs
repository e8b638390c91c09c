//! The instance's account, and how the accounts of instances that are gone are booked: see [`account`](crate::worker::account).
//!
//! What an instance held when it ended is lost: dropped, or in mode `sign` aborted and unanswered. Only what the host was
//! told is booked. What was counted after the last publication died with the instance, and is missing from the counters too.
//! So the host's books add up to what they said before.
//!
//! An instance that only stalled is taken for dead too. It goes on with what it has, which is not lost after all, but a counter
//! cannot go down. So the instance adds to its gauges again what was taken from them, and counts it as captured once more.
//! Whatever is then delivered, failed or dropped has its counterpart, and nothing is thrown away for the sake of a number.

use super::Worker;
use super::drain::Life;
use super::legs::Legs;
use crate::effect::Effect;
use crate::log::Level;
use crate::metric::{Leg, Metric, Series};
use crate::time::earliest;
use crate::worker::account::{BEAT_MS, Held, ORPHAN_MS, Store};

impl Worker {
    /// After the effects of each root callback: keeps the account and watches the others. `true` if there are more effects
    /// now.
    pub fn keep_account(&mut self, store: &mut impl Store) -> bool {
        // The effects have been carried out, so the time is known.
        let now = self.clock.last().steady;
        if !self.publisher.account.wants(now) {
            return false;
        }
        if let Some(taken) = self.publisher.account.keep(now, store) {
            self.reclaim(&taken);
        }
        if self.drain.life == Life::Serving {
            let orphans = self.publisher.account.look(now, store);
            self.bury(&orphans, store);
        }
        let dues = [
            self.publisher.account.due(now),
            self.publisher.account.again(now),
        ];
        if self.drain.life != Life::Over
            && let Some(due) = earliest(dues)
        {
            let period = self.publisher.ticker.hurry(now, due);
            self.publisher.effects.extend(period.map(Effect::SetTick));
        }
        !self.publisher.effects.is_empty()
    }

    /// Books what other instances held when they ended.
    fn bury(&mut self, orphans: &[Held], store: &mut impl Store) {
        if orphans.is_empty() {
            return;
        }
        let mut held = Held::default();
        for orphan in orphans {
            held.add(orphan);
        }
        for (series, amount) in held.iter() {
            // Metrics that no instance defines any more are gone, and their books with them. No gauge goes below 0.
            let amount = to_i64(amount).min(store.gauge(series).map_or(0, to_i64));
            self.count(series.leg, series.metric, amount.saturating_neg());
            for metric in lost(series) {
                self.count(series.leg, *metric, amount);
            }
        }
        let copies = held.copies().saturating_add(held.undecided());
        let logs = held.of(Leg::Sls, Metric::Pending);
        let unread = held.of(Leg::Sls, Metric::Queued);
        let writes = [Metric::Pending, Metric::InFlight].map(|metric| held.of(Leg::Sign, metric));
        let writes = writes.into_iter().fold(0, usize::saturating_add);
        let (instances, seconds) = (orphans.len(), ORPHAN_MS / 1_000);
        let line = format!(
            "{instances} instances of this module ended with work to do (a new .wasm file, other environment variables, a trap), {seconds} s ago: {copies} copies, {logs} logs, {unread} unread envelopes and {writes} signed writes that they held are lost, and now counted"
        );
        self.publisher
            .effects
            .push_back(Effect::Log(Level::Error, line));
    }

    /// Another instance has booked this as lost.
    fn reclaim(&mut self, taken: &Held) {
        for (series, amount) in taken.iter() {
            let amount = to_i64(amount);
            self.count(series.leg, series.metric, amount);
            for metric in found(series) {
                self.count(series.leg, *metric, amount);
            }
        }
        let copies = taken.copies();
        let logs = taken.of(Leg::Sls, Metric::Pending);
        let seconds = ORPHAN_MS.saturating_sub(BEAT_MS) / 1_000;
        let line = format!(
            "this worker stood still for more than {seconds} s, and another has counted what it holds as lost: {copies} copies and {logs} logs are not lost, and are counted as captured once more"
        );
        self.publisher
            .effects
            .push_back(Effect::Log(Level::Warn, line));
    }

    fn count(&mut self, leg: Leg, metric: Metric, amount: i64) {
        if amount != 0 {
            let series = Series { leg, metric };
            self.publisher
                .effects
                .push_back(Effect::Add(series, amount));
        }
    }
}

/// What the gauges have added at the host.
pub(super) fn held(legs: &Legs) -> Held {
    let mut held = Held::default();
    for leg in legs.names() {
        if let Some((_, metrics)) = legs.get(leg) {
            held.set(leg, metrics.known());
        }
    }
    held
}

/// The counters for what leaves a gauge because it is lost.
fn lost(gauge: Series) -> &'static [Metric] {
    match (gauge.leg, gauge.metric) {
        (Leg::Sign, Metric::Pending) => &[Metric::Aborted],
        (Leg::Sign, Metric::InFlight) => &[Metric::Unanswered],
        (_, Metric::Pending) => &[Metric::Dropped],
        (Leg::Rum | Leg::Sentry(_), Metric::Queued) => &[Metric::Captured, Metric::Dropped],
        (Leg::Sls, Metric::Queued) => &[Metric::Unread, Metric::Captured, Metric::Dropped],
        _ => &[],
    }
}

/// The counters for what comes back to a gauge. Envelopes that have not been read are not counted yet.
fn found(gauge: Series) -> &'static [Metric] {
    match (gauge.leg, gauge.metric) {
        (Leg::Sign, Metric::Pending) => &[Metric::Received],
        (Leg::Sign, Metric::InFlight) => &[Metric::Received, Metric::Signed],
        (_, Metric::Pending) => &[Metric::Captured],
        _ => &[],
    }
}

fn to_i64(amount: impl TryInto<i64>) -> i64 {
    amount.try_into().unwrap_or(i64::MAX)
}
