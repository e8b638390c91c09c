//! A JSON or YAML document that knows the line of everything in it, and keeps repeated keys.
//!
//! What is valid is the core's decision. This tree finds the plugin configurations in a document and tells the line of a
//! problem whose JSON path the core reports.

pub(super) mod json;
pub(super) mod places;
pub(super) mod yaml;

use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::HashMap;

/// A value and the line where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(Text),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A string.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) lines: Lines,
}

/// Where the lines of a string are in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lines {
    /// The first line of the string is this one of the file, the second the next one.
    From(usize),
    /// Escapes or folding are in between: everything is at this line.
    At(usize),
}

impl Lines {
    /// These lines, counted in a text that stands at `outer`.
    fn within(self, outer: Self) -> Self {
        match (self, outer) {
            (Self::From(first), Self::From(_)) => Self::From(outer.line(first)),
            (Self::From(line) | Self::At(line), _) => Self::At(outer.line(line)),
        }
    }

    /// The line in the file of a line of the string, counted from 1.
    pub(super) fn line(self, inner: usize) -> usize {
        match self {
            Self::From(first) => first.saturating_add(inner.saturating_sub(1)),
            Self::At(line) => line,
        }
    }
}

/// A member of a map.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

impl Node {
    /// A member by the first of its names that is there: Envoy takes `vm_config` and `vmConfig`.
    pub(super) fn get(&self, names: &[&str]) -> Option<&Node> {
        let entries = self.entries();
        let entry = |name: &&str| entries.iter().find(|entry| entry.key == *name);
        names.iter().find_map(entry).map(|entry| &entry.value)
    }

    /// Whether the member of one of these names is `true`.
    pub(super) fn is_on(&self, names: &[&str]) -> bool {
        matches!(self.get(names), Some(node) if node.value == Value::Bool(true))
    }

    /// The members; none of anything but a map.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items; none of anything but a list.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(&text.text),
            _ => None,
        }
    }

    /// Of each key only the last one, as Envoy takes YAML; `dropped` hears the others and their lines.
    pub(super) fn keep_last(&mut self, dropped: &mut impl FnMut(&str, usize)) {
        match &mut self.value {
            Value::Map(entries) => {
                let last: HashMap<String, usize> = entries
                    .iter()
                    .enumerate()
                    .map(|(at, entry)| (entry.key.clone(), at))
                    .collect();
                let mut at = 0_usize;
                entries.retain(|entry| {
                    let is_last = last.get(&entry.key) == Some(&at);
                    at = at.saturating_add(1);
                    if !is_last {
                        dropped(&entry.key, entry.line);
                    }
                    is_last
                });
                for entry in entries {
                    entry.value.keep_last(dropped);
                }
            }
            Value::List(items) => items.iter_mut().for_each(|item| item.keep_last(dropped)),
            _ => {}
        }
    }

    /// The node of a text that stands in the file at `lines`.
    pub(super) fn move_to(&mut self, lines: Lines) {
        self.line = lines.line(self.line);
        match &mut self.value {
            Value::String(text) => text.lines = text.lines.within(lines),
            Value::List(items) => items.iter_mut().for_each(|item| item.move_to(lines)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.line = lines.line(entry.line);
                    entry.value.move_to(lines);
                }
            }
            _ => {}
        }
    }
}

impl Serialize for Node {
    /// As JSON, repeated keys included.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(value) => serializer.serialize_f64(*value),
            Value::String(text) => serializer.serialize_str(&text.text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &entry.value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;
    use super::{json, yaml};

    #[test]
    fn the_last_of_a_repeated_key_is_kept_at_every_depth() {
        let mut node = yaml::parse("a: 1\nb: [{c: 1, c: 2}]\na: 3\n")
            .unwrap()
            .remove(0);
        let mut dropped = Vec::new();
        node.keep_last(&mut |key, line| dropped.push((key.to_owned(), line)));
        assert_eq!(dropped, [("a".to_owned(), 1), ("c".to_owned(), 2)]);
        let json = serde_json::to_string(&node).unwrap();
        assert_eq!(json, r#"{"b":[{"c":2.0}],"a":3.0}"#);
    }

    #[test]
    fn a_text_in_a_text_has_the_lines_of_the_file() {
        let mut node = yaml::parse("a: |\n  {}\nb: 1\n").unwrap().remove(0);
        node.move_to(Lines::From(10));
        assert_eq!(node.entries()[1].line, 12);
        let super::Value::String(text) = &node.entries()[0].value.value else {
            panic!("{node:?}");
        };
        assert_eq!(text.lines, Lines::From(11));
        node.move_to(Lines::At(7));
        assert_eq!(node.entries()[1].line, 7);
    }

    #[test]
    fn a_document_becomes_json_again() {
        let json = r#"{"a":[1.5,true,null,"x\ny"],"a":{}}"#;
        let node = json::parse(json, Lines::From(1)).unwrap();
        assert_eq!(serde_json::to_string(&node).unwrap(), json);
    }
}
