//! `security`, `raw_security`, `nel`: what browsers report. It may be a list, which is kept as it is.

use crate::sls::record::item_kind::{ItemKind, Reads};
use crate::sls::record::take::{Table, Take};

use Take::{Fill, In, Text};

pub(super) static SECURITY: ItemKind = ItemKind {
    reads: Reads::AnyJson,
    ..ItemKind::one(TABLE)
};

const TABLE: Table = &[
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
