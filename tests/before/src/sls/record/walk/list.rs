//! Lists: counted, handed out, or read as exceptions, threads and frames, whose tables are in [`super::super::event`].

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::sls::record::draft::Draft;

use super::{Member, Name, Object, Table, Take};

/// Hands out the elements of a list, as they are written.
pub(in crate::sls::record) fn elements<'a>(json: &'a str, each: &mut dyn FnMut(&'a str)) -> usize {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    // A kept list has been read once, so this cannot fail; if it does, the caller sees what came before.
    Elements(each).deserialize(&mut deserializer).unwrap_or(0)
}

pub(super) fn skip_seq<'a, A: SeqAccess<'a>>(mut list: A) -> Result<usize, A::Error> {
    let mut count = 0_usize;
    while list.next_element::<IgnoredAny>()?.is_some() {
        count = count.saturating_add(1);
    }
    Ok(count)
}

fn skip_map<'a, A: MapAccess<'a>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A list that is counted, or whose elements are exceptions, threads or frames.
pub(super) struct List<'d, 'a> {
    pub(super) take: Take,
    pub(super) draft: &'d mut Draft<'a>,
}

impl<'a> DeserializeSeed<'a> for List<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for List<'_, 'a> {
    type Value = ();

    ignore_scalars!(());

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<(), A::Error> {
        if let Take::List(field) = self.take {
            let count = skip_seq(list)?;
            self.draft.set(field, count.to_string());
            return Ok(());
        }
        while list
            .next_element_seed(Element {
                take: self.take,
                draft: self.draft,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<(), A::Error> {
        let Some(table) = self.draft.stack.element(self.take) else {
            return skip_map(map);
        };
        // One exception, or `values` with a list of them: the name tells.
        let mut one = Draft::default();
        let wrapper = ListOrOne {
            list: self.take,
            draft: self.draft,
            one: &mut one,
            table,
        };
        wrapper.visit_map(map)?;
        self.draft.stack.add(self.take, one);
        Ok(())
    }
}

/// `{"values":[...]}`, or an element itself.
struct ListOrOne<'d, 'a> {
    list: Take,
    draft: &'d mut Draft<'a>,
    one: &'d mut Draft<'a>,
    table: Table,
}

impl<'a> ListOrOne<'_, 'a> {
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            match self.table.iter().find(|(member, _)| *member == name) {
                Some((_, take)) => map.next_value_seed(Member {
                    take: *take,
                    draft: self.one,
                })?,
                None if name == "values" => map.next_value_seed(List {
                    take: self.list,
                    draft: self.draft,
                })?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// One exception, thread or frame.
struct Element<'d, 'a> {
    take: Take,
    draft: &'d mut Draft<'a>,
}

impl<'a> DeserializeSeed<'a> for Element<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let table = self.draft.stack.element(self.take).unwrap_or_default();
        let mut one = Draft::default();
        Object {
            table,
            draft: &mut one,
        }
        .deserialize(deserializer)?;
        self.draft.stack.add(self.take, one);
        Ok(())
    }
}

/// The elements of a list.
struct Elements<'f, 'a>(&'f mut dyn FnMut(&'a str));

impl<'a> DeserializeSeed<'a> for Elements<'_, 'a> {
    type Value = usize;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Elements<'_, 'a> {
    type Value = usize;

    ignore_scalars!(0);

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<usize, A::Error> {
        let mut count = 0_usize;
        while let Some(element) = list.next_element::<&'a RawValue>()? {
            (self.0)(element.get());
            count = count.saturating_add(1);
        }
        Ok(count)
    }

    fn visit_map<A: MapAccess<'a>>(self, map: A) -> Result<usize, A::Error> {
        skip_map(map).map(|()| 0)
    }
}
