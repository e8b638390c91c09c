//! What is lost: refused for good, or without room.

use super::super::Remark;
use super::{Leg, Whose};

/// What a second Sentry's refusals mean, by status.
const REFUSALS: [(&[&str], &str); 5] = [
    (
        &["401", "403"],
        "401, 403: the key of the DSN is none of that project, or is disabled, or requests come \
         without a key: <leg>.projects, and the client keys there",
    ),
    (
        &["404"],
        "404: the path or the project of a DSN: <leg>.projects",
    ),
    (
        &["413"],
        "413: larger than it takes: leave attachments out with <leg>.items, or raise its limit",
    ),
    (
        &["400"],
        "400: mostly envelopes that could not be read and went as they came: who sends them",
    ),
    (
        &["429"],
        "429: limits that last longer than retry.max_age_ms: its quotas",
    ),
];

impl Leg<'_> {
    pub(super) fn failed(&self) -> Option<Remark> {
        if self.count("failed") == 0 {
            return None;
        }
        let key = self.is_sentry() && (self.answers("401") > 0 || self.answers("403") > 0);
        let means = if key {
            "does not accept the key of a copy"
        } else {
            "refuses for good, or answers stay away"
        };
        let what = format!(
            "{}: {} {means}{}",
            self.seen("failed"),
            self.target(),
            self.why()
        );
        Some(Remark::problem(what, self.after_failed()))
    }

    fn after_failed(&self) -> String {
        match self.whose {
            Whose::Sls => {
                "the log names the reason: credential, role, project, logstore; or attempts or age ran out (envoy/sls.md)".to_owned()
            }
            Whose::Rum | Whose::Sign => {
                "the log names upstream, project and status: 4xx is workspace or service id, or the application is stopped".to_owned()
            }
            Whose::Sentry(_) => {
                let known = REFUSALS.iter().filter(|(statuses, _)| {
                    statuses.iter().any(|status| self.answers(status) > 0)
                });
                let mut parts: Vec<String> = known
                    .map(|(_, todo)| todo.replace("<leg>", &self.name))
                    .collect();
                if parts.is_empty() {
                    parts.push("its health, the cluster's address and certificate; attempts or age ran out (retry)".to_owned());
                }
                parts.push("the log names upstream, project and status".to_owned());
                parts.join("; ")
            }
        }
    }

    pub(super) fn dropped(&self) -> Option<Remark> {
        if self.count("dropped") == 0 {
            return None;
        }
        let unread = match self.count("unread") {
            0 => String::new(),
            count => format!(" ({count} envelopes were lost before they were read)"),
        };
        let (held, coming) = (self.now("pending_bytes"), self.now("collecting_bytes"));
        let (budget, shared) = (self.budget(), self.shared_budget());
        let limits = self.limits();
        let is_full = held.saturating_mul(5) >= budget.saturating_mul(4);
        // What a limit holds back has three quarters, in whole copies.
        let is_held = self.whose.sends_copies()
            && self.answers("429") > 0
            && held.saturating_mul(2) >= budget;
        let (meaning, todo) = if is_full {
            (
                format!(
                    "the budget is full ({held} of {budget} bytes): data is lost{}",
                    self.why()
                ),
                format!(
                    "{}'s health; {limits}.max_pending_bytes; {limits}.max_in_flight",
                    self.target()
                ),
            )
        } else if is_held {
            (
                format!(
                    "what waits for a limit of {} to end has three quarters of the budget, \
                     and fills them ({held} of {budget} bytes): data is lost{}",
                    self.target(),
                    self.why()
                ),
                format!("{}'s quotas; {limits}.max_pending_bytes", self.target()),
            )
        } else if coming.saturating_mul(5) >= shared.saturating_mul(2) {
            (
                format!(
                    "bodies that are being received hold their half of the budget ({coming} of {shared} bytes), the slowest give way"
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
}
