//! JSON strings, from what is written to what is meant and back.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Visitor};

/// What a string means, from what stands between its quotes. A lone surrogate, which `str` cannot hold, becomes three
/// U+FFFD, one for each byte it would have; none if an escape is wrong.
pub(crate) fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    struct Bytes;

    impl Visitor<'_> for Bytes {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Some(Cow::Borrowed(raw));
    }
    let quoted = ["\"", raw, "\""].concat();
    // As bytes: the one way in which serde_json lets a lone surrogate pass.
    serde_json::Deserializer::from_str(&quoted)
        .deserialize_bytes(Bytes)
        .ok()
        .map(Cow::Owned)
}

/// A string as JSON, with its quotes.
pub(crate) fn escape(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}
