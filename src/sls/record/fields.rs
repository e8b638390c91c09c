//! One finished log: its time, and its fields in one text.
//!
//! How it gets its fields is in [`super::draft`].

use std::fmt;

/// One log: when, and what.
#[derive(Default)]
pub struct Record {
    /// SLS's `Time`: seconds since 1970, within the window that SLS accepts.
    pub time_s: u32,
    /// SLS's `Time_ns`: the nanoseconds after that second.
    pub time_ns: u32,
    /// The values, one behind the other; between them lie those that were replaced.
    text: String,
    fields: Vec<Field>,
}

/// Where a value lies in the text.
#[derive(Clone, Copy)]
struct Field {
    key: &'static str,
    start: usize,
    end: usize,
    cut: bool,
}

impl Record {
    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.fields.iter().find(|field| field.key == key)?;
        Some(self.value(found)).filter(|value| !value.is_empty())
    }

    /// Keys and values, in the order in which they were found. A key comes once, and no value is empty.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> + Clone {
        let fields = self.fields.iter().filter(|field| field.start < field.end);
        fields.map(|field| (field.key, self.value(field)))
    }

    /// Bytes of its keys and values, with what the encoding of each may take.
    pub(super) fn size(&self) -> usize {
        const PAIR: usize = 16;
        self.fields().fold(PAIR, |sum, (key, value)| {
            sum.saturating_add(key.len())
                .saturating_add(value.len())
                .saturating_add(PAIR)
        })
    }

    fn value(&self, field: &Field) -> &str {
        self.text.get(field.start..field.end).unwrap_or_default()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.key == key)
    }

    pub(super) fn put(&mut self, key: &'static str, parts: &[&str], cut: bool) {
        let start = self.text.len();
        parts.iter().for_each(|part| self.text.push_str(part));
        let end = self.text.len();
        let new = Field {
            key,
            start,
            end,
            cut,
        };
        match self.fields.iter_mut().find(|field| field.key == key) {
            Some(field) => *field = new,
            None => self.fields.push(new),
        }
    }

    pub(super) fn take(&mut self, other: &Self) {
        for field in &other.fields {
            let value = other.value(field);
            if !value.is_empty() {
                self.put(field.key, &[value], field.cut);
            }
        }
    }

    /// The keys of what has been cut.
    pub(super) fn cut_fields(&self) -> Vec<&'static str> {
        let cut = self.fields.iter().filter(|field| field.cut);
        cut.map(|field| field.key).collect()
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }
}

/// Keys and sizes only: values are payload, which is never shown.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = self.fields().map(|(key, value)| (key, value.len()));
        f.debug_map()
            .entry(&"time_s", &self.time_s)
            .entries(fields)
            .finish()
    }
}
