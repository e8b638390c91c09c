//! `profile`, `profile_chunk`, and `profile_chunk_ui`, as which some SDKs sent the latter: ids and names, never the samples.
//!
//! A chunk with a `meta_length` is JSON of that length, and then a trace in a format of its own (Perfetto).

use crate::sls::record::item_kind::{ItemKind, Reads};
use crate::sls::record::members::SDK;
use crate::sls::record::take::{Table, Take};

use Take::{Fill, Id, In, Text, Time};

pub(super) static PROFILE: ItemKind = ItemKind::metadata(TABLE);

pub(super) static CHUNK: ItemKind = ItemKind {
    reads: Reads::HeadOrObject,
    ..ItemKind::metadata(TABLE)
};

const TABLE: Table = &[
    ("event_id", Id("sentry.profile_id")),
    ("profile_id", Id("sentry.profile_id")),
    ("chunk_id", Text("sentry.profile_chunk_id")),
    ("profiler_id", Text("sentry.profiler_id")),
    ("platform", Text("sentry.platform")),
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("timestamp", Time),
    ("client_sdk", In(SDK)),
    ("transaction", In(PROFILED)),
];

const PROFILED: Table = &[
    ("name", Text("sentry.transaction")),
    ("trace_id", Text("trace_id")),
    ("id", Fill("event_id")),
];
