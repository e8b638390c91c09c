//! Envoy's statistics: counters and gauges by name.

use super::super::status::Failure;
use super::admin::{Admin, Answer};
use sentry_edge_mirror::metric::{Leg, TargetName};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is asked for: the module's own, those of clusters and listeners, and what Envoy says of itself.
const PATH: &str = "/stats?format=json&filter=^(wasmcustom\\.sentry_edge_mirror|cluster|http|listener_manager|server|wasm)\\.";
const OURS: &str = "wasmcustom.sentry_edge_mirror.";

#[derive(Debug, Default)]
pub(super) struct Stats {
    all: BTreeMap<String, u64>,
    /// By how much Envoy's clock is ahead of ours, in seconds.
    pub(super) clock_ahead: Option<i64>,
}

impl Stats {
    pub(super) fn read(admin: &Admin) -> Result<Self, Failure> {
        let answer = admin.get(PATH)?;
        Self::parse(&answer).ok_or_else(|| {
            Failure(
                "/stats: expected the statistics of Envoy in JSON, got something else".to_owned(),
            )
        })
    }

    pub(super) fn parse(answer: &Answer) -> Option<Self> {
        let value: Value = serde_json::from_str(&answer.text).ok()?;
        let entries = value.get("stats")?.as_array()?.iter();
        let numbers = entries.filter_map(|entry| {
            let name = entry.get("name")?.as_str()?;
            // A gauge may be below 0 for a moment.
            let value = entry.get("value")?;
            let number = value.as_u64().or(value.as_i64().map(|_| 0))?;
            Some((name.to_owned(), number))
        });
        let clock_ahead =
            answer
                .clocks
                .and_then(|(theirs, ours)| match theirs.duration_since(ours) {
                    Ok(ahead) => i64::try_from(ahead.as_secs()).ok(),
                    Err(behind) => i64::try_from(behind.duration().as_secs())
                        .ok()
                        .map(i64::saturating_neg),
                });
        Some(Self {
            all: numbers.collect(),
            clock_ahead,
        })
    }

    pub(super) fn get(&self, name: &str) -> u64 {
        self.all.get(name).copied().unwrap_or(0)
    }

    /// One of the module's, without the prefix of all of them.
    pub(super) fn ours(&self, name: &str) -> u64 {
        self.get(&format!("{OURS}{name}"))
    }

    /// The legs of which the module has any. What is no name of a second Sentry is not the module's.
    pub(super) fn legs(&self) -> Vec<Leg> {
        let nameless = Leg::NAMELESS.into_iter();
        let nameless = nameless.filter(|leg| self.has(&leg.to_string()));
        let prefix = format!("{OURS}sentry.");
        let names = self.starting(&prefix).filter_map(|(rest, _)| {
            let (name, _) = rest.split_once('.')?;
            TargetName::new(name)?;
            Some(name)
        });
        let names: BTreeSet<&str> = names.collect();
        let sentries = names.into_iter().filter_map(TargetName::new);
        nameless.chain(sentries.map(Leg::Sentry)).collect()
    }

    fn has(&self, leg: &str) -> bool {
        self.starting(&format!("{OURS}{leg}.")).next().is_some()
    }

    /// Those whose name begins so, and the rest of their names.
    pub(super) fn starting<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (&'s str, u64)> {
        let all = self.all.iter();
        all.filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, *value)))
    }

    /// Everything that the module has counted of a leg: gauges may go down, and are left out.
    pub(super) fn counted(&self, leg: &str) -> u64 {
        let gauges = [
            "pending",
            "pending_bytes",
            "in_flight",
            "collecting_bytes",
            "queued",
        ];
        let prefix = format!("{OURS}{leg}.");
        let counters = self
            .starting(&prefix)
            .filter(|(name, _)| !gauges.contains(name));
        counters.fold(0, |sum, (_, value)| u64::saturating_add(sum, value))
    }

    /// Requests that have ended, without those to the admin endpoint.
    pub(super) fn requests(&self) -> u64 {
        let ended = self.starting("http.").filter(|(name, _)| {
            name.strip_suffix(".downstream_rq_completed")
                .is_some_and(|prefix| prefix != "admin" && prefix != "async-client")
        });
        ended.fold(0, |sum, (_, value)| u64::saturating_add(sum, value))
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, OURS, Stats};
    use sentry_edge_mirror::metric::Leg;
    use std::time::{Duration, SystemTime};

    #[test]
    fn numbers_by_name() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let text = r#"{"stats": [{"name": "wasmcustom.sentry_edge_mirror.rum.captured", "value": 3},
            {"name": "wasmcustom.sentry_edge_mirror.rum.pending", "value": 7},
            {"name": "http.edge.downstream_rq_completed", "value": 4}, {"name": "http.admin.downstream_rq_completed", "value": 9},
            {"name": "server.x", "value": -1}, {"name": "server.version"}, {"histograms": {}}]}"#;
        let answer = Answer {
            text: text.to_owned(),
            clocks: Some((now - Duration::from_secs(90), now)),
        };
        let stats = Stats::parse(&answer).unwrap();
        assert_eq!(
            (
                stats.ours("rum.captured"),
                stats.ours("rum.failed"),
                stats.get("server.x")
            ),
            (3, 0, 0)
        );
        assert_eq!(stats.legs(), [Leg::Rum]);
        assert_eq!(
            (stats.counted("rum"), stats.requests(), stats.clock_ahead),
            (3, 4, Some(-90))
        );
        for text in ["", "[]", r#"{"stats": 1}"#] {
            assert!(
                Stats::parse(&Answer {
                    text: text.to_owned(),
                    clocks: None
                })
                .is_none()
            );
        }
    }

    #[test]
    fn second_sentries_have_the_names_that_the_operator_gave() {
        let names = [
            "sentry.saas.captured",
            "sentry.saas.skipped.limited",
            "sentry.next_2.pending",
            "sls.captured",
            "sentry.\\u001b[31m.captured",
            "sentry.Too_Large.captured",
            "sentry.captured",
        ];
        let entries = names.map(|name| format!(r#"{{"name": "{OURS}{name}", "value": 2}}"#));
        let text = format!(r#"{{"stats": [{}]}}"#, entries.join(","));
        let stats = Stats::parse(&Answer { text, clocks: None }).unwrap();
        let legs: Vec<String> = stats.legs().iter().map(Leg::to_string).collect();
        assert_eq!(legs, ["sls", "sentry.next_2", "sentry.saas"]);
        assert_eq!(stats.counted("sentry.saas"), 4);
        assert_eq!(stats.counted("sentry.next_2"), 0);
    }
}
