//! A JSON value in a header: its kind; it is checked at all depths.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A member's value. Arrays and objects are checked and forgotten.
pub(super) enum Value<'a> {
    Null,
    Integer(u64),
    Text(Cow<'a, str>),
    Other,
}

impl<'a> Value<'a> {
    pub(super) fn text<E: Error>(self, name: &str) -> Result<Option<Cow<'a, str>>, E> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Integer(_) | Self::Other => {
                Err(E::custom(format_args!("`{name}` must be a string")))
            }
        }
    }

    pub(super) fn number<E: Error>(self, name: &str) -> Result<Option<u32>, E> {
        match self {
            Self::Null => Ok(None),
            Self::Integer(number) if u32::try_from(number).is_ok() => {
                Ok(u32::try_from(number).ok())
            }
            _ => Err(E::custom(format_args!(
                "`{name}` must be an integer below 2^32"
            ))),
        }
    }

    pub(super) fn map<T, E: Error>(
        self,
        name: &str,
        parse: fn(&str) -> Option<T>,
        what: &str,
    ) -> Result<Option<T>, E> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) if parse(&text).is_some() => Ok(parse(&text)),
            _ => Err(E::custom(format_args!("`{name}` must be {what}"))),
        }
    }
}

/// Reads a [`Value`]. If it is an object, its text members go to the slots of their names.
pub(super) struct Pick<'t, 'a> {
    pub(super) slots: &'t mut [(&'static str, &'t mut Option<Cow<'a, str>>)],
}

impl<'a> DeserializeSeed<'a> for Pick<'_, 'a> {
    type Value = Value<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Value<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Deserialize<'a> for Value<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        Pick { slots: &mut [] }.deserialize(deserializer)
    }
}

impl<'a> Visitor<'a> for Pick<'_, 'a> {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'a>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'a>, E> {
        Ok(Value::Integer(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'a>, E> {
        Ok(Value::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'a>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Value<'a>, A::Error> {
        while list.next_element::<Value<'a>>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value<'a>, A::Error> {
        while let Some(Value::Text(key)) = map.next_key()? {
            let value = map.next_value()?;
            let slot = self.slots.iter_mut().find(|(name, _)| *name == key);
            if let (Some((_, slot)), Value::Text(text)) = (slot, value) {
                **slot = Some(text);
            }
        }
        Ok(Value::Other)
    }
}
