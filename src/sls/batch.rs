//! Batches: logs of one destination gathered into one request. A batch is sealed when it has enough bytes or logs, or
//! is old enough (linger); sealing appends the trailer and costs no more. Packing is work of its own ([`super::write`]).
//! Bytes are those before compression, which is what SLS limits.
//!
//! Whatever goes in comes out once, in order, and no batch is larger than its limit, except by one log that alone is:
//! that one travels alone, up to [`MAX_RAW_BYTES`]. Who waits for the target, and how long, is not decided here.

use std::rc::Rc;

use super::log_group::{self, LogGroup, MAX_RAW_BYTES};
use super::put_logs::Destination;
use super::repair::{self, Log, Rejected, Repairs};
use super::write::Group;

/// The most logs that any SDK's producer puts into a group; the service names no limit (manual: sls, "Limits").
pub const MAX_LOGS: usize = 40_960;

/// When a batch is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    max_bytes: usize,
    max_logs: usize,
    linger_ms: u64,
}

impl Limits {
    /// Takes `max_bytes` into 1 to [`MAX_RAW_BYTES`] and `max_logs` into 1 to [`MAX_LOGS`].
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

/// What became of a log that is acceptable.
#[derive(Debug)]
pub struct Accepted {
    /// What had to be mended.
    pub repairs: Repairs,
    /// There was no memory for it: it is in no group.
    pub lost: bool,
    /// Groups that are full now: the one before it, or the one with it, or both, in this order.
    pub sealed: Vec<Group>,
}

#[derive(Debug)]
struct Open {
    destination: Rc<Destination>,
    group: LogGroup,
    opened_ms: u64,
}

impl Open {
    fn bytes(&self) -> usize {
        self.group
            .len()
            .saturating_add(self.destination.trailer().len())
    }

    fn is_old(&self, linger_ms: u64, now_ms: u64) -> bool {
        // A clock that was set back must not make a batch wait for the old time to come again.
        now_ms < self.opened_ms || now_ms.saturating_sub(self.opened_ms) >= linger_ms
    }
}

/// The open batches, one per destination.
#[derive(Debug)]
pub struct Batcher {
    limits: Limits,
    open: Vec<Open>, // few: one per destination
}

impl Batcher {
    /// No batch is open.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: Vec::new(),
        }
    }

    /// Mends `log`, appends it to the open batch of `destination` and seals what is full. A rejected log leaves
    /// everything as it was.
    pub fn push(
        &mut self,
        destination: &Rc<Destination>,
        mut log: Log<'_>,
        now_ms: u64,
    ) -> Result<Accepted, Rejected> {
        let repairs = repair::repair(&mut log, now_ms)?;
        let (seconds, nanos) = (log.seconds(), log.nanos());
        let body = log_group::body_len(seconds, nanos, log.bytes());
        let size = log_group::delimited_len(body);
        let alone = size.saturating_add(destination.trailer().len());
        if alone > MAX_RAW_BYTES {
            return Err(Rejected::TooLarge { bytes: alone });
        }
        let mut sealed = Vec::new();
        let mut place = self.place(destination);
        if let Some(index) = place
            && self
                .open
                .get(index)
                .is_some_and(|open| open.bytes().saturating_add(size) > self.limits.max_bytes)
        {
            sealed.push(seal(self.open.remove(index)));
            place = None;
        }
        let index = place.unwrap_or(self.open.len());
        if place.is_none() {
            self.open.push(Open {
                destination: Rc::clone(destination),
                group: LogGroup::new(),
                opened_ms: now_ms,
            });
        }
        let (mut full, mut lost) = (false, false);
        if let Some(open) = self.open.get_mut(index) {
            if open.group.reserve(alone, self.limits.max_bytes).is_ok() {
                open.group.push_sized(body, seconds, nanos, log.bytes());
            } else {
                lost = true;
            }
            full = lost
                || open.bytes() >= self.limits.max_bytes
                || open.group.logs() >= self.limits.max_logs;
        }
        if full {
            // Also one for which there is no more memory: it has what it has, if anything.
            let open = self.open.remove(index);
            sealed.extend((!open.group.is_empty()).then(|| seal(open)));
        }
        Ok(Accepted {
            repairs,
            lost,
            sealed,
        })
    }

    /// Seals the batches that have lingered long enough, oldest first.
    pub fn seal_due(&mut self, now_ms: u64) -> Vec<Group> {
        let linger_ms = self.limits.linger_ms;
        let due = self
            .open
            .extract_if(.., |open| open.is_old(linger_ms, now_ms));
        due.map(seal).collect()
    }

    /// Seals all, for the end.
    pub fn seal_all(&mut self) -> Vec<Group> {
        self.open.drain(..).map(seal).collect()
    }

    /// When [`Batcher::seal_due`] has something to do next; `None` when nothing is open.
    pub fn next_due(&self) -> Option<u64> {
        self.open
            .iter()
            .map(|open| open.opened_ms.saturating_add(self.limits.linger_ms))
            .min()
    }

    /// The memory of the open batches, in bytes.
    pub fn bytes(&self) -> usize {
        self.open
            .iter()
            .fold(0, |sum, open| sum.saturating_add(open.group.memory()))
    }

    /// The logs in the open batches.
    pub fn logs(&self) -> usize {
        self.open
            .iter()
            .fold(0, |sum, open| sum.saturating_add(open.group.logs()))
    }

    fn place(&self, destination: &Rc<Destination>) -> Option<usize> {
        let same = |open: &Open| {
            Rc::ptr_eq(&open.destination, destination) || open.destination == *destination
        };
        self.open.iter().position(same)
    }
}

