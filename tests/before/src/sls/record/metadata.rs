//! Items of which only the metadata are kept: attachments, profiles, recordings, and types that nobody knows yet.

use std::borrow::Cow;

use crate::sentry::envelope::{Header, Item};

use super::draft::Draft;
use super::event::SDK;
use super::walk::{Table, Take, walk};
use super::{Out, inherit};

use Take::{Fill, Id, In, Text, Time};

/// `profile`, `profile_chunk`: ids and names.
const PROFILE: Table = &[
    ("event_id", Id("sentry.profile_id")),
    ("profile_id", Id("sentry.profile_id")),
    ("chunk_id", Text("sentry.profile_chunk_id")),
    ("profiler_id", Text("sentry.profiler_id")),
    ("platform", Text("sentry.platform")),
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("timestamp", Time),
    ("client_sdk", In(SDK)),
    ("transaction", In(PROFILED)),
];

const PROFILED: Table = &[
    ("name", Text("sentry.transaction")),
    ("trace_id", Text("trace_id")),
    ("id", Fill("event_id")),
];

/// The first line of a `replay_recording`.
const RECORDING: Table = &[("segment_id", Text("sentry.segment_id"))];

/// A record with what any item's header tells.
pub(super) fn draft<'c: 'p, 'p>(out: &Out<'c, '_>, item: &Item<'p>) -> Draft<'p> {
    let Item {
        header, payload, ..
    } = item;
    let scrubbed = |text: &Option<Cow<'p, str>>| text.clone().map(|text| out.context.scrub(text));
    let mut draft: Draft<'p> = out.draft();
    draft.fill(
        "sentry.item_type",
        Some(out.context.scrub(header.ty.clone())),
    );
    draft.set("sentry.item_bytes", payload.len().to_string());
    draft.fill("sentry.content_type", scrubbed(&header.content_type));
    draft.fill("sentry.attachment_type", scrubbed(&header.attachment_type));
    draft.fill("sentry.filename", scrubbed(&header.filename));
    draft.fill("sentry.platform", scrubbed(&header.platform));
    draft
}

/// Makes the record.
pub(super) fn records<'c: 'p, 'p>(out: &mut Out<'c, '_>, header: &'p Header<'_>, item: &Item<'p>) {
    let mut draft = draft(out, item);
    let (table, text) = match &*item.header.ty {
        "profile" | "profile_chunk" | "profile_chunk_ui" => (PROFILE, Some(item.payload)),
        "replay_recording" => (RECORDING, item.payload.split(|byte| *byte == b'\n').next()),
        _ => (RECORDING, None),
    };
    if let Some(text) = text {
        let read = match std::str::from_utf8(text) {
            Ok(text) => walk(text, table, &mut draft),
            Err(error) => Err(format!("not UTF-8 at byte {}", error.valid_up_to())),
        };
        if let Err(error) = read {
            draft.error("bad item", &error);
        }
        // Of a large payload only a few fields are taken: it is cheaper to scrub those.
        for (_, value) in &mut draft.record.fields {
            *value = out.context.scrub(std::mem::take(value));
        }
    }
    inherit(&mut draft, header);
    out.emit(&mut draft);
}
