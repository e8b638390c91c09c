//! The JSON headers of an envelope and of its items.
//!
//! As strict as Relay, which parses every member into a value. Bad UTF-8, lone surrogates and more than 127 levels of nesting
//! are refused anywhere in a header, and a member that Relay knows may occur only once. Unknown members may occur twice (the
//! last counts) and may contain anything. The text of a fault never repeats a value.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::sentry::timestamp::Timestamp;

use super::event_id::EventId;
use super::value::{Pick, Value};

/// An envelope's header: the parts used here.
#[derive(Debug, Clone, Default)]
pub struct Header<'a> {
    /// The id of the event that all items belong to.
    pub event_id: Option<EventId>,
    /// Only in self-authenticated envelopes (tunnel, Ruby).
    pub dsn: Option<Cow<'a, str>>,
    /// When the SDK sent it, by its clock.
    pub sent_at: Option<Timestamp>,
    /// `sdk.name`
    pub sdk_name: Option<Cow<'a, str>>,
    /// `sdk.version`
    pub sdk_version: Option<Cow<'a, str>>,
    /// `trace`: empty when it is absent or not an object, which Relay tolerates too.
    pub trace: Trace<'a>,
}

/// The dynamic sampling context of an envelope: the parts used here.
#[derive(Debug, Clone, Default)]
pub struct Trace<'a> {
    /// `trace.trace_id`
    pub trace_id: Option<Cow<'a, str>>,
    /// `trace.release`
    pub release: Option<Cow<'a, str>>,
    /// `trace.environment`
    pub environment: Option<Cow<'a, str>>,
}

/// An item's header: the parts used here.
#[derive(Debug, Clone, Default)]
pub struct ItemHeader<'a> {
    /// `type`
    pub ty: Cow<'a, str>,
    /// `length`; without one the payload ends at the next LF.
    pub length: Option<u32>,
    /// `item_count`, of containers. As announced.
    pub item_count: Option<u32>,
    /// `content_type`
    pub content_type: Option<Cow<'a, str>>,
    /// `attachment_type`
    pub attachment_type: Option<Cow<'a, str>>,
    /// `filename`
    pub filename: Option<Cow<'a, str>>,
    /// `platform`, of profile chunks.
    pub platform: Option<Cow<'a, str>>,
    /// `meta_length`: this many bytes of the payload are JSON, followed by arbitrary bytes. As announced.
    pub meta_length: Option<u32>,
}

/// What is wrong with a header's JSON, and where, relative to where reading began.
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) text: String,
}

/// Reads one header and returns it with the offset after it; `None` if there is only white space.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<Result<(T, usize), Fault>> {
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    let header = stream.next()?;
    Some(match header {
        Ok(header) => Ok((header, stream.byte_offset())),
        Err(error) => Err(Fault {
            offset: offset(bytes, &error),
            text: text(&error),
        }),
    })
}

/// Converts line and column, which is what the parser reports, to an offset.
fn offset(bytes: &[u8], error: &serde_json::Error) -> usize {
    let lines = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1));
    let before: usize = lines.map(<[u8]>::len).sum();
    before.saturating_add(error.column()).min(bytes.len())
}

fn text(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(position) = text.rfind(" at line ") {
        text.truncate(position);
    }
    text
}

/// A header that takes its members one by one.
trait Members<'a>: Default {
    /// The members that Relay knows and refuses duplicates of. At most 32.
    const KNOWN: &'static [&'static str];

    /// The member that must be there: one of the known ones.
    const REQUIRED: Option<&'static str>;

    /// Takes the member, whose value `map` yields next.
    fn member<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error>;
}

struct Object<T>(std::marker::PhantomData<T>);

macro_rules! refuse {
    ($($visit:ident($ty:ty)),*) => {
        $(fn $visit<E: Error>(self, _: $ty) -> Result<T, E> {
            Err(E::custom("expected a JSON object"))
        })*
    };
}

