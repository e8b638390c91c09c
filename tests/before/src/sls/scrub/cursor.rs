//! Reading JSON byte by byte, and writing down what changes: the mechanics of the scrubber.

use std::borrow::Cow;

/// A position in a JSON text. Methods that return none leave the position where the text is not JSON.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn bump(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.bump();
        }
        found
    }

    fn eat_while(&mut self, class: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.peek().is_some_and(&class) {
            self.bump();
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    pub(super) fn space(&mut self) {
        self.eat_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t'));
    }

    pub(super) fn number(&mut self) -> &'a str {
        self.eat_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
    }

    pub(super) fn literal(&mut self) -> Option<()> {
        let mut ahead = self.clone();
        let word = ahead.eat_while(|byte| byte.is_ascii_alphanumeric());
        matches!(word, "true" | "false" | "null").then(|| *self = ahead)
    }

    /// A string, without its quotes and as it is written.
    pub(super) fn string(&mut self) -> Option<&'a str> {
        self.eat(b'"').then_some(())?;
        let start = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let found = memchr::memchr2(b'"', b'\\', rest)?;
            self.at = self.at.saturating_add(found);
            if self.eat(b'"') {
                return self.text.get(start..self.at.saturating_sub(1));
            }
            // The backslash and what it escapes.
            self.at = self.at.saturating_add(2);
        }
    }

    /// Over an array or object, looking at its brackets and strings only.
    pub(super) fn skip_container(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.bump();
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Whether an object begins here that is an attribute with a number: `{"value":3,"type":"integer"}`, in either order.
    pub(super) fn is_numeric_attribute(&self) -> bool {
        let mut ahead = self.clone();
        if ahead.skip_container().is_none() {
            return false;
        }
        let object = self.text.get(self.at..ahead.at).unwrap_or_default();
        let value = object
            .split_once("\"value\"")
            .and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
        value.is_some_and(|value| {
            value
                .trim_start()
                .starts_with(|first: char| first == '-' || first.is_ascii_digit())
        })
    }
}

/// A text with replacements. Copies nothing until the first one.
pub(super) struct Edit<'a> {
    text: &'a str,
    copied: usize,
    output: String,
}

impl<'a> Edit<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            copied: 0,
            output: String::new(),
        }
    }

    /// Replaces a range, which must lie behind the one before. A replacement by the same is none.
    pub(super) fn replace(&mut self, start: usize, end: usize, with: &str) {
        if self.text.get(start..end) == Some(with) {
            return;
        }
        if self.copied == 0 {
            self.output.reserve(self.text.len());
        }
        self.output
            .push_str(self.text.get(self.copied..start).unwrap_or_default());
        self.output.push_str(with);
        self.copied = end;
    }

    /// Where the last replacement ended; 0 before the first.
    pub(super) fn copied(&self) -> usize {
        self.copied
    }

    pub(super) fn finish(mut self) -> Cow<'a, str> {
        if self.copied == 0 {
            return Cow::Borrowed(self.text);
        }
        self.output
            .push_str(self.text.get(self.copied..).unwrap_or_default());
        Cow::Owned(self.output)
    }
}
