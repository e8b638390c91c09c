//! `replay_event`, and the first line of a `replay_recording`.
//!
//! A `replay_video` is a blob.

use crate::sls::record::item_kind::{Finish, ItemKind, Reads};
use crate::sls::record::take::Take::Text;

use super::event;

pub(super) static EVENT: ItemKind = ItemKind {
    finish: Finish::DURATION,
    ..ItemKind::one(event::TABLE)
};

pub(super) static RECORDING: ItemKind = ItemKind {
    reads: Reads::FirstLine,
    ..ItemKind::metadata(&[("segment_id", Text("sentry.segment_id"))])
};
