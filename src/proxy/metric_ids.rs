//! The host's ids for the metrics, by leg.

use super::host;
use crate::metric::{COUNT, Leg, Series};

/// See the module's documentation.
#[derive(Default)]
pub(super) struct MetricIds(Vec<(Leg, [Option<u32>; COUNT])>);

impl MetricIds {
    /// Gets the ids of a leg's metrics.
    pub(super) fn define(&mut self, leg: Leg) {
        let mut ids = [None; COUNT];
        for series in Series::of(leg) {
            if let Some(id) = ids.get_mut(series.metric.index()) {
                *id = host::define_metric(series.metric.kind(), &series.name());
            }
        }
        self.0.retain(|(known, _)| *known != leg);
        self.0.push((leg, ids));
    }

    /// The id of a metric, if the host has given one.
    pub(super) fn get(&self, series: Series) -> Option<u32> {
        let (_, ids) = self.0.iter().find(|(leg, _)| *leg == series.leg)?;
        ids.get(series.metric.index()).copied().flatten()
    }
}
