//! `user_report`: what a user wrote about an event, in the old form. The new one, `feedback`, is an event.

use crate::sls::record::item_kind::ItemKind;
use crate::sls::record::take::{Table, Take};

use Take::{Id, Text};

pub(super) static USER_REPORT: ItemKind = ItemKind::one(TABLE);

const TABLE: Table = &[
    ("event_id", Id("event_id")),
    ("name", Text("user.name")),
    ("comments", Text("sentry.message")),
];
