//! The register of item kinds: which `type` of an item's header is which.
//!
//! A kind of its own is added in four places: its file here in `kind/`, its row below, its test in `tests/`, and the
//! document, which `UPDATE=1 cargo test --lib sls::record` writes. What is said of a kind stands in its file.

mod attachment_ref;
mod blob;
mod check_in;
mod client_report;
mod event;
mod log;
mod metric;
mod opaque;
mod profile;
mod replay;
mod security;
mod session;
mod span;
mod trace_attachment;
mod transaction;
mod user_report;

use super::item_kind::ItemKind;

/// A row of the register.
pub(super) struct Row {
    /// `type` of the item's header.
    pub(super) ty: &'static str,
    /// If only items of these `content_type`s are of the kind, in small letters. It stands before the row for the rest.
    pub(super) content_types: &'static [&'static str],
    pub(super) kind: &'static ItemKind,
}

const fn row(ty: &'static str, kind: &'static ItemKind) -> Row {
    Row {
        ty,
        content_types: &[],
        kind,
    }
}

/// The first row that fits counts. The document has them in this order.
pub(super) static REGISTER: &[Row] = &[
    row("event", &event::EVENT),
    row("feedback", &event::EVENT),
    row("transaction", &transaction::TRANSACTION),
    row("replay_event", &replay::EVENT),
    row("log", &log::LOG),
    row("trace_metric", &metric::METRIC),
    row("span", &span::SPAN),
    row("session", &session::SESSION),
    row("sessions", &session::SESSIONS),
    row("client_report", &client_report::CLIENT_REPORT),
    row("check_in", &check_in::CHECK_IN),
    row("user_report", &user_report::USER_REPORT),
    row("security", &security::SECURITY),
    row("raw_security", &security::SECURITY),
    row("nel", &security::SECURITY),
    row("metric_buckets", &opaque::ANY),
    row("form_data", &opaque::ANY),
    row("metric_meta", &opaque::OBJECT),
    row("profile", &profile::PROFILE),
    row("profile_chunk", &profile::CHUNK),
    row("profile_chunk_ui", &profile::CHUNK),
    row("replay_recording", &replay::RECORDING),
    Row {
        ty: "attachment",
        content_types: attachment_ref::CONTENT_TYPES,
        kind: &attachment_ref::REFERENCE,
    },
    Row {
        ty: "attachment",
        content_types: trace_attachment::CONTENT_TYPES,
        kind: &trace_attachment::ATTACHMENT,
    },
    row("attachment", &blob::BLOB),
    row("replay_video", &blob::BLOB),
    row("statsd", &blob::BLOB),
    row("unreal_report", &blob::BLOB),
];

/// Whether anybody is known to send items of this type.
pub(super) fn is_known(ty: &str) -> bool {
    REGISTER.iter().any(|row| row.ty == ty)
}

/// The kind of an item; of a type that nobody knows yet only what its header tells is kept.
pub(super) fn of(ty: &str, content_type: Option<&str>) -> &'static ItemKind {
    let known = REGISTER
        .iter()
        .find(|row| row.ty == ty && row.takes(content_type));
    known.map_or(&blob::BLOB, |row| row.kind)
}

impl Row {
    fn takes(&self, content_type: Option<&str>) -> bool {
        self.content_types.is_empty()
            || content_type.is_some_and(|found| {
                let mut listed = self.content_types.iter();
                listed.any(|listed| found.eq_ignore_ascii_case(listed))
            })
    }
}
