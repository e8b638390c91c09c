//! Sensitive values in text that is not JSON: query strings and form bodies, header dumps, log messages, lines of source,
//! and what Python and Ruby print of a dictionary.
//!
//! One pass from left to right, in steps; at these places it looks closer:
//! * a digit that may begin a card number (`card.rs`);
//! * `=`, `:`, and both as an escape of a URL or of a string: the word before may be a sensitive key
//!   (`text/lookback.rs`), what follows is its value (`text/value.rs`);
//! * `,` behind the first of a pair: `('authorization', 'Basic ...')`;
//! * `:` in `//user:password@host` (`text/authority.rs`);
//! * `bearer` and what follows it;
//! * the head of a private key in PEM (`text/pem.rs`);
//! * a token that is known by its form (`text/form.rs`).
//!
//! `token: `, `auth: ` and the keys that are only likely to be sensitive are left alone unless the value is quoted: in a
//! message they are usually prose. Between colon and value there may be a type and `=`.
//!
//! Where a value begins, the scan switches to finding its end. Only what looked like a password in a URL or like a web token,
//! but was not, is looked at twice.

mod authority;
mod delimiter;
mod edit;
mod form;
mod lookback;
mod mark;
mod pair;
mod pem;
#[cfg(test)]
mod tests;
mod value;

use std::task::Poll;

use crate::meter::Meter;

use super::card;
use super::key::Keys;
use authority::Authority;
use edit::Edit;
use form::{Alphabet, WebToken};
use mark::{WORD, class, next_mark};
use pair::Rule;
use pem::Body;
use value::{Found, Value};

/// Bytes scanned between two checks of the meter.
const CHUNK: usize = 2_048;
/// Units of closer looks between two checks of the meter.
const MAX_WORK: u64 = 50_000;
/// Units, measured: for a byte of plain text, and of a value or what may be one.
const PER_BYTE: u64 = 40;
const PER_BYTE_OF_VALUE: u64 = 64;
/// For a byte at which the scan looks closer, and for a look at what is around it.
const PER_MARK: u64 = 180;
const PER_LOOK: u64 = 250;
/// For a letter that may begin a token, and for a digit that may begin a card number.
const PER_FORM: u64 = 2_500;
const PER_CARD: u64 = 3_000;

/// A scan of one text, which is the same at each step.
#[derive(Debug)]
pub(super) struct TextScan {
    at: usize,
    mode: Mode,
    edit: Edit,
    /// Where the last escape ended: what follows is the beginning of something.
    fresh: usize,
    /// Behind the last mark or value, where the next key can begin.
    floor: usize,
    /// Behind the colon of a sensitive key: it may be that of a type.
    typed: Option<usize>,
    /// No web token begins before.
    no_token: usize,
    /// Units spent since the meter was looked at.
    work: u64,
}

/// What the scan is in.
#[derive(Debug)]
enum Mode {
    Plain,
    Value(Value, Rule),
    Authority(Authority),
    /// Behind `bearer`, which began here.
    Bearer {
        start: usize,
        spaced: bool,
    },
    Token {
        start: usize,
        alphabet: Alphabet,
    },
    WebToken(WebToken),
    Pem(Body),
}

impl TextScan {
    pub(super) fn new() -> Self {
        Self {
            at: 0,
            mode: Mode::Plain,
            edit: Edit::default(),
            fresh: 0,
            floor: 0,
            typed: None,
            no_token: 0,
            work: 0,
        }
    }

    pub(super) fn step(&mut self, keys: &Keys, text: &str, meter: &mut Meter) -> Poll<()> {
        loop {
            if self.at >= text.len() {
                self.close(text);
                if self.at >= text.len() {
                    return Poll::Ready(());
                }
            }
            if meter.is_empty() {
                return Poll::Pending;
            }
            let from = self.at;
            let limit = from.saturating_add(CHUNK).min(text.len());
            let per_byte = if matches!(self.mode, Mode::Plain) {
                PER_BYTE
            } else {
                PER_BYTE_OF_VALUE
            };
            self.run(keys, text, limit);
            meter.spend_bytes(self.at.saturating_sub(from).saturating_add(1), per_byte);
            meter.spend(std::mem::take(&mut self.work));
        }
    }

