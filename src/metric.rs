//! The metrics: what is counted for each leg, and under which names.
//!
//! `ledger` collects changes until a root callback publishes them. `target_name` is the name of a second Sentry.

mod ledger;
mod target_name;

pub use ledger::Ledger;
pub use target_name::TargetName;

use crate::outcome::{AnswerClass, DenyReason, SkipReason};
use std::fmt;

/// Precedes the name of a second Sentry.
const SENTRY: &str = "sentry.";

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

/// Whose metrics: what a copy or a log is on its way to, or the mode that signs in passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leg {
    /// RUM; the unit is one copied request.
    Rum,
    /// SLS; the unit is one log.
    Sls,
    /// Mode `sign`; the unit is one request.
    Sign,
    /// A second Sentry; the unit is one copied request.
    Sentry(TargetName),
}

impl Leg {
    /// Those without a name given by the operator.
    pub const NAMELESS: [Self; 3] = [Self::Rum, Self::Sls, Self::Sign];

    /// Whether it sends copies.
    #[must_use]
    pub fn sends_copies(self) -> bool {
        matches!(self, Self::Rum | Self::Sentry(_))
    }

    /// The leg with this [displayed](fmt::Display) name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name.strip_prefix(SENTRY) {
            Some(target) => TargetName::new(target).map(Self::Sentry),
            None => Self::NAMELESS.into_iter().find(|leg| leg.word() == name),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Rum => "rum",
            Self::Sls => "sls",
            Self::Sign => "sign",
            Self::Sentry(_) => SENTRY,
        }
    }

    fn counts(self, metric: Metric) -> bool {
        match metric {
            Metric::Received
            | Metric::Signed
            | Metric::Aborted
            | Metric::Unanswered
            | Metric::Denied(_)
            | Metric::Answered(_) => self == Self::Sign,
            Metric::Bytes | Metric::Pending | Metric::PendingBytes | Metric::InFlight => true,
            _ if self == Self::Sign => false,
            Metric::HeadersOmitted => self.sends_copies(),
            Metric::InPlace => self == Self::Rum,
            Metric::CollectingBytes => true,
            Metric::Malformed
            | Metric::Undecodable
            | Metric::TooCostly
            | Metric::Repaired
            | Metric::Divided
            | Metric::Unread => self == Self::Sls,
            Metric::Skipped(
                SkipReason::Excluded
                | SkipReason::Unmapped
                | SkipReason::Sampled
                | SkipReason::Items
                | SkipReason::Unscrubbable
                | SkipReason::Limited
                | SkipReason::Refused,
            ) => self.sends_copies(),
            _ => true,
        }
    }
}

/// As in the names of its metrics and in the configuration: `rum`, or `sentry.saas`.
impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Sentry(name) => name.fmt(f),
            Self::Rum | Self::Sls | Self::Sign => Ok(()),
        }
    }
}

/// A metric of a leg: what the host knows under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    /// The leg.
    pub leg: Leg,
    /// The metric.
    pub metric: Metric,
}

impl Series {
    /// All metrics of a leg.
    pub fn of(leg: Leg) -> impl Iterator<Item = Self> {
        Metric::all()
            .filter(move |metric| leg.counts(*metric))
            .map(move |metric| Self { leg, metric })
    }

    /// The full name.
    #[must_use]
    pub fn name(self) -> String {
        let leg = self.leg;
        match self.metric {
            Metric::Skipped(reason) => format!("{PREFIX}{leg}.skipped.{}", reason.name()),
            Metric::Denied(reason) => format!("{PREFIX}{leg}.denied.{}", reason.name()),
            Metric::Answered(class) => format!("{PREFIX}{leg}.answered.{}", class.name()),
            metric => format!("{PREFIX}{leg}.{}", metric.word()),
        }
    }
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
    /// Body bytes handed to the host, every attempt counted. Sign: of the signed requests.
    Bytes,
    /// Header lines that the copy went without because they are not UTF-8.
    HeadersOmitted,
    /// Replies to calls that we had given up, or never made.
    UnexpectedReplies,
    /// Copies that wait or are in flight. Sign: requests that are held.
    Pending,
    /// Their bytes, as charged to the budget. Sign: with those of the requests in flight.
    PendingBytes,
    /// Calls without an answer yet.
    InFlight,
    /// Milliseconds from the end of the client's request (SLS: from the batch's sealing) to the target's 2xx.
    LatencyMs,
    /// SLS: envelopes that Relay would refuse; each gives one log that says so.
    Malformed,
    /// SLS: bodies whose content encoding could not be undone; each gives one log that says so.
    Undecodable,
    /// SLS: envelopes that were not read to their end, because that took too much of the worker's time; a log says so.
    TooCostly,
    /// SLS: logs that had to be mended to be acceptable.
    Repaired,
    /// SLS: batches that were cut in two because the target refused them.
    Divided,
    /// SLS: envelopes that were dropped unread: each counts as one captured and one dropped log.
    Unread,
    /// SLS: envelopes that wait to be read. RUM: copies that wait for a rule's decision.
    Queued,
    /// Sign: requests that came; each ends as signed, denied or aborted.
    Received,
    /// Sign: requests that went on with a signature; each ends as answered or unanswered.
    Signed,
    /// Sign: requests that ended before they were complete.
    Aborted,
    /// Sign: signed requests that ended without an answer.
    Unanswered,
    /// RUM, mode `rewrite`: requests that went on as the copy. With `fast_ack`, those that could not be held.
    InPlace,
    /// What the bodies hold that are still being received. The legs share them: of each it is all there is.
    CollectingBytes,
    /// Exchanges that were not captured, by rule.
    Skipped(SkipReason),
    /// Sign: requests that we answered ourselves.
    Denied(DenyReason),
    /// Sign: signed requests by the class of their answer.
    Answered(AnswerClass),
}

