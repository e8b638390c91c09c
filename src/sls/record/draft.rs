//! A record under construction: fields by name, times, and the cuts.
//!
//! Which field comes from where is decided elsewhere. This is only how a field is added, and what every record has.

use std::collections::VecDeque;

use crate::sentry::timestamp::Timestamp;

use super::context::{Context, MAX_VALUE};
use super::fields::Record;

/// SLS accepts logs of the last 7 days and the next 15 minutes, and refuses the whole request for one outside. The log
/// may wait for an hour, and the two clocks may differ by a minute, before that happens.
const OLDEST_S: i64 = (7 * 24 - 1) * 3600;
const NEWEST_S: i64 = 14 * 60;

/// The exceptions, threads and frames of an event, as they are read.
#[derive(Default)]
pub(super) struct Stack {
    pub(super) exceptions: VecDeque<Draft>,
    pub(super) count: usize,
    pub(super) thread: VecDeque<String>,
    /// Oldest first.
    pub(super) frames: VecDeque<String>,
}

/// The parts of a record, as they are found.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) record: Record,
    /// The item's own time.
    pub(super) time: Option<Timestamp>,
    /// When what it tells of began.
    pub(super) start: Option<Timestamp>,
    /// Exceptions, threads and frames.
    pub(super) stack: Stack,
    /// Only the beginning of the item has been read.
    pub(super) is_cut: bool,
}

impl Draft {
    /// A record with what all have in common.
    pub(super) fn of(event_type: &'static str, context: &Context<'_>) -> Self {
        let mut draft = Self::default();
        draft.set("event_type", event_type);
        draft.fill("app.id", context.app_id);
        draft.set("sentry.project_id", context.project_id);
        draft
    }

    /// Sets a field, the last value wins; an empty one is none.
    pub(super) fn set(&mut self, key: &'static str, value: &str) {
        self.set_within(key, value, MAX_VALUE, value.len());
    }

    /// The same with at most `limit` bytes, of a value that has `length` in all.
    pub(super) fn set_within(
        &mut self,
        key: &'static str,
        value: &str,
        limit: usize,
        length: usize,
    ) {
        if value.is_empty() {
            return;
        }
        if value.len() <= limit && length <= value.len() {
            return self.record.put(key, &[value], false);
        }
        let marker = format!("...[cut, {length} bytes in all]");
        let end = value.floor_char_boundary(limit.saturating_sub(marker.len()));
        let kept = value.get(..end).unwrap_or_default();
        let marker = marker.get(..marker.len().min(limit)).unwrap_or_default();
        self.record.put(key, &[kept, marker], true);
    }

    /// Sets a field that is not set yet.
    pub(super) fn fill(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value
            && self.record.get(key).is_none()
        {
            self.set(key, value);
        }
    }

    /// Keeps the place of a field that will be set.
    pub(super) fn announce(&mut self, key: &'static str) {
        if !self.record.has(key) {
            self.record.put(key, &[], false);
        }
    }

    /// Takes the fields of another draft over those that are here, and its times.
    pub(super) fn take(&mut self, other: &Self) {
        self.record.take(&other.record);
        self.time = other.time.or(self.time);
        self.start = other.start.or(self.start);
    }

    /// Says what is wrong with the item.
    pub(super) fn error(&mut self, kind: &'static str, text: &str) {
        self.set("sentry.error_kind", kind);
        self.set("sentry.error", text);
    }

    pub(super) fn is_bad(&self) -> bool {
        self.record.get("sentry.error").is_some()
    }

    /// `sentry.duration_ms`, from start to end.
    pub(super) fn duration(&mut self) {
        if let (Some(start), Some(end)) = (self.start, self.time) {
            self.set("sentry.start_timestamp", &start.ms().to_string());
            self.fill("sentry.duration_ms", end.ms_since(start).as_deref());
        }
    }