impl<'a, T: Members<'a>> Visitor<'a> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    refuse!(
        visit_bool(bool),
        visit_u64(u64),
        visit_i64(i64),
        visit_f64(f64),
        visit_str(&str)
    );

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<T, A::Error> {
        let mut header = T::default();
        let mut seen = 0_u32;
        while let Some(Value::Text(key)) = map.next_key()? {
            let bit = bit::<T>(&key);
            if seen & bit != 0 {
                return Err(A::Error::custom(format_args!("`{key}` is there twice")));
            }
            seen |= bit;
            header.member(&key, &mut map)?;
        }
        match T::REQUIRED {
            Some(name) if seen & bit::<T>(name) == 0 => {
                Err(A::Error::custom(format_args!("`{name}` is missing")))
            }
            _ => Ok(header),
        }
    }
}

/// The bit of a known member; 0 for an unknown one.
fn bit<'a, T: Members<'a>>(name: &str) -> u32 {
    let index = T::KNOWN
        .iter()
        .position(|known| *known == name)
        .and_then(|index| u32::try_from(index).ok());
    index
        .and_then(|index| 1_u32.checked_shl(index))
        .unwrap_or(0)
}

impl<'a> Deserialize<'a> for Header<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(std::marker::PhantomData))
    }
}

impl<'a> Deserialize<'a> for ItemHeader<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Object(std::marker::PhantomData))
    }
}

impl<'a> Members<'a> for Header<'a> {
    const KNOWN: &'static [&'static str] = &[
        "event_id",
        "dsn",
        "sent_at",
        "trace",
        "retention",
        "downsampled_retention",
        "required_features",
        "client",
        "version",
        "origin",
        "remote_addr",
        "forwarded_for",
        "user_agent",
        "no_cache",
        "client_hints",
    ];
    const REQUIRED: Option<&'static str> = None;

    fn member<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        match name {
            "event_id" => {
                self.event_id =
                    map.next_value::<Value<'a>>()?
                        .map(name, EventId::parse, "a UUID")?
            }
            "sent_at" => {
                let value = map.next_value::<Value<'a>>()?;
                self.sent_at = value.map(name, Timestamp::from_rfc3339, "an RFC 3339 time")?;
            }
            "dsn" => self.dsn = map.next_value::<Value<'a>>()?.text(name)?,
            "sdk" => {
                let slots = &mut [
                    ("name", &mut self.sdk_name),
                    ("version", &mut self.sdk_version),
                ];
                map.next_value_seed(Pick { slots })?;
            }
            "trace" => {
                let Trace {
                    trace_id,
                    release,
                    environment,
                } = &mut self.trace;
                let slots = &mut [
                    ("trace_id", trace_id),
                    ("release", release),
                    ("environment", environment),
                ];
                map.next_value_seed(Pick { slots })?;
            }
            _ => drop(map.next_value::<Value<'a>>()?),
        }
        Ok(())
    }
}

impl<'a> Members<'a> for ItemHeader<'a> {
    const KNOWN: &'static [&'static str] = &[
        "type",
        "length",
        "item_count",
        "content_type",
        "attachment_type",
        "filename",
        "platform",
        "routing_hint",
        "sampled",
        "metrics_extracted",
        "spans_extracted",
        "fully_normalized",
        "meta_length",
        "span_id",
    ];
    const REQUIRED: Option<&'static str> = Some("type");

    fn member<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let value = map.next_value::<Value<'a>>()?;
        match name {
            "type" => {
                self.ty = value
                    .text(name)?
                    .ok_or_else(|| A::Error::custom("`type` must be a string"))?
            }
            "length" => self.length = value.number(name)?,
            "item_count" => self.item_count = value.number(name)?,
            "content_type" => self.content_type = value.text(name)?,
            "attachment_type" => self.attachment_type = value.text(name)?,
            "filename" => self.filename = value.text(name)?,
            "platform" => self.platform = value.text(name)?,
            // Relays that do not know it yet accept anything.
            "meta_length" => {
                self.meta_length = value.number::<A::Error>(name).ok().flatten();
            }
            _ => {}
        }
        Ok(())
    }
}