const PLAIN: [Metric; 26] = [
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
    Metric::Malformed,
    Metric::Undecodable,
    Metric::Repaired,
    Metric::Divided,
    Metric::Unread,
    Metric::Queued,
    Metric::Received,
    Metric::Signed,
    Metric::Aborted,
    Metric::Unanswered,
    Metric::InPlace,
    Metric::CollectingBytes,
    Metric::TooCostly,
];

/// The gauges: computed from what is waiting when they are published.
pub const GAUGES: [Metric; 5] = [
    Metric::Pending,
    Metric::PendingBytes,
    Metric::InFlight,
    Metric::Queued,
    Metric::CollectingBytes,
];

/// The values of [`GAUGES`].
pub(crate) type Gauges = [usize; GAUGES.len()];

const DENIED: usize = PLAIN.len() + SkipReason::ALL.len();
const ANSWERED: usize = DENIED + DenyReason::ALL.len();
/// How many there are.
pub(crate) const COUNT: usize = ANSWERED + AnswerClass::ALL.len();

impl Metric {
    /// Every metric of a leg, in the order of [`Metric::index`].
    pub fn all() -> impl Iterator<Item = Self> {
        PLAIN
            .into_iter()
            .chain(SkipReason::ALL.into_iter().map(Self::Skipped))
            .chain(DenyReason::ALL.into_iter().map(Self::Denied))
            .chain(AnswerClass::ALL.into_iter().map(Self::Answered))
    }

    /// How the host stores it.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Pending
            | Self::PendingBytes
            | Self::InFlight
            | Self::Queued
            | Self::CollectingBytes => Kind::Gauge,
            Self::LatencyMs => Kind::Histogram,
            _ => Kind::Counter,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
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
            Self::Malformed => "malformed",
            Self::Undecodable => "undecodable",
            Self::TooCostly => "too_costly",
            Self::Repaired => "repaired",
            Self::Divided => "divided",
            Self::Unread => "unread",
            Self::Queued => "queued",
            Self::Received => "received",
            Self::Signed => "signed",
            Self::Aborted => "aborted",
            Self::Unanswered => "unanswered",
            Self::InPlace => "in_place",
            Self::CollectingBytes => "collecting_bytes",
            Self::Skipped(reason) => reason.name(),
            Self::Denied(reason) => reason.name(),
            Self::Answered(class) => class.name(),
        }
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
            Self::Malformed => 13,
            Self::Undecodable => 14,
            Self::Repaired => 15,
            Self::Divided => 16,
            Self::Unread => 17,
            Self::Queued => 18,
            Self::Received => 19,
            Self::Signed => 20,
            Self::Aborted => 21,
            Self::Unanswered => 22,
            Self::InPlace => 23,
            Self::CollectingBytes => 24,
            Self::TooCostly => 25,
            Self::Skipped(reason) => PLAIN.len().saturating_add(reason.index()),
            Self::Denied(reason) => DENIED.saturating_add(reason.index()),
            Self::Answered(class) => ANSWERED.saturating_add(class.index()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Leg, Metric, Series, TargetName};

    #[test]
    fn the_index_is_the_position_and_names_are_unique() {
        for (position, metric) in Metric::all().enumerate() {
            assert_eq!(metric.index(), position);
        }
        let sentries = ["a", "b"].map(|name| Leg::Sentry(TargetName::new(name).unwrap()));
        let legs = || Leg::NAMELESS.into_iter().chain(sentries);
        let all = || legs().flat_map(Series::of);
        let mut names: Vec<String> = all().map(Series::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all().count());
        for leg in legs() {
            assert_eq!(Leg::named(&leg.to_string()), Some(leg));
        }
    }

    #[test]
    fn what_is_a_gauge_stands_among_them() {
        let gauges = Metric::all().filter(|m| m.kind() == Kind::Gauge).count();
        assert_eq!(gauges, super::GAUGES.len());
    }
}
