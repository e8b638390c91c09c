//! `log`: a container of log lines, or one of the early days.

use crate::sls::record::item_kind::{Entries, ItemKind};
use crate::sls::record::members::ATTRIBUTES;
use crate::sls::record::take::{Table, Take};

use Take::{Text, Time, With};

pub(super) static LOG: ItemKind = ItemKind::container(Entries {
    table: LINE,
    single: Some(LINE),
    list: None,
});

const LINE: Table = &[
    ("timestamp", Time),
    ("level", Text("sentry.level")),
    ("severity_number", Text("sentry.severity_number")),
    ("body", Text("sentry.message")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];
