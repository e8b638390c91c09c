//! A record that is being made: fields by name, times, and the cuts at the end.

use std::borrow::Cow;

use crate::sentry::timestamp::Timestamp;

use super::event::Stack;
use super::{Context, MAX_VALUE, Record};

/// SLS accepts logs of the last 7 days and the next 15 minutes, and refuses the whole request for one outside. The log
/// may wait for an hour, and the two clocks may differ by a minute, before that happens.
const OLDEST_S: i64 = (7 * 24 - 1) * 3600;
const NEWEST_S: i64 = 14 * 60;

/// The parts of a record, as they are found.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) record: Record<'a>,
    /// The item's own time.
    pub(super) time: Option<Timestamp>,
    /// When what it tells of began.
    pub(super) start: Option<Timestamp>,
    /// Whether a list is kept as JSON, to be read later, rather than counted.
    pub(super) keep_lists: bool,
    /// The lists that are kept, by name.
    pub(super) lists: Vec<(&'static str, &'a str)>,
    /// Exceptions, threads and frames.
    pub(super) stack: Stack<'a>,
}

impl<'a> Draft<'a> {
    /// Sets a field, the last value wins; an empty one is none.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<Cow<'a, str>>) {
        let value = value.into();
        if value.is_empty() {
            return;
        }
        match self.record.fields.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.record.fields.push((key, value)),
        }
    }

    /// Sets a field that is not set yet.
    pub(super) fn fill(&mut self, key: &'static str, value: Option<Cow<'a, str>>) {
        if let Some(value) = value
            && self.record.get(key).is_none()
        {
            self.set(key, value);
        }
    }

    /// Takes fields from the record of the whole that this one is a part of.
    pub(super) fn inherit(&mut self, whole: &'a Draft<'_>, keys: &[&'static str]) {
        for key in keys {
            self.fill(key, whole.record.get(key).map(Cow::Borrowed));
        }
    }

    /// Says what is wrong with the item.
    pub(super) fn error(&mut self, kind: &'static str, text: &str) {
        self.set("sentry.error_kind", kind);
        self.set("sentry.error", text.to_owned());
    }

    pub(super) fn is_bad(&self) -> bool {
        self.record.get("sentry.error").is_some()
    }

    /// `sentry.duration_ms`, from start to end.
    pub(super) fn duration(&mut self) {
        if let (Some(start), Some(end)) = (self.start, self.time) {
            self.set("sentry.start_timestamp", start.ms().to_string());
            self.fill("sentry.duration_ms", end.ms_since(start).map(Cow::Owned));
        }
    }

    /// Puts the time in and cuts what is too long.
    pub(super) fn finish(&mut self, context: &Context<'_>) {
        let received = Timestamp::from_ms(context.received_ms);
        let time = self.time.or(self.start).unwrap_or(received);
        self.set("timestamp", time.ms().to_string());
        let oldest = Timestamp {
            seconds: received.seconds.saturating_sub(OLDEST_S),
            nanos: 0,
        };
        let newest = Timestamp {
            seconds: received.seconds.saturating_add(NEWEST_S),
            nanos: 0,
        };
        if time < oldest || time > newest {
            self.set("sentry.time_clamped", "true");
        }
        let time = time.min(newest).max(oldest);
        self.record.time_s = u32::try_from(time.seconds.max(0)).unwrap_or(u32::MAX);
        self.record.time_ns = time.nanos;

        let mut cut = String::new();
        for (key, value) in &mut self.record.fields {
            let limit = if *key == "payload" {
                context.options.max_payload
            } else {
                MAX_VALUE
            };
            if value.len() > limit {
                *value = Cow::Owned(shorten(value, limit));
                if !cut.is_empty() {
                    cut.push(',');
                }
                cut.push_str(key);
            }
        }
        self.set("sentry.cut", cut);
    }
}

/// Cuts on a character boundary, and says so at the end: at most `limit` bytes with that.
fn shorten(value: &str, limit: usize) -> String {
    let marker = format!("...[cut, {} bytes in all]", value.len());
    let end = value.floor_char_boundary(limit.saturating_sub(marker.len()));
    let mut short = String::with_capacity(limit);
    short.push_str(value.get(..end).unwrap_or_default());
    short.push_str(marker.get(..marker.len().min(limit)).unwrap_or_default());
    short
}