    /// None if nothing was replaced: the text is clean as it is.
    pub(super) fn finish(self, text: &str) -> Option<String> {
        self.edit.finish(text)
    }

    /// Goes on to `limit`, or to where the mode changes.
    fn run(&mut self, keys: &Keys, text: &str, limit: usize) {
        let bytes = text.as_bytes();
        match &mut self.mode {
            Mode::Plain => self.plain(keys, text, limit),
            Mode::Value(value, rule) => {
                let rule = *rule;
                let found = value.run(bytes, &mut self.at, limit);
                self.found(text, found, rule);
            }
            Mode::Authority(authority) => {
                let from = self.at;
                if authority.run(bytes, &mut self.at, limit) {
                    self.work = self
                        .work
                        .saturating_add(units(self.at.saturating_sub(from)));
                    self.close(text);
                }
            }
            Mode::Bearer { .. } => self.bearer(bytes, limit),
            Mode::Token { alphabet, .. } => {
                if form::run(*alphabet, bytes, &mut self.at, limit) {
                    self.close(text);
                }
            }
            Mode::WebToken(token) => {
                let from = self.at;
                match token.run(bytes, &mut self.at, limit) {
                    form::Kind::Open => {}
                    form::Kind::Token => {
                        let start = token.start();
                        let alphabet = Alphabet::Dotted;
                        self.mode = Mode::Token { start, alphabet };
                    }
                    form::Kind::Other => {
                        self.work = self
                            .work
                            .saturating_add(units(self.at.saturating_sub(from)));
                        self.close(text);
                    }
                }
            }
            Mode::Pem(body) => {
                if body.run(bytes, &mut self.at, limit) {
                    self.close(text);
                }
            }
        }
    }

    /// Ends what is open: the text ends here, or what was looked for is over.
    fn close(&mut self, text: &str) {
        let at = self.at;
        match std::mem::replace(&mut self.mode, Mode::Plain) {
            Mode::Plain | Mode::Bearer { .. } => {}
            Mode::Value(value, rule) => self.found(text, value.end(at), rule),
            Mode::Authority(authority) => match authority.password() {
                Some((start, end)) => self.filter(text, start, end),
                None => self.at = authority.start(),
            },
            Mode::Token { start, .. } => {
                // A full stop after it is not part of it.
                let token = text.get(start..at).unwrap_or_default();
                let end = start.saturating_add(token.trim_end_matches('.').len());
                self.filter(text, start, end);
            }
            Mode::WebToken(token) if token.end() == form::Kind::Token => {
                self.filter(text, token.start(), at);
            }
            Mode::WebToken(token) => {
                self.no_token = at;
                self.at = token.start().saturating_add(1);
            }
            Mode::Pem(body) => {
                if let Some((start, end)) = body.range() {
                    self.filter(text, start, end);
                }
                self.at = at;
            }
        }
    }

    fn filter(&mut self, text: &str, start: usize, end: usize) {
        let cost = self.edit.filter(text, start, end);
        self.work = self.work.saturating_add(cost).saturating_add(PER_LOOK);
        self.at = end.max(start);
        self.floor = self.floor.max(self.at);
    }

    fn found(&mut self, text: &str, found: Found, rule: Rule) {
        match found {
            Found::More => {}
            Found::Nothing => self.mode = Mode::Plain,
            Found::Range { start, end, quoted } => {
                self.mode = Mode::Plain;
                let value = text.get(start..end).unwrap_or_default();
                if rule.leaves(value, quoted) {
                    self.at = self.at.max(end);
                } else {
                    let behind = self.at;
                    self.filter(text, start, end);
                    self.at = behind.max(end);
                }
            }
        }
    }

