//! shim
use std::borrow::Cow;

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
