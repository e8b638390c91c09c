//! `session`: one session as it goes on; `sessions`: how many there were, a record for each aggregate.

use crate::sls::record::draft::Draft;
use crate::sls::record::item_kind::{Entries, Finish, Gives, ItemKind};
use crate::sls::record::take::{Table, Take};

use Take::{In, List, Start, Text, Time};

pub(super) static SESSION: ItemKind = ItemKind {
    event_type: "session",
    broken: "session",
    finish: Finish::new(started, &[("sentry.session.started", "`started`, in ms")]),
    ..ItemKind::one(ONE)
};

pub(super) static SESSIONS: ItemKind = ItemKind {
    event_type: "session",
    broken: "session",
    gives: Gives::Entries(Entries {
        table: AGGREGATE,
        single: None,
        list: None,
    }),
    ..ItemKind::one(MANY)
};

const ONE: Table = &[
    ("sid", Text("session.id")),
    ("did", Text("user.id")),
    ("status", Text("sentry.session.status")),
    ("init", Text("sentry.session.init")),
    ("seq", Text("sentry.session.seq")),
    ("errors", Text("sentry.session.errors")),
    ("duration", Text("sentry.duration_s")),
    ("started", Start),
    ("timestamp", Time),
    ("attrs", In(ATTRIBUTES)),
];

const MANY: Table = &[
    ("aggregates", List("aggregates")),
    ("attrs", In(ATTRIBUTES)),
];

const AGGREGATE: Table = &[
    ("started", Time),
    ("did", Text("user.id")),
    ("exited", Text("sentry.session.exited")),
    ("errored", Text("sentry.session.errored")),
    ("abnormal", Text("sentry.session.abnormal")),
    ("unhandled", Text("sentry.session.unhandled")),
    ("crashed", Text("sentry.session.crashed")),
];

/// What both say of the application.
const ATTRIBUTES: Table = &[
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("user_agent", Text("sentry.user_agent")),
];

fn started(draft: &mut Draft) {
    if let Some(started) = draft.start {
        draft.set("sentry.session.started", &started.ms().to_string());
    }
}
