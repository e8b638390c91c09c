//! `span`: a container of spans, or one alone, which has the older form; those of a transaction have it too.

use crate::sls::record::item_kind::{Entries, Finish, ItemKind};
use crate::sls::record::members::ATTRIBUTES;
use crate::sls::record::take::{Table, Take};

use Take::{Start, Text, Time, With};

pub(super) static SPAN: ItemKind = ItemKind {
    finish: Finish::DURATION,
    ..ItemKind::container(Entries {
        table: CONTAINED,
        single: Some(ALONE),
        list: None,
    })
};

const CONTAINED: Table = &[
    ("name", Text("sentry.description")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("parent_span_id", Text("sentry.parent_span_id")),
    ("status", Text("sentry.status")),
    ("is_segment", Text("sentry.is_segment")),
    ("start_timestamp", Start),
    ("end_timestamp", Time),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];

/// A span of a transaction, or alone in an item.
pub(super) const ALONE: Table = &[
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("parent_span_id", Text("sentry.parent_span_id")),
    ("op", Text("sentry.op")),
    ("description", Text("sentry.description")),
    ("status", Text("sentry.status")),
    ("origin", Text("sentry.origin")),
    ("start_timestamp", Start),
    ("timestamp", Time),
];
