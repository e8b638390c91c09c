//! `transaction`: a view, and on demand its spans.
//!
//! Its members are those of an event; those of its spans are those of a span that stands alone.

use crate::sls::record::draft::Draft;
use crate::sls::record::item_kind::{Finish, Gives, ItemKind, LASTED, START};

use super::{event, span};

pub(super) static TRANSACTION: ItemKind = ItemKind {
    event_type: "view",
    gives: Gives::Spans(span::ALONE),
    finish: Finish::new(view, &[("view.name", "`transaction`"), START, LASTED]),
    ..ItemKind::one(event::TABLE)
};

fn view(draft: &mut Draft) {
    let name = draft.record.get("sentry.transaction").unwrap_or_default();
    let name = name.to_owned();
    draft.set("view.name", &name);
    draft.duration();
}
