//! What the metrics of a leg mean: the runbook of envoy/metrics.md, as rules.

use super::Remark;
use super::facts::Facts;

/// The leg that copies to RUM, or the one that writes logs to SLS.
pub(super) struct Leg<'f> {
    pub(super) facts: &'f Facts<'f>,
    pub(super) name: &'static str,
}

impl Leg<'_> {
    fn target(&self) -> &'static str {
        if self.name == "sls" { "SLS" } else { "RUM" }
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

    /// `failed is 3 (1 in the last 5 s)`
    fn seen(&self, metric: &str) -> String {
        let (all, grown) = (self.now(metric), self.grown(metric));
        format!(
            "{}.{metric} is {all} ({grown} more in {} s)",
            self.name, self.facts.seconds
        )
    }

    fn share(&self, all: u64) -> u64 {
        let legs = if self
            .facts
            .settings
            .is_some_and(|settings| settings.two_legs)
        {
            2
        } else {
            1
        };
        all.checked_div(legs)
            .unwrap_or(all)
            .saturating_mul(self.facts.workers())
    }

    fn budget(&self) -> u64 {
        let bytes = self
            .facts
            .settings
            .map_or(67_108_864, |settings| settings.max_pending_bytes);
        self.share(bytes)
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

    fn failed(&self) -> Option<Remark> {
        let todo = match self.name {
            "sls" => {
                "the log names the reason: credential, role, project, logstore; or attempts or age ran out (envoy/sls.md)"
            }
            _ => {
                "the log names upstream, project and status: 4xx is workspace or service id, or the application is stopped"
            }
        };
        (self.count("failed") > 0).then(|| {
            let target = self.target();
            let what = format!(
                "{}: {target} refuses for good, or answers stay away{}",
                self.seen("failed"),
                self.why()
            );
            Remark::problem(what, todo)
        })
    }

    fn dropped(&self) -> Option<Remark> {
        if self.count("dropped") == 0 {
            return None;
        }
        let unread = match self.count("unread") {
            0 => String::new(),
            count => format!(" ({count} envelopes were lost before they were read)"),
        };
        let (held, coming, budget) = (
            self.now("pending_bytes"),
            self.now("collecting_bytes"),
            self.budget(),
        );
        let (meaning, todo) = if held.saturating_mul(5) >= budget.saturating_mul(4) {
            (
                format!(
                    "the budget is full ({held} of {budget} bytes): data is lost{}",
                    self.why()
                ),
                format!(
                    "{}'s health; limits.max_pending_bytes; limits.max_in_flight",
                    self.target()
                ),
            )
        } else if coming.saturating_mul(5) >= budget.saturating_mul(2) {
            (
                format!(
                    "bodies that are being received hold their half of the budget ({coming} of {budget} bytes), the slowest give way"
                ),
                "who sends them; Envoy's timeouts and connection limits; limits.max_pending_bytes"
                    .to_owned(),
            )
        } else {
            (
                format!("the budget was full, or an instance ended with work to do (an update replaced the VM, or it trapped){}", self.why()),
                "the log says which; the ways of updating that lose nothing are in envoy/updates.md".to_owned(),
            )
        };
        Some(Remark::problem(
            format!("{}{unread}: {meaning}", self.seen("dropped")),
            todo,
        ))
    }

    fn waiting(&self) -> Option<Remark> {
        let pending = self.now("pending");
        if pending == 0 {
            return None;
        }
        let no_credential = self.name == "sls" && self.now("attempts") == 0;
        if no_credential {
            let what = format!(
                "sls.pending is {pending} and sls.attempts is 0: there is no credential{}",
                self.facts.metadata()
            );
            return Some(Remark::problem(
                what,
                "the metadata service, and sls.credential.ecs_ram_role",
            ));
        }
        let limit = self.share(
            self.facts
                .settings
                .map_or(128, |settings| settings.max_in_flight),
        );
        let at_limit = self.now("in_flight") >= limit;
        let (delivered, retries) = (self.grown("delivered"), self.now("retries"));
        if delivered == 0 && (retries > 0 || self.now("delivered") == 0 || at_limit) {
            let limit = if at_limit {
                ", in_flight is at its limit"
            } else {
                ""
            };
            let what = format!(
                "{}.pending is {pending}, and nothing was delivered in {} s (retries: {retries}{limit}): {} is slow or away{}",
                self.name,
                self.facts.seconds,
                self.target(),
                self.why()
            );
            let todo = match self.name {
                "sls" => "the log says whether SLS is away, throttles, or does not accept the key",
                _ => {
                    "RUM's health, the name and the certificate of the cluster; limits.max_in_flight if in_flight is at its limit"
                }
            };
            return Some(Remark::problem(what, todo));
        }
        at_limit.then(|| {
            let what = format!(
                "{}.in_flight is at its limit ({limit}), {pending} wait",
                self.name
            );
            Remark::note(
                what,
                "raise limits.max_in_flight, and the circuit breakers of the cluster with it",
            )
        })
    }

    fn throttled(&self) -> Option<Remark> {
        let answers: u64 = self
            .clusters()
            .iter()
            .map(|cluster| self.facts.answers(cluster, "429"))
            .sum();
        (answers > 0).then(|| {
            let todo = match self.name {
                "sls" => "more shards or a higher quota; larger batches (sls.batch)",
                _ => "copies wait as long as RUM asks for (Retry-After): a higher limit at RUM, or exclude projects",
            };
            Remark::problem(format!("{} throttles: it answered 429 to {answers} calls", self.target()), todo)
        })
    }

    fn skipped(&self) -> Vec<Remark> {
        let reasons: [(&str, bool, &str, &str); 9] = [
            (
                "loop",
                true,
                "copies come back to the edge; each is left alone",
                "find what sends them: rum.upstream points at the edge, or another edge mirrors to this one",
            ),
            (
                "unmapped",
                false,
                "projects neither in rum.projects nor covered by rum.default",
                "add them, or add them to rum.exclude",
            ),
            (
                "route",
                false,
                "SDKs send other ingest routes (/store/, minidumps), which are not copied",
                "update the SDKs; rum.routes: all if your target takes them",
            ),
            (
                "too_large",
                false,
                "bodies over limits.max_body_bytes",
                "raise it, and limits.max_pending_bytes with it",
            ),
            (
                "slow",
                false,
                "bodies that came too slowly: broken clients, or hostile ones",
                "Envoy's request_timeout and stream_idle_timeout end such requests",
            ),
            ("unreadable", false, "the proxy did not hand out a body", ""),
            (
                "limited",
                false,
                "projects over their rate; the log names them",
                "raise rum.rate, or find out what they send",
            ),
            (
                "unscrubbable",
                false,
                "copies that rum.scrub could not look through",
                "the log names the project",
            ),
            (
                "aborted",
                false,
                "clients went away before the end of their request",
                "nothing, unless it is many: timeouts in front",
            ),
        ];
        let of = |(reason, wrong, means, todo): (&str, bool, &str, &str)| {
            let metric = format!("skipped.{reason}");
            (self.count(&metric) > 0).then(|| {
                let what = format!("{}: {means}", self.seen(&metric));
                if wrong {
                    Remark::problem(what, todo)
                } else {
                    Remark::note(what, todo)
                }
            })
        };
        reasons.into_iter().filter_map(of).collect()
    }

    fn odd(&self) -> Vec<Remark> {
        let metrics = [
            (
                "headers_omitted",
                "clients send headers that are not UTF-8: the copies go without them",
                "",
            ),
            (
                "unexpected_replies",
                "answers came after the call was given up",
                "timeout_ms is shorter than the cluster's own timeouts",
            ),
            (
                "malformed",
                "envelopes that Relay refuses; one log each says why",
                "",
            ),
            (
                "undecodable",
                "bodies whose Content-Encoding could not be undone; one log each",
                "limits.max_decoded_bytes",
            ),
            (
                "too_costly",
                "envelopes that took too much time to read; one log each",
                "who sends them: the project stands in that log",
            ),
            (
                "repaired",
                "logs whose time was moved into the window of SLS's clock, which differs from the edge's",
                "the edge's clock (NTP)",
            ),
            (
                "divided",
                "writes that SLS refused as a whole and that were cut in two",
                "a smaller sls.batch.max_bytes",
            ),
        ];
        let of = |(metric, means, todo): (&str, &str, &str)| {
            (self.count(metric) > 0)
                .then(|| Remark::note(format!("{}: {means}", self.seen(metric)), todo))
        };
        let mut remarks: Vec<Remark> = metrics.into_iter().filter_map(of).collect();
        let queued = self.now("queued");
        if queued > 0 && self.facts.before.ours("sls.queued") > 0 && self.name == "sls" {
            let what = format!(
                "sls.queued stays above 0 ({queued}): more comes in than is read in 30 % of the worker's time"
            );
            remarks.push(Remark::note(what, "more workers (--concurrency)"));
        }
        if self.grown("retries") > 0 && self.grown("delivered") > 0 {
            let what = format!(
                "{}: {} is shaky, nothing is lost by that yet",
                self.seen("retries"),
                self.target()
            );
            remarks.push(Remark::note(what, ""));
        }
        remarks.extend(self.books());
        remarks
    }

    /// At any moment `captured = delivered + failed + dropped + pending`, but for what an instance took along.
    fn books(&self) -> Option<Remark> {
        let missing = |stats: &super::stats::Stats| {
            let get = |metric: &str| i128::from(stats.ours(&format!("{}.{metric}", self.name)));
            let ended = ["delivered", "failed", "dropped", "pending"];
            ended.iter().fold(get("captured"), |left, metric| {
                left.saturating_sub(get(metric))
            })
        };
        let (before, after) = (missing(self.facts.before), missing(self.facts.after));
        (before == after && after != 0).then(|| {
            let what = format!("{}: the books do not balance by {after}: an instance ended, or Envoy was restarted hot", self.name);
            Remark::note(what, "another instance counts it within 20 s of its next work; after a hot restart nobody does (envoy/updates.md)")
        })
    }

    fn clusters(&self) -> Vec<String> {
        let clusters = self
            .facts
            .settings
            .into_iter()
            .flat_map(|settings| &settings.clusters);
        let own: Vec<String> = clusters
            .filter(|(leg, _)| *leg == self.name)
            .map(|(_, name)| name.clone())
            .collect();
        // Its name in the samples.
        if own.is_empty() {
            vec![self.name.to_owned()]
        } else {
            own
        }
    }

    fn why(&self) -> String {
        let reasons: Vec<String> = self
            .clusters()
            .iter()
            .flat_map(|cluster| self.facts.trouble(cluster))
            .collect();
        if reasons.is_empty() {
            String::new()
        } else {
            format!("; {}", reasons.join(", "))
        }
    }
}
