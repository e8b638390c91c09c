//! Tables of members that items of several kinds have in the same form.
//!
//! What only one kind has is in that kind's file.

use super::take::{Table, Take};

use Take::{Fill, Id, In, Text};

pub(super) const SDK: Table = &[
    ("name", Text("sentry.sdk.name")),
    ("version", Text("sentry.sdk.version")),
];

pub(super) const CONTEXTS: Table = &[
    ("trace", In(TRACE)),
    (
        "os",
        In(&[("name", Text("os.type")), ("version", Text("os.version"))]),
    ),
    (
        "browser",
        In(&[
            ("name", Text("os.container")),
            ("version", Text("os.container_version")),
        ]),
    ),
    ("device", In(DEVICE)),
    ("feedback", In(FEEDBACK)),
    ("replay", In(&[("replay_id", Text("sentry.replay_id"))])),
];

const TRACE: Table = &[
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("parent_span_id", Text("sentry.parent_span_id")),
    ("op", Text("sentry.op")),
    ("status", Text("sentry.status")),
];

const DEVICE: Table = &[
    ("family", Text("device.type")),
    ("brand", Text("device.brand")),
    ("model", Text("device.model")),
    ("name", Text("device.name")),
];

const FEEDBACK: Table = &[
    ("message", Text("sentry.message")),
    ("name", Fill("user.name")),
    ("url", Text("sentry.request.url")),
    ("associated_event_id", Id("sentry.associated_event_id")),
    ("replay_id", Text("sentry.replay_id")),
];

/// Of the entries of containers: attributes that have a field of their own. Each is `{"value": ..., "type": ...}`.
pub(super) const ATTRIBUTES: Table = &[
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
