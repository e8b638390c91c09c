//! The worker's log lines: what an operator reads at night.
//!
//! WARN: something is odd but nothing is lost. ERROR: data was lost or an operator is needed. Of the client's bytes only the
//! project id is ever written.

use crate::copies::capture::Refusal;
use crate::log::{Level, RateLimitedLog, Topic};
use crate::metric::Leg;
use crate::outcome::{DenyReason, SkipReason};
use crate::sls::write_request::Denial;

/// An answer that nobody is waiting for.
pub(super) fn unexpected(log: &mut RateLimitedLog) {
    log.note(Topic::new("unexpected reply"), Level::Warn, || {
        "an answer came for a call that was given up, or never made".to_owned()
    });
}

pub(super) fn skipped(log: &mut RateLimitedLog, reason: SkipReason, project: Option<u64>) {
    let (topic, text) = match reason {
        SkipReason::Route
        | SkipReason::Host
        | SkipReason::Excluded
        | SkipReason::Aborted
        | SkipReason::Sampled
        | SkipReason::Items
        | SkipReason::Unscrubbable
        | SkipReason::Limited
        | SkipReason::Refused => return,
        SkipReason::Unmapped => (
            Topic::new("unmapped"),
            "neither in rum.projects nor covered by rum.default: not mirrored",
        ),
        SkipReason::Loop => (
            Topic::new("loop"),
            "a copy came back to the edge (path /rum/sentry/, or header x-sentry-edge-mirror): check where the upstream points; not mirrored again",
        ),
        SkipReason::TooLarge => (
            Topic::new("too large"),
            "a body over limits.max_body_bytes (or headers over 128 KiB, or 1000 lines): not mirrored",
        ),
        SkipReason::Unreadable => (
            Topic::new("unreadable"),
            "the proxy did not hand out a body (nginx: raise client_body_buffer_size): not mirrored",
        ),
        SkipReason::Slow => (
            Topic::new("slow"),
            "a body came too slowly (no byte for 30 s, or less than 1 KiB/s): not mirrored, the request itself goes on",
        ),
    };
    log.note(topic, Level::Warn, || match project {
        Some(project) => format!("project {project}: {text}"),
        None => text.to_owned(),
    });
}

/// A budget without room, and what the room was for.
pub(super) struct Full {
    pub(super) max_bytes: usize,
    pub(super) pending: usize,
    pub(super) collecting: usize,
}

pub(super) fn no_room(log: &mut RateLimitedLog, leg: Leg, project: u64, full: Full) {
    let (topic, what) = match leg {
        Leg::Sls => (Topic::new("sls no room"), "an envelope"),
        Leg::Rum | Leg::Sign | Leg::Sentry(_) => (Topic::new("no room"), "a copy"),
    };
    log.note(topic.of_leg(leg), Level::Error, || {
        let Full {
            max_bytes,
            pending,
            collecting,
        } = full;
        // If these hold more than what is pending, clients are slow, not the target.
        let cause = if collecting > pending {
            "bodies that are being received hold the room that they may have"
        } else {
            match leg {
                Leg::Sentry(_) => "its limits.max_pending_bytes is used up",
                Leg::Rum | Leg::Sls | Leg::Sign => {
                    "this leg's share of limits.max_pending_bytes is used up"
                }
            }
        };
        format!("{leg}: {cause} (of {max_bytes} bytes {pending} are pending, {collecting} are being received): {what} of project {project} is dropped")
    });
}

pub(super) fn gave_way(log: &mut RateLimitedLog, collecting: usize, half: usize) {
    log.note(Topic::new("gave way"), Level::Error, || {
        format!("bodies that are being received hold {collecting} bytes of the {half} that they may: the one that grows slowest gives way and is dropped (slow clients, not the target)")
    });
}

pub(super) fn let_go(log: &mut RateLimitedLog, project: u64, refusal: Refusal) {
    let why = match refusal {
        Refusal::TooLarge => "its body is over limits.max_body_bytes",
        Refusal::NoRoom => {
            "this leg's share of limits.max_pending_bytes has no room for it, or slow bodies hold its half"
        }
        Refusal::Unreadable => {
            "the proxy did not hand out its body (nginx: raise client_body_buffer_size)"
        }
    };
    log.note(Topic::new("let go"), Level::Warn, || {
        format!("project {project}: fast_ack is not possible, {why}: the request goes on in place, and its sender waits for RUM")
    });
}

pub(super) fn not_in_place(log: &mut RateLimitedLog, project: u64) {
    log.note(Topic::new("not in place"), Level::Error, || {
        format!("project {project}: the proxy did not let its headers be changed: the copy is not sent, it would carry what must not leave")
    });
}

pub(super) fn unguarded(log: &mut RateLimitedLog) {
    log.note(Topic::new("unguarded"), Level::Error, || {
        "nginx has no variable $sentry_edge_mirror: what is no copy leaves this location too, as it came; see nginx/rewrite.conf".to_owned()
    });
}

/// Mode `sign`: answered here. The denial's text contains nothing from the client.
pub(super) fn denied(log: &mut RateLimitedLog, denial: &Denial) {
    let level = match denial.reason {
        DenyReason::Forbidden | DenyReason::Malformed | DenyReason::TooLarge => Level::Warn,
        DenyReason::NoRoom | DenyReason::NoCredential | DenyReason::Host => Level::Error,
    };
    log.note(
        Topic::of("sign denied", denial.reason.name()),
        level,
        || {
            let (status, code, message) = (denial.status, denial.code, &denial.message);
            let hint = match denial.reason {
                DenyReason::NoRoom => " (limits.max_pending_bytes)",
                DenyReason::NoCredential => {
                    " (sls.credential.ecs_ram_role: the metadata service has not given one)"
                }
                _ => "",
            };
            format!("sign: a request is answered with {status} {code}: {message}{hint}")
        },
    );
}

pub(super) fn answered_unasked(log: &mut RateLimitedLog, status: u16) {
    log.note(Topic::new("sign unasked"), Level::Warn, || {
        format!("sign: the proxy answered {status} while a body was still being collected (413: per_connection_buffer_limit_bytes is below limits.max_body_bytes)")
    });
}

/// In a mode that holds requests, the filter may not be allowed to.
pub(super) fn never_fed(log: &mut RateLimitedLog, mode: &'static str) {
    log.note(Topic::new("never fed"), Level::Warn, || {
        format!("{mode}: a request ended before any of its body was seen; if all do, the filter lacks allow_on_headers_stop_iteration: true")
    });
}

pub(super) fn clock_corrected(log: &mut RateLimitedLog, offset_ms: i64) {
    log.note(Topic::new("sign clock"), Level::Warn, || {
        let seconds = offset_ms / 1_000;
        format!("sign: SLS says that this machine's clock is off by {seconds} s: from now on requests are signed with its time")
    });
}

pub(super) fn key_refused(log: &mut RateLimitedLog) {
    log.note(Topic::new("sign key"), Level::Error, || {
        "sign: SLS does not accept the credential or the signature (status 401): sls.credential, sls.region, or a proxy that rewrites headers".to_owned()
    });
}
