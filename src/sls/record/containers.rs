//! The tables of items that give a record per entry: the containers `log`, `trace_metric` and `span` (`{"items":[...]}`),
//! `sessions` (`aggregates`) and `client_report` (`discarded_events` and its likes).
//!
//! A container's item without `items` is an entry itself (a single span, a log of the early days). One with no entry at
//! all gives one record, which says so.

use super::take::{Table, Take};

use Take::{Fill, In, List, Start, Text, Time, With};

/// Attributes that have a field of their own; each is `{"value": ..., "type": ...}`.
const ATTRIBUTES: Table = &[
    ("sentry.release", In(&[("value", Text("app.version"))])),
    ("sentry.environment", In(&[("value", Text("app.env"))])),
    ("sentry.sdk.name", In(&[("value", Text("sentry.sdk.name"))])),
    (
        "sentry.sdk.version",
        In(&[("value", Text("sentry.sdk.version"))]),
    ),
    ("sentry.op", In(&[("value", Text("sentry.op"))])),
    ("sentry.origin", In(&[("value", Text("sentry.origin"))])),
    (
        "sentry.segment.name",
        In(&[("value", Text("sentry.transaction"))]),
    ),
    (
        "sentry.trace.parent_span_id",
        In(&[("value", Fill("sentry.parent_span_id"))]),
    ),
    (
        "server.address",
        In(&[("value", Text("sentry.server_name"))]),
    ),
    ("logger.name", In(&[("value", Text("sentry.logger"))])),
    ("user.id", In(&[("value", Text("user.id"))])),
    ("user.name", In(&[("value", Text("user.name"))])),
    ("os.name", In(&[("value", Text("os.type"))])),
    ("os.version", In(&[("value", Text("os.version"))])),
    ("browser.name", In(&[("value", Text("os.container"))])),
    (
        "browser.version",
        In(&[("value", Text("os.container_version"))]),
    ),
];

pub(super) const LOG: Table = &[
    ("timestamp", Time),
    ("level", Text("sentry.level")),
    ("severity_number", Text("sentry.severity_number")),
    ("body", Text("sentry.message")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];

pub(super) const METRIC: Table = &[
    ("timestamp", Time),
    ("name", Text("sentry.metric.name")),
    ("type", Text("sentry.metric.type")),
    ("value", Text("sentry.metric.value")),
    ("unit", Text("sentry.metric.unit")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];

pub(super) const SPAN_V2: Table = &[
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

pub(super) const CONTAINER: Table = &[("items", List("items"))];

/// What a session and a list of aggregates say of the application.
pub(super) const SESSION_ATTRIBUTES: Table = &[
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("user_agent", Text("sentry.user_agent")),
];

pub(super) const SESSIONS: Table = &[
    ("aggregates", List("aggregates")),
    ("attrs", In(SESSION_ATTRIBUTES)),
];

pub(super) const AGGREGATE: Table = &[
    ("started", Time),
    ("did", Text("user.id")),
    ("exited", Text("sentry.session.exited")),
    ("errored", Text("sentry.session.errored")),
    ("abnormal", Text("sentry.session.abnormal")),
    ("unhandled", Text("sentry.session.unhandled")),
    ("crashed", Text("sentry.session.crashed")),
];

pub(super) const CLIENT_REPORT: Table = &[
    ("timestamp", Time),
    ("discarded_events", List("discarded_events")),
    ("rate_limited_events", List("rate_limited_events")),
    ("filtered_events", List("filtered_events")),
    ("filtered_sampling_events", List("filtered_sampling_events")),
];

pub(super) const DISCARD: Table = &[
    ("reason", Text("sentry.discard.reason")),
    ("category", Text("sentry.discard.category")),
    ("quantity", Text("sentry.discard.quantity")),
];
