//! `metric_buckets`, `metric_meta`, `form_data`: old JSON that is kept, but not taken apart.

use crate::sls::record::item_kind::{ItemKind, Reads};
use crate::sls::record::take::{Table, Take};

use Take::{Json, Time};

/// `metric_meta`
pub(super) static OBJECT: ItemKind = ItemKind::one(TABLE);

/// `metric_buckets`, `form_data`: lists as a rule.
pub(super) static ANY: ItemKind = ItemKind {
    reads: Reads::AnyJson,
    ..ItemKind::one(TABLE)
};

const TABLE: Table = &[("timestamp", Time), ("tags", Json("sentry.tags"))];
