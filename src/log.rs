//! Log lines that do not flood: the first of its kind is written at once, then at most one a minute with the number of those
//! in between.
//!
//! Of what a client sent, only a project id is ever in a line.

use crate::metric::{Leg, TargetName};
use crate::time::Millis;

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Life cycle.
    Info,
    /// Odd, but nothing lost.
    Warn,
    /// Data lost, or an operator is needed.
    Error,
}

/// What a line is about: its own name, its kind, and its leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topic(&'static str, &'static str, Option<TargetName>);

impl Topic {
    /// A topic without kinds.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name, "", None)
    }

    /// One kind of it: each kind has its own lines.
    #[must_use]
    pub const fn of(name: &'static str, kind: &'static str) -> Self {
        Self(name, kind, None)
    }

    /// The same topic for a leg: each second Sentry has its own lines.
    #[must_use]
    pub const fn of_leg(self, leg: Leg) -> Self {
        match leg {
            Leg::Sentry(name) => Self(self.0, self.1, Some(name)),
            Leg::Rum | Leg::Sls | Leg::Sign => self,
        }
    }
}

/// The time between two lines of a topic.
const QUIET_MS: u64 = 60_000;

#[derive(Debug, Default)]
struct Thread {
    /// The first line noted since the last one written.
    line: Option<(Level, String)>,
    /// Lines that were not kept.
    suppressed: u64,
    written: Option<Millis>,
}

/// See the module's documentation. The lines wait for the next root callback.
#[derive(Debug, Default)]
pub struct RateLimitedLog {
    /// By topic, in order. There are a few dozen.
    threads: Vec<(Topic, Thread)>,
    said: Vec<(Level, String)>,
    waiting: bool,
}

impl RateLimitedLog {
    /// Notes something. The text is made only if it will be written.
    pub fn note(&mut self, topic: Topic, level: Level, text: impl FnOnce() -> String) {
        let at = self.threads.partition_point(|(known, _)| *known < topic);
        if self
            .threads
            .get(at)
            .is_none_or(|(known, _)| *known != topic)
        {
            self.threads.insert(at, (topic, Thread::default()));
        }
        let Some((_, thread)) = self.threads.get_mut(at) else {
            return;
        };
        if thread.line.is_some() {
            thread.suppressed = thread.suppressed.saturating_add(1);
            return;
        }
        thread.line = Some((level, text()));
        self.waiting = true;
    }

    /// Logs something about the plugin's life cycle. Never suppressed.
    pub fn say(&mut self, level: Level, text: String) {
        self.said.push((level, text));
    }

    /// Hands the lines due at `now` to `write`; the last time, all of them.
    pub fn flush(&mut self, now: Millis, last: bool, mut write: impl FnMut(Level, String)) {
        for (level, text) in self.said.drain(..) {
            write(level, text);
        }
        if !self.waiting {
            return;
        }
        self.waiting = false;
        for (_, thread) in &mut self.threads {
            let quiet = thread
                .written
                .is_some_and(|written| now.since(written) < QUIET_MS && now >= written);
            if quiet && !last {
                self.waiting |= thread.line.is_some();
                continue;
            }
            let Some((level, mut text)) = thread.line.take() else {
                continue;
            };
            let more = std::mem::take(&mut thread.suppressed);
            if more > 0 {
                text.push_str(&format!(" ({more} more like it)"));
            }
            thread.written = Some(now);
            write(level, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, RateLimitedLog, Topic};
    use crate::time::Millis;

    fn lines(log: &mut RateLimitedLog, now: u64) -> Vec<String> {
        let mut lines = Vec::new();
        log.flush(Millis(now), false, |_, line| lines.push(line));
        lines
    }

    #[test]
    fn the_first_at_once_then_counts() {
        let mut log = RateLimitedLog::default();
        let note = |log: &mut RateLimitedLog, n: u32| {
            log.note(Topic::new("no room"), Level::Error, || format!("full {n}"));
        };
        note(&mut log, 1);
        assert_eq!(lines(&mut log, 1_000), ["full 1"]);
        for n in 2..=5 {
            note(&mut log, n);
        }
        assert!(lines(&mut log, 60_999).is_empty());
        assert_eq!(lines(&mut log, 61_000), ["full 2 (3 more like it)"]);
        assert!(lines(&mut log, 200_000).is_empty());
    }

    #[test]
    fn topics_do_not_silence_each_other_and_a_clock_going_back_silences_nobody() {
        let mut log = RateLimitedLog::default();
        log.note(Topic::new("no room"), Level::Error, || "a".to_owned());
        log.note(Topic::new("loop"), Level::Warn, || "b".to_owned());
        assert_eq!(lines(&mut log, 100_000), ["b", "a"]);
        log.note(Topic::new("loop"), Level::Warn, || "c".to_owned());
        assert_eq!(lines(&mut log, 5), ["c"]);
    }
}
