//! The decoded query of a request target. Both signatures cover decoded parameters, while on the wire they are
//! percent-encoded, with `+` for a space, as the SDKs' form encoders write it.

use std::borrow::Cow;

/// Splits `path?query` at the first `?`.
pub fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// The decoded parameters in order; `None` if one is not UTF-8 or contains a broken `%`.
pub fn parse(query: &str) -> Option<Vec<(Cow<'_, str>, Cow<'_, str>)>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(key, value)| Some((decode(key)?, decode(value)?)))
        .collect()
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => (nibble(bytes.next()?)? << 4) | nibble(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pairs(query: &str) -> Vec<(String, String)> {
        let pairs = parse(query).unwrap();
        pairs
            .into_iter()
            .map(|(key, value)| (key.into_owned(), value.into_owned()))
            .collect()
    }

    #[test]
    fn decoded_in_order() {
        let expected = [
            ("b", "2"),
            ("a", "x y+z=="),
            ("empty", ""),
            ("bare", ""),
            ("k y", "中😓"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        assert_eq!(
            pairs("b=2&a=x+y%2Bz%3d=&&empty=&bare&k%20y=%E4%B8%AD%F0%9F%98%93"),
            expected
        );
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn broken_encodings_are_refused() {
        for bad in ["a=%", "a=%1", "a=%zz", "a=%+1", "a=%FF", "%C3=1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn target() {
        assert_eq!(split("/a?b=1?c"), ("/a", Some("b=1?c")));
        assert_eq!(split("/a?"), ("/a", Some("")));
        assert_eq!(split("/a"), ("/a", None));
    }
}
