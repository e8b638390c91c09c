//! What is late: a target that is away, slow, or does not want more.

use super::super::Remark;
use super::{Leg, Whose};

impl Leg<'_> {
    pub(super) fn waiting(&self) -> Option<Remark> {
        let pending = self.now("pending");
        if pending == 0 {
            return None;
        }
        let no_credential = self.whose == Whose::Sls && self.now("attempts") == 0;
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
        let limit = self.max_in_flight();
        let at_limit = self.now("in_flight") >= limit;
        let limits = self.limits();
        let (delivered, retries) = (self.grown("delivered"), self.now("retries"));
        if delivered == 0 && (retries > 0 || self.now("delivered") == 0 || at_limit) {
            let limit = if at_limit {
                ", in_flight is at its limit"
            } else {
                ""
            };
            // Who limits is not away.
            let means = if self.is_sentry() && self.answers("429") > 0 {
                "limits, is slow or away"
            } else {
                "is slow or away"
            };
            let what = format!(
                "{}.pending is {pending}, and nothing was delivered in {} s (retries: {retries}{limit}): {} {means}{}",
                self.name,
                self.facts.seconds,
                self.target(),
                self.why()
            );
            let todo = match self.whose {
                Whose::Sls => {
                    "the log says whether SLS is away, throttles, or does not accept the key"
                        .to_owned()
                }
                _ => format!(
                    "{}'s health, the name and the certificate of the cluster; {limits}.max_in_flight if in_flight is at its limit",
                    self.target()
                ),
            };
            return Some(Remark::problem(what, todo));
        }
        at_limit.then(|| {
            let what = format!(
                "{}.in_flight is at its limit ({limit}), {pending} wait",
                self.name
            );
            let todo = format!(
                "raise {limits}.max_in_flight, and the circuit breakers of the cluster with it"
            );
            Remark::note(what, todo)
        })
    }

    pub(super) fn throttled(&self) -> Option<Remark> {
        let answers = self.answers("429");
        if answers == 0 {
            return None;
        }
        let (verb, todo) = match self.whose {
            Whose::Sls => (
                "throttles",
                "more shards or a higher quota; larger batches (sls.batch)".to_owned(),
            ),
            Whose::Rum | Whose::Sign => (
                "throttles",
                "copies wait as long as RUM asks for (Retry-After): a higher limit at RUM, or exclude projects".to_owned(),
            ),
            Whose::Sentry(_) => (
                "limits",
                format!(
                    "copies of the limited categories wait, by project: its quotas; \
                     {0}.items or {0}.sample leave out what is over them",
                    self.name
                ),
            ),
        };
        let what = format!(
            "{} {verb}: it answered 429 to {answers} calls{}",
            self.target(),
            self.shared_with()
        );
        Some(Remark::problem(what, todo))
    }

    /// More waits to be read, or for the primary, than is decided in a second.
    pub(super) fn queued(&self) -> Option<Remark> {
        let queued = self.now("queued").min(self.before("queued"));
        if queued == 0 {
            return None;
        }
        if self.whose == Whose::Sls {
            let what = format!(
                "sls.queued stays above 0 ({}): more comes in than is read in 30 % of the worker's time",
                self.now("queued")
            );
            return Some(Remark::note(what, "more workers (--concurrency)"));
        }
        let decided = ["captured", "skipped.sampled", "skipped.items"];
        let decided =
            decided
                .iter()
                .chain(&["skipped.refused", "skipped.limited", "skipped.unscrubbable"]);
        let decided = decided.fold(0_u64, |sum, metric| sum.saturating_add(self.grown(metric)));
        (queued.saturating_mul(self.facts.seconds) > decided).then(|| {
            let what = format!(
                "{}.queued stays at {queued} and more: copies wait a second and longer \
                 for the primary's answer (only_accepted), or to be read",
                self.name
            );
            Remark::note(
                what,
                "is the primary slow? else more workers (--concurrency)",
            )
        })
    }
}
