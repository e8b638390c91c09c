//! JSON with the lines. Strict: what the core's reader takes, and nothing else.

use super::{Entry, Lines, Node, Text, Value};
use jsonc_parser::ast;
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// What is wrong with a text, and in which line.
#[derive(Debug, PartialEq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) message: String,
}

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Reads a JSON text that stands in the file at `lines`.
pub(crate) fn parse(text: &str, lines: Lines) -> Result<Node, SyntaxError> {
    // serde_json is what the core reads with: its verdict and its words.
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        let message = message.strip_suffix(&position).unwrap_or(&message);
        return Err(SyntaxError {
            line: lines.line(error.line()),
            message: format!("expected JSON, got a syntax error: {message}"),
        });
    }
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| {
        let before = ends.partition_point(|end| *end < at);
        lines.line(before.saturating_add(1))
    };
    match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(parsed) => Ok(match parsed.value {
            Some(value) => node(&value, &line),
            None => Node {
                line: lines.line(1),
                value: Value::Null,
            },
        }),
        Err(error) => Err(SyntaxError {
            line: line(error.range().start),
            message: format!("expected JSON, got a syntax error: {}", error.kind()),
        }),
    }
}

fn node(value: &ast::Value<'_>, line: &dyn Fn(usize) -> usize) -> Node {
    let at = line(value.range().start);
    let value = match value {
        ast::Value::NullKeyword(_) => Value::Null,
        ast::Value::BooleanLit(literal) => Value::Bool(literal.value),
        ast::Value::NumberLit(literal) => literal.value.parse().map_or(Value::Null, Value::Number),
        ast::Value::StringLit(literal) => Value::String(Text {
            text: literal.value.to_string(),
            lines: Lines::At(at),
        }),
        ast::Value::Array(array) => Value::List(
            array
                .elements
                .iter()
                .map(|element| node(element, line))
                .collect(),
        ),
        ast::Value::Object(object) => {
            let entries = object.properties.iter().map(|property| Entry {
                key: property.name.as_str().to_owned(),
                line: line(property.range.start),
                value: node(&property.value, line),
            });
            Value::Map(entries.collect())
        }
    };
    Node { line: at, value }
}

#[cfg(test)]
mod tests {
    use super::super::places::Places;
    use super::{Lines, parse};

    #[test]
    fn lines_of_keys_values_and_mistakes() {
        let node = parse("{\n\"a\": [\n1,\n2],\r\n\t\"b\": 3}", Lines::From(10)).unwrap();
        let places = Places::new(&node);
        assert_eq!((places.line("a"), places.line("a[1]")), (11, 13));
        assert_eq!(places.line("b"), 14);
        let error = parse("{\n\"a\": 1,\n}", Lines::From(10)).unwrap_err();
        assert_eq!(error.line, 12);
        assert!(!error.message.contains(" at line "), "{}", error.message);
        assert_eq!(parse("{\n", Lines::At(7)).unwrap_err().line, 7);
    }

    #[test]
    fn nothing_but_json() {
        for text in [
            "", "{a: 1}", "{'a': 1}", "[1,]", "// x\n1", "+1", "NaN", "1 2",
        ] {
            assert!(parse(text, Lines::From(1)).is_err(), "{text}");
        }
    }
}
