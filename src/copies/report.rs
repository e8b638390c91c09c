//! The log lines of a leg of copies. Of the client's bytes only the project id is ever written.

use super::copy::Copy;
use crate::delivery::caller::Context;
use crate::delivery::outbox::Entry;
use crate::delivery::verdict::Verdict;
use crate::log::{Level, Topic};
use crate::metric::Leg;
use crate::outcome::SkipReason;

fn note(topic: Topic, level: Level, context: &mut Context<'_>, text: impl FnOnce() -> String) {
    let leg = context.ledger.leg();
    context.log.note(topic.of_leg(leg), level, || match leg {
        Leg::Sentry(_) => format!("{leg}: {}", text()),
        Leg::Rum | Leg::Sls | Leg::Sign => text(),
    });
}

/// The proxy refused a call to this upstream.
pub(super) fn dispatch_refused(context: &mut Context<'_>, upstream: &str) {
    note(Topic::new("dispatch refused"), Level::Warn, context, || {
        format!(
            "the proxy refused a call to {upstream}: unknown, without a host, or over its circuit breaker"
        )
    });
}

/// A rebuilt copy may be larger than the one received, because it is no longer encoded.
pub(super) fn no_room(context: &mut Context<'_>, project: u64) {
    let budget = match context.ledger.leg() {
        Leg::Sentry(_) => "limits.max_pending_bytes of this target",
        Leg::Rum | Leg::Sls | Leg::Sign => "rum: this leg's share of limits.max_pending_bytes",
    };
    note(Topic::new("no room"), Level::Error, context, || {
        format!(
            "{budget} has no room for a copy of project {project} that rules have looked at (put together anew it may be larger, and what waits for the end of a limit has a part of it): it is dropped"
        )
    });
}

/// A rule of the project's own decided it.
pub(super) fn skipped(context: &mut Context<'_>, reason: SkipReason, project: u64) {
    // The others are as configured, and nothing that anybody has to look at.
    let (topic, text) = match reason {
        SkipReason::Limited => (
            Topic::new("limited"),
            "over its rate (`rate`, per worker), or over a limit of the target's that lasts longer than retry.max_age_ms: copies beyond it are not mirrored",
        ),
        SkipReason::Unscrubbable => (
            Topic::new("unscrubbable"),
            "an envelope that `scrub` cannot look through (broken, encoded in an unknown way, or too large): not mirrored",
        ),
        _ => return,
    };
    note(topic, Level::Warn, context, || {
        format!("project {project}: {text}")
    });
}

pub(super) fn forwarded_failed(context: &mut Context<'_>, project: u64, verdict: Verdict) {
    let (topic, text) = describe(verdict);
    note(topic, Level::Error, context, || match status(verdict) {
        0 => format!("project {project}, forwarded in place: {text}"),
        status => format!("project {project}, forwarded in place: {text}, status {status}"),
    });
}

pub(super) fn failed(context: &mut Context<'_>, entry: &Entry<Copy>, verdict: Verdict) {
    let (topic, _) = describe(verdict);
    note(topic, Level::Error, context, || {
        let attempts = entry.attempts;
        format!(
            "{}, given up after attempt {attempts}",
            subject(entry, verdict)
        )
    });
}

pub(super) fn retrying(context: &mut Context<'_>, entry: &Entry<Copy>, verdict: Verdict) {
    let (topic, _) = describe(verdict);
    // A separate topic, so that a retry never hides a loss.
    let topic = if topic == Topic::new("throttled") {
        topic
    } else {
        Topic::new("not taken")
    };
    note(topic, Level::Warn, context, || {
        format!("{}, it will be tried again", subject(entry, verdict))
    });
}

pub(super) fn expired(context: &mut Context<'_>, entry: &Entry<Copy>, max_age_ms: u64) {
    note(Topic::new("expired"), Level::Error, context, || {
        let (project, attempts) = (entry.charge.group, entry.attempts);
        format!(
            "a copy of project {project} is older than retry.max_age_ms ({max_age_ms}), given up after {attempts} attempts"
        )
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
        Verdict::Throttled { .. } | Verdict::Limited { .. } => {
            (Topic::new("throttled"), "throttled")
        }
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
        Verdict::Throttled { .. } | Verdict::Limited { .. } => 429,
        Verdict::NotTaken { status, .. }
        | Verdict::Ambiguous(status)
        | Verdict::Refused(status) => status,
    }
}
