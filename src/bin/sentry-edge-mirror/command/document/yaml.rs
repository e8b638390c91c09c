//! YAML with the lines, its scalars read as Envoy 1.40 does (through yaml-cpp, which is YAML 1.1 in part; measured):
//! quoted and block scalars are strings; `y`, `yes`, `true`, `on` and their opposites are booleans; integers of 32 bits are
//! numbers, `0x` and a leading `0` hexadecimal and octal; larger integers and all fractions are strings. `<<` is a key like
//! any other, and a key tagged `!ignore` is not there.

use super::json::SyntaxError;
use super::{Entry, Lines, Node, Text, Value};
use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::collections::BTreeMap;

/// Deeper than any configuration, and far from the end of the stack.
const MAX_DEPTH: usize = 100;
/// Aliases make a small file a large document; Envoy's largest ones are below this.
const MAX_NODES: usize = 1_000_000;

/// Reads every document of a stream.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| SyntaxError {
            line: error.marker().line(),
            message: format!("expected YAML, got a syntax error: {}", error.info()),
        })?;
        builder.event(event, span).map_err(|message| SyntaxError {
            line: span.start.line(),
            message,
        })?;
    }
    Ok(builder.documents)
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

/// A list or map whose end has not come.
struct Open {
    line: usize,
    anchor: usize,
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
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if self.wants_key() {
                    return self.key(&text, line, tag.as_deref());
                }
                let before = self.nodes;
                let value = scalar(&text, style, line);
                self.close(Node { line, value }, anchor, before)
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, Items::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.open(line, anchor, Items::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
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
            Event::Alias(anchor) => {
                if self.wants_key() {
                    let text = match self.anchors.get(&anchor) {
                        Some((node, _)) => node.text().unwrap_or_default().to_owned(),
                        None => String::new(),
                    };
                    return self.key(&text, line, None);
                }
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err("expected an alias of something complete, got one of itself".into());
                };
                let (node, before) = (node.clone(), self.nodes);
                self.nodes = self.nodes.saturating_add(*size);
                self.close(node, 0, before)
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => Ok(()),
        }
    }

    fn wants_key(&self) -> bool {
        matches!(self.open.last(), Some(open) if matches!(open.items, Items::Map(_, None)))
    }

    fn key(&mut self, text: &str, line: usize, tag: Option<&Tag>) -> Result<(), String> {
        let ignored = tag.is_some_and(|tag| tag.handle == "!" && tag.suffix == "ignore");
        if let Some(Open {
            items: Items::Map(_, key),
            ..
        }) = self.open.last_mut()
        {
            let text = text.to_owned();
            *key = Some(Key {
                text,
                line,
                ignored,
            });
        }
        Ok(())
    }

    fn open(&mut self, line: usize, anchor: usize, items: Items) -> Result<(), String> {
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
    fn close(&mut self, node: Node, anchor: usize, before: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(format!("expected at most {MAX_NODES} values, got more"));
        }
        if anchor > 0 {
            let size = self.nodes.saturating_sub(before);
            self.anchors.insert(anchor, (node.clone(), size));
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

fn scalar(text: &str, style: ScalarStyle, line: usize) -> Value {
    if style == ScalarStyle::Plain {
        return plain(text, line);
    }
    let leading = text.bytes().take_while(|byte| *byte == b'\n').count();
    let lines = match style {
        // The parser's position is that of the first line that is not empty.
        ScalarStyle::Literal => Lines::From(line.saturating_sub(leading)),
        _ => Lines::At(line),
    };
    Value::String(Text {
        text: text.to_owned(),
        lines,
    })
}

fn plain(text: &str, line: usize) -> Value {
    if matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    if let Some(value) = boolean(text) {
        return Value::Bool(value);
    }
    let text = match integer(text) {
        Some(number) => match i32::try_from(number) {
            Ok(number) => return Value::Number(f64::from(number)),
            Err(_) => number.to_string(),
        },
        None => text.to_owned(),
    };
    let lines = Lines::At(line);
    Value::String(Text { text, lines })
}

fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let first_upper = |text: &str| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_uppercase())
            && bytes.all(|byte| byte.is_ascii_lowercase())
    };
    let cased = text == lower || text == text.to_ascii_uppercase() || first_upper(text);
    match lower.as_str() {
        "y" | "yes" | "true" | "on" if cased => Some(true),
        "n" | "no" | "false" | "off" if cased => Some(false),
        _ => None,
    }
}

fn integer(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if digits.len() > 1 && digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Lines, Text, Value};
    use super::parse;

    fn value(text: &str) -> Value {
        let mut documents = parse(&format!("v: {text}")).unwrap();
        documents.remove(0).get(&["v"]).unwrap().value.clone()
    }

    #[test]
    fn scalars_as_envoy_reads_them() {
        for (text, number) in [
            ("1", 1.0),
            ("-7", -7.0),
            ("0x10", 16.0),
            ("010", 8.0),
            ("+5", 5.0),
            ("-0x10", -16.0),
            ("!!str 5", 5.0),
            ("2147483647", 2_147_483_647.0),
        ] {
            assert_eq!(value(text), Value::Number(number), "{text}");
        }
        for (text, boolean) in [("true", true), ("Yes", true), ("OFF", false), ("n", false)] {
            assert_eq!(value(text), Value::Bool(boolean), "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(value(text), Value::Null, "{text}");
        }
        for (text, string) in [
            ("'1'", "1"),
            ("\"true\"", "true"),
            ("2147483648", "2147483648"),
            ("0xffffffffff", "1099511627775"),
            ("08", "08"),
            ("1.5", "1.5"),
            ("1e3", "1e3"),
            ("1_000", "1_000"),
            ("yEs", "yEs"),
            ("inf", "inf"),
            ("|-\n  8", "8"),
            ("0xzz", "0xzz"),
            ("${A:-b}", "${A:-b}"),
        ] {
            let node = value(text);
            let Value::String(Text { text: read, .. }) = &node else {
                panic!("{text}: {node:?}");
            };
            assert_eq!(read, string, "{text}");
        }
    }

    #[test]
    fn lines_of_a_literal_block() {
        for block in ["|\n  a\n  b\n", "|-\n\n\n  a\n"] {
            let Value::String(text) = value(block) else {
                panic!("{block}");
            };
            assert_eq!(text.lines, Lines::From(2), "{block:?}");
        }
    }

    #[test]
    fn aliases_ignored_keys_and_several_documents() {
        let documents = parse("a: &x {b: 1}\nc: *x\n!ignore d: {e: *x}\n---\n- 1\n").unwrap();
        let json = serde_json::to_string(&documents[0]).unwrap();
        assert_eq!(json, r#"{"a":{"b":1.0},"c":{"b":1.0}}"#);
        assert_eq!(documents[1].items().len(), 1);
    }

    #[test]
    fn hostile_documents_end_in_an_error() {
        let bomb: String = (1..40)
            .map(|n| {
                let previous = n - 1;
                format!("a{n}: &a{n} [*a{previous}, *a{previous}]\n")
            })
            .collect();
        let bomb = format!("a0: &a0 [1, 2]\n{bomb}");
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        for text in [
            bomb.as_str(),
            deep.as_str(),
            "a: &x [*x]",
            "a: [1",
            "[1]: 2",
            "a: b: c",
            "a: *none",
        ] {
            assert!(parse(text).is_err(), "{text:.20}");
        }
    }
}
