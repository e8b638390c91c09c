//! The scrubber's pass over JSON: a state machine over its skeleton, with its own stack.

use std::borrow::Cow;

use crate::sls::json_string::{escape, unescape};

use super::cursor::{Cursor, Edit};
use super::key::Sensitive;
use super::{FILTERED, FILTERED_JSON, MAX_DEPTH, NotJson, Scrubber, card};

pub(super) fn scrub<'a>(
    scrubber: &Scrubber,
    json: &'a str,
    level: u8,
) -> Result<Cow<'a, str>, NotJson> {
    let mut scan = Scan {
        scrubber,
        level,
        cursor: Cursor::new(json),
        edit: Edit::new(json),
        open: Vec::new(),
    };
    match scan.run() {
        Some(()) => Ok(scan.edit.finish()),
        None => Err(NotJson {
            offset: scan.cursor.at(),
        }),
    }
}

/// An array or object that is not closed yet.
struct Open {
    array: bool,
    /// Of an array: elements before this one.
    index: usize,
    /// Of an array within an array: its first element names something sensitive.
    pair: bool,
    /// It is the event's `modules`: package names and their versions.
    modules: bool,
}

/// What is known of a value by its key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hint {
    Plain,
    Sensitive,
    /// A key like `input_tokens`: a number is a count, anything else is a list of tokens.
    Count,
    /// The value of `modules` at the top.
    Modules,
    /// Below a sensitive key in `modules`.
    Version,
}

/// One pass over one JSON text. Its methods return none where the text is not JSON.
struct Scan<'s, 'a> {
    scrubber: &'s Scrubber,
    level: u8,
    cursor: Cursor<'a>,
    edit: Edit<'a>,
    open: Vec<Open>,
}

impl<'a> Scan<'_, 'a> {
    fn run(&mut self) -> Option<()> {
        let mut hint = Hint::Plain;
        loop {
            self.cursor.space();
            let opened = match self.cursor.peek()? {
                bracket @ (b'{' | b'[') => self.container(bracket == b'[', hint)?,
                b'"' => {
                    self.string(hint)?;
                    None
                }
                b'-' | b'0'..=b'9' => {
                    self.number(hint)?;
                    None
                }
                _ => {
                    self.cursor.literal()?;
                    None
                }
            };
            hint = match opened {
                Some(first) => first,
                None => match self.next()? {
                    Some(next) => next,
                    None => return Some(()),
                },
            };
        }
    }

    /// Opens an array or object, unless it is empty or replaced. Some is the hint for the first value in it.
    fn container(&mut self, array: bool, hint: Hint) -> Option<Option<Hint>> {
        let start = self.cursor.at();
        let sensitive = match hint {
            Hint::Sensitive => true,
            Hint::Count => array || !self.cursor.is_numeric_attribute(),
            Hint::Version => true,
            Hint::Plain | Hint::Modules => self.open.len() >= MAX_DEPTH,
        };
        if sensitive {
            self.cursor.skip_container()?;
            self.edit.replace(start, self.cursor.at(), FILTERED_JSON);
            return Some(None);
        }
        self.cursor.bump();
        self.cursor.space();
        if self.cursor.eat(if array { b']' } else { b'}' }) {
            return Some(None);
        }
        self.open.push(Open {
            array,
            index: 0,
            pair: false,
            modules: !array && hint == Hint::Modules,
        });
        Some(Some(if array { Hint::Plain } else { self.key()? }))
    }

    /// Behind a value: closes what ends here. Some is the hint for the next value, none the end of the text.
    fn next(&mut self) -> Option<Option<Hint>> {
        loop {
            self.cursor.space();
            let Some(open) = self.open.last_mut() else {
                return self.cursor.peek().is_none().then_some(None);
            };
            match (self.cursor.peek()?, open.array) {
                (b',', true) => {
                    open.index = open.index.saturating_add(1);
                    let hint = if open.pair && open.index == 1 {
                        Hint::Sensitive
                    } else {
                        Hint::Plain
                    };
                    self.cursor.bump();
                    return Some(Some(hint));
                }
                (b',', false) => {
                    self.cursor.bump();
                    self.cursor.space();
                    return Some(Some(self.key()?));
                }
                (b']', true) | (b'}', false) => {
                    self.cursor.bump();
                    self.open.pop();
                }
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<Hint> {
        let raw = self.cursor.string()?;
        let key = unescape(raw)?;
        self.cursor.space();
        self.cursor.eat(b':').then_some(())?;
        let modules = self.open.last().is_some_and(|open| open.modules);
        Some(match self.scrubber.keys.test(&key) {
            Sensitive::No if key == "modules" && self.open.len() == 1 && self.level == 0 => {
                Hint::Modules
            }
            Sensitive::No => Hint::Plain,
            _ if modules => Hint::Version,
            Sensitive::Count => Hint::Count,
            Sensitive::Yes => Hint::Sensitive,
        })
    }

    fn string(&mut self, hint: Hint) -> Option<()> {
        let start = self.cursor.at();
        let raw = self.cursor.string()?;
        let sensitive = match hint {
            Hint::Sensitive | Hint::Count => true,
            Hint::Version => !is_version(raw),
            Hint::Plain | Hint::Modules => false,
        };
        if sensitive {
            if raw != FILTERED {
                self.edit.replace(start, self.cursor.at(), FILTERED_JSON);
            }
            return Some(());
        }
        if !self.scrubber.keys.suspects(raw) {
            return Some(());
        }
        let text = unescape(raw)?;
        if let Cow::Owned(scrubbed) = self.scrubber.text_at(&text, self.level) {
            self.edit
                .replace(start, self.cursor.at(), &escape(&scrubbed));
        }
        // The first element of a list within a list may name the second.
        if let [.., outer, inner] = self.open.as_mut_slice()
            && outer.array
            && inner.array
            && inner.index == 0
        {
            inner.pair = self.scrubber.keys.test(&text) != Sensitive::No;
        }
        Some(())
    }

    fn number(&mut self, hint: Hint) -> Option<()> {
        let start = self.cursor.at();
        let number = self.cursor.number();
        let sensitive = match hint {
            Hint::Sensitive | Hint::Version => true,
            Hint::Plain | Hint::Count | Hint::Modules => card::is_card(number),
        };
        if sensitive {
            self.edit.replace(start, self.cursor.at(), FILTERED_JSON);
        }
        Some(())
    }
}

/// Package versions: `0.49.5`, `5.3.0-beta.1`, `v20.20.2`.
fn is_version(text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or(text);
    text.len() <= 40
        && number.starts_with(|first: char| first.is_ascii_digit())
        && number
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte))
}
