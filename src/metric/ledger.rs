//! Changes that have not been published yet.
//!
//! All changes within one callback are summed up first: one host call per changed metric, and none at all in a request's
//! callbacks. Gauges are not kept here; they are computed from what is waiting when they are published.

use super::{COUNT, Leg, Metric};

/// The most quiet counts that may wait.
const QUIETLY: i64 = 64;

/// Changes that have not been published yet.
#[derive(Debug)]
pub struct Ledger {
    leg: Leg,
    deltas: [i64; COUNT],
    latencies: Vec<u64>,
    dirty: bool,
    pressing: bool,
}

impl Ledger {
    /// An empty ledger for a leg.
    #[must_use]
    pub fn new(leg: Leg) -> Self {
        Self {
            leg,
            deltas: [0; COUNT],
            latencies: Vec::new(),
            dirty: false,
            pressing: false,
        }
    }

    /// The leg it belongs to.
    #[must_use]
    pub fn leg(&self) -> Leg {
        self.leg
    }

    /// Adds to a counter.
    pub fn add(&mut self, metric: Metric, amount: i64) {
        if amount != 0 {
            self.count(metric, amount);
            self.pressing = true;
        }
    }

    /// Adds one without [pressing](Ledger::is_pressing) for publication, except for every [`QUIETLY`]th.
    pub fn one_quietly(&mut self, metric: Metric) {
        if self.count(metric, 1) >= QUIETLY {
            self.pressing = true;
        }
    }

    fn count(&mut self, metric: Metric, amount: i64) -> i64 {
        let Some(delta) = self.deltas.get_mut(metric.index()) else {
            return 0;
        };
        *delta = delta.saturating_add(amount);
        self.dirty = true;
        *delta
    }

    /// Adds one.
    pub fn one(&mut self, metric: Metric) {
        self.add(metric, 1);
    }

    /// Adds a size.
    pub fn grow(&mut self, metric: Metric, size: usize) {
        self.add(metric, i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// Keeps a sample of [`Metric::LatencyMs`].
    pub fn latency(&mut self, ms: u64) {
        self.latencies.push(ms);
        self.dirty = true;
        self.pressing = true;
    }

    /// Whether there is something that must be published without waiting for other work.
    #[must_use]
    pub fn is_pressing(&self) -> bool {
        self.pressing
    }

    /// Hands every change to `counted` and every sample to `sampled`, and forgets them.
    pub fn publish(&mut self, mut counted: impl FnMut(Metric, i64), mut sampled: impl FnMut(u64)) {
        self.pressing = false;
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        for (metric, delta) in Metric::all().zip(self.deltas.iter_mut()) {
            match std::mem::take(delta) {
                0 => {}
                amount => counted(metric, amount),
            }
        }
        self.latencies.drain(..).for_each(&mut sampled);
    }
}

#[cfg(test)]
mod tests {
    use super::Ledger;
    use crate::metric::{Leg, Metric, Series};
    use crate::outcome::SkipReason;

    #[test]
    fn changes_are_summed_and_published_once() {
        let mut ledger = Ledger::new(Leg::Rum);
        ledger.one(Metric::Skipped(SkipReason::Loop));
        ledger.grow(Metric::Bytes, 10);
        ledger.grow(Metric::Bytes, 4);
        ledger.grow(Metric::Retries, 0);
        ledger.latency(7);
        let (mut counted, mut sampled) = (Vec::new(), Vec::new());
        let name = |metric| {
            Series {
                leg: Leg::Rum,
                metric,
            }
            .name()
        };
        ledger.publish(|m, n| counted.push((name(m), n)), |ms| sampled.push(ms));
        assert_eq!(
            counted,
            [
                ("sentry_edge_mirror.rum.bytes".to_owned(), 14),
                ("sentry_edge_mirror.rum.skipped.loop".to_owned(), 1)
            ]
        );
        assert_eq!(sampled, [7]);
        assert!(!ledger.is_pressing());
        ledger.publish(|_, _| unreachable!(), |_| unreachable!());
    }
}
