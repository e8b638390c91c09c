//! The result for a text: the part already written, and how far. Nothing is copied until the first replacement.

use crate::sls::scrub::FILTERED;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Edit {
    output: String,
    /// Where the last replacement ended; 0 before the first.
    copied: usize,
    /// There was no memory for the output.
    lost: bool,
}

impl Edit {
    /// Replaces a range after the previous one. A replacement by the same text does nothing. Returns the cost.
    pub(super) fn filter(&mut self, text: &str, start: usize, end: usize) -> u64 {
        if self.lost || end <= start || text.get(start..end) == Some(FILTERED) {
            return 0;
        }
        let kept = text.get(self.copied..start).unwrap_or_default();
        self.push(kept);
        self.push(FILTERED);
        self.copied = end;
        u64::try_from(kept.len().div_euclid(8)).unwrap_or(u64::MAX)
    }

    fn push(&mut self, text: &str) {
        self.lost |= self.output.try_reserve(text.len()).is_err();
        if !self.lost {
            self.output.push_str(text);
        }
    }

    pub(super) fn copied(&self) -> usize {
        self.copied
    }

    /// `None` if nothing was replaced. If there is no memory for the result, everything is replaced.
    pub(super) fn finish(mut self, text: &str) -> Option<String> {
        if self.copied > 0 {
            self.push(text.get(self.copied..).unwrap_or_default());
        }
        if self.lost {
            return Some(FILTERED.to_owned());
        }
        (self.copied > 0).then_some(self.output)
    }
}
