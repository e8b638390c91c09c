//! Numbers by series; what nobody has touched is 0.

use sentry_edge_mirror::metric::{Leg, Series};
use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

/// See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books(BTreeMap<(Leg, usize), i64>);

impl Books {
    /// All the numbers.
    pub fn values(&self) -> impl Iterator<Item = &i64> {
        self.0.values()
    }
}

fn key(series: Series) -> (Leg, usize) {
    (series.leg, series.metric.index())
}

impl Index<Series> for Books {
    type Output = i64;

    fn index(&self, series: Series) -> &i64 {
        self.0.get(&key(series)).unwrap_or(&0)
    }
}

impl IndexMut<Series> for Books {
    fn index_mut(&mut self, series: Series) -> &mut i64 {
        self.0.entry(key(series)).or_default()
    }
}
