//! Log lines that do not flood: the first of its kind at once, then at most one a minute with the number of the
//! ones in between.
//!
//! Nothing a client sent is ever in a line but a project id.

use crate::effect::Level;
use crate::outcome::DenyReason;
use crate::sls::response::Reason;
use crate::time::Millis;
use std::collections::BTreeMap;

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A project that no rule maps.
    Unmapped,
    /// Our own copy came back.
    Loop,
    /// A body over the limit.
    TooLarge,
    /// A body that the host did not hand out.
    Unreadable,
    /// A body that comes too slowly.
    Slow,
    /// No room in the budget.
    NoRoom,
    /// A body that is being received has to give way.
    GaveWay,
    /// Mode `rewrite`: a request that could not be held.
    LetGo,
    /// Mode `rewrite`: a request whose headers could not be changed.
    NotInPlace,
    /// Mode `rewrite` on nginx: the location answers nothing itself.
    Unguarded,
    /// The host refused a dispatch.
    DispatchRefused,
    /// The target refused a copy for good.
    Refused,
    /// The target did not take a copy, and there is time to try again.
    NotTaken,
    /// The target did not take a copy in all its attempts.
    GivenUp,
    /// Nobody knows whether the target took a copy.
    Ambiguous,
    /// The target throttles a project.
    Throttled,
    /// A copy became too old.
    Expired,
    /// An answer that nobody waits for.
    UnexpectedReply,
    /// SLS: no room in the budget.
    SlsNoRoom,
    /// SLS: logs wait for a credential.
    SlsCredential,
    /// SLS: a batch that is tried again, by reason.
    SlsRetry(Reason),
    /// SLS: a batch that is given up, by reason.
    SlsFailed(Reason),
    /// SLS: a batch became too old.
    SlsExpired,
    /// SLS: a batch is cut in two.
    SlsDivided,
    /// An envelope was not read to its end.
    SlsTooCostly,
    /// SLS: logs that could not be made acceptable.
    SlsRejected,
    /// Mode `sign`: a request that is answered here.
    SignDenied(DenyReason),
    /// Mode `sign`: the proxy answered before the request was complete.
    SignUnasked,
    /// Mode `sign`: no body came.
    SignNeverFed,
    /// Mode `sign`: the clock was wrong.
    SignClock,
    /// Mode `sign`: the target refuses our key.
    SignKey,
}

/// Between two lines of a topic.
const QUIET_MS: u64 = 60_000;

#[derive(Debug, Default)]
struct Thread {
    /// The first line since the last one that was written.
    line: Option<(Level, String)>,
    /// Lines that were not kept.
    suppressed: u64,
    written: Option<Millis>,
}

/// The lines that wait for the next root callback.
#[derive(Debug, Default)]
pub struct Journal {
    threads: BTreeMap<Topic, Thread>,
    said: Vec<(Level, String)>,
    waiting: bool,
}

impl Journal {
    /// Notes something. The text is made only when it will be written.
    pub fn note(&mut self, topic: Topic, level: Level, text: impl FnOnce() -> String) {
        let thread = self.threads.entry(topic).or_default();
        if thread.line.is_some() {
            thread.suppressed = thread.suppressed.saturating_add(1);
            return;
        }
        thread.line = Some((level, text()));
        self.waiting = true;
    }

    /// Says something about the life of the plugin. Never suppressed.
    pub fn say(&mut self, level: Level, text: String) {
        self.said.push((level, text));
    }

    /// Hands the lines that are due at `now` to `write`; the last time, all of them.
    pub fn flush(&mut self, now: Millis, last: bool, mut write: impl FnMut(Level, String)) {
        for (level, text) in self.said.drain(..) {
            write(level, text);
        }
        if !self.waiting {
            return;
        }
        self.waiting = false;
        for thread in self.threads.values_mut() {
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
    use super::{Journal, Topic};
    use crate::effect::Level;
    use crate::time::Millis;

    fn lines(journal: &mut Journal, now: u64) -> Vec<String> {
        let mut lines = Vec::new();
        journal.flush(Millis(now), false, |_, line| lines.push(line));
        lines
    }

    #[test]
    fn the_first_at_once_then_counts() {
        let mut journal = Journal::default();
        let note = |journal: &mut Journal, n: u32| {
            journal.note(Topic::NoRoom, Level::Error, || format!("full {n}"));
        };
        note(&mut journal, 1);
        assert_eq!(lines(&mut journal, 1_000), ["full 1"]);
        for n in 2..=5 {
            note(&mut journal, n);
        }
        assert!(lines(&mut journal, 60_999).is_empty());
        assert_eq!(lines(&mut journal, 61_000), ["full 2 (3 more like it)"]);
        assert!(lines(&mut journal, 200_000).is_empty());
    }

    #[test]
    fn topics_do_not_silence_each_other_and_a_clock_going_back_silences_nobody() {
        let mut journal = Journal::default();
        journal.note(Topic::NoRoom, Level::Error, || "a".to_owned());
        journal.note(Topic::Loop, Level::Warn, || "b".to_owned());
        assert_eq!(lines(&mut journal, 100_000), ["b", "a"]);
        journal.note(Topic::Loop, Level::Warn, || "c".to_owned());
        assert_eq!(lines(&mut journal, 5), ["c"]);
    }
}
