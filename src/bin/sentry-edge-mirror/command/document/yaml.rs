//! YAML with the lines, read as Envoy reads it. Envoy has yaml-cpp; the nearest that Rust has is libyaml's parser, and
//! `tests/fixtures/yaml.json` is what both were asked. `tabs` settles where they differ most. `<<` is a key like any other,
//! and a key tagged `!ignore` is not there.

mod scalar;
mod tabs;
#[cfg(test)]
mod tests;

use super::json::SyntaxError;
use super::{Entry, Node, Value};
use libyaml_safer::{Error, Event, EventData, Mark, Parser};
use scalar::scalar;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Deeper than any configuration, and far from the end of the stack.
const MAX_DEPTH: usize = 100;
/// Aliases make a small file a large document; Envoy's largest ones are below this.
const MAX_NODES: usize = 1_000_000;

/// The documents of a stream, up to the first mistake.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    pub(crate) documents: Vec<Node>,
    /// Envoy, which reads the first document only, never sees one that comes later.
    pub(crate) error: Option<SyntaxError>,
}

/// Reads every document of a stream.
pub(crate) fn read(text: &str) -> Stream {
    let mut builder = Builder::default();
    let error = build(text, &mut builder).err();
    Stream {
        documents: builder.documents,
        error,
    }
}

/// All documents, if there is no mistake.
#[cfg(test)]
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let stream = read(text);
    match stream.error {
        Some(error) => Err(error),
        None => Ok(stream.documents),
    }
}

fn build(text: &str, builder: &mut Builder) -> Result<(), SyntaxError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let ended = bearable(text);
    let text = tabs::settle(&ended)?;
    let mut bytes = text.as_bytes();
    let mut parser = Parser::new();
    parser.set_input_string(&mut bytes);
    loop {
        let event = parser
            .parse()
            .map_err(|error| syntax_error(text.as_ref(), &error))?;
        let line = line_of(event.start_mark);
        let is_end = matches!(event.data, EventData::StreamEnd);
        builder
            .event(event)
            .map_err(|message| SyntaxError { line, message })?;
        if is_end {
            return Ok(());
        }
    }
}

/// libyaml_safer 0.3.0 panics in two places: at a block scalar whose last line has no end, and at a tag right before a comma
/// (`[!x, y]`).
fn bearable(text: &str) -> Cow<'_, str> {
    if text.ends_with('\n') && !text.contains('!') {
        return Cow::Borrowed(text);
    }
    let mut bearable = String::with_capacity(text.len().saturating_add(1));
    let (mut before, mut is_tag) = ('\n', false);
    for next in text.chars() {
        if is_tag && next == ',' {
            bearable.push(' ');
        }
        let begins = before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':');
        is_tag = next == '!' && begins || is_tag && !next.is_whitespace() && next != ',';
        bearable.push(next);
        before = next;
    }
    if !text.ends_with('\n') {
        bearable.push('\n');
    }
    Cow::Owned(bearable)
}

/// The parser counts from 0.
fn line_of(mark: Mark) -> usize {
    usize::try_from(mark.line)
        .unwrap_or(usize::MAX)
        .saturating_add(1)
}

fn syntax_error(text: &str, error: &Error) -> SyntaxError {
    let message = match error.context() {
        Some(context) if !context.is_empty() => format!("{context}: {}", error.problem()),
        _ => error.problem().to_owned(),
    };
    // Without a mark it is about a character that no file may have.
    let line = error
        .problem_mark()
        .map_or_else(|| line_of_unprintable(text), line_of);
    SyntaxError {
        line,
        message: format!("expected YAML, got a syntax error: {message}"),
    }
}

fn line_of_unprintable(text: &str) -> usize {
    let is_bad = |char: char| char.is_control() && !matches!(char, '\t' | '\n' | '\r' | '\u{85}');
    let before = text.find(is_bad).and_then(|at| text.get(..at));
    before.map_or(1, |before| before.matches('\n').count().saturating_add(1))
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<String, Anchored>,
    nodes: usize,
}

