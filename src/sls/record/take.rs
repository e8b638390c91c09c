//! The vocabulary of the tables: which member goes to which field.
//!
//! The tables are in `kind/`; [`super::taker`] walks through an item by them.

use std::borrow::Cow;

use crate::sentry::envelope::EventId;
use crate::sentry::timestamp::Timestamp;
use crate::sls::scrub::Want;

use super::draft::Draft;

/// Members by name.
pub(super) type Table = &'static [(&'static str, Take)];

/// A list of which a stack is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StackPart {
    /// `{"values":[...]}`, a list, or one exception.
    Exceptions,
    /// Threads, in the same forms.
    Threads,
    /// The frames of a stack, oldest first.
    Frames,
}

/// What becomes of a member.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) enum Take {
    /// A string, number or boolean, as text.
    Text(&'static str),
    /// The same, unless the field is there already.
    Fill(&'static str),
    /// A text, or an object with a table of its own.
    TextOr(&'static str, Table),
    /// An event id, in Sentry's usual form.
    Id(&'static str),
    /// Anything, as JSON; not if it is empty.
    Json(&'static str),
    /// As JSON; and then an object with a table of its own.
    With(&'static str, Table),
    /// The item's time.
    Time,
    /// When it began.
    Start,
    /// An object.
    In(Table),
    /// A list: the number of its elements, or, if they become records, those.
    List(&'static str),
    /// Exceptions, threads or frames: see [`super::stack`].
    Stack(StackPart),
}

impl Take {
    /// What is needed of a value for it, if the value is a scalar.
    pub(super) fn of_scalar(self) -> Want {
        match self {
            Self::Text(_)
            | Self::Fill(_)
            | Self::TextOr(..)
            | Self::Id(_)
            | Self::Time
            | Self::Start => Want::Text,
            Self::Json(_) | Self::With(..) => Want::Json,
            Self::In(_) | Self::List(_) | Self::Stack(_) => Want::Nothing,
        }
    }

    /// The same of an array or object.
    pub(super) fn of_container(self) -> Want {
        match self {
            Self::Json(_) | Self::With(..) => Want::Json,
            _ => Want::Nothing,
        }
    }

    /// The table for the members of an object.
    pub(super) fn table(self) -> Option<Table> {
        match self {
            Self::In(table) | Self::TextOr(_, table) | Self::With(_, table) => Some(table),
            _ => None,
        }
    }

    /// Puts a value in.
    pub(super) fn put(self, value: &str, draft: &mut Draft) {
        match self {
            Self::Text(field) | Self::TextOr(field, _) => draft.set(field, value),
            Self::Fill(field) => draft.fill(field, Some(value)),
            Self::Id(field) => {
                let id = EventId::parse(value).map(|id| Cow::Owned(id.to_string()));
                draft.set(field, &id.unwrap_or(Cow::Borrowed(value)));
            }
            Self::Time => draft.time = time(value).or(draft.time),
            Self::Start => draft.start = time(value).or(draft.start),
            Self::Json(field) if !matches!(value, "null" | "{}" | "[]" | "\"\"") => {
                draft.set(field, value);
            }
            Self::With(field, _) => draft.set(field, value),
            Self::Json(_) | Self::In(_) | Self::List(_) | Self::Stack(_) => {}
        }
    }
}

fn time(text: &str) -> Option<Timestamp> {
    /// Of a time in any form.
    const MAX_BYTES: usize = 64;
    let text = Some(text).filter(|text| text.len() <= MAX_BYTES)?;
    Timestamp::from_number(text).or_else(|| Timestamp::from_rfc3339(text))
}
