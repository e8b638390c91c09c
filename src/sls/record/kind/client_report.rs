//! `client_report`: what an SDK did not send, and why. A record for each entry of its lists.

use crate::sls::record::item_kind::{Entries, Gives, ItemKind};
use crate::sls::record::take::{Table, Take};

use Take::{List, Text, Time};

pub(super) static CLIENT_REPORT: ItemKind = ItemKind {
    gives: Gives::Entries(Entries {
        table: DISCARD,
        single: None,
        list: Some("sentry.discard.list"),
    }),
    ..ItemKind::one(TABLE)
};

const TABLE: Table = &[
    ("timestamp", Time),
    ("discarded_events", List("discarded_events")),
    ("rate_limited_events", List("rate_limited_events")),
    ("filtered_events", List("filtered_events")),
    ("filtered_sampling_events", List("filtered_sampling_events")),
];

const DISCARD: Table = &[
    ("reason", Text("sentry.discard.reason")),
    ("category", Text("sentry.discard.category")),
    ("quantity", Text("sentry.discard.quantity")),
];
