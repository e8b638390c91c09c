//! The plugin's log lines: what an operator reads at night.
//!
//! WARN is odd but nothing is lost, ERROR is data lost or an operator needed. Of the client's bytes only the project
//! id is ever written.

use crate::delivery::outbox::Entry;
use crate::delivery::verdict::Verdict;
use crate::effect::Level;
use crate::exchange::Copy;
use crate::journal::{Journal, Topic};
use crate::outcome::SkipReason;

pub(super) fn skipped(journal: &mut Journal, reason: SkipReason, project: Option<u64>) {
    let (topic, text) = match reason {
        SkipReason::Route | SkipReason::Excluded | SkipReason::Aborted => return,
        SkipReason::Unmapped => (
            Topic::Unmapped,
            "neither in rum.projects nor covered by rum.default: not mirrored",
        ),
        SkipReason::Loop => (
            Topic::Loop,
            "a copy came back to the edge (path /rum/sentry/): check where rum.upstream points; not mirrored again",
        ),
        SkipReason::TooLarge => (
            Topic::TooLarge,
            "a body over limits.max_body_bytes: not mirrored",
        ),
        SkipReason::Unreadable => (
            Topic::Unreadable,
            "the proxy did not hand out a body (nginx: raise client_body_buffer_size): not mirrored",
        ),
    };
    journal.note(topic, Level::Warn, || match project {
        Some(project) => format!("project {project}: {text}"),
        None => text.to_owned(),
    });
}

pub(super) fn no_room(journal: &mut Journal, project: u64, max_pending_bytes: usize) {
    journal.note(Topic::NoRoom, Level::Error, || {
        format!("rum: this leg's share of limits.max_pending_bytes ({max_pending_bytes}) is used up: a copy of project {project} is dropped")
    });
}

pub(super) fn failed(journal: &mut Journal, entry: &Entry<Copy>, verdict: Verdict) {
    let (topic, _) = describe(verdict);
    journal.note(topic, Level::Error, || {
        let attempts = entry.attempts;
        format!(
            "{}, given up after attempt {attempts}",
            subject(entry, verdict)
        )
    });
}

pub(super) fn retrying(journal: &mut Journal, entry: &Entry<Copy>, verdict: Verdict) {
    let (topic, _) = describe(verdict);
    // A line of its own kind, so that a retry never hides a loss.
    let topic = if topic == Topic::Throttled {
        topic
    } else {
        Topic::NotTaken
    };
    journal.note(topic, Level::Warn, || {
        format!("{}, it will be tried again", subject(entry, verdict))
    });
}

pub(super) fn expired(journal: &mut Journal, entry: &Entry<Copy>, max_age_ms: u64) {
    journal.note(Topic::Expired, Level::Error, || {
        let (project, attempts) = (entry.group, entry.attempts);
        format!("a copy of project {project} is older than retry.max_age_ms ({max_age_ms}), given up after {attempts} attempts")
    });
}

fn subject(entry: &Entry<Copy>, verdict: Verdict) -> String {
    let (project, upstream) = (entry.group, &entry.payload.target.destination.upstream);
    let (_, text) = describe(verdict);
    match status(verdict) {
        0 => format!("upstream {upstream}, project {project}: {text}"),
        status => format!("upstream {upstream}, project {project}: {text}, status {status}"),
    }
}

fn describe(verdict: Verdict) -> (Topic, &'static str) {
    match verdict {
        Verdict::Delivered => (Topic::Expired, "delivered"),
        Verdict::NotTaken { .. } | Verdict::Again => (Topic::GivenUp, "not taken"),
        Verdict::Throttled { .. } => (Topic::Throttled, "throttled"),
        Verdict::Ambiguous(_) => (
            Topic::Ambiguous,
            "no certain answer (it may have been taken)",
        ),
        Verdict::Refused(_) => (Topic::Refused, "refused for good"),
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
