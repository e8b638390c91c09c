//! What an item's header says, which every record of that item has.
//!
//! What the envelope's header says is in [`super::inherit`].

use crate::meter::Meter;
use crate::sentry::envelope::Item;

use super::context::{Context, INHERITED};
use super::draft::Draft;

/// The fields that the item's header gives.
pub(super) const DESCRIBED: &[&str] = &[
    "sentry.item_type",
    "sentry.item_bytes",
    "sentry.content_type",
    "sentry.attachment_type",
    "sentry.filename",
    "sentry.platform",
];

/// A record with what any item's header tells.
pub(super) fn described(
    item: &Item<'_>,
    event_type: &'static str,
    context: &Context<'_>,
    meter: &mut Meter,
) -> Draft {
    let header = &item.header;
    let mut draft = Draft::of(event_type, context);
    let mut fill = |key, text: Option<&str>| {
        let (value, length) = context.header_text(text.unwrap_or_default(), meter);
        draft.set_within(key, &value, INHERITED, length);
    };
    fill("sentry.item_type", Some(&header.ty));
    fill("sentry.item_bytes", Some(&item.payload.len().to_string()));
    fill("sentry.content_type", header.content_type.as_deref());
    fill("sentry.attachment_type", header.attachment_type.as_deref());
    fill("sentry.filename", header.filename.as_deref());
    fill("sentry.platform", header.platform.as_deref());
    draft
}
