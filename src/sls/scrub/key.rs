//! Which keys are sensitive.
//!
//! A key is split into words at everything that is not a letter or digit, and between small and capital letters, and is put
//! in lower case: `X-Auth-Token`, `xAuthToken` and `x_auth_token` are the same three words. Escapes are undone first
//! (`user%5Bpassword%5D`, `pass\u0077ord`). It is then sensitive if
//! * its letters, without the breaks, hold one of [`ANYWHERE`]: these have no innocent longer words worth keeping, but for
//!   those of [`innocent`]: `token_type`, `cookie_banner`;
//! * one of its words is one of [`WORDS`]: `auth` but not `author`;
//! * it is one of [`WHOLE`], or one of the session cookies of [`COOKIES`];
//! * it holds the words of a configured key in a row, or is the same but for the breaks.
//!
//! A number stays under a key that counts tokens (`max_tokens`, `token_count`), and under one that is only likely to be
//! sensitive: `signature`, and `pass`, which is a result just as often.
//!
//! Of a key longer than 512 bytes, the first and the last 256 count.

mod cache;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use super::filter::{Filter, Suspicion};
use cache::Cache;
use words::Words;

// [`super::filter`] contains a part of everything below.

/// Relay's `PASSWORD_KEY_REGEX` and `TOKEN_KEY_REGEX`, less `auth`; and names for the same that it leaves out.
const ANYWHERE: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "secret",
    "apikey",
    "accesskey",
    "accountkey",
    "signingkey",
    "encryptionkey",
    "credential",
    "mysqlpwd",
    "privatekey",
    "token",
    "bearer",
    "authorization",
    "cookie",
];

/// The same, but within one word: `func_srf` does not match.
const WITHIN: &[&[u8]] = &[b"csrf", b"xsrf"];

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

/// Sensitive if it is the whole key.
const WHOLE: &[&str] = &["otp", "twofactor"];

/// Session cookies that are sensitive if they are the whole key, compared ignoring case. Relay's `session`, `su`, `sudo` and
/// `symfony` name other things just as often; everything below a `cookies` key is removed anyway.
const COOKIES: &[&str] = &[
    "sessionid",
    "__session",
    "user_session",
    "laravel_session",
    "_session_id",
    "connect.sid",
];

/// Facts about a token that are not a token.
const OF_TOKENS: &[&str] = &[
    "type", "endpoint", "url", "uri", "expir", "ttl", "lifetime", "alg",
];

/// What is counted of tokens.
const COUNTS: &[&str] = &["s", "count", "limit", "usage", "budget", "length"];

/// Facts about cookies that are not a cookie.
const OF_COOKIES: &[&str] = &[
    "banner",
    "consent",
    "policy",
    "notice",
    "preference",
    "setting",
    "law",
    "popup",
    "dialog",
    "enabled",
    "disabled",
    "accepted",
    "domain",
    "path",
    "secure",
    "samesite",
    "httponly",
    "name",
    "count",
];

/// Words that begin like secrets but are not.
const OF_SECRETS: &[&str] = &["ary", "arial", "ariat", "aries", "santa"];

/// What a `pass` is when it is not a password.
const PASSES: &[&str] = &[
    "first", "second", "third", "one", "two", "single", "multi", "render", "shader", "low", "high",
    "band", "by", "test", "all",
];

/// Signed things whose signature is not secret.
const SIGNED: &[&str] = &[
    "method", "function", "fn", "type", "call", "text", "in", "out", "error", "bad", "invalid",
    "detached",
];

/// The verdict on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sensitive {
    No,
    Yes,
    /// Sensitive, unless the value is a number: it counts tokens, or is only likely to be sensitive.
    Count,
}

/// The verdict on a key in text, where how it is written tells more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    No,
    /// Only as a parameter of a URL: `sig=`.
    Parameter,
    /// As [`Sensitive::Count`], by what it counts.
    Count,
    /// As [`Sensitive::Count`], because it is only likely to be sensitive.
    Likely,
    Yes,
}

/// Units for a byte of a key that is put in words, for one that is compared with the configured ones too, and for the
/// rest of it; measured.
const PER_BYTE: u64 = 250;
const PER_BYTE_EXTRA: u64 = 250;
const PER_KEY: u64 = 4_000;
/// Units for a byte of any other key, and for the rest of it.
const PER_BYTE_OTHER: u64 = 16;
const PER_KEY_OTHER: u64 = 120;

/// The default keys and the configured ones.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By their first word.
    extra: BTreeMap<Vec<u8>, Vec<Words>>,
    /// Without breaks.
    joined: BTreeSet<Vec<u8>>,
    filter: Filter,
    cache: Cache,
}

impl Keys {
    pub(super) fn new<S: AsRef<str>>(extra: impl IntoIterator<Item = S>) -> Self {
        let mut keys = Self::default();
        for words in extra.into_iter().map(|key| Words::of(key.as_ref())) {
            let first = words.iter().next().map(<[u8]>::to_vec);
            if let Some(first) = first {
                keys.joined.insert(words.joined().to_vec());
                keys.extra.entry(first).or_default().push(words);
            }
        }
        keys.filter = Filter::new(keys.extra.keys().map(Vec::as_slice));
        keys
    }

