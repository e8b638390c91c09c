//! A JSON or YAML document that knows the line of everything in it, and keeps repeated keys.
//!
//! What is valid is the core's decision. This tree finds the plugin configurations in a document and tells the line of a
//! problem whose JSON path the core reports.

pub(super) mod json;
pub(super) mod yaml;

use serde::ser::{Serialize, SerializeMap, Serializer};

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

    /// The line of a path as the core writes it (`rum.projects.42`, `rum.exclude[0]`), or of the innermost part of it
    /// that is there. Of a repeated key, the last line: that is the one too many.
    pub(super) fn locate(&self, path: &str) -> usize {
        self.deepest(path).1
    }

    /// How much of the path was left, and the line. Keys may hold dots themselves, so every key that fits is tried.
    fn deepest(&self, path: &str) -> (usize, usize) {
        let here = (path.len(), self.line);
        let inner = path.strip_prefix('.').unwrap_or(path);
        if path.is_empty() {
            return here;
        }
        let members = self.entries().iter().filter_map(|entry| {
            let rest = inner.strip_prefix(entry.key.as_str())?;
            match rest.chars().next() {
                None => Some((0, entry.line)),
                Some('.' | '[') => {
                    let (left, line) = entry.value.deepest(rest);
                    // What is missing in it is missing where its key stands.
                    Some((left, if left == rest.len() { entry.line } else { line }))
                }
                Some(_) => None,
            }
        });
        let items = index(path).and_then(|(index, rest)| {
            let item = self.items().get(index)?;
            Some(item.deepest(rest))
        });
        members.chain(items).fold(
            here,
            |best, found| if found.0 <= best.0 { found } else { best },
        )
    }
}

/// `[7].rest` as 7 and `.rest`.
fn index(path: &str) -> Option<(usize, &str)> {
    let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest))
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

    const YAML: &str = "rum:\n  a.b: 1\n  projects:\n    \"42\":\n      workspace: w\n  exclude:\n    - 1\n    - 2\n  x: 1\n  x: 2\n";

    #[test]
    fn paths_are_found_and_missing_ones_where_they_belong() {
        let documents = yaml::parse(YAML).unwrap();
        for (path, line) in [
            ("rum", 1),
            ("rum.a.b", 2),
            ("rum.projects.42.workspace", 5),
            ("rum.projects.42.service_id", 4),
            ("rum.projects.43", 3),
            ("rum.upstream", 1),
            ("rum.exclude[1]", 8),
            ("rum.exclude[9]", 6),
            ("rum.x", 10),
            ("sls", 1),
            ("", 1),
        ] {
            assert_eq!(documents[0].locate(path), line, "{path}");
        }
    }

    #[test]
    fn a_document_becomes_json_again() {
        let json = r#"{"a":[1.5,true,null,"x\ny"],"a":{}}"#;
        let node = json::parse(json, Lines::From(1)).unwrap();
        assert_eq!(serde_json::to_string(&node).unwrap(), json);
    }
}