    /// Puts the time in, and says what has been cut.
    pub(super) fn finish(&mut self, context: &Context<'_>) {
        let received = Timestamp::from_ms(context.received_ms);
        let time = self.time.or(self.start).unwrap_or(received);
        self.set("timestamp", &time.ms().to_string());
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
        let mut cut = self.record.cut_fields();
        if self.is_cut && self.record.get("payload").is_none() {
            cut.push("item");
        }
        self.set("sentry.cut", &cut.join(","));
    }

    /// Empties it for the next record, and keeps its room.
    pub(super) fn clear(&mut self) {
        self.record.clear();
        (self.time, self.start) = (None, None);
        self.stack = Stack::default();
        self.is_cut = false;
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
mod tests {
    use super::*;
    use crate::sls::record::context::Options;

    const NOW: u64 = 1_795_232_076_716;

    fn finished(mut draft: Draft) -> Record {
        draft.finish(&Context {
            project_id: "1",
            app_id: None,
            received_ms: NOW,
            options: Options::default(),
        });
        draft.record
    }

    #[test]
    fn the_time_is_clamped_and_the_original_kept() {
        let now = (NOW / 1000) as i64;
        for (seconds, expected) in [
            (now, now),
            (0, now - OLDEST_S),
            (-5, now - OLDEST_S),
            (now + 3600, now + NEWEST_S),
            (i64::MAX, now + NEWEST_S),
            (now - OLDEST_S, now - OLDEST_S),
        ] {
            let time = Some(Timestamp { seconds, nanos: 5 });
            let record = finished(Draft {
                time,
                ..Draft::default()
            });
            assert_eq!(i64::from(record.time_s), expected);
            assert_eq!(
                record.get("timestamp"),
                Some(&*seconds.saturating_mul(1000).to_string())
            );
            assert_eq!(
                record.get("sentry.time_clamped").is_some(),
                seconds != expected
            );
        }
        let record = finished(Draft::default());
        assert_eq!(
            (record.time_s, record.time_ns),
            (1_795_232_076, 716_000_000)
        );
    }

    #[test]
    fn long_values_are_cut_on_a_character_boundary() {
        for extra in 0..4 {
            let mut draft = Draft::default();
            let long = format!("{}{}", "x".repeat(extra), "ä€😀".repeat(MAX_VALUE));
            draft.set_within("payload", &long, 100, long.len());
            draft.set("sentry.message", &long);
            draft.set("app.env", "prod");
            draft.set_within("app.id", "whole", 100, 5);
            draft.set_within("trace_id", "beginning", 100, 1_000);
            let record = finished(draft);
            let payload = record.get("payload").unwrap_or_default();
            assert!((95..=100).contains(&payload.len()), "{}", payload.len());
            assert!(payload.ends_with(&format!("...[cut, {} bytes in all]", long.len())));
            let message = record.get("sentry.message").unwrap_or_default();
            assert!((MAX_VALUE - 4..=MAX_VALUE).contains(&message.len()));
            assert_eq!(
                record.get("trace_id"),
                Some("beginning...[cut, 1000 bytes in all]")
            );
            assert_eq!(
                record.get("sentry.cut"),
                Some("payload,sentry.message,trace_id")
            );
        }
        let mut draft = Draft::default();
        draft.set_within("payload", "xxxxxxxxxxxxxxx", 3, 15);
        assert_eq!(draft.record.get("payload").map(str::len), Some(3));
    }

    #[test]
    fn the_last_value_wins_and_an_empty_one_is_none() {
        let mut draft = Draft::default();
        draft.announce("a");
        for (key, value) in [("b", "1"), ("a", "2"), ("b", ""), ("a", "3")] {
            draft.set(key, value);
        }
        draft.fill("a", Some("4"));
        draft.fill("c", Some("5"));
        draft.announce("d");
        let fields: Vec<_> = draft.record.fields().collect();
        assert_eq!(fields, [("a", "3"), ("b", "1"), ("c", "5")]);
    }
}
