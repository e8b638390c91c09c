//! What an item gave: its own record and those of its entries, one after the other.
//!
//! How an item is read to that point is in [`super::item`].

use super::context::{Context, INHERITED};
use super::draft::Draft;
use super::item_kind::{Gives, ItemKind};
use super::taker::Entry;

/// What a span shares with its transaction.
pub(super) const OF_TRANSACTION: &[&str] = &[
    "event_id",
    "app.version",
    "app.env",
    "sentry.transaction",
    "sentry.platform",
    "user.id",
];

/// What an entry shares with the container around it.
pub(super) const OF_CONTAINER: &[&str] = &[
    "sentry.item_type",
    "app.version",
    "app.env",
    "sentry.user_agent",
];

/// The records of an item that are left.
pub(super) struct Records {
    kind: &'static ItemKind,
    /// The item's own, unless only its entries are records.
    pub(super) own: Option<Draft>,
    /// What the entries share.
    pub(super) whole: Draft,
    pub(super) entries: std::vec::IntoIter<Entry>,
    /// Entries that were not read.
    pub(super) left_out: usize,
}

impl Records {
    /// Those of an item without entries.
    pub(super) fn new(kind: &'static ItemKind, own: Option<Draft>) -> Self {
        Self {
            kind,
            own,
            whole: Draft::default(),
            entries: Vec::new().into_iter(),
            left_out: 0,
        }
    }

    /// How many are left.
    pub(super) fn len(&self) -> usize {
        usize::from(self.own.is_some()).saturating_add(self.entries.len())
    }

    /// The next one.
    pub(super) fn next(&mut self, context: &Context<'_>) -> Option<Draft> {
        if let Some(own) = self.own.take() {
            return Some(own);
        }
        let Entry { list, draft: entry } = self.entries.next()?;
        Some(match self.kind.gives {
            Gives::Entries(entries) => {
                let mut draft = Draft::of(self.kind.event_type, context);
                draft.time = self.whole.time;
                for key in OF_CONTAINER {
                    let value = self.whole.record.get(key).unwrap_or_default();
                    draft.set_within(key, value, INHERITED, value.len());
                }
                if let Some(field) = entries.list {
                    draft.set(field, list);
                }
                draft.take(&entry);
                self.kind.finish.run(&mut draft);
                draft
            }
            Gives::One | Gives::Metadata | Gives::Spans(_) => {
                let mut draft = Draft::of("custom", context);
                draft.set("sentry.item_type", "span");
                draft.take(&entry);
                draft.duration();
                for key in OF_TRANSACTION {
                    let value = self.whole.record.get(key).unwrap_or_default();
                    if draft.record.get(key).is_none() {
                        draft.set_within(key, value, INHERITED, value.len());
                    }
                }
                draft
            }
        })
    }
}