    /// Looks at the next piece of a string, for whether it may hold something sensitive at all.
    pub(super) fn look(&self, state: &mut Suspicion, piece: &[u8]) {
        self.filter.look(state, piece);
    }

    /// Whether a string may hold something sensitive at all.
    pub(super) fn suspects(&self, text: &str) -> bool {
        let mut state = Suspicion::new();
        self.look(&mut state, text.as_bytes());
        state.is_suspicious()
    }

    /// The verdict on a key of JSON. What it cost is added to `work`.
    pub(super) fn test(&self, key: &str, work: &mut u64) -> Sensitive {
        match self.weigh(key, work) {
            Verdict::No | Verdict::Parameter => Sensitive::No,
            Verdict::Count | Verdict::Likely => Sensitive::Count,
            Verdict::Yes => Sensitive::Yes,
        }
    }

    /// The verdict on a key in text. What it cost is added to `work`.
    pub(super) fn weigh(&self, key: &str, work: &mut u64) -> Verdict {
        self.cache.get(key, work, |work| self.find(key, work))
    }

    fn find(&self, key: &str, work: &mut u64) -> Verdict {
        let head = key.as_bytes().get(..256).unwrap_or(key.as_bytes());
        let tail = key.len().saturating_sub(256).max(head.len());
        let tail = key.as_bytes().get(tail..).unwrap_or_default();
        let bytes = u64::try_from(head.len().saturating_add(tail.len())).unwrap_or(u64::MAX);
        let automata = u64::try_from(self.filter.automata()).unwrap_or(u64::MAX);
        let mut spend = |per_byte: u64, rest: u64| {
            *work = work.saturating_add(bytes.saturating_mul(per_byte).saturating_add(rest));
        };
        spend(PER_BYTE_OTHER.saturating_mul(automata), PER_KEY_OTHER);
        if !self.filter.suspects_key(head, tail) {
            return Verdict::No;
        }
        spend(PER_BYTE, PER_KEY);
        if !self.extra.is_empty() {
            spend(PER_BYTE_EXTRA, 0);
        }
        let words = Words::of(key);
        let sure = self.joined.contains(words.joined())
            || words.any_row(|word, rest| {
                self.extra
                    .get(word)
                    .is_some_and(|extra| extra.iter().any(|extra| extra.begins(rest)))
            })
            || words
                .iter()
                .any(|word| is_any(WORDS, word) || holds(WITHIN, word))
            || is_any(WHOLE, words.joined())
            || (words.iter().any(|word| word == b"pwd") && words.iter().count() > 1)
            || COOKIES
                .iter()
                .any(|cookie| key.eq_ignore_ascii_case(cookie));
        if sure {
            return Verdict::Yes;
        }
        match anywhere(words.joined()) {
            Verdict::No if is_likely(&words) => Verdict::Likely,
            Verdict::No if words.joined() == b"sig" => Verdict::Parameter,
            verdict => verdict,
        }
    }
}

fn is_any(list: &[&str], word: &[u8]) -> bool {
    list.iter().any(|listed| listed.as_bytes() == word)
}

fn holds(list: &[&[u8]], word: &[u8]) -> bool {
    list.iter()
        .any(|part| word.windows(part.len()).any(|window| window == *part))
}

fn begins(list: &[&str], rest: &[u8]) -> bool {
    list.iter()
        .any(|listed| rest.starts_with(listed.as_bytes()))
}

/// What [`ANYWHERE`] matches in a key without breaks.
fn anywhere(mut rest: &[u8]) -> Verdict {
    let mut verdict = Verdict::No;
    while let Some((first, tail)) = rest.split_first() {
        // The first letters of `ANYWHERE`.
        if matches!(first, b'a' | b'b' | b'c' | b'e' | b'm' | b'p' | b's' | b't') {
            let found = ANYWHERE
                .iter()
                .find(|term| rest.starts_with(term.as_bytes()));
            if let Some(term) = found {
                let behind = rest.get(term.len()..).unwrap_or_default();
                if *term == "token" && begins(COUNTS, behind) {
                    verdict = Verdict::Count;
                } else if !innocent(term, behind) {
                    return Verdict::Yes;
                }
            }
        }
        rest = tail;
    }
    verdict
}

/// Whether what follows a sensitive word makes it innocent.
fn innocent(term: &str, behind: &[u8]) -> bool {
    match term {
        "token" => begins(OF_TOKENS, behind),
        "cookie" => begins(OF_COOKIES, behind.strip_prefix(b"s").unwrap_or(behind)),
        "secret" => begins(OF_SECRETS, behind),
        _ => false,
    }
}

/// Passwords and signatures under names that have other meanings.
fn is_likely(words: &Words) -> bool {
    let mut before: &[u8] = b"";
    let mut all = words.iter().peekable();
    while let Some(word) = all.next() {
        let next = all.peek().copied();
        let likely = match word {
            b"pass" => next.is_none() && !is_any(PASSES, before),
            b"signature" => {
                !is_any(SIGNED, before)
                    && next.is_none_or(|next| next.first().is_some_and(u8::is_ascii_digit))
            }
            _ => false,
        };
        if likely {
            return true;
        }
        before = word;
    }
    false
}
