//! The key in front of a mark: of `=` and `:`, and of the comma of a pair. Looks back no further than [`MAX_KEY`] bytes,
//! and not behind the mark before, so that no byte is looked at by two marks.

/// How far before its mark a key may begin.
pub(super) const MAX_KEY: usize = 128;

/// Units for a byte looked back over, measured.
pub(super) const PER_BYTE: u64 = 60;

/// A key, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<'a> {
    pub(super) text: &'a str,
    /// What stands in front of it, of what was looked at.
    pub(super) front: &'a [u8],
    /// It is in quotes.
    pub(super) quoted: bool,
    /// Nothing stands between it and the mark.
    pub(super) tight: bool,
    /// The quote in front of it, and whether that is itself escaped: where a line in a string ends.
    pub(super) quote: Option<(u8, bool)>,
}

/// The key in front of the `=` or `:` at `at`. It may be quoted or in brackets: `'token': `, `data["password"] = `.
pub(super) fn key(text: &str, at: usize, floor: usize) -> Option<Key<'_>> {
    let bytes = text.as_bytes();
    let from = at.saturating_sub(MAX_KEY).max(floor);
    let before = |end: usize| byte_before(bytes, from, end);
    let mut end = at;
    let mut quoted = false;
    while let Some(byte) = before(end).filter(|byte| is_closing(*byte)) {
        quoted |= is_quote(byte);
        end = end.saturating_sub(1);
    }
    let mut start = key_start(bytes, from, end);
    // Behind an escaped line break, as in what Python prints of a string.
    if before(start) == Some(b'\\') && matches!(bytes.get(start), Some(b'n' | b'r' | b't')) {
        start = start.saturating_add(1);
    }
    let front = bytes.get(from..start).unwrap_or_default();
    // Quotes of a URL: `%22token%22%3A`.
    let text = text.get(start..end).filter(|key| !key.is_empty())?;
    let quoted = quoted || text.ends_with("%22") || text.ends_with("%27");
    let quote = start
        .checked_sub(1)
        .and_then(|at| bytes.get(at))
        .filter(|byte| is_quote(**byte));
    Some(Key {
        text,
        front,
        quoted,
        tight: end == at,
        quote: quote.map(|quote| (*quote, before(start.saturating_sub(1)) == Some(b'\\'))),
    })
}

/// The first of a pair, in front of the comma at `at`: `('authorization', `, `[b"cookie", `.
pub(super) fn first_of_pair(text: &str, at: usize, floor: usize) -> Option<&str> {
    let bytes = text.as_bytes();
    let from = at.saturating_sub(MAX_KEY).max(floor);
    let before = |end: usize| byte_before(bytes, from, end);
    let skip = |mut end: usize, skipped: &[u8]| {
        while before(end).is_some_and(|byte| skipped.contains(&byte)) {
            end = end.saturating_sub(1);
        }
        end
    };
    let end = skip(at, b" ");
    let quote = before(end).filter(|byte| is_quote(*byte))?;
    let end = skip(end.saturating_sub(1), b"\\");
    let start = key_start(bytes, from, end);
    let mut front = start;
    if before(front) != Some(quote) {
        return None;
    }
    front = skip(front.saturating_sub(1), b"\\");
    // Python's prefixes.
    if before(front).is_some_and(|byte| matches!(byte, b'b' | b'u' | b'r')) {
        front = front.saturating_sub(1);
    }
    let front = skip(front, b" \t\r\n");
    matches!(before(front), Some(b'(' | b'[')).then_some(())?;
    text.get(start..end)
}

fn byte_before(bytes: &[u8], from: usize, end: usize) -> Option<u8> {
    let at = end.checked_sub(1).filter(|at| *at >= from)?;
    bytes.get(at).copied()
}

/// Where the key that ends at `end` begins.
fn key_start(bytes: &[u8], from: usize, end: usize) -> usize {
    let mut start = end;
    while let Some(byte) = byte_before(bytes, from, start) {
        let escape = byte == b'\\' && is_escape(bytes.get(start..end).unwrap_or_default());
        let in_key = matches!(
            byte,
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | 0x80.. | b'_' | b'-' | b'.' | b'%' | b'$'
        );
        if !in_key && !escape {
            break;
        }
        start = start.saturating_sub(1);
    }
    // Not within a character that began before `from`.
    while bytes
        .get(start)
        .is_some_and(|byte| (0x80..0xc0).contains(byte))
        && start < end
    {
        start = start.saturating_add(1);
    }
    start
}

/// What stands behind the backslash of an escaped character.
fn is_escape(behind: &[u8]) -> bool {
    let hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    match behind {
        [b'u', a, b, c, d, ..] => hex(&[*a, *b, *c, *d]),
        [b'x', a, b, ..] => hex(&[*a, *b]),
        _ => false,
    }
}

/// What may stand between a key and its mark.
fn is_closing(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'"' | b'\'' | b'`' | b']' | b')' | b'\\'
    )
}

pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found(text: &str) -> (Option<&str>, bool) {
        let key = key(text, text.len(), 0);
        (key.map(|key| key.text), key.is_some_and(|key| key.quoted))
    }

    #[test]
    fn keys_before_a_mark() {
        for (text, expected) in [
            ("a&token", (Some("token"), false)),
            ("{'token'", (Some("token"), true)),
            ("data[\"api_key\"] ", (Some("api_key"), true)),
            ("user[password]", (Some("password"), false)),
            (r"x\ntoken", (Some("token"), false)),
            (r"pass\u0077ord", (Some(r"pass\u0077ord"), false)),
            (r"x\pass", (Some("pass"), false)),
            ("%22token%22", (Some("%22token%22"), true)),
            ("a, ", (None, false)),
            ("", (None, false)),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        let long = format!("é{}", "x".repeat(MAX_KEY - 1));
        assert_eq!(found(&long).0.unwrap().len(), MAX_KEY - 1);
        assert_eq!(key("token", 5, 3).unwrap().text, "en");
        assert_eq!(key(r#"\"Cookie"#, 8, 0).unwrap().quote, Some((b'"', true)));
    }

    #[test]
    fn firsts_of_pairs() {
        for (text, expected) in [
            ("('authorization'", Some("authorization")),
            ("[(b\"cookie\" ", Some("cookie")),
            ("[\n  'x-auth'", Some("x-auth")),
            (r#"[[\"a\""#, Some("a")),
            ("{'token'", None),
            ("'token'", None),
            ("('it is'", None),
            ("(token", None),
        ] {
            assert_eq!(first_of_pair(text, text.len(), 0), expected, "{text}");
        }
    }
}
