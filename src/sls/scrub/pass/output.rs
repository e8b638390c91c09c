//! The result for a text: a copy with replacements, begun at the first of them.

use super::open::Span;

/// A text with replacements, from left to right.
#[derive(Default)]
pub(super) struct Output {
    written: String,
    /// The text has been copied or replaced up to here.
    copied: usize,
    changed: bool,
}

impl Output {
    /// Marks the place where a value begins.
    pub(super) fn span(&self, start: usize) -> Span {
        let ahead = start.saturating_sub(self.copied);
        let written = self.written.len().saturating_add(ahead);
        Span { start, written }
    }

    /// Replaces what begins at `span` and ends at `end`, with all that was replaced in it.
    pub(super) fn replace(&mut self, text: &str, span: Span, end: usize, with: &str) {
        self.begin(text, span);
        self.written.push_str(with);
        self.copied = end;
    }

    /// Begins a replacement, which is appended to the result and ended with [`end`](Self::end).
    pub(super) fn begin(&mut self, text: &str, span: Span) -> &mut String {
        if self.copied <= span.start {
            self.copy(text, span.start);
        } else {
            self.written.truncate(span.written);
        }
        self.changed = true;
        &mut self.written
    }

    /// The replacement so far.
    pub(super) fn written(&mut self) -> &mut String {
        &mut self.written
    }

    pub(super) fn end(&mut self, end: usize) {
        self.copied = end;
    }

    /// The result for the text between `span` and `end`.
    pub(super) fn since<'t>(&'t mut self, text: &'t str, span: Span, end: usize) -> &'t str {
        if self.copied <= span.start {
            return text.get(span.start..end).unwrap_or_default();
        }
        self.copy(text, end);
        self.written.get(span.written..).unwrap_or_default()
    }

    /// The result for the text up to `end`, if it changed. The text is cut there.
    pub(super) fn finish(mut self, text: &mut String, end: usize) -> Option<String> {
        text.truncate(end);
        self.changed.then(|| {
            self.copy(text, end);
            self.written
        })
    }

    fn copy(&mut self, text: &str, end: usize) {
        let piece = text.get(self.copied..end).unwrap_or_default();
        if self.written.capacity() == 0 {
            self.written.reserve(text.len());
        }
        self.written.push_str(piece);
        self.copied = self.copied.max(end);
    }
}
