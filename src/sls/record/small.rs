//! The tables of small items: `check_in`, `session`, `user_report`, what browsers report, and JSON that is not taken apart.

use super::containers::SESSION_ATTRIBUTES;
use super::event::{CONTEXTS, SDK};
use super::take::{Table, Take};

use Take::{Fill, Id, In, Json, Start, Text, Time};

/// `check_in`
pub(super) const CHECK_IN: Table = &[
    ("check_in_id", Text("sentry.check_in_id")),
    ("monitor_slug", Text("sentry.monitor_slug")),
    ("status", Text("sentry.status")),
    ("duration", Text("sentry.duration_s")),
    ("event_id", Id("event_id")),
    ("timestamp", Time),
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("platform", Text("sentry.platform")),
    ("server_name", Text("sentry.server_name")),
    ("contexts", In(CONTEXTS)),
    ("sdk", In(SDK)),
];

/// `session`
pub(super) const SESSION: Table = &[
    ("sid", Text("session.id")),
    ("did", Text("user.id")),
    ("status", Text("sentry.session.status")),
    ("init", Text("sentry.session.init")),
    ("seq", Text("sentry.session.seq")),
    ("errors", Text("sentry.session.errors")),
    ("duration", Text("sentry.duration_s")),
    ("started", Start),
    ("timestamp", Time),
    ("attrs", In(SESSION_ATTRIBUTES)),
];

/// `user_report`
pub(super) const USER_REPORT: Table = &[
    ("event_id", Id("event_id")),
    ("name", Text("user.name")),
    ("comments", Text("sentry.message")),
];

/// `security`, `raw_security`, `nel`: what browsers report.
pub(super) const SECURITY: Table = &[
    ("csp-report", In(CSP)),
    ("type", Text("sentry.report_type")),
    ("url", Text("sentry.request.url")),
];

const CSP: Table = &[
    ("document-uri", Text("sentry.request.url")),
    ("blocked-uri", Text("sentry.csp.blocked_uri")),
    ("effective-directive", Text("sentry.csp.directive")),
    ("violated-directive", Fill("sentry.csp.directive")),
];

/// `metric_buckets`, `metric_meta`, `form_data`: JSON that is kept, but not taken apart.
pub(super) const OPAQUE: Table = &[("timestamp", Time), ("tags", Json("sentry.tags"))];
