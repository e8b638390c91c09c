//! Gathers logs into one request. A batch is sealed when it has enough bytes or logs, or is old enough (linger). Sealing only
//! appends the trailer; packing is separate work ([`super::write`]). Bytes are those before compression, which is what SLS
//! limits.
//!
//! Whatever goes in comes out once, in order. No batch is larger than its limit, except for a single log that alone exceeds
//! it: that log travels alone. No record is larger than SLS accepts (see [`super::record`]). What waits for the target, and
//! how long, is not decided here.

use std::rc::Rc;

use super::log_group::{self, Contents, LogGroup, MAX_RAW_BYTES};
use super::log_time::LogTime;
use super::put_logs::Destination;
use super::write::Group;

/// The most logs that any SDK's producer puts into a group. The service states no limit (manual: sls, "Limits").
pub const MAX_LOGS: usize = 40_960;

/// When a batch is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_bytes: usize,
    max_logs: usize,
    linger_ms: u64,
}

impl Limits {
    /// Clamps `max_bytes` to 1 to [`MAX_RAW_BYTES`] and `max_logs` to 1 to [`MAX_LOGS`].
    pub fn new(max_bytes: usize, max_logs: usize, linger_ms: u64) -> Self {
        Self {
            max_bytes: max_bytes.clamp(1, MAX_RAW_BYTES),
            max_logs: max_logs.clamp(1, MAX_LOGS),
            linger_ms,
        }
    }

    /// The same, but with at most `max_bytes` in a batch.
    pub fn within(self, max_bytes: usize) -> Self {
        Self {
            max_bytes: self.max_bytes.min(max_bytes).max(1),
            ..self
        }
    }

    /// Bytes before compression.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Logs.
    pub fn max_logs(&self) -> usize {
        self.max_logs
    }
}

/// What happened to a log.
#[derive(Debug)]
pub struct Pushed {
    /// Its time was moved into the window that SLS accepts.
    pub time_moved: bool,
    /// There was no memory for it: it is in no group.
    pub lost: bool,
    /// Groups that are now full: the one before it, the one with it, or both, in this order.
    pub sealed: Vec<Group>,
}

#[derive(Debug)]
struct Open {
    group: LogGroup,
    opened_ms: u64,
}

/// The open batch.
#[derive(Debug)]
pub struct Batcher {
    destination: Rc<Destination>,
    limits: Limits,
    open: Option<Open>,
}

impl Batcher {
    /// No batch is open yet.
    pub fn new(destination: Rc<Destination>, limits: Limits) -> Self {
        Self {
            destination,
            limits,
            open: None,
        }
    }

    /// Appends a log to the open batch, and seals what is full. `now_ms` is corrected time, see [`super::clock`].
    pub fn push<'c>(&mut self, time: LogTime, contents: impl Contents<'c>, now_ms: u64) -> Pushed {
        let moved = time.within_window(now_ms);
        let (seconds, nanos) = (moved.seconds, moved.time_ns());
        let body = log_group::body_len(seconds, nanos, contents.clone());
        let size = log_group::delimited_len(body);
        let trailer = self.destination.trailer().len();
        let mut pushed = Pushed {
            time_moved: moved != time,
            lost: false,
            sealed: Vec::new(),
        };
        let limits = self.limits;
        let has_room = |open: &mut Open| {
            let bytes = open.group.len().saturating_add(trailer);
            bytes.saturating_add(size) <= limits.max_bytes
        };
        let with_room = self.open.take_if(has_room);
        pushed.sealed.extend(self.seal());
        let mut open = with_room.unwrap_or_else(|| Open {
            group: LogGroup::new(),
            opened_ms: now_ms,
        });
        let needed = size.saturating_add(trailer);
        if open.group.reserve(needed, limits.max_bytes).is_ok() {
            open.group.push_sized(body, seconds, nanos, contents);
        } else {
            pushed.lost = true;
        }
        let bytes = open.group.len().saturating_add(trailer);
        let is_full = bytes >= limits.max_bytes || open.group.logs() >= limits.max_logs;
        self.open = (!open.group.is_empty()).then_some(open);
        if is_full || pushed.lost {
            // Even if there is no memory left: what the batch has must leave.
            pushed.sealed.extend(self.seal());
        }
        pushed
    }

    /// Seals the batch if it has lingered long enough.
    pub fn seal_due(&mut self, now_ms: u64) -> Option<Group> {
        let opened_ms = self.open.as_ref()?.opened_ms;
        // If the clock was set back, a batch must not wait for the old time to come again.
        let waited = now_ms.checked_sub(opened_ms);
        let is_due = waited.is_none_or(|waited| waited >= self.limits.linger_ms);
        if is_due { self.seal() } else { None }
    }

    /// Seals the batch, if one is open.
    pub fn seal(&mut self) -> Option<Group> {
        let Open { group, opened_ms } = self.open.take()?;
        let destination = Rc::clone(&self.destination);
        let logs = group.logs();
        let raw = group.seal(destination.trailer());
        Some(Group::new(destination, raw, logs, opened_ms))
    }

    /// When [`Batcher::seal_due`] next has something to do; `None` if nothing is open.
    pub fn next_due(&self) -> Option<u64> {
        let open = self.open.as_ref()?;
        Some(open.opened_ms.saturating_add(self.limits.linger_ms))
    }

    /// The memory of the open batch, in bytes.
    pub fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.group.memory())
    }

    /// The logs in the open batch.
    pub fn logs(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.group.logs())
    }
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
mod tests {
    use super::*;

