//! The RUM leg's log lines. Of the client's bytes only the project id is ever written.

use super::copy::Copy;
use crate::delivery::outbox::Entry;
use crate::delivery::verdict::Verdict;
use crate::log::{Level, RateLimitedLog, Topic};
use crate::outcome::SkipReason;

/// The proxy refused a call to this upstream.
pub(super) fn dispatch_refused(log: &mut RateLimitedLog, upstream: &str) {
    log.note(Topic::new("dispatch refused"), Level::Warn, || {
        format!("the proxy refused a call to {upstream}: unknown, without a host, or over its circuit breaker")
    });
}

/// A copy that items were taken out of is larger than it came, because it is not encoded any more.
pub(super) fn no_room(log: &mut RateLimitedLog, project: u64) {
    log.note(Topic::new("no room"), Level::Error, || {
        format!("rum: this leg's share of limits.max_pending_bytes has no room for a copy of project {project} without the items that rum.items leaves out: it is dropped")
    });
}

/// A rule of a project's own decided it.
pub(super) fn skipped(log: &mut RateLimitedLog, reason: SkipReason, project: u64) {
    // The others are as configured, and nothing that anybody has to look at.
    let (topic, text) = match reason {
        SkipReason::Limited => (
            Topic::new("limited"),
            "over its rate (rum.rate, per worker): copies beyond it are not mirrored",
        ),
        SkipReason::Unscrubbable => (
            Topic::new("unscrubbable"),
            "an envelope that rum.scrub cannot look through (broken, encoded in an unknown way, or too large): not mirrored",
        ),
        _ => return,
    };
    log.note(topic, Level::Warn, || format!("project {project}: {text}"));
}

pub(super) fn forwarded_failed(log: &mut RateLimitedLog, project: u64, verdict: Verdict) {
    let (topic, text) = describe(verdict);
    log.note(topic, Level::Error, || match status(verdict) {
        0 => format!("project {project}, forwarded in place: {text}"),
        status => format!("project {project}, forwarded in place: {text}, status {status}"),
    });
}

pub(super) fn failed(log: &mut RateLimitedLog, entry: &Entry<Copy>, verdict: Verdict) {
    let (topic, _) = describe(verdict);
    log.note(topic, Level::Error, || {
        let attempts = entry.attempts;
        format!(
            "{}, given up after attempt {attempts}",
            subject(entry, verdict)
        )
    });
}

pub(super) fn retrying(log: &mut RateLimitedLog, entry: &Entry<Copy>, verdict: Verdict) {
    let (topic, _) = describe(verdict);
    // A line of its own kind, so that a retry never hides a loss.
    let topic = if topic == Topic::new("throttled") {
        topic
    } else {
        Topic::new("not taken")
    };
    log.note(topic, Level::Warn, || {
        format!("{}, it will be tried again", subject(entry, verdict))
    });
}

pub(super) fn expired(log: &mut RateLimitedLog, entry: &Entry<Copy>, max_age_ms: u64) {
    log.note(Topic::new("expired"), Level::Error, || {
        let (project, attempts) = (entry.charge.group, entry.attempts);
        format!("a copy of project {project} is older than retry.max_age_ms ({max_age_ms}), given up after {attempts} attempts")
    });
}

fn subject(entry: &Entry<Copy>, verdict: Verdict) -> String {
    let (project, upstream) = (
        entry.charge.group,
        &entry.payload.target.destination.upstream,
    );
    let (_, text) = describe(verdict);
    match status(verdict) {
        0 => format!("upstream {upstream}, project {project}: {text}"),
        status => format!("upstream {upstream}, project {project}: {text}, status {status}"),
    }
}

fn describe(verdict: Verdict) -> (Topic, &'static str) {
    match verdict {
        Verdict::Delivered => (Topic::new("expired"), "delivered"),
        Verdict::NotTaken { .. } | Verdict::Again => (Topic::new("given up"), "not taken"),
        Verdict::Throttled { .. } => (Topic::new("throttled"), "throttled"),
        Verdict::Ambiguous(_) => (
            Topic::new("ambiguous"),
            "no certain answer (it may have been taken)",
        ),
        Verdict::Refused(_) => (Topic::new("refused"), "refused for good"),
    }
}

fn status(verdict: Verdict) -> u16 {
    match verdict {
        Verdict::Delivered => 200,
        Verdict::Again => 0,
        Verdict::Throttled { .. } => 429,
        Verdict::NotTaken { status, .. }
        | Verdict::Ambiguous(status)
        | Verdict::Refused(status) => status,
    }
}
