//! `attachment` by reference: the file was uploaded before (`/upload/`), and the item says where it is.
//!
//! Known by its content type. An attachment that brings its bytes is a blob.

use crate::sls::record::item_kind::ItemKind;
use crate::sls::record::take::{Table, Take};

use Take::Text;

pub(super) static REFERENCE: ItemKind = ItemKind::one(TABLE);

/// Now, and in the first SDKs that sent it.
pub(super) const CONTENT_TYPES: &[&str] = &[
    "application/vnd.sentry.attachment-ref+json",
    "application/vnd.sentry.attachment-ref",
];

const TABLE: Table = &[
    ("location", Text("sentry.attachment.location")),
    // Of the file. That of the item stands in its header.
    ("content_type", Text("sentry.attachment.content_type")),
];
