//! `check_in`: a cron job says that it runs, or how it ended.

use crate::sls::record::item_kind::ItemKind;
use crate::sls::record::members::{CONTEXTS, SDK};
use crate::sls::record::take::{Table, Take};

use Take::{Id, In, Text, Time};

pub(super) static CHECK_IN: ItemKind = ItemKind::one(TABLE);

const TABLE: Table = &[
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
