//! The metrics and the ledger that collects their changes until a root callback publishes them.
//!
//! Every change inside one callback is summed first: one host call per metric that changed, and none at all
//! in the callbacks of a request. Gauges are not kept here, they are read off the outbox when they are published.

use crate::outcome::SkipReason;

/// Prefix of every metric name.
pub const PREFIX: &str = "sentry_edge_mirror.";

/// How the host stores a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows.
    Counter,
    /// Grows and shrinks.
    Gauge,
    /// Takes samples.
    Histogram,
}

/// What is counted for a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Copies that were complete, or for which the room ended; each ends as delivered, failed or dropped.
    Captured,
    /// Taken by the target (2xx).
    Delivered,
    /// Tries used up, too old, or refused for good.
    Failed,
    /// No room, or lost at shutdown.
    Dropped,
    /// Calls handed to the host, refused ones included.
    Attempts,
    /// Attempts after the first one.
    Retries,
    /// Body bytes handed to the host, every attempt counted.
    Bytes,
    /// Header lines that the copy went without because they are not UTF-8.
    HeadersOmitted,
    /// Replies to calls that we had given up, or never made.
    UnexpectedReplies,
    /// Copies that wait or are in flight.
    Pending,
    /// Their bytes, as charged to the budget.
    PendingBytes,
    /// Calls without an answer yet.
    InFlight,
    /// Milliseconds from the end of the client's request to the target's 2xx.
    LatencyMs,
    /// Exchanges that were not captured, by rule.
    Skipped(SkipReason),
}

const PLAIN: [Metric; 13] = [
    Metric::Captured,
    Metric::Delivered,
    Metric::Failed,
    Metric::Dropped,
    Metric::Attempts,
    Metric::Retries,
    Metric::Bytes,
    Metric::HeadersOmitted,
    Metric::UnexpectedReplies,
    Metric::Pending,
    Metric::PendingBytes,
    Metric::InFlight,
    Metric::LatencyMs,
];

/// So many quiet counts wait at most.
const QUIETLY: i64 = 64;

const COUNT: usize = PLAIN.len() + SkipReason::ALL.len();

impl Metric {
    /// Every metric of a leg, in the order of [`Metric::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        PLAIN
            .into_iter()
            .chain(SkipReason::ALL.into_iter().map(Self::Skipped))
    }

    /// How the host stores it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Pending | Self::PendingBytes | Self::InFlight => Kind::Gauge,
            Self::LatencyMs => Kind::Histogram,
            _ => Kind::Counter,
        }
    }

    /// The whole name, for the leg `rum`.
    #[must_use]
    pub fn name(self) -> String {
        let what = match self {
            Self::Captured => "captured",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
            Self::Attempts => "attempts",
            Self::Retries => "retries",
            Self::Bytes => "bytes",
            Self::HeadersOmitted => "headers_omitted",
            Self::UnexpectedReplies => "unexpected_replies",
            Self::Pending => "pending",
            Self::PendingBytes => "pending_bytes",
            Self::InFlight => "in_flight",
            Self::LatencyMs => "latency_ms",
            Self::Skipped(reason) => return format!("{PREFIX}rum.skipped.{}", reason.name()),
        };
        format!("{PREFIX}rum.{what}")
    }

    /// Position in [`Metric::all`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Captured => 0,
            Self::Delivered => 1,
            Self::Failed => 2,
            Self::Dropped => 3,
            Self::Attempts => 4,
            Self::Retries => 5,
            Self::Bytes => 6,
            Self::HeadersOmitted => 7,
            Self::UnexpectedReplies => 8,
            Self::Pending => 9,
            Self::PendingBytes => 10,
            Self::InFlight => 11,
            Self::LatencyMs => 12,
            Self::Skipped(reason) => PLAIN.len().saturating_add(reason.index()),
        }
    }
}

/// Changes that are not published yet.
#[derive(Debug)]
pub struct Ledger {
    deltas: [i64; COUNT],
    latencies: Vec<u64>,
    dirty: bool,
    pressing: bool,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            deltas: [0; COUNT],
            latencies: Vec::new(),
            dirty: false,
            pressing: false,
        }
    }
}

impl Ledger {
    /// Adds to a counter.
    pub fn add(&mut self, metric: Metric, amount: i64) {
        if amount != 0 {
            self.count(metric, amount);
            self.pressing = true;
        }
    }

    /// Adds one without [pressing](Ledger::is_pressing) for publication, but for every [`QUIETLY`]th.
    pub fn one_quietly(&mut self, metric: Metric) {
        if self.count(metric, 1) >= QUIETLY {
            self.pressing = true;
        }
    }

    fn count(&mut self, metric: Metric, amount: i64) -> i64 {
        let Some(delta) = self.deltas.get_mut(metric.index()) else {
            return 0;
        };
        *delta = delta.saturating_add(amount);
        self.dirty = true;
        *delta
    }

    /// Adds one.
    pub fn one(&mut self, metric: Metric) {
        self.add(metric, 1);
    }

    /// Adds a size.
    pub fn grow(&mut self, metric: Metric, size: usize) {
        self.add(metric, i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// Keeps a sample of [`Metric::LatencyMs`].
    pub fn latency(&mut self, ms: u64) {
        self.latencies.push(ms);
        self.dirty = true;
        self.pressing = true;
    }

    /// Whether there is something that must not wait for other business to be published.
    #[must_use]
    pub fn is_pressing(&self) -> bool {
        self.pressing
    }

    /// Hands every change to `counted` and every sample to `sampled`, and forgets them.
    pub fn publish(&mut self, mut counted: impl FnMut(Metric, i64), mut sampled: impl FnMut(u64)) {
        self.pressing = false;
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        for (metric, delta) in Metric::all().zip(self.deltas.iter_mut()) {
            match std::mem::take(delta) {
                0 => {}
                amount => counted(metric, amount),
            }
        }
        self.latencies.drain(..).for_each(&mut sampled);
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Ledger, Metric};
    use crate::outcome::SkipReason;

    #[test]
    fn the_index_is_the_position_and_names_are_unique() {
        let mut names = Vec::new();
        for (position, metric) in Metric::all().enumerate() {
            assert_eq!(metric.index(), position);
            names.push(metric.name());
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), Metric::all().count());
    }

    #[test]
    fn changes_are_summed_and_published_once() {
        let mut ledger = Ledger::default();
        ledger.one(Metric::Skipped(SkipReason::Loop));
        ledger.grow(Metric::Bytes, 10);
        ledger.grow(Metric::Bytes, 4);
        ledger.grow(Metric::Retries, 0);
        ledger.latency(7);
        let (mut counted, mut sampled) = (Vec::new(), Vec::new());
        ledger.publish(|m, n| counted.push((m.name(), n)), |ms| sampled.push(ms));
        assert_eq!(
            counted,
            [
                ("sentry_edge_mirror.rum.bytes".to_owned(), 14),
                ("sentry_edge_mirror.rum.skipped.loop".to_owned(), 1)
            ]
        );
        assert_eq!(sampled, [7]);
        assert!(!ledger.is_pressing());
        ledger.publish(|_, _| unreachable!(), |_| unreachable!());
    }

    #[test]
    fn only_three_gauges() {
        let gauges = Metric::all().filter(|m| m.kind() == Kind::Gauge).count();
        assert_eq!(gauges, 3);
    }
}
