//! Items of any bytes, of which only what the header tells is kept: attachments, videos, and types that nobody knows yet.

use crate::sls::record::item_kind::{ItemKind, Reads};

pub(super) static BLOB: ItemKind = ItemKind {
    reads: Reads::Nothing,
    ..ItemKind::metadata(&[])
};
