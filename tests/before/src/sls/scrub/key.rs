//! Which keys are sensitive.
//!
//! A key is split into words at everything that is not a letter or digit, and between small and capital letters, and put
//! in lower case: `X-Auth-Token`, `xAuthToken` and `x_auth_token` are the same three words. Escapes of a URL are undone
//! first (`user%5Bpassword%5D`). Then it is sensitive if
//! * its letters, without the breaks, hold one of [`ANYWHERE`]: these have no innocent longer words worth keeping;
//! * one of its words is one of [`WORDS`]: `auth` but not `author`;
//! * it is one of [`WHOLE`], or one of the session cookies of [`COOKIES`];
//! * it holds the words of a configured key in a row, or is the same but for the breaks.

use super::filter::Filter;

// [`super::filter`] has the first three letters of all that follows.

/// Relay's `PASSWORD_KEY_REGEX` and `TOKEN_KEY_REGEX`, less `auth`; and names for the same that it leaves out.
const ANYWHERE: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "apikey",
    "credential",
    "mysqlpwd",
    "privatekey",
    "token",
    "bearer",
    "authorization",
    "cookie",
    "csrf",
    "xsrf",
];

/// Sensitive as a word of its own: of Relay's list of session cookies those that name nothing else, too. `pwd` is not
/// here: alone it is the working directory.
const WORDS: &[&str] = &[
    "auth",
    "oauth",
    "oauth2",
    "authentication",
    "jwt",
    "sessionid",
    "sentrysid",
    "phpsessid",
    "jsessionid",
    "fasthttpsessionid",
    "mysession",
    "irissessionid",
];

/// Sensitive as the whole key.
const WHOLE: &[&str] = &["otp", "twofactor"];

/// Session cookies that are sensitive as a whole, compared as they are but for the case. Relay's `session`, `su`, `sudo`
/// and `symfony` name other things as often; everything below a `cookies` key goes anyway.
const COOKIES: &[&str] = &[
    "sessionid",
    "__session",
    "user_session",
    "laravel_session",
    "_session_id",
    "connect.sid",
];

/// The verdict on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensitive {
    No,
    Yes,
    /// Only by `tokens`: sensitive, unless the value is a number.
    Count,
}

/// The default keys and the configured ones.
#[derive(Debug, Default)]
pub(super) struct Keys {
    extra: Vec<Words>,
    filter: Filter,
}

impl Keys {
    pub(super) fn new<S: AsRef<str>>(extra: impl IntoIterator<Item = S>) -> Self {
        let extra = extra.into_iter().map(|key| Words::of(key.as_ref()));
        let extra: Vec<_> = extra.filter(|words| !words.joined.is_empty()).collect();
        let filter = Filter::new(extra.iter().filter_map(|words| words.iter().next()));
        Self { extra, filter }
    }

    /// Whether a string may hold something sensitive at all.
    pub(super) fn suspects(&self, text: &str) -> bool {
        self.filter.suspects(text)
    }

    pub(super) fn test(&self, key: &str) -> Sensitive {
        if !self.filter.suspects_key(key) {
            return Sensitive::No;
        }
        let words = Words::of(key);
        if self
            .extra
            .iter()
            .any(|extra| words.joined == extra.joined || words.holds(extra))
        {
            return Sensitive::Yes;
        }
        match words.anywhere() {
            Sensitive::No if words.is_sensitive() => Sensitive::Yes,
            Sensitive::No
                if COOKIES
                    .iter()
                    .any(|cookie| key.eq_ignore_ascii_case(cookie)) =>
            {
                Sensitive::Yes
            }
            verdict => verdict,
        }
    }
}

/// A key in words.
#[derive(Debug)]
struct Words {
    /// The words, with one space in front, between and behind.
    spaced: Vec<u8>,
    joined: Vec<u8>,
}

impl Words {
    fn of(key: &str) -> Self {
        let mut words = Self {
            spaced: Vec::with_capacity(key.len().saturating_add(8)),
            joined: Vec::with_capacity(key.len()),
        };
        words.end();
        let mut bytes = key.as_bytes();
        // The two bytes before, to see where capitals begin and end a word: `apiKey`, `APIKey`.
        let (mut before, mut previous) = (b' ', b' ');
        while let Some((byte, rest)) = next_byte(bytes) {
            bytes = rest;
            if matches!(byte, b'?' | b'&' | b'=' | b'/') {
                // A key that came with the URL in front of it.
                words.joined.clear();
                words.spaced.clear();
            }
            if byte.is_ascii_alphanumeric() || !byte.is_ascii() {
                if byte.is_ascii_uppercase() && !previous.is_ascii_uppercase() {
                    words.end();
                } else if byte.is_ascii_lowercase()
                    && previous.is_ascii_uppercase()
                    && before.is_ascii_uppercase()
                {
                    let last = words.spaced.pop();
                    words.end();
                    words.spaced.extend(last);
                }
                words.spaced.push(byte.to_ascii_lowercase());
                words.joined.push(byte.to_ascii_lowercase());
            } else {
                words.end();
            }
            (before, previous) = (previous, byte);
        }
        words.end();
        words
    }

    fn end(&mut self) {
        if self.spaced.last() != Some(&b' ') {
            self.spaced.push(b' ');
        }
    }

    fn holds(&self, other: &Self) -> bool {
        self.spaced
            .windows(other.spaced.len())
            .any(|window| window == other.spaced)
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.spaced
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
    }

    fn is_sensitive(&self) -> bool {
        let listed =
            |list: &[&str], word: &[u8]| list.iter().any(|listed| listed.as_bytes() == word);
        listed(WHOLE, &self.joined)
            || self.iter().any(|word| listed(WORDS, word))
            || (self.iter().any(|word| word == b"pwd") && self.iter().count() > 1)
    }

    fn anywhere(&self) -> Sensitive {
        let mut rest = self.joined.as_slice();
        let mut verdict = Sensitive::No;
        while let Some((first, tail)) = rest.split_first() {
            // The first letters of `ANYWHERE`.
            if matches!(first, b'a' | b'b' | b'c' | b'm' | b'p' | b's' | b't' | b'x') {
                let found = ANYWHERE
                    .iter()
                    .find(|term| rest.starts_with(term.as_bytes()));
                match found {
                    Some(&"token") if rest.get(5) == Some(&b's') => verdict = Sensitive::Count,
                    Some(_) => return Sensitive::Yes,
                    None => {}
                }
            }
            rest = tail;
        }
        verdict
    }
}

/// The next byte, with the escape of a URL undone.
fn next_byte(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first == b'%'
        && let Some(([high, low], behind)) = rest.split_first_chunk::<2>()
        && let (Some(high), Some(low)) = (
            char::from(*high).to_digit(16),
            char::from(*low).to_digit(16),
        )
        && let Ok(byte) = u8::try_from(high << 4 | low)
    {
        return Some((byte, behind));
    }
    Some((*first, rest))
}
