//! Sensitive values in text that is not JSON: query strings and form bodies, header dumps, log messages, and what Python
//! and Ruby print of a dictionary.
//!
//! One pass from left to right; at these places it looks closer:
//! * a digit that may begin a card number;
//! * `=`, `%3D` and `:`: the word before may be a sensitive key. It may be quoted or in brackets (`'token': `,
//!   `data["password"] = `, `:password=>`). Its value is what is quoted, or what is in brackets, or reaches to the next
//!   white space or one of `&;,"'` and closing brackets; behind `Authorization:` and `Cookie:` to the end of the line, and
//!   over the scheme behind `Authorization=`;
//! * `:` in `//user:password@host`;
//! * `bearer` and what follows it;
//! * the head of a private key in PEM.
//!
//! `token: ` and `auth: ` without quotes are left alone: in a message they are prose more often than not.

use std::borrow::Cow;

use super::cursor::Edit;
use super::extent::{closing_bracket, closing_quote, delimiter, run};
use super::key::{Keys, Sensitive};
use super::{FILTERED, card};

/// How far before its `=` a key may begin.
const MAX_KEY: usize = 128;

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

pub(super) fn scrub<'a>(keys: &Keys, text: &'a str) -> Cow<'a, str> {
    let mut scan = Scan {
        keys,
        text,
        edit: Edit::new(text),
        fresh: 0,
        floor: 0,
    };
    let mut at = 0_usize;
    while let Some(byte) = text.as_bytes().get(at) {
        let end = match byte {
            b'0'..=b'9' => Some(scan.digits(at)),
            b'=' => scan.pair(at, at.saturating_add(1)),
            b'%' | b'\\' => scan.escape(at),
            b':' if scan.rest(at).starts_with("://") => scan.user_info(at.saturating_add(3)),
            b':' => scan.pair(at, at.saturating_add(1)),
            b'b' | b'B' => scan.bearer(at),
            b'-' if scan.rest(at).starts_with("-----BEGIN ") => scan.pem(at),
            _ => None,
        };
        at = end.unwrap_or(0).max(at.saturating_add(1));
    }
    scan.edit.finish()
}

/// shim
#[derive(Default)]
pub(super) struct TextScan(Option<String>);
impl TextScan {
    pub(super) fn new() -> Self {
        Self::default()
    }
    pub(super) fn step(
        &mut self,
        keys: &Keys,
        text: &str,
        _: &mut crate::meter::Meter,
    ) -> std::task::Poll<()> {
        if let Cow::Owned(owned) = scrub(keys, text) {
            self.0 = Some(owned);
        }
        std::task::Poll::Ready(())
    }
    pub(super) fn finish(self, _: &str) -> Option<String> {
        self.0
    }
}

struct Scan<'k, 'a> {
    keys: &'k Keys,
    text: &'a str,
    edit: Edit<'a>,
    /// Where the last escape ended: what follows is the beginning of something.
    fresh: usize,
    /// Behind the last `=` or `:`, where the next key can begin.
    floor: usize,
}

