//! Items of which only the metadata are kept: attachments, profiles, recordings, and types that nobody knows yet.

use super::event::SDK;
use super::take::{Table, Take};

use Take::{Fill, Id, In, Text, Time};

/// `profile`, `profile_chunk`: ids and names.
pub(super) const PROFILE: Table = &[
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

/// The first line of a `replay_recording`.
pub(super) const RECORDING: Table = &[("segment_id", Text("sentry.segment_id"))];
