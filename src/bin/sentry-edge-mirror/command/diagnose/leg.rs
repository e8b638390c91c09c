//! What the metrics of a leg mean: the runbook of envoy/metrics.md, as rules.
//!
//! Here is what the rules ask. `lost`, `waiting` and `noted` are the rules.

mod lost;
mod noted;
mod waiting;

#[cfg(test)]
mod tests;

use super::Remark;
use super::facts::Facts;
use super::settings::SecondSentry;
use sentry_edge_mirror::metric::Leg as Whose;

/// A leg that copies to RUM or to a second Sentry, or the one that writes logs to SLS.
pub(super) struct Leg<'f> {
    facts: &'f Facts<'f>,
    whose: Whose,
    /// As in the names of its metrics.
    name: String,
}

impl<'f> Leg<'f> {
    pub(super) fn new(facts: &'f Facts<'f>, whose: Whose) -> Self {
        let name = whose.to_string();
        Self { facts, whose, name }
    }

    pub(super) fn remarks(&self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        remarks.extend(self.failed());
        remarks.extend(self.dropped());
        remarks.extend(self.waiting());
        remarks.extend(self.throttled());
        remarks.extend(self.skipped());
        remarks.extend(self.odd());
        remarks
    }

    fn is_sentry(&self) -> bool {
        matches!(self.whose, Whose::Sentry(_))
    }

    /// What is called. There may be several second Sentries, so each is called as its leg.
    fn target(&self) -> &str {
        match self.whose {
            Whose::Sls => "SLS",
            Whose::Sentry(_) => &self.name,
            Whose::Rum | Whose::Sign => "RUM",
        }
    }

    /// Since the start of Envoy, or in the time that was watched.
    fn count(&self, metric: &str) -> u64 {
        let name = format!("{}.{metric}", self.name);
        self.facts.count(|stats| stats.ours(&name))
    }

    fn grown(&self, metric: &str) -> u64 {
        let name = format!("{}.{metric}", self.name);
        self.facts.grown(|stats| stats.ours(&name))
    }

    fn now(&self, metric: &str) -> u64 {
        self.facts.after.ours(&format!("{}.{metric}", self.name))
    }

    fn before(&self, metric: &str) -> u64 {
        self.facts.before.ours(&format!("{}.{metric}", self.name))
    }

    /// `failed is 3 (1 in the last 5 s)`
    fn seen(&self, metric: &str) -> String {
        let (all, grown) = (self.now(metric), self.grown(metric));
        format!(
            "{}.{metric} is {all} ({grown} more in {} s)",
            self.name, self.facts.seconds
        )
    }

    /// What the configuration says of a second Sentry; what it does not say, or nobody could read, is as by default.
    fn second(&self) -> Option<SecondSentry> {
        let settings = self.facts.settings;
        let found = settings.and_then(|settings| settings.sentries.get(&self.name));
        self.is_sentry().then(|| found.copied().unwrap_or_default())
    }

    /// A leg's part of what RUM and SLS share, in all workers.
    fn share(&self, all: u64) -> u64 {
        let settings = self.facts.settings;
        let legs = if settings.is_some_and(|settings| settings.two_legs) {
            2
        } else {
            1
        };
        let part = all.checked_div(legs).unwrap_or(all);
        part.saturating_mul(self.facts.workers())
    }

    fn shared_budget(&self) -> u64 {
        let settings = self.facts.settings;
        self.share(settings.map_or(67_108_864, |settings| settings.max_pending_bytes))
    }

    fn budget(&self) -> u64 {
        match self.second() {
            Some(second) => {
                let workers = self.facts.workers();
                second.max_pending_bytes.saturating_mul(workers)
            }
            None => self.shared_budget(),
        }
    }

    fn max_in_flight(&self) -> u64 {
        let settings = self.facts.settings;
        match self.second() {
            Some(second) => second.max_in_flight.saturating_mul(self.facts.workers()),
            None => self.share(settings.map_or(128, |settings| settings.max_in_flight)),
        }
    }

    /// The path of the limits that are this leg's, in the configuration.
    fn limits(&self) -> String {
        if self.is_sentry() {
            format!("{}.limits", self.name)
        } else {
            "limits".to_owned()
        }
    }

    fn clusters(&self) -> Vec<String> {
        let settings = self.facts.settings.into_iter();
        let clusters = settings.flat_map(|settings| &settings.clusters);
        let own = clusters.filter(|(leg, _)| *leg == self.name);
        let own: Vec<String> = own.map(|(_, name)| name.clone()).collect();
        if own.is_empty() {
            // Its name in the samples.
            let name = self.name.strip_prefix("sentry.").unwrap_or(&self.name);
            vec![name.to_owned()]
        } else {
            own
        }
    }

    /// Answers of its clusters with a status.
    fn answers(&self, status: &str) -> u64 {
        let clusters = self.clusters();
        let answers = clusters
            .iter()
            .map(|cluster| self.facts.answers(cluster, status));
        answers.fold(0, u64::saturating_add)
    }

    fn why(&self) -> String {
        let clusters = self.clusters();
        let reasons = clusters
            .iter()
            .flat_map(|cluster| self.facts.trouble(cluster));
        let reasons: Vec<String> = reasons.collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!("; {}{}", reasons.join(", "), self.shared_with())
        }
    }

    /// Envoy counts by cluster: what it says may be true of another leg alone.
    fn shared_with(&self) -> String {
        let own = self.clusters();
        let settings = self.facts.settings.into_iter();
        let clusters = settings.flat_map(|settings| &settings.clusters);
        let others = clusters.filter(|(leg, name)| *leg != self.name && own.contains(name));
        let others = others.map(|(leg, name)| format!("{name} is also that of {leg}"));
        let others: Vec<String> = others.collect();
        if others.is_empty() {
            String::new()
        } else {
            format!(" (cluster {})", others.join(", "))
        }
    }
}
