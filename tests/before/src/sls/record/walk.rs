//! Takes fields out of a JSON text, by tables: which member goes to which field.
//!
//! One pass of serde_json's reader, no tree. Values are looked at as they are written, so a member of an unexpected type
//! costs that member and not the record; of a duplicate member the last counts, as with Relay.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::sentry::envelope::EventId;
use crate::sentry::timestamp::Timestamp;
use crate::sls::json_string::unescape;

use super::draft::Draft;

/// Members by name.
pub(super) type Table = &'static [(&'static str, Take)];

/// What becomes of a member.
#[derive(Clone, Copy)]
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
    /// A list: the number of its elements, or, if the draft keeps lists, the list itself under this name.
    List(&'static str),
    /// Exceptions: `{"values":[...]}`, a list, or one.
    Exceptions,
    /// Threads, in the same forms.
    Threads,
    /// The frames of a stack, oldest first.
    Frames,
}

/// The error of a text that is JSON of another kind.
pub(super) const NO_OBJECT: &str = "not a JSON object";

/// Reads a text into the draft. The error is what is wrong with it and holds none of it.
pub(super) fn walk<'a>(json: &'a str, table: Table, draft: &mut Draft<'a>) -> Result<(), String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let object = Object { table, draft }.deserialize(&mut deserializer);
    match object.and_then(|object| deserializer.end().map(|()| object)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(NO_OBJECT.to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// Scalars where an object or a list is expected: passed over, never an error (which would repeat the value).
macro_rules! ignore_scalars {
    ($value:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

mod list;

pub(super) use list::elements;

use list::{List, skip_seq};

/// A member's name.
struct Name<'a>(Cow<'a, str>);

impl<'a> Deserialize<'a> for Name<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;

        impl<'a> Visitor<'a> for Visit {
            type Value = Name<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, name: &'a str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'a>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(Visit)
    }
}

/// An object with a table; yields whether it was one.
struct Object<'d, 'a> {
    table: Table,
    draft: &'d mut Draft<'a>,
}

impl<'a> DeserializeSeed<'a> for Object<'_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, 'a> {
    type Value = bool;

    ignore_scalars!(false);

    fn visit_seq<A: SeqAccess<'a>>(self, list: A) -> Result<bool, A::Error> {
        skip_seq(list).map(|_| false)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match self.table.iter().find(|(member, _)| *member == name) {
                Some((_, take)) => map.next_value_seed(Member {
                    take: *take,
                    draft: self.draft,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(true)
    }
}

/// A member of a table.
struct Member<'d, 'a> {
    take: Take,
    draft: &'d mut Draft<'a>,
}

impl<'a> DeserializeSeed<'a> for Member<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { take, draft } = self;
        match take {
            Take::In(table) => return Object { table, draft }.deserialize(deserializer).map(drop),
            Take::Exceptions | Take::Threads | Take::Frames => {
                return List { take, draft }.deserialize(deserializer);
            }
            Take::List(_) if !draft.keep_lists => {
                return List { take, draft }.deserialize(deserializer);
            }
            _ => {}
        }
        let raw = <&'a RawValue>::deserialize(deserializer)?.get();
        match take {
            Take::Text(field) => draft.set(field, text(raw).unwrap_or_default()),
            Take::Fill(field) => draft.fill(field, text(raw)),
            Take::Id(field) => {
                let text = text(raw).unwrap_or_default();
                let id = EventId::parse(&text).map(|id| Cow::Owned(id.to_string()));
                draft.set(field, id.unwrap_or(text));
            }
            Take::Time => draft.time = time(raw).or(draft.time),
            Take::Start => draft.start = time(raw).or(draft.start),
            Take::Json(field) if !matches!(raw, "null" | "{}" | "[]" | "\"\"") => {
                draft.set(field, raw)
            }
            Take::List(name) => draft.lists.push((name, raw)),
            // It has just been read: it is JSON.
            Take::TextOr(_, table) if raw.starts_with('{') => drop(walk(raw, table, draft)),
            Take::TextOr(field, _) => draft.set(field, text(raw).unwrap_or_default()),
            Take::With(field, table) => {
                draft.set(field, raw);
                drop(walk(raw, table, draft));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A scalar as text.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first() {
        Some(b'"') => {
            let inner = raw
                .strip_prefix('"')
                .and_then(|raw| raw.strip_suffix('"'))?;
            Some(unescape(inner).unwrap_or(Cow::Borrowed(inner)))
        }
        Some(b'{' | b'[' | b'n') | None => None,
        Some(_) => Some(Cow::Borrowed(raw)),
    }
}

fn time(raw: &str) -> Option<Timestamp> {
    let text = text(raw)?;
    Timestamp::from_number(&text).or_else(|| Timestamp::from_rfc3339(&text))
}
