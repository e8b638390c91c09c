//! Scalars as Envoy 1.40 reads them, through yaml-cpp, which is YAML 1.1 in part: quoted and block scalars without a tag are strings;
//! `y`, `yes`, `true`, `on` and their opposites are booleans; integers of 32 bits are numbers, `0x` and a leading `0`
//! hexadecimal and octal; larger integers and all fractions are strings.

use super::super::{Lines, Text, Value};
use libyaml_safer::ScalarStyle;

/// The tag of what is to be taken as it stands.
const NON_SPECIFIC: &str = "!";

/// Reads a scalar that begins at `line`.
pub(super) fn scalar(text: String, style: ScalarStyle, tag: Option<&str>, line: usize) -> Value {
    let lines = match style {
        // The indicator is in the line before.
        ScalarStyle::Literal => Lines::From(line.saturating_add(1)),
        _ => Lines::At(line),
    };
    let is_plain = style == ScalarStyle::Plain;
    match tag {
        None if is_plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") => {
            Value::Null
        }
        None if is_plain => resolve(text, lines),
        None | Some(NON_SPECIFIC) => Value::String(Text { text, lines }),
        // Whatever the tag says, and in quotes too.
        Some(_) => resolve(text, lines),
    }
}

fn resolve(text: String, lines: Lines) -> Value {
    if let Some(value) = boolean(&text) {
        return Value::Bool(value);
    }
    let text = match integer(&text) {
        Some(number) => match i32::try_from(number) {
            Ok(number) => return Value::Number(f64::from(number)),
            Err(_) => number.to_string(),
        },
        None => text,
    };
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