    /// The byte before, as it will be: behind a replacement its bracket, behind an escape none that counts.
    fn before(&self, bytes: &[u8], at: usize) -> Option<u8> {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at))?;
        if at == self.edit.copied() || at == self.fresh {
            Some(b']')
        } else {
            Some(*before)
        }
    }

    fn plain(&mut self, keys: &Keys, text: &str, limit: usize) {
        let bytes = text.as_bytes();
        while self.at < limit && self.work < MAX_WORK && matches!(self.mode, Mode::Plain) {
            let within = self
                .before(bytes, self.at)
                .is_some_and(|byte| class(byte) & WORD != 0);
            self.at = next_mark(bytes, self.at, limit, within);
            let Some(byte) = bytes.get(self.at).copied().filter(|_| self.at < limit) else {
                return;
            };
            let at = self.at;
            self.at = at.saturating_add(1);
            self.work = self.work.saturating_add(PER_MARK);
            match byte {
                b'0'..=b'9' => self.digits(text, at),
                b'=' => self.pair(keys, text, at, self.at),
                b':' | b'%' if self.authority(bytes, at) => {}
                b':' => self.pair(keys, text, at, self.at),
                b',' => self.comma(keys, text, at),
                b'%' | b'\\' => self.escape(keys, text, at),
                b'-' => {
                    if let Some((body, start)) = Body::at(bytes, at) {
                        self.mode = Mode::Pem(body);
                        self.at = start;
                    }
                }
                _ => self.word(bytes, at, byte),
            }
        }
    }

    fn authority(&mut self, bytes: &[u8], at: usize) -> bool {
        let Some(authority) = Authority::at(bytes, at) else {
            return false;
        };
        self.at = authority.start();
        self.fresh = self.at;
        self.mode = Mode::Authority(authority);
        self.work = self.work.saturating_add(PER_LOOK);
        true
    }

    /// A digit: does a group begin here, and with it a card number?
    fn digits(&mut self, text: &str, at: usize) {
        let bytes = text.as_bytes();
        let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let before = self.before(bytes, at);
        // Part of an identifier, a hex number or a fraction.
        let fraction = before == Some(b'.')
            && at
                .checked_sub(1)
                .is_some_and(|dot| is_word(self.before(bytes, dot)));
        let issuer = matches!(bytes.get(at), Some(b'2'..=b'6' | b'8'));
        if is_word(before) || fraction || !issuer {
            return;
        }
        self.work = self.work.saturating_add(PER_CARD);
        // One byte more, to see what follows.
        let end = at.saturating_add(card::LONGEST).saturating_add(1);
        let run = bytes.get(at..end.min(bytes.len())).unwrap_or_default();
        if let Some(length) = card::longest(run) {
            self.filter(text, at, at.saturating_add(length));
        }
    }

    /// A letter that may begin `bearer` or a token.
    fn word(&mut self, bytes: &[u8], at: usize, byte: u8) {
        let before = self.before(bytes, at);
        if before.is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return;
        }
        if matches!(byte, b'b' | b'B') {
            let word = bytes.get(at..at.saturating_add(6)).unwrap_or_default();
            if word.eq_ignore_ascii_case(b"bearer") {
                self.at = at.saturating_add(6);
                self.work = self.work.saturating_add(PER_LOOK);
                self.mode = Mode::Bearer {
                    start: at,
                    spaced: false,
                };
            }
            return;
        }
        if before == Some(b'_') || !form::may_begin(bytes, at) {
            return;
        }
        self.work = self.work.saturating_add(PER_FORM);
        if let Some((alphabet, end)) = form::token(bytes, at, before) {
            self.at = end;
            self.mode = Mode::Token {
                start: at,
                alphabet,
            };
        } else if at >= self.no_token
            && let Some(token) = WebToken::at(bytes, at)
        {
            self.mode = Mode::WebToken(token);
        }
    }

    /// White space behind `bearer`, also escaped in a URL, and then what it bears.
    fn bearer(&mut self, bytes: &[u8], limit: usize) {
        while self.at < limit
            && let Mode::Bearer { start, spaced } = &mut self.mode
        {
            let Some(byte) = bytes.get(self.at).copied() else {
                return;
            };
            let rest = bytes.get(self.at..).unwrap_or_default();
            if byte.is_ascii_whitespace() || byte == b'+' {
                *spaced = true;
                self.at = self.at.saturating_add(1);
            } else if rest.starts_with(b"%20") {
                *spaced = true;
                self.at = self.at.saturating_add(3);
            } else if *spaced && !delimiter::is_delimiter(bytes, self.at, byte) {
                self.mode = Mode::Value(Value::bare(*start), Rule::default());
            } else {
                self.mode = Mode::Plain;
            }
        }
    }
}

fn units(bytes: usize) -> u64 {
    u64::try_from(bytes)
        .unwrap_or(u64::MAX)
        .saturating_mul(PER_BYTE_OF_VALUE)
}