    const NOW: u64 = 1_709_190_489_000;
    const TIME: LogTime = LogTime {
        seconds: 1_709_190_489,
        nanos: 0,
    };

    fn batcher(max_bytes: usize, max_logs: usize) -> Batcher {
        let to = Destination::new("abc", "localhost", "abc", "t", "", &[]).unwrap();
        Batcher::new(Rc::new(to), Limits::new(max_bytes, max_logs, 2_000))
    }

    fn push(batcher: &mut Batcher, value: &str, now: u64) -> Vec<Group> {
        let contents = [(&b"k"[..], value.as_bytes())].into_iter();
        let pushed = batcher.push(TIME, contents, now);
        assert!(!pushed.lost && !pushed.time_moved);
        pushed.sealed
    }

    // The property (nothing lost, duplicated or too large) is tested in `tests/properties/sls.rs`; these are the reasons.

    #[test]
    fn sealed_by_count() {
        let mut batcher = batcher(1_000, 3);
        let sealed: Vec<usize> = (0..7).map(|_| push(&mut batcher, "v", NOW).len()).collect();
        assert_eq!(sealed, [0, 0, 1, 0, 0, 1, 0]);
        assert_eq!((batcher.logs(), batcher.seal().unwrap().logs()), (1, 1));
        assert_eq!((batcher.logs(), batcher.bytes()), (0, 0));
        assert!(batcher.seal().is_none());
    }

    #[test]
    fn sealed_by_bytes_and_a_large_log_goes_alone() {
        let mut batcher = batcher(100, 99);
        assert!(push(&mut batcher, "small", NOW).is_empty());
        let sealed = push(&mut batcher, &"x".repeat(500), NOW);
        assert_eq!(sealed.iter().map(Group::logs).collect::<Vec<_>>(), [1, 1]);
        assert!(sealed[0].raw().len() <= 100 && sealed[1].raw().len() > 500);
        assert_eq!(
            sealed[1].bytes(),
            sealed[1].raw().len(),
            "no room is left over"
        );
        assert_eq!((batcher.logs(), batcher.next_due()), (0, None));
    }

    #[test]
    fn the_limit_in_bytes_is_exact() {
        let mut sizing = batcher(usize::MAX, 99);
        push(&mut sizing, "v", NOW);
        push(&mut sizing, "v", NOW);
        let two = sizing.seal().unwrap().raw().len();
        for (max_bytes, logs) in [(two + 1, [2, 0]), (two, [2, 0]), (two - 1, [1, 1])] {
            let mut batcher = batcher(max_bytes, 99);
            let mut sealed = push(&mut batcher, "v", NOW);
            sealed.extend(push(&mut batcher, "v", NOW));
            sealed.extend(batcher.seal());
            let counts: Vec<usize> = sealed.iter().map(Group::logs).chain([0]).take(2).collect();
            assert_eq!(counts, logs, "{max_bytes} of {two}");
        }
    }

    #[test]
    fn sealed_by_linger_also_when_the_clock_is_set_back() {
        let mut batcher = batcher(1_000, 99);
        assert!(batcher.seal_due(NOW).is_none());
        push(&mut batcher, "v", NOW);
        push(&mut batcher, "v", NOW + 900);
        assert_eq!(batcher.next_due(), Some(NOW + 2_000));
        assert!(batcher.seal_due(NOW + 1_999).is_none());
        let sealed = batcher.seal_due(NOW + 2_000).unwrap();
        assert_eq!((sealed.logs(), sealed.opened_ms()), (2, NOW));
        push(&mut batcher, "v", NOW);
        assert_eq!(batcher.seal_due(NOW - 3_600_000).unwrap().logs(), 1);
    }

    #[test]
    fn an_old_log_is_moved_into_the_window() {
        let mut batcher = batcher(1_000, 99);
        let old = LogTime { seconds: 0, ..TIME };
        assert!(batcher.push(old, std::iter::empty(), NOW).time_moved);
    }
}
