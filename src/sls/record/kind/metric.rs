//! `trace_metric`: a container of values, or one of them.
//!
//! The old kinds of metrics (`statsd`, `metric_buckets`, `metric_meta`) are not taken apart.

use crate::sls::record::item_kind::{Entries, ItemKind};
use crate::sls::record::members::ATTRIBUTES;
use crate::sls::record::take::{Table, Take};

use Take::{Text, Time, With};

pub(super) static METRIC: ItemKind = ItemKind::container(Entries {
    table: VALUE,
    single: Some(VALUE),
    list: None,
});

const VALUE: Table = &[
    ("timestamp", Time),
    ("name", Text("sentry.metric.name")),
    ("type", Text("sentry.metric.type")),
    ("value", Text("sentry.metric.value")),
    ("unit", Text("sentry.metric.unit")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];
