//! Takes sensitive values out of JSON before it leaves for SLS: each becomes `[Filtered]`, as Sentry writes it.
//!
//! What is sensitive follows Relay's default data scrubber (`relay-pii`, `@common:filter` and the cookie list), which
//! never sees this copy:
//! * the value of a key that `scrub/key.rs` lists, or the configuration: strings, numbers, whole arrays and objects; `true`,
//!   `false` and `null` stay. Keys are found at any depth, also as the first element of a pair in a list of pairs
//!   (`[["Authorization", "..."]]`, how SDKs write headers and query strings);
//! * within any string: card numbers (`scrub/card.rs`), and what `scrub/text.rs` finds: `key=value` and `key: value`, bearer tokens,
//!   passwords in URLs, private keys. A string that holds JSON itself is read as JSON, four levels deep; deeper it is
//!   replaced as a whole.
//!
//! Against Relay: `author` is not `auth` (keys are compared by words), a count of `tokens` is no token, versions under
//! `modules` stay, and a string is not lost as a whole because the word password stands in it. IP and mail addresses, IBAN
//! and SSN stay.
//!
//! One pass over the bytes, no tree: what is not replaced is copied as it is, and nothing is copied while nothing has
//! been replaced. Valid JSON stays valid; scrubbing twice is scrubbing once. Nesting beyond [`MAX_DEPTH`] is replaced.
//! The skeleton of the JSON is checked on the way, what is in its strings is not.

mod card;
mod cursor;
mod extent;
mod filter;
mod json;
mod key;
mod text;

use std::borrow::Cow;

use key::Keys;

/// What a sensitive value becomes.
pub const FILTERED: &str = "[Filtered]";

/// [`FILTERED`] as JSON.
const FILTERED_JSON: &str = "\"[Filtered]\"";

/// Arrays and objects within each other: what `serde_json` reads by default.
pub const MAX_DEPTH: usize = 127;

/// JSON in a string of JSON in a string and so on.
const MAX_LEVELS: u8 = 4;

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {offset}")]
pub struct NotJson {
    /// Where it stops being JSON.
    pub offset: usize,
}

/// The scrubber, compiled from the configuration.
#[derive(Debug, Default)]
pub struct Scrubber {
    keys: Keys,
}

impl Scrubber {
    /// The default keys and `extra`. An extra key counts wherever its words stand in a key, in any spelling:
    /// `customer_no` means `customerNo` and `x-customer-no` too.
    pub fn new<S: AsRef<str>>(extra: impl IntoIterator<Item = S>) -> Self {
        Self {
            keys: Keys::new(extra),
        }
    }

    /// Scrubs a JSON text. Borrowed when there was nothing to replace.
    pub fn json<'a>(&self, json: &'a str) -> Result<Cow<'a, str>, NotJson> {
        self.json_at(json, 0)
    }

    /// Scrubs a string that is not JSON, or not known to be.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.text_at(text, 0)
    }

    fn text_at<'a>(&self, text: &'a str, level: u8) -> Cow<'a, str> {
        if !self.keys.suspects(text) {
            return Cow::Borrowed(text);
        }
        let start = text.trim_start();
        if start.starts_with(['{', '[', '"']) && !start.starts_with(FILTERED) {
            let inner = level.saturating_add(1);
            if inner > MAX_LEVELS {
                return Cow::Owned(FILTERED.to_owned());
            }
            if let Ok(scrubbed) = self.json_at(text, inner) {
                return scrubbed;
            }
        }
        text::scrub(&self.keys, text)
    }

    fn json_at<'a>(&self, json: &'a str, level: u8) -> Result<Cow<'a, str>, NotJson> {
        json::scrub(self, json, level)
    }
}