fn seal(open: Open) -> Group {
    let Open {
        destination,
        group,
        opened_ms,
    } = open;
    let logs = group.logs();
    let raw = group.seal(destination.trailer());
    Group::new(destination, raw, logs, opened_ms)
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const NOW: u64 = 1_709_190_489_000;

    fn destination(topic: &str) -> Rc<Destination> {
        Rc::new(Destination::new("abc", "localhost", "abc", topic, "", &[]).unwrap())
    }

    fn log(value: &str) -> Log<'_> {
        Log {
            time_ns: NOW * 1_000_000,
            contents: vec![(Cow::Borrowed("k"), Cow::Borrowed(value))],
            ..Log::default()
        }
    }

    fn batcher(max_bytes: usize, max_logs: usize) -> Batcher {
        Batcher::new(Limits::new(max_bytes, max_logs, 2_000))
    }

    // The property (nothing lost, doubled or too large) is in `tests/properties/sls.rs`; these are the reasons.

    #[test]
    fn sealed_by_count() {
        let (mut batcher, to) = (batcher(1_000, 3), destination("t"));
        let sealed: Vec<usize> = (0..7)
            .map(|_| batcher.push(&to, log("v"), NOW).unwrap().sealed.len())
            .collect();
        assert_eq!(sealed, [0, 0, 1, 0, 0, 1, 0]);
        assert_eq!(
            (
                batcher.logs(),
                batcher.seal_all().len(),
                batcher.logs(),
                batcher.bytes()
            ),
            (1, 1, 0, 0)
        );
    }

    #[test]
    fn sealed_by_bytes_and_a_large_log_goes_alone() {
        let (mut batcher, to) = (batcher(100, 99), destination("t"));
        assert!(
            batcher
                .push(&to, log("small"), NOW)
                .unwrap()
                .sealed
                .is_empty()
        );
        let large = "x".repeat(500);
        let sealed = batcher.push(&to, log(&large), NOW).unwrap().sealed;
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
        let to = destination("t");
        let mut sizing = batcher(usize::MAX, 99);
        sizing.push(&to, log("v"), NOW).unwrap();
        sizing.push(&to, log("v"), NOW).unwrap();
        let two = sizing.seal_all()[0].raw().len();
        for (max_bytes, logs) in [(two + 1, [2, 0]), (two, [2, 0]), (two - 1, [1, 1])] {
            let mut batcher = batcher(max_bytes, 99);
            let mut sealed = batcher.push(&to, log("v"), NOW).unwrap().sealed;
            sealed.extend(batcher.push(&to, log("v"), NOW).unwrap().sealed);
            sealed.extend(batcher.seal_all());
            let counts: Vec<usize> = sealed.iter().map(Group::logs).chain([0]).take(2).collect();
            assert_eq!(counts, logs, "{max_bytes} of {two}");
        }
    }

    #[test]
    fn sealed_by_linger_also_when_the_clock_is_set_back() {
        let (mut batcher, a, b) = (batcher(1_000, 99), destination("a"), destination("b"));
        batcher.push(&a, log("v"), NOW).unwrap();
        batcher.push(&b, log("v"), NOW + 500).unwrap();
        batcher.push(&a, log("v"), NOW + 900).unwrap();
        assert_eq!(batcher.next_due(), Some(NOW + 2_000));
        assert!(batcher.seal_due(NOW + 1_999).is_empty());
        let sealed = batcher.seal_due(NOW + 2_000);
        assert_eq!(
            (sealed.len(), sealed[0].logs(), sealed[0].opened_ms()),
            (1, 2, NOW)
        );
        assert_eq!(sealed[0].destination(), &a);
        assert_eq!(batcher.seal_due(NOW - 3_600_000).len(), 1);
    }

    #[test]
    fn equal_destinations_share_a_batch() {
        let mut batcher = batcher(1_000, 99);
        batcher.push(&destination("a"), log("1"), NOW).unwrap();
        batcher.push(&destination("a"), log("2"), NOW).unwrap();
        batcher.push(&destination("b"), log("3"), NOW).unwrap();
        let logs: Vec<usize> = batcher.seal_all().iter().map(Group::logs).collect();
        assert_eq!(logs, [2, 1]);
    }

    #[test]
    fn a_rejected_log_changes_nothing() {
        let (mut batcher, to) = (batcher(usize::MAX, 99), destination("t"));
        batcher.push(&to, log("v"), NOW).unwrap();
        let before = batcher.bytes();
        let value = "x".repeat(repair::MAX_VALUE_BYTES);
        let contents = (0..10)
            .map(|n| (Cow::Owned(format!("k{n}")), Cow::Borrowed(value.as_str())))
            .collect();
        let refused = batcher
            .push(
                &to,
                Log {
                    contents,
                    ..Log::default()
                },
                NOW,
            )
            .unwrap_err();
        assert!(matches!(refused, Rejected::TooLarge { bytes } if bytes > MAX_RAW_BYTES));
        assert_eq!(
            batcher.push(&to, Log::default(), NOW).unwrap_err(),
            Rejected::Empty
        );
        assert_eq!((batcher.bytes(), batcher.logs()), (before, 1));
        let repaired = batcher
            .push(
                &to,
                Log {
                    time_ns: 0,
                    ..log("v")
                },
                NOW,
            )
            .unwrap();
        assert!(repaired.repairs.time_clamped);
    }
}
