//! A key and its value in text: what is a key, and which values stay.

use crate::sls::scrub::key::{Keys, Verdict};

use super::lookback;
use super::value::{Expected, Value};
use super::{Mode, PER_LOOK, TextScan};

/// Values that are left, as `null` and the like are in JSON.
const NOTHING: &[&str] = &[
    "",
    "[]",
    "{}",
    "()",
    "None",
    "True",
    "False",
    "null",
    "nil",
    "undefined",
    "true",
    "false",
];

/// Keys that are words of messages: without quotes around the value a colon is prose.
const PROSE: &[&str] = &["token", "auth"];

/// What a parser says of a token.
const COMPLAINTS: &[&[u8]] = &[
    b"nexpected ",
    b"nvalid ",
    b"xpected ",
    b"llegal ",
    b"nknown ",
];

/// White space that may stand behind the comma of a pair.
const MAX_SPACE: usize = 32;
/// A string behind the comma is looked over so far, for another comma behind it.
const MAX_LIST: usize = 64;

/// Units for what is looked at behind the comma.
const PER_PAIR: u64 = 5_000;

/// The longest type.
const MAX_TYPE: usize = 64;

/// Longer numbers are no counts.
const MAX_COUNT: usize = 15;
/// Longer numbers are no results of a test either: `pass=3`.
const MAX_RESULT: usize = 3;
/// So many marks in quotes are what a parser complains about: `Unexpected token: '}'`.
const MAX_MARKS: usize = 8;

/// Which values stay.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rule {
    /// Numbers of at most so many characters.
    number: usize,
    /// Marks without a letter or digit, if they are quoted.
    marks: bool,
}

impl Rule {
    pub(super) fn leaves(self, value: &str, quoted: bool) -> bool {
        let number = || {
            !quoted
                && value.len() <= self.number
                && value
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b".,-".contains(&byte))
        };
        let marks = || {
            self.marks
                && quoted
                && value.len() <= MAX_MARKS
                && !value.chars().any(char::is_alphanumeric)
        };
        NOTHING.contains(&value) || number() || marks()
    }
}

impl TextScan {
    /// A mark at `at`, a value from `behind`.
    pub(super) fn pair(&mut self, keys: &Keys, text: &str, at: usize, behind: usize) {
        let floor = std::mem::replace(&mut self.floor, behind);
        self.at = behind;
        self.look_back(at.saturating_sub(floor));
        let typed = self.typed.take();
        if typed.is_some() {
            self.look_back(MAX_TYPE);
        }
        if let Some(colon) = typed
            && is_type(text, colon, at)
        {
            let expected = Expected {
                quoted: true,
                ..Expected::default()
            };
            self.mode = Mode::Value(Value::new(behind, expected), Rule::default());
            return;
        }
        let Some(key) = lookback::key(text, at, floor) else {
            return;
        };
        let verdict = keys.weigh(key.text, &mut self.work);
        let byte = |at: usize| text.as_bytes().get(at).copied();
        let equals = byte(at) == Some(b'=') || escaped(text, at) == Some(b'=');
        let colon = !equals;
        if verdict == Verdict::No
            || (verdict == Verdict::Parameter && (colon || key.quoted || !key.tight))
        {
            return;
        }
        if colon && byte(behind) == Some(b':') {
            // A path: `token::Token`.
            self.at = behind.saturating_add(1);
            return;
        }
        if colon && !key.quoted {
            self.typed = Some(behind);
        }
        let likely = verdict == Verdict::Likely;
        let prose = PROSE.iter().any(|word| key.text.eq_ignore_ascii_case(word));
        let prose = colon && !key.quoted && (likely || prose);
        if prose && COMPLAINTS.iter().any(|word| key.front.ends_with(word)) {
            return;
        }
        let expected = Expected {
            quoted: prose || (likely && colon),
            tight: likely,
            line: (colon && !key.quoted && is_header(key.text)).then_some(key.quote),
            cookie: is_cookie(key.text),
        };
        let rule = Rule {
            number: match verdict {
                Verdict::Count => MAX_COUNT,
                Verdict::Likely if colon => MAX_COUNT,
                Verdict::Likely => MAX_RESULT,
                _ => 0,
            },
            marks: prose,
        };
        if !(likely && !key.tight && !quoted_behind(text, behind)) {
            self.mode = Mode::Value(Value::new(behind, expected), rule);
        }
    }

