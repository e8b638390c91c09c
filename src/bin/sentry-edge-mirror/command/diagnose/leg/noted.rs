//! What is worth knowing: what was skipped and why, and what is odd.

use super::super::Remark;
use super::super::stats::Stats;
use super::{Leg, Whose};

/// Why something was skipped, whether that is wrong, what it means and what to do. `<leg>` is the section of the leg.
type Reason = (&'static str, bool, &'static str, &'static str);

const REASONS: [Reason; 9] = [
    (
        "loop",
        true,
        "copies come back to the edge; each is left alone",
        "find what sends them: <leg>.upstream points at the edge, or another edge mirrors to this one",
    ),
    (
        "unmapped",
        false,
        "projects neither in <leg>.projects nor covered by <leg>.default",
        "add them, or add them to <leg>.exclude",
    ),
    (
        "route",
        false,
        "SDKs send other ingest routes (/store/, minidumps), which are not copied",
        "update the SDKs; <leg>.routes: all if your target takes them",
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
        "raise <leg>.rate, or find out what they send",
    ),
    (
        "unscrubbable",
        false,
        "copies that <leg>.scrub could not look through",
        "the log names the project",
    ),
    (
        "aborted",
        false,
        "clients went away before the end of their request",
        "nothing, unless it is many: timeouts in front",
    ),
];

/// Second Sentries: projects without one are ordinary.
const UNMAPPED: Reason = (
    "unmapped",
    false,
    "projects that <leg> gets nothing of, which is ordinary where some are moved",
    "nothing, unless one is missing in <leg>.projects",
);
/// Second Sentries: where no rate is set, only they can have limited.
const CLOSED: Reason = (
    "limited",
    true,
    "<leg> takes no more of some categories for longer than retry.max_age_ms: their copies do not go",
    "its quotas, or its plan; <leg>.items leaves out what it does not take; the log names them",
);
/// Second Sentries with a rate.
const LIMITED: Reason = (
    "limited",
    false,
    "projects over their rate, or categories that <leg> takes no more of for longer than retry.max_age_ms; the log names them",
    "raise <leg>.rate, or find out what they send; its quotas",
);
/// SLS has every project, and envelopes only.
const ROUTE: Reason = (
    "route",
    false,
    "SDKs send other ingest routes (/store/, minidumps), which become no logs",
    "update the SDKs",
);

impl Leg<'_> {
    pub(super) fn skipped(&self) -> Vec<Remark> {
        let reasons = REASONS.into_iter().map(|reason| self.own(reason));
        let remark = |(reason, wrong, means, todo): Reason| {
            let metric = format!("skipped.{reason}");
            let named = |text: &str| text.replace("<leg>", &self.name);
            (self.count(&metric) > 0).then(|| {
                let what = format!("{}: {}", self.seen(&metric), named(means));
                if wrong {
                    Remark::problem(what, named(todo))
                } else {
                    Remark::note(what, named(todo))
                }
            })
        };
        reasons.filter_map(remark).collect()
    }

    /// The same reason, in the words of this leg.
    fn own(&self, reason: Reason) -> Reason {
        let is_known = self
            .facts
            .settings
            .is_some_and(|settings| settings.sentries.contains_key(&self.name));
        match (self.whose, reason.0) {
            (Whose::Sentry(_), "unmapped") => UNMAPPED,
            (Whose::Sentry(_), "limited") => {
                let has_rate = self.second().is_some_and(|second| second.has_rate);
                if is_known && !has_rate {
                    CLOSED
                } else {
                    LIMITED
                }
            }
            (Whose::Sls, "route") => ROUTE,
            _ => reason,
        }
    }

    pub(super) fn odd(&self) -> Vec<Remark> {
        let metrics = [
            (
                "headers_omitted",
                "clients send headers that are not UTF-8: the copies go without them",
                "",
            ),
            (
                "unexpected_replies",
                "answers came after the call was given up",
                "<leg>.timeout_ms is shorter than the cluster's own timeouts",
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
            (self.count(metric) > 0).then(|| {
                let what = format!("{}: {means}", self.seen(metric));
                Remark::note(what, todo.replace("<leg>", &self.name))
            })
        };
        let mut remarks: Vec<Remark> = metrics.into_iter().filter_map(of).collect();
        remarks.extend(self.queued());
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
        let missing = |stats: &Stats| {
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
}
