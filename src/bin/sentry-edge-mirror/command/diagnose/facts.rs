//! What was asked of Envoy, and what can be read from it directly.

use super::admin::Answer;
use super::settings::Settings;
use super::stats::Stats;
use sentry_edge_mirror::metric::Leg;
use serde_json::Value;

/// All that was asked.
pub(super) struct Facts<'a> {
    pub(super) before: &'a Stats,
    pub(super) after: &'a Stats,
    /// Requests that ended in between.
    pub(super) passed: u64,
    pub(super) seconds: u64,
    /// Only what happened meanwhile counts.
    pub(super) recent: bool,
    pub(super) server: Option<&'a Answer>,
    pub(super) settings: Option<&'a Settings>,
}

impl Facts<'_> {
    pub(super) fn grown(&self, of: impl Fn(&Stats) -> u64) -> u64 {
        of(self.after).saturating_sub(of(self.before))
    }

    pub(super) fn count(&self, of: impl Fn(&Stats) -> u64) -> u64 {
        if self.recent {
            self.grown(of)
        } else {
            of(self.after)
        }
    }

    pub(super) fn workers(&self) -> u64 {
        self.after.get("server.concurrency").max(1)
    }

    pub(super) fn member(&self, name: &str) -> Option<String> {
        let server: Value = serde_json::from_str(&self.server?.text).ok()?;
        Some(server.get(name)?.as_str()?.to_owned())
    }

    /// `1.40.0`
    pub(super) fn version(&self) -> Option<String> {
        let version = self.member("version")?;
        let parts = version.split('/').nth(1)?;
        let plain = parts
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        plain.then(|| parts.to_owned())
    }

    pub(super) fn title(&self) -> String {
        let version = self
            .version()
            .map_or_else(|| "Envoy".to_owned(), |version| format!("Envoy {version}"));
        let plugins = match self.settings {
            Some(settings) if settings.plugins > 0 => {
                format!(", {} of our plugin configurations", settings.plugins)
            }
            _ => String::new(),
        };
        format!(
            "{version}, {} workers{plugins}, watched for {} s",
            self.workers(),
            self.seconds
        )
    }

    /// The counters of each leg, on a line.
    pub(super) fn books(&self) -> Vec<String> {
        let shown: [&str; 6] = [
            "captured",
            "delivered",
            "failed",
            "dropped",
            "pending",
            "retries",
        ];
        let of_sign: [&str; 4] = ["received", "signed", "pending", "in_flight"];
        let line = |leg: Leg| {
            let names: &[&str] = if leg == Leg::Sign { &of_sign } else { &shown };
            let numbers = names
                .iter()
                .map(|name| format!("{name} {}", self.after.ours(&format!("{leg}.{name}"))));
            format!("  {leg}: {}", numbers.collect::<Vec<_>>().join(", "))
        };
        self.after.legs().into_iter().map(line).collect()
    }

    /// Answers of a cluster with a status.
    pub(super) fn answers(&self, cluster: &str, status: &str) -> u64 {
        self.count(|stats| stats.get(&format!("cluster.{cluster}.upstream_rq_{status}")))
    }

    /// What Envoy says of a cluster that does not do well.
    pub(super) fn trouble(&self, cluster: &str) -> Vec<String> {
        let count =
            |name: &str| self.count(|stats| stats.get(&format!("cluster.{cluster}.{name}")));
        let mut trouble = Vec::new();
        let known = self
            .after
            .starting("cluster.")
            .any(|(name, _)| name.starts_with(&format!("{cluster}.")));
        if known
            && self
                .after
                .get(&format!("cluster.{cluster}.membership_total"))
                == 0
        {
            trouble.push(format!(
                "cluster {cluster} has no address: its name does not resolve"
            ));
        }
        for (name, what) in [
            ("upstream_cx_connect_fail", "connections failed"),
            ("upstream_cx_connect_timeout", "connections timed out"),
            ("upstream_rq_timeout", "calls had no answer in time"),
            ("upstream_rq_rx_reset", "calls were reset"),
            (
                "upstream_rq_pending_overflow",
                "calls were refused by the circuit breakers",
            ),
            ("ssl.fail_verify_error", "certificates were not accepted"),
            ("ssl.fail_verify_san", "certificates had another name"),
        ] {
            let number = count(name);
            if number > 0 {
                trouble.push(format!("cluster {cluster}: {number} {what}"));
            }
        }
        let prefix = format!("cluster.{cluster}.upstream_rq_");
        let codes = self.after.starting(&prefix).filter(|(status, _)| {
            status.len() == 3
                && status.starts_with(['3', '4', '5'])
                && status.bytes().all(|byte| byte.is_ascii_digit())
        });
        for (status, _) in codes {
            let number = self.answers(cluster, status);
            if number > 0 {
                trouble.push(format!("cluster {cluster}: {number} answers with {status}"));
            }
        }
        trouble
    }

    /// The trouble of the clusters that a credential is fetched from.
    pub(super) fn metadata(&self) -> String {
        let clusters = self
            .settings
            .into_iter()
            .flat_map(|settings| &settings.metadata);
        let trouble: Vec<String> = clusters.flat_map(|cluster| self.trouble(cluster)).collect();
        if trouble.is_empty() {
            String::new()
        } else {
            format!("; {}", trouble.join(", "))
        }
    }
}