    fn look_back(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes.min(lookback::MAX_KEY)).unwrap_or(u64::MAX);
        let cost = bytes.saturating_mul(lookback::PER_BYTE);
        self.work = self.work.saturating_add(cost).saturating_add(PER_LOOK);
    }

    /// A comma: `('authorization', 'Basic ...')`.
    pub(super) fn comma(&mut self, keys: &Keys, text: &str, at: usize) {
        let Some(key) = lookback::first_of_pair(text, at, self.floor) else {
            return;
        };
        self.look_back(MAX_SPACE.saturating_add(key.len()));
        if keys.weigh(key, &mut self.work) != Verdict::Yes {
            return;
        }
        self.work = self.work.saturating_add(PER_PAIR);
        let bytes = text.as_bytes();
        let start = skip_space(bytes, at.saturating_add(1), MAX_SPACE);
        let Some(value) = Value::enclosed(bytes, start) else {
            return;
        };
        if is_list(bytes, value) {
            return;
        }
        self.at = value.start();
        self.mode = Mode::Value(value, Rule::default());
    }

    /// `%20` or `\n`; `%3D` and `\u003d` are `=`, `%3A` is `:`.
    pub(super) fn escape(&mut self, keys: &Keys, text: &str, at: usize) {
        let bytes = text.as_bytes();
        let next = bytes.get(at.saturating_add(1)).copied();
        let length = match (bytes.get(at), next) {
            (Some(b'\\'), Some(b'n' | b'r' | b't')) => {
                self.at = at.saturating_add(2);
                self.fresh = self.at;
                return;
            }
            (Some(b'\\'), Some(b'u')) => 6,
            (Some(b'\\'), Some(b'x')) => 4,
            (Some(b'%'), _) => 3,
            _ => return,
        };
        let Some(byte) = escaped(text, at) else {
            return;
        };
        self.at = at.saturating_add(length);
        if matches!(byte, b'=' | b':') {
            self.pair(keys, text, at, self.at);
        }
        if !byte.is_ascii_alphanumeric() || text.as_bytes().get(at) == Some(&b'%') {
            self.fresh = at.saturating_add(length);
        }
    }
}

/// Whether nothing but a type stands between a colon and the `=` at `at`: `token: &'static str = "..."`.
fn is_type(text: &str, colon: usize, at: usize) -> bool {
    let between = text.as_bytes().get(colon..at).unwrap_or_default();
    let in_type = |byte: &u8| byte.is_ascii_alphanumeric() || b" _.&'<>[]|*?:".contains(byte);
    text.as_bytes().get(at) == Some(&b'=')
        && between.len() <= MAX_TYPE
        && between.iter().all(in_type)
}

/// What the escape at `at` stands for, if that is ASCII.
fn escaped(text: &str, at: usize) -> Option<u8> {
    let rest = text.as_bytes().get(at..)?;
    let digits = match rest {
        [b'%', digits @ ..]
        | [b'\\', b'u', b'0', b'0', digits @ ..]
        | [b'\\', b'x', digits @ ..] => digits,
        _ => return None,
    };
    let [high, low, ..] = digits else { return None };
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    u8::try_from(high << 4 | low).ok().filter(u8::is_ascii)
}

fn skip_space(bytes: &[u8], at: usize, most: usize) -> usize {
    let spaces = bytes.get(at..).unwrap_or_default().iter().take(most);
    let count = spaces.take_while(|byte| byte.is_ascii_whitespace()).count();
    at.saturating_add(count)
}

/// Whether a quoted value follows, behind marks and a few spaces.
fn quoted_behind(text: &str, behind: usize) -> bool {
    let bytes = text.as_bytes().get(behind..).unwrap_or_default();
    let mut bytes = bytes.iter().take(MAX_SPACE);
    bytes
        .find(|byte| !matches!(byte, b'=' | b'>' | b'~' | b' ' | b'\t'))
        .is_some_and(|byte| lookback::is_quote(*byte))
}

/// Whether the string that begins here is one of several, `['password', 'token', 'secret']`, and not the second of two.
fn is_list(bytes: &[u8], mut value: Value) -> bool {
    let mut at = value.start();
    let limit = at.saturating_add(MAX_LIST).min(bytes.len());
    let super::Found::Range { quoted: true, .. } = value.run(bytes, &mut at, limit) else {
        return false;
    };
    let at = skip_space(bytes, at.saturating_add(1), MAX_SPACE);
    let behind = skip_space(bytes, at.saturating_add(1), MAX_SPACE);
    bytes.get(at) == Some(&b',') && !matches!(bytes.get(behind), Some(b')' | b']'))
}

/// The last word of a key that may have others in front: `http.request.header.cookie`.
fn last_word(key: &str) -> &str {
    key.rsplit(['.', '_', '-']).next().unwrap_or(key)
}

/// Headers whose value goes on behind white space and semicolons.
fn is_header(key: &str) -> bool {
    is_cookie(key)
        || ["authorization", "auth"]
            .iter()
            .any(|header| last_word(key).eq_ignore_ascii_case(header))
}

fn is_cookie(key: &str) -> bool {
    ["cookie", "cookies"]
        .iter()
        .any(|header| last_word(key).eq_ignore_ascii_case(header))
}
