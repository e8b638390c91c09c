//! Metrics as the two hosts keep them, by name.
//!
//! Envoy (`Context::incrementMetric` and friends): every definition gets a new id, the low two bits are the kind; a
//! counter takes only positive offsets, a gauge takes negative ones and may go below zero (it wraps there; here it is
//! shown as a negative number). nginx (`ngx_wa_metrics.c`): the id is made from the name, the workers share the values,
//! counters are incremented, gauges and histograms are recorded, everything else traps.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::instance::Host;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(super) fn from_abi(kind: u32) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram]
            .get(kind as usize)
            .copied()
    }
}

#[derive(Debug)]
pub(super) struct Metric {
    pub(super) kind: Kind,
    pub(super) value: i64,
    pub(super) samples: Vec<u64>,
}

/// Metrics outlive an instance: they belong to the process, so several instances may share them.
#[derive(Clone, Default)]
pub(super) struct Metrics(Rc<RefCell<Registry>>);

#[derive(Default)]
struct Registry {
    by_name: BTreeMap<String, Metric>,
    ids: BTreeMap<u32, String>,
}

impl Metrics {
    pub(super) fn define(&self, kind: Kind, name: &[u8], unique: bool) -> u32 {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut registry = self.0.borrow_mut();
        let known = registry
            .ids
            .iter()
            .find(|(_, known)| **known == name)
            .map(|(id, _)| *id);
        let id = match known {
            Some(id) if unique => id,
            _ => (registry.ids.len() as u32 + 1) * 4 + kind as u32,
        };
        registry.by_name.entry(name.clone()).or_insert(Metric {
            kind,
            value: 0,
            samples: Vec::new(),
        });
        registry.ids.insert(id, name);
        id
    }

    /// `None` when the id is unknown.
    pub(super) fn with<T>(&self, id: u32, act: impl FnOnce(&mut Metric) -> T) -> Option<T> {
        let registry = &mut *self.0.borrow_mut();
        registry.by_name.get_mut(registry.ids.get(&id)?).map(act)
    }
}

impl Host {
    /// Value of a counter or gauge. An undefined name fails the test: a misspelt metric must not read as 0.
    pub fn metric(&self, name: &str) -> i64 {
        self.find_metric(name)
            .unwrap_or_else(|| panic!("metric {name:?} was never defined: {:#?}", self.metrics()))
    }

    /// Value of a counter or gauge, `None` when it was never defined.
    pub fn find_metric(&self, name: &str) -> Option<i64> {
        self.state()
            .metrics
            .0
            .borrow()
            .by_name
            .get(name)
            .map(|metric| metric.value)
    }

    /// The recorded samples of a histogram.
    pub fn samples(&self, name: &str) -> Vec<u64> {
        let registry = self.state().metrics.0.borrow();
        registry
            .by_name
            .get(name)
            .map(|metric| metric.samples.clone())
            .unwrap_or_default()
    }

    /// Counters and gauges by name.
    pub fn metrics(&self) -> BTreeMap<String, i64> {
        let registry = self.state().metrics.0.borrow();
        let plain = registry
            .by_name
            .iter()
            .filter(|(_, metric)| metric.kind != Kind::Histogram);
        plain
            .map(|(name, metric)| (name.clone(), metric.value))
            .collect()
    }
}
