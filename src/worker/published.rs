//! The metrics of a leg: its counters, and its gauges as the host knows them.

use crate::effect::Effect;
use crate::metric::{GAUGES, Gauges, Ledger, Leg, Series};
use std::collections::VecDeque;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct PublishedMetrics {
    pub(super) ledger: Ledger,
    /// `None` before the first publication: on nginx an instance inherits the gauges of the one before it.
    published: Option<Gauges>,
}

impl PublishedMetrics {
    pub(super) fn new(leg: Leg) -> Self {
        Self {
            ledger: Ledger::new(leg),
            published: None,
        }
    }

    /// Whose metrics these are.
    pub(super) fn leg(&self) -> Leg {
        self.ledger.leg()
    }

    /// The gauges as the host knows them.
    pub(super) fn known(&self) -> Gauges {
        self.published.unwrap_or_default()
    }

    /// Whether the host's gauges differ from these.
    pub(super) fn is_stale(&self, gauges: Gauges) -> bool {
        // One by one: the whole would be compared byte by byte, in every request.
        let known = self.published.iter().flatten();
        let differ = known.zip(&gauges).any(|(known, gauge)| known != gauge);
        differ || self.published.is_none()
    }

    /// Publishes gauges, counters and samples in one go, so that they add up for whoever reads them.
    pub(super) fn publish(
        &mut self,
        sets_gauges: bool,
        gauges: Gauges,
        effects: &mut VecDeque<Effect<'static>>,
    ) {
        let leg = self.leg();
        let before = self.published.replace(gauges);
        let known = before.unwrap_or_default();
        for ((metric, value), known) in GAUGES.into_iter().zip(gauges).zip(known) {
            let inherited = before.is_none() && sets_gauges;
            if value == known && !inherited {
                continue;
            }
            let series = Series { leg, metric };
            let [value, known] = [value, known].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
            effects.push_back(if sets_gauges {
                Effect::Set(series, value.unsigned_abs())
            } else {
                Effect::Add(series, value.saturating_sub(known))
            });
        }
        let mut latencies = Vec::new();
        self.ledger.publish(
            |metric, amount| effects.push_back(Effect::Add(Series { leg, metric }, amount)),
            |ms| latencies.push(Effect::Latency(leg, ms)),
        );
        effects.extend(latencies);
    }
}
