//! The SLS leg's log lines. They never contain anything that a client sent, or any part of a credential.

use super::response::Reason;
use crate::log::Level;
use crate::log::{RateLimitedLog, Topic};

/// What an operator can do about it.
fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::Transport => "no answer of SLS (network, sls.upstream, or something in between)",
        Reason::ServerError => "SLS could not for now",
        Reason::Quota => "a write quota is used up: more shards, or a higher quota",
        Reason::TimeExpired => "SLS says that the time is wrong, and does not say which is right",
        Reason::Credential => "SLS does not accept the credential (sls.credential)",
        Reason::Signature => {
            "the signature does not match: a wrong secret, or a proxy that rewrites headers"
        }
        Reason::NotFound => {
            "the project or the logstore does not exist (sls.project, sls.logstore)"
        }
        Reason::Forbidden => "RAM or an overdue account forbids the write (log:PostLogStoreLogs)",
        Reason::TooLarge => "SLS finds it too large",
        Reason::Poison => "SLS cannot take one of the logs",
        Reason::Request => "SLS finds the request malformed: please report it",
        Reason::Unknown => "an answer that is not known",
    }
}

pub(super) fn retrying(log: &mut RateLimitedLog, logs: usize, reason: Reason, status: u16) {
    log.note(Topic::of("sls retry", reason.label()), Level::Warn, || {
        let (advice, label) = (advice(reason), reason.label());
        format!("sls: {advice} ({label}, status {status}): {logs} logs will be tried again")
    });
}

pub(super) fn failed(log: &mut RateLimitedLog, logs: usize, reason: Reason, status: u16) {
    log.note(
        Topic::of("sls failed", reason.label()),
        Level::Error,
        || {
            let (advice, label) = (advice(reason), reason.label());
            format!("sls: {advice} ({label}, status {status}): {logs} logs are given up")
        },
    );
}

pub(super) fn expired(log: &mut RateLimitedLog, logs: usize, max_age_ms: u64) {
    log.note(Topic::new("sls expired"), Level::Error, || {
        format!("sls: {logs} logs are older than retry.max_age_ms ({max_age_ms}), given up")
    });
}

pub(super) fn no_room(log: &mut RateLimitedLog, max_bytes: usize) {
    log.note(Topic::new("sls no room"), Level::Error, || {
        format!("sls: this leg's share of limits.max_pending_bytes ({max_bytes}) is used up: logs are dropped")
    });
}

pub(super) fn too_costly(log: &mut RateLimitedLog) {
    log.note(Topic::new("sls too costly"), Level::Warn, || {
        "sls: an envelope took too much of the worker's time to read: the rest of it is left out, and a log says so".to_owned()
    });
}

pub(super) fn divided(log: &mut RateLimitedLog, logs: usize, reason: Reason) {
    log.note(Topic::new("sls divided"), Level::Warn, || {
        format!(
            "sls: {}: a batch of {logs} logs is cut in two",
            advice(reason)
        )
    });
}

pub(super) fn no_credential(log: &mut RateLimitedLog) {
    log.note(Topic::new("sls credential"), Level::Error, || {
        "sls: logs wait for a credential: the metadata service (sls.credential.ecs_ram_role) has not given one".to_owned()
    });
}
