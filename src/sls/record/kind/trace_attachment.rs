//! `attachment` of a trace: what it is, as JSON of `meta_length` bytes, and then the file.
//!
//! Known by its content type. Without `meta_length` it is a blob, as other attachments that bring their bytes are.

use crate::sls::record::item_kind::{ItemKind, Reads};
use crate::sls::record::members::ATTRIBUTES;
use crate::sls::record::take::{Table, Take};

use Take::{Text, Time, With};

pub(super) static ATTACHMENT: ItemKind = ItemKind {
    reads: Reads::Head,
    ..ItemKind::metadata(TABLE)
};

/// Now, and at first.
pub(super) const CONTENT_TYPES: &[&str] = &[
    "application/vnd.sentry.trace-attachment",
    "application/vnd.sentry.attachment.v2",
];

const TABLE: Table = &[
    ("timestamp", Time),
    ("trace_id", Text("trace_id")),
    ("attachment_id", Text("sentry.attachment.id")),
    ("filename", Text("sentry.filename")),
    // Of the file. That of the item stands in its header.
    ("content_type", Text("sentry.attachment.content_type")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];
