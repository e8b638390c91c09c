//! `event` and `feedback`, and the members that everything event-like has.
//!
//! `transaction` and `replay_event` have files of their own; how a stack is read stands in [`crate::sls::record::stack`].

use crate::sls::record::item_kind::{Finish, ItemKind};
use crate::sls::record::members::{CONTEXTS, SDK};
use crate::sls::record::stack::{self, STACKTRACE};
use crate::sls::record::take::StackPart::{Exceptions, Threads};
use crate::sls::record::take::{Table, Take};

use Take::{Fill, Id, In, Json, List, Stack, Start, Text, TextOr, Time};

pub(super) static EVENT: ItemKind = ItemKind {
    finish: Finish::new(stack::exception, stack::MADE),
    ..ItemKind::one(TABLE)
};

pub(super) const TABLE: Table = &[
    ("event_id", Id("event_id")),
    ("timestamp", Time),
    ("start_timestamp", Start),
    ("platform", Text("sentry.platform")),
    ("level", Text("sentry.level")),
    ("logger", Text("sentry.logger")),
    ("transaction", Text("sentry.transaction")),
    ("server_name", Text("sentry.server_name")),
    ("release", Text("app.version")),
    ("dist", Text("sentry.dist")),
    ("environment", Text("app.env")),
    ("message", TextOr("sentry.message", MESSAGE)),
    ("logentry", In(MESSAGE)),
    ("fingerprint", Json("sentry.fingerprint")),
    ("tags", Json("sentry.tags")),
    ("user", In(USER)),
    ("sdk", In(SDK)),
    ("request", In(REQUEST)),
    ("contexts", In(CONTEXTS)),
    ("measurements", Json("sentry.measurements")),
    ("spans", List("sentry.span_count")),
    ("exception", Stack(Exceptions)),
    ("threads", Stack(Threads)),
    ("stacktrace", In(STACKTRACE)),
    // Of `replay_event`.
    ("replay_id", Text("sentry.replay_id")),
    ("replay_type", Text("sentry.replay_type")),
    ("replay_start_timestamp", Start),
    ("segment_id", Text("sentry.segment_id")),
    ("urls", Json("sentry.urls")),
    ("error_ids", Json("sentry.error_ids")),
    ("trace_ids", Json("sentry.trace_ids")),
];

const MESSAGE: Table = &[
    ("formatted", Text("sentry.message")),
    ("message", Fill("sentry.message")),
];

const USER: Table = &[
    ("id", Text("user.id")),
    ("username", Text("user.name")),
    ("name", Fill("user.name")),
];

const REQUEST: Table = &[
    ("url", Text("sentry.request.url")),
    ("method", Text("sentry.request.method")),
];
