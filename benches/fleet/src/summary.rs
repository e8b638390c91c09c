//! What came of it, by leg.

use crate::edge::Edge;
use crate::fleet::Size;
use crate::measure::{Measure, Seen};
use sentry_edge_mirror::metric::{Leg, Metric};

/// Of one leg.
#[derive(Clone, Copy, Debug, Default)]
pub struct Summary {
    /// Requests, each of which is a copy and a log.
    pub offered: u64,
    /// Of these, during the outage.
    pub in_outage: u64,
    /// Taken by the target, as the edges count it.
    pub delivered: u64,
    /// Taken by the target, as the target counts it; and once more.
    pub taken: u64,
    /// See above.
    pub doubles: u64,
    /// Attempts or age used up.
    pub failed: u64,
    /// The budget had no room.
    pub dropped: u64,
    /// Neither: it is still pending.
    pub pending: u64,
    /// Calls.
    pub attempts: u64,
    /// Calls in the busiest second of the outage, times those of an ordinary one.
    pub outage_calls: f64,
    /// From the end of the outage until the last request from before it was taken, in seconds; and half of them.
    pub until_all_s: f64,
    /// See above.
    pub until_half_s: f64,
    /// The target's load, as a part of its quota: on average before the outage,
    pub usual: f64,
    /// in the first second after it,
    pub first: f64,
    /// and in the busiest one after it.
    pub peak: f64,
    /// Of the calls after the outage, those that a quota refused.
    pub refused: f64,
}

/// Both legs.
#[must_use]
pub fn of(edges: &[Edge], measure: &Measure, size: Size) -> [Summary; 2] {
    let sls_load = measure.sls_load();
    [
        leg(
            Leg::Rum,
            edges,
            measure,
            &measure.rum,
            &measure.rum.load,
            size,
        ),
        leg(Leg::Sls, edges, measure, &measure.sls, &sls_load, size),
    ]
}

fn leg(
    leg: Leg,
    edges: &[Edge],
    measure: &Measure,
    seen: &Seen,
    load: &[f64],
    size: Size,
) -> Summary {
    let count = |metric| {
        let sum: i64 = edges.iter().map(|edge| edge.count(leg, metric)).sum();
        u64::try_from(sum).unwrap_or(0)
    };
    let second = |ms: u64| usize::try_from(ms / 1_000).unwrap_or(0);
    let (begin, end) = (second(size.before_ms), second(size.end()));
    let outage = size.before_ms..size.end();
    let offered = &measure.offered;
    let mut late: Vec<u64> = offered
        .iter()
        .zip(&seen.when)
        .filter(|(came, _)| **came < size.end())
        .filter_map(|(_, when)| when.filter(|when| *when >= size.end()))
        .map(|when| when - size.end())
        .collect();
    late.sort_unstable();
    let seconds = |ms: Option<&u64>| ms.map_or(0.0, |ms| *ms as f64 / 1_000.0);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    let calls: Vec<f64> = seen.attempts.iter().map(|calls| *calls as f64).collect();
    let (after, refused) = (&seen.attempts[end..], &seen.refusals[end..]);
    let usual_calls = mean(&calls[begin / 2..begin]).max(f64::MIN_POSITIVE);
    Summary {
        offered: offered.len() as u64,
        in_outage: offered.iter().filter(|came| outage.contains(came)).count() as u64,
        delivered: count(Metric::Delivered),
        taken: seen.distinct(),
        doubles: seen.doubles,
        failed: count(Metric::Failed),
        dropped: count(Metric::Dropped),
        pending: count(Metric::Pending)
            + if leg == Leg::Sls {
                count(Metric::Queued)
            } else {
                0
            },
        attempts: count(Metric::Attempts),
        outage_calls: most(&calls[begin..end]) / usual_calls,
        until_all_s: seconds(late.last()),
        until_half_s: seconds(late.get(late.len() / 2)),
        usual: mean(&load[begin / 2..begin]),
        first: load[end],
        peak: most(&load[end..]),
        refused: refused.iter().sum::<u64>() as f64 / after.iter().sum::<u64>().max(1) as f64,
    }
}
