//! The vocabulary for describing an item kind in `kind/*.rs`.
//!
//! Nothing here knows any kind; which kinds there are is in [`super::kind`]. The vocabulary for what happens to a member is
//! in [`super::take`].

use super::draft::Draft;
use super::take::{Table, Take};

/// Everything that sets items of a kind apart.
pub(super) struct ItemKind {
    /// RUM's `event_type` of its records.
    pub(super) event_type: &'static str,
    /// The same of an item that cannot be read.
    pub(super) broken: &'static str,
    /// What its payload has to be.
    pub(super) reads: Reads,
    /// The members of the payload.
    pub(super) table: Table,
    pub(super) gives: Gives,
    /// What is made of the members at the end.
    pub(super) finish: Finish,
}

/// What of the payload is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reads {
    /// None of it, and it may be any bytes.
    Nothing,
    /// All, which is a JSON object.
    Object,
    /// All, which is JSON. Its members are taken if it is an object.
    AnyJson,
    /// Its first line, which is a JSON object.
    FirstLine,
    /// So many bytes of it as `meta_length` says, which are a JSON object; without that none.
    Head,
    /// The same; without `meta_length` all, which is a JSON object.
    HeadOrObject,
}

/// Which records an item gives.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    /// One, with the item's JSON as its payload.
    One,
    /// One, with nothing of the payload but fields.
    Metadata,
    /// One for each entry, and none of its own.
    Entries(Entries),
    /// One, and on demand one for each of its spans, with these members.
    Spans(Table),
}

/// An item that is made of entries, which stand in each [`Take::List`] of its table.
#[derive(Clone, Copy)]
pub(super) struct Entries {
    /// The members of an entry.
    pub(super) table: Table,
    /// An item without a list may be an entry itself: its members then.
    pub(super) single: Option<Table>,
    /// The field that says in which list an entry stood.
    pub(super) list: Option<&'static str>,
}

/// What is made of the members at the end, and which fields may come of it.
#[derive(Clone, Copy)]
pub(super) struct Finish {
    run: fn(&mut Draft),
    /// For the document only.
    #[cfg(test)]
    pub(super) makes: &'static [Made],
}

/// A field, and what is made into it, in the words of the document.
pub(super) type Made = (&'static str, &'static str);

/// What [`Draft::duration`] makes.
pub(super) const START: Made = ("sentry.start_timestamp", "the start, in ms");
pub(super) const LASTED: Made = (
    "sentry.duration_ms",
    "*time* less the start, three decimals",
);

impl ItemKind {
    /// A JSON object that gives one record.
    pub(super) const fn one(table: Table) -> Self {
        Self {
            event_type: "custom",
            broken: "custom",
            reads: Reads::Object,
            table,
            gives: Gives::One,
            finish: Finish::NOTHING,
        }
    }

    /// The same without a payload.
    pub(super) const fn metadata(table: Table) -> Self {
        Self {
            gives: Gives::Metadata,
            ..Self::one(table)
        }
    }

    /// `{"items": [...]}`, which gives a record for each entry.
    pub(super) const fn container(entries: Entries) -> Self {
        Self {
            gives: Gives::Entries(entries),
            ..Self::one(CONTAINER)
        }
    }
}

const CONTAINER: Table = &[("items", Take::List("items"))];

impl Finish {
    pub(super) const NOTHING: Self = Self::new(|_| (), &[]);

    /// From start to end.
    pub(super) const DURATION: Self = Self::new(Draft::duration, &[START, LASTED]);

    pub(super) const fn new(run: fn(&mut Draft), makes: &'static [Made]) -> Self {
        // The words are for the document, and not in the module.
        #[cfg(not(test))]
        let _ = makes;
        Self {
            run,
            #[cfg(test)]
            makes,
        }
    }

    pub(super) fn run(self, draft: &mut Draft) {
        (self.run)(draft);
    }
}