/// Each method returns where to go on, or none if there is nothing.
impl<'a> Scan<'_, 'a> {
    fn rest(&self, at: usize) -> &'a str {
        self.text.get(at..).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The byte before, as it will be: behind a replacement its bracket, behind an escape none that counts.
    fn before(&self, at: usize) -> Option<u8> {
        let before = self.byte(at.checked_sub(1)?);
        if at == self.edit.copied() || at == self.fresh {
            Some(b']')
        } else {
            before
        }
    }

    fn filter(&mut self, start: usize, end: usize) -> Option<usize> {
        let value = self.text.get(start..end).unwrap_or_default();
        if !NOTHING.contains(&value) {
            self.edit.replace(start, end, FILTERED);
        }
        Some(end.max(start))
    }

    /// `%20` or `\n`; `%3D` is `=`.
    fn escape(&mut self, at: usize) -> Option<usize> {
        let mut bytes = self.rest(at).bytes();
        let escape = [
            bytes.next()?,
            bytes.next()?,
            bytes.next().unwrap_or_default(),
        ];
        let end = match escape {
            [b'%', b'3', b'd' | b'D'] => {
                let end = at.saturating_add(3);
                self.pair(at, end).unwrap_or(end)
            }
            [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                at.saturating_add(3)
            }
            [b'\\', b'n' | b'r' | b't', _] => at.saturating_add(2),
            _ => return None,
        };
        self.fresh = end;
        Some(end)
    }

    /// Digits in groups, with single separators between them.
    fn digits(&mut self, at: usize) -> usize {
        let mut end = run(self.text, at, |byte| byte.is_ascii_digit());
        while matches!(self.byte(end), Some(b' ' | b'-')) {
            let next = run(self.text, end.saturating_add(1), |byte| {
                byte.is_ascii_digit()
            });
            if next == end.saturating_add(1) {
                break;
            }
            end = next;
        }
        // Not a word of its own: part of an identifier, a hex number or a fraction. Then only what comes after the
        // first separator can be a card number, or before the last one.
        let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let fraction = self.before(at) == Some(b'.')
            && word(at.checked_sub(1).and_then(|dot| self.before(dot)));
        let mut start = at;
        if word(self.before(at)) || fraction {
            start = run(self.text, start, |byte| byte.is_ascii_digit()).saturating_add(1);
        }
        let mut last = end;
        if word(self.byte(end)) {
            let run = self.text.get(at..end).unwrap_or_default();
            last = run
                .rfind([' ', '-'])
                .map_or(at, |separator| at.saturating_add(separator));
        }
        while let Some((from, to)) = self.text.get(start..last).and_then(card::find) {
            let (from, to) = (start.saturating_add(from), start.saturating_add(to));
            self.edit.replace(from, to, FILTERED);
            start = to.saturating_add(1);
        }
        end
    }

    /// A key before `at`, a value from `behind`.
    fn pair(&mut self, at: usize, behind: usize) -> Option<usize> {
        let found = self.key_before(at);
        self.floor = behind;
        let (key, quoted) = found?;
        if self.keys.test(key) == Sensitive::No {
            return None;
        }
        let colon = self.byte(at) == Some(b':');
        if colon && self.byte(behind) == Some(b':') {
            // A path: `token::Token`.
            return Some(behind.saturating_add(1));
        }
        if colon
            && !quoted
            && ["token", "auth"]
                .iter()
                .any(|prose| key.eq_ignore_ascii_case(prose))
        {
            return None;
        }
        let arrow = run(self.text, behind, |byte| matches!(byte, b'=' | b'>' | b'~'));
        let start = run(self.text, arrow, |byte| matches!(byte, b' ' | b'\t'));
        let whole_line = colon && !quoted && is_header(key);
        self.value(start, whole_line)
    }

    /// The key that ends before `at`, and whether it is quoted.
    fn key_before(&self, at: usize) -> Option<(&'a str, bool)> {
        let from = self
            .text
            .floor_char_boundary(at.saturating_sub(MAX_KEY).max(self.floor));
        let before = self.text.get(from..at)?;
        let key = before.trim_end_matches([' ', '\t', '"', '\'', '`', ']', ')', '\\']);
        let quoted = before
            .get(key.len()..)
            .is_some_and(|closing| closing.contains(['"', '\'', '`']));
        let in_key = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "_-.%$".contains(c);
        let (front, key) = key.split_at_checked(key.trim_end_matches(in_key).len())?;
        // Behind an escaped line break, as in what Python prints of a string.
        let escape = if front.ends_with('\\') {
            ["n", "r", "t"].as_slice()
        } else {
            &[]
        };
        let key = escape
            .iter()
            .find_map(|letter| key.strip_prefix(letter))
            .unwrap_or(key);
        (!key.is_empty()).then_some((key, quoted))
    }

    fn value(&mut self, at: usize, whole_line: bool) -> Option<usize> {
        let mut start = at;
        let mut quotes = self.byte(at);
        // Python's prefixes: b'...', u'...'.
        if matches!(quotes, Some(b'b' | b'u' | b'r'))
            && matches!(self.byte(at.saturating_add(1)), Some(b'"' | b'\''))
        {
            start = at.saturating_add(1);
            quotes = self.byte(start);
        }
        match quotes {
            Some(quote @ (b'"' | b'\'' | b'`')) => {
                let inner = start.saturating_add(1);
                self.filter(inner, closing_quote(self.text, inner, quote))
            }
            // A quote that is itself quoted: `\"token\": \"...\"`.
            Some(b'\\') if matches!(self.byte(start.saturating_add(1)), Some(b'"' | b'\'')) => {
                let inner = start.saturating_add(2);
                let end = memchr::memchr2(b'"', b'\'', self.rest(inner).as_bytes());
                let end = end.map_or(self.text.len(), |end| inner.saturating_add(end));
                let end = if self.before(end) == Some(b'\\') && end > inner {
                    end.saturating_sub(1)
                } else {
                    end
                };
                self.filter(inner, end)
            }
            _ if whole_line => {
                let line = self.rest(start).lines().next().unwrap_or_default();
                self.filter(start, start.saturating_add(line.trim_end().len()))
            }
            Some(b'{' | b'[' | b'(') => {
                let end = closing_bracket(self.text, start);
                self.filter(start, delimiter(self.text, end))
            }
            _ => {
                let mut end = delimiter(self.text, start);
                let word = self.text.get(start..end).unwrap_or_default();
                if ["bearer", "basic", "digest", "negotiate", "token"]
                    .iter()
                    .any(|scheme| word.eq_ignore_ascii_case(scheme))
                {
                    end = delimiter(
                        self.text,
                        run(self.text, end, |byte| matches!(byte, b' ' | b'+')),
                    );
                }
                self.filter(start, end)
            }
        }
    }

    /// `user:password@` behind `//`.
    fn user_info(&mut self, at: usize) -> Option<usize> {
        let end = run(self.text, at, |byte| {
            !byte.is_ascii_whitespace() && !b"/?#\"'<>\\".contains(&byte)
        });
        let authority = self.text.get(at..end)?;
        let (user_info, _) = authority.rsplit_once('@')?;
        let (user, password) = user_info.split_once(':')?;
        let start = at.saturating_add(user.len()).saturating_add(1);
        self.filter(start, start.saturating_add(password.len()))
    }

    fn bearer(&mut self, at: usize) -> Option<usize> {
        let word = self.text.get(at..at.saturating_add(6))?;
        if !word.eq_ignore_ascii_case("bearer")
            || self
                .before(at)
                .is_some_and(|byte| byte.is_ascii_alphanumeric())
        {
            return None;
        }
        let behind = at.saturating_add(6);
        let start = run(self.text, behind, |byte| byte.is_ascii_whitespace());
        let end = delimiter(self.text, start);
        (behind < start && start < end).then(|| self.filter(at, end))?
    }

    fn pem(&mut self, at: usize) -> Option<usize> {
        const BEGIN: &str = "-----BEGIN ";
        const HEAD: &str = "PRIVATE KEY-----";
        let label = self.rest(at).strip_prefix(BEGIN)?;
        let before = label
            .find('-')
            .and_then(|end| label.get(..end.saturating_add(5)))?;
        let before = before.strip_suffix(HEAD)?;
        if !before
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b' ')
        {
            return None;
        }
        let start = at
            .saturating_add(BEGIN.len())
            .saturating_add(before.len())
            .saturating_add(HEAD.len());
        let body = self.rest(start);
        let body = body.get(..body.find("-----END").unwrap_or(body.len()))?;
        // Line breaks stay, so that a second time finds the same.
        let end = start.saturating_add(body.trim_end().len());
        let start = start.saturating_add(body.len().saturating_sub(body.trim_start().len()));
        self.filter(start, end)
    }
}

/// Headers whose value goes on behind white space and semicolons.
fn is_header(key: &str) -> bool {
    let key = key.rsplit(['.', '_', '-']).next().unwrap_or(key);
    ["authorization", "cookie", "cookies", "auth"]
        .iter()
        .any(|header| key.eq_ignore_ascii_case(header))
}
