//! The configuration as JSON, with what `serde_json::Value` loses: the order of the keys and repeated keys.
//!
//! Envoy passes a `StringValue` as its text, and a `google.protobuf.Struct` as its protobuf bytes (its documentation says
//! JSON, but measured with 1.40 it is not). Both are read here.
//!
//! A repeated key is always a slip (two blocks for the same project, say), and `Value` would silently keep the last one.

use prost::Message as _;
use prost_types::value::Kind;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Reads JSON or a Struct. A Struct with at least one field begins with the tag 0x0a, which in JSON can only be white space
/// before the object; an empty one has no bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node, serde_json::Error> {
    if bytes.is_empty() {
        return Ok(Node::Object(Vec::new()));
    }
    serde_json::from_slice(bytes).or_else(|error| match bytes {
        [0x0a, ..] => prost_types::Struct::decode(bytes)
            .map(Node::from)
            .map_err(|_| error),
        _ => Err(error),
    })
}

impl Node {
    /// Its kind, without its content.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl From<prost_types::Struct> for Node {
    fn from(from: prost_types::Struct) -> Self {
        let fields = from.fields.into_iter();
        Self::Object(fields.map(|(key, value)| (key, value.into())).collect())
    }
}

impl From<prost_types::Value> for Node {
    fn from(from: prost_types::Value) -> Self {
        match from.kind {
            None | Some(Kind::NullValue(_)) => Self::Null,
            Some(Kind::BoolValue(value)) => Self::Bool(value),
            Some(Kind::NumberValue(value)) => Self::Number(value),
            Some(Kind::StringValue(value)) => Self::String(value),
            Some(Kind::ListValue(list)) => {
                Self::List(list.values.into_iter().map(Self::from).collect())
            }
            Some(Kind::StructValue(value)) => value.into(),
        }
    }
}

impl fmt::Display for Node {
    /// Compact JSON, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::String(value) => write!(f, "{value:?}"),
            Self::List(values) => write!(f, "a list of {}", values.len()),
            Self::Object(fields) => write!(f, "an object of {}", fields.len()),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value))
    }

    // Every number in the configuration is below 2^53, the bound that `Reader::integer` checks, so nothing is lost that could
    // be valid.
    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value as f64))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(Node::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Node::Object(fields))
    }
}