struct Anchored {
    node: Node,
    /// The number of values in it.
    size: usize,
    /// Of a scalar: as it is written, for a key.
    text: Option<String>,
}

/// A list or map whose end has not come.
struct Open {
    line: usize,
    anchor: Option<String>,
    /// Nodes before it.
    before: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map(Vec<Entry>, Option<Key>),
}

struct Key {
    text: String,
    line: usize,
    ignored: bool,
}

impl Builder {
    fn event(&mut self, event: Event) -> Result<(), String> {
        let line = line_of(event.start_mark);
        match event.data {
            EventData::Scalar {
                anchor,
                tag,
                value,
                style,
                ..
            } => {
                let before = self.nodes;
                let node = Node {
                    line,
                    value: scalar(value.clone(), style, tag.as_deref(), line),
                };
                // yaml-cpp's name of a key that is not there.
                let text = match node.value {
                    Value::Null => "null".to_owned(),
                    _ => value,
                };
                if let Some(anchor) = anchor {
                    let anchored = Anchored {
                        node: node.clone(),
                        size: 1,
                        text: Some(text.clone()),
                    };
                    self.anchors.insert(anchor, anchored);
                }
                if self.wants_key() {
                    let ignored = tag.as_deref() == Some("!ignore");
                    return self.key(text, line, ignored);
                }
                self.close(node, None, before)
            }
            EventData::SequenceStart { anchor, .. } => {
                self.open(line, anchor, Items::List(Vec::new()))
            }
            EventData::MappingStart { anchor, .. } => {
                self.open(line, anchor, Items::Map(Vec::new(), None))
            }
            EventData::SequenceEnd | EventData::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.items {
                    Items::List(items) => Value::List(items),
                    Items::Map(entries, _) => Value::Map(entries),
                };
                let line = open.line;
                self.close(Node { line, value }, open.anchor, open.before)
            }
            EventData::Alias { anchor } => {
                let Some(Anchored { node, size, text }) = self.anchors.get(&anchor) else {
                    return Err(format!(
                        "expected an alias of something that is complete before it, got *{anchor}"
                    ));
                };
                if self.wants_key() {
                    let text = text
                        .clone()
                        .ok_or("expected a string as a key, got a list or map")?;
                    return self.key(text, line, false);
                }
                let (node, before) = (node.clone(), self.nodes);
                self.nodes = self.nodes.saturating_add(*size);
                self.close(node, None, before)
            }
            // An anchor is known in its document only.
            EventData::DocumentStart { .. } => {
                self.anchors.clear();
                Ok(())
            }
            EventData::DocumentEnd { .. }
            | EventData::StreamStart { .. }
            | EventData::StreamEnd => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(open) if matches!(open.items, Items::Map(_, None)))
    }

    fn key(&mut self, text: String, line: usize, ignored: bool) -> Result<(), String> {
        if let Some(Open {
            items: Items::Map(_, key),
            ..
        }) = self.open.last_mut()
        {
            *key = Some(Key {
                text,
                line,
                ignored,
            });
        }
        Ok(())
    }

    fn open(&mut self, line: usize, anchor: Option<String>, items: Items) -> Result<(), String> {
        if self.wants_key() {
            return Err("expected a string as a key, got a list or map".to_owned());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} levels, got more"));
        }
        let before = self.nodes;
        self.open.push(Open {
            line,
            anchor,
            before,
            items,
        });
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn close(&mut self, node: Node, anchor: Option<String>, before: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(format!("expected at most {MAX_NODES} values, got more"));
        }
        if let Some(anchor) = anchor {
            let size = self.nodes.saturating_sub(before);
            let anchored = Anchored {
                node: node.clone(),
                size,
                text: None,
            };
            self.anchors.insert(anchor, anchored);
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.documents.push(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(entries, key)) => {
                if let Some(key) = key.take().filter(|key| !key.ignored) {
                    entries.push(Entry {
                        key: key.text,
                        line: key.line,
                        value: node,
                    });
                }
            }
        }
        Ok(())
    }
}
