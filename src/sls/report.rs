//! The SLS leg's log lines. Of what a client sent, and of a credential, nothing is ever in one.

use super::response::Reason;
use crate::effect::Level;
use crate::journal::{Journal, Topic};

/// What an operator may do about it.
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

pub(super) fn retrying(journal: &mut Journal, logs: usize, reason: Reason, status: u16) {
    journal.note(Topic::SlsRetry(reason), Level::Warn, || {
        let (advice, label) = (advice(reason), reason.label());
        format!("sls: {advice} ({label}, status {status}): {logs} logs will be tried again")
    });
}

pub(super) fn failed(journal: &mut Journal, logs: usize, reason: Reason, status: u16) {
    journal.note(Topic::SlsFailed(reason), Level::Error, || {
        let (advice, label) = (advice(reason), reason.label());
        format!("sls: {advice} ({label}, status {status}): {logs} logs are given up")
    });
}

pub(super) fn expired(journal: &mut Journal, logs: usize, max_age_ms: u64) {
    journal.note(Topic::SlsExpired, Level::Error, || {
        format!("sls: {logs} logs are older than retry.max_age_ms ({max_age_ms}), given up")
    });
}

pub(super) fn no_room(journal: &mut Journal, max_bytes: usize) {
    journal.note(Topic::SlsNoRoom, Level::Error, || {
        format!("sls: this leg's share of limits.max_pending_bytes ({max_bytes}) is used up: logs are dropped")
    });
}

pub(super) fn rejected(journal: &mut Journal, logs: usize) {
    journal.note(Topic::SlsRejected, Level::Error, || {
        format!("sls: {logs} logs are larger than a request may be, and are given up")
    });
}

pub(super) fn too_costly(journal: &mut Journal) {
    journal.note(Topic::SlsTooCostly, Level::Warn, || {
        "sls: an envelope took too much of the worker's time to read: the rest of it is left out, and a log says so".to_owned()
    });
}

pub(super) fn divided(journal: &mut Journal, logs: usize, reason: Reason) {
    journal.note(Topic::SlsDivided, Level::Warn, || {
        format!(
            "sls: {}: a batch of {logs} logs is cut in two",
            advice(reason)
        )
    });
}

pub(super) fn no_credential(journal: &mut Journal) {
    journal.note(Topic::SlsCredential, Level::Error, || {
        "sls: logs wait for a credential: the metadata service (sls.credential.ecs_ram_role) has not given one".to_owned()
    });
}
