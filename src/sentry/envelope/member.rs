//! Finds a member in a JSON object, so that its value, and nothing else, can be replaced.

use std::ops::Range;

/// The value of the first member with this name, in an object known to be JSON. Members of nested objects are not looked at.
#[must_use]
pub fn member(object: &[u8], name: &str) -> Option<Range<usize>> {
    let mut at = skip_space(object, 0);
    if object.get(at) != Some(&b'{') {
        return None;
    }
    at = at.saturating_add(1);
    loop {
        at = skip_space(object, at);
        if object.get(at) == Some(&b',') {
            at = skip_space(object, at.saturating_add(1));
        }
        if object.get(at) != Some(&b'"') {
            return None;
        }
        let end = end_of_string(object, at)?;
        let is_it = is_name(object.get(at..end)?, name);
        at = skip_space(object, end);
        if object.get(at) != Some(&b':') {
            return None;
        }
        let start = skip_space(object, at.saturating_add(1));
        at = end_of_value(object, start)?;
        if is_it {
            return Some(start..at);
        }
    }
}

/// `quoted` includes the quotation marks. An escape may stand for any character.
fn is_name(quoted: &[u8], name: &str) -> bool {
    let plain = quoted.get(1..quoted.len().saturating_sub(1));
    plain == Some(name.as_bytes())
        || quoted.contains(&b'\\')
            && serde_json::from_slice::<String>(quoted).is_ok_and(|read| read == name)
}

fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    at.saturating_add(rest.iter().take_while(is_space).count())
}

/// The offset after the closing mark of the string that begins here.
fn end_of_string(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start.saturating_add(1);
    loop {
        match text.get(at)? {
            b'"' => return at.checked_add(1),
            b'\\' => at = at.saturating_add(2),
            _ => at = at.saturating_add(1),
        }
    }
}

/// The offset after the value that begins here.
fn end_of_value(text: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => at = end_of_string(text, at)?,
            b'{' | b'[' => {
                depth = depth.saturating_add(1);
                at = at.saturating_add(1);
            }
            b'}' | b']' if depth > 0 => {
                depth = depth.saturating_sub(1);
                at = at.saturating_add(1);
            }
            b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return Some(at),
            _ => {
                at = at.saturating_add(1);
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::member;

    #[test]
    fn the_value_of_a_member() {
        for (object, found) in [
            (r#"{"dsn":"x"}"#, Some(r#""x""#)),
            (
                r#" {"a" : {"dsn":1, "b":["}"]} , "dsn" : "y\"}" , "c":2}"#,
                Some(r#""y\"}""#),
            ),
            (
                r#"{"type":"dsn","dsn":{"a":{"b":"\\"}}}"#,
                Some(r#"{"a":{"b":"\\"}}"#),
            ),
            (r#"{"d\u0073n":12}"#, Some("12")),
            (r#"{"a":[1,{"dsn":2}],"dsn":null }"#, Some("null")),
            (r#"{"dsn":-1.5e3,"dsn":2}"#, Some("-1.5e3")),
            ("{\n\"dsn\"\n:\ntrue\n}", Some("true")),
            (r#"{"dsn":[[],[]]}"#, Some("[[],[]]")),
            (r#"{"dns":1}"#, None),
            ("{}", None),
            ("[]", None),
            ("", None),
            (r#"{"dsn":"#, None),
            (r#"{"dsn":"x"#, None),
        ] {
            let value = member(object.as_bytes(), "dsn").map(|range| &object[range]);
            assert_eq!(value, found, "{object}");
        }
    }
}
