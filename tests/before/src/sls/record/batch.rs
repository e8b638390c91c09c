//! Items that give a record per entry: the containers `log`, `trace_metric` and `span` (`{"items":[...]}`), `sessions`
//! (`aggregates`) and `client_report` (`discarded_events` and its likes).
//!
//! A container's item without `items` is an entry itself (a single span, a log of the early days). One with no entry at
//! all gives one record, which says so.

use crate::sentry::envelope::{Header, Item};

use super::draft::Draft;
use super::event::SPAN;
use super::item::json;
use super::walk::{Table, Take, elements, walk};
use super::{Out, inherit, metadata};

use Take::{Fill, In, List, Start, Text, Time, With};

/// Attributes that have a field of their own; each is `{"value": ..., "type": ...}`.
const ATTRIBUTES: Table = &[
    ("sentry.release", In(&[("value", Text("app.version"))])),
    ("sentry.environment", In(&[("value", Text("app.env"))])),
    ("sentry.sdk.name", In(&[("value", Text("sentry.sdk.name"))])),
    (
        "sentry.sdk.version",
        In(&[("value", Text("sentry.sdk.version"))]),
    ),
    ("sentry.op", In(&[("value", Text("sentry.op"))])),
    ("sentry.origin", In(&[("value", Text("sentry.origin"))])),
    (
        "sentry.segment.name",
        In(&[("value", Text("sentry.transaction"))]),
    ),
    (
        "sentry.trace.parent_span_id",
        In(&[("value", Fill("sentry.parent_span_id"))]),
    ),
    (
        "server.address",
        In(&[("value", Text("sentry.server_name"))]),
    ),
    ("logger.name", In(&[("value", Text("sentry.logger"))])),
    ("user.id", In(&[("value", Text("user.id"))])),
    ("user.name", In(&[("value", Text("user.name"))])),
    ("os.name", In(&[("value", Text("os.type"))])),
    ("os.version", In(&[("value", Text("os.version"))])),
    ("browser.name", In(&[("value", Text("os.container"))])),
    (
        "browser.version",
        In(&[("value", Text("os.container_version"))]),
    ),
];

const LOG: Table = &[
    ("timestamp", Time),
    ("level", Text("sentry.level")),
    ("severity_number", Text("sentry.severity_number")),
    ("body", Text("sentry.message")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];

const METRIC: Table = &[
    ("timestamp", Time),
    ("name", Text("sentry.metric.name")),
    ("type", Text("sentry.metric.type")),
    ("value", Text("sentry.metric.value")),
    ("unit", Text("sentry.metric.unit")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];

const SPAN_V2: Table = &[
    ("name", Text("sentry.description")),
    ("trace_id", Text("trace_id")),
    ("span_id", Text("span_id")),
    ("parent_span_id", Text("sentry.parent_span_id")),
    ("status", Text("sentry.status")),
    ("is_segment", Text("sentry.is_segment")),
    ("start_timestamp", Start),
    ("end_timestamp", Time),
    ("attributes", With("sentry.attributes", ATTRIBUTES)),
];

const CONTAINER: Table = &[("items", List("items"))];

/// What a session and a list of aggregates say of the application.
pub(super) const SESSION_ATTRIBUTES: Table = &[
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("user_agent", Text("sentry.user_agent")),
];

const SESSIONS: Table = &[
    ("aggregates", List("aggregates")),
    ("attrs", In(SESSION_ATTRIBUTES)),
];

const AGGREGATE: Table = &[
    ("started", Time),
    ("did", Text("user.id")),
    ("exited", Text("sentry.session.exited")),
    ("errored", Text("sentry.session.errored")),
    ("abnormal", Text("sentry.session.abnormal")),
    ("unhandled", Text("sentry.session.unhandled")),
    ("crashed", Text("sentry.session.crashed")),
];

const CLIENT_REPORT: Table = &[
    ("timestamp", Time),
    ("discarded_events", List("discarded_events")),
    ("rate_limited_events", List("rate_limited_events")),
    ("filtered_events", List("filtered_events")),
    ("filtered_sampling_events", List("filtered_sampling_events")),
];

const DISCARD: Table = &[
    ("reason", Text("sentry.discard.reason")),
    ("category", Text("sentry.discard.category")),
    ("quantity", Text("sentry.discard.quantity")),
];

/// Makes the records.
pub(super) fn records<'c: 'p, 'p>(out: &mut Out<'c, '_>, header: &'p Header<'_>, item: &Item<'p>) {
    let (wrapper, table, single) = match &*item.header.ty {
        "log" => (CONTAINER, LOG, Some(LOG)),
        "trace_metric" => (CONTAINER, METRIC, Some(METRIC)),
        "span" => (CONTAINER, SPAN_V2, Some(SPAN)),
        "sessions" => (SESSIONS, AGGREGATE, None),
        _ => (CLIENT_REPORT, DISCARD, None),
    };
    let text = json(out, item.payload);
    let mut whole: Draft<'_> = metadata::draft(out, item);
    whole.keep_lists = true;
    let read = text.as_deref().map_err(Clone::clone);
    if let Err(error) = read.and_then(|text| walk(text, wrapper, &mut whole)) {
        whole.error("bad item", &error);
        return finish(out, whole, header);
    }
    let mut count = 0_usize;
    for (name, list) in &whole.lists {
        let found = elements(list, &mut |element| {
            if out.is_full() {
                return out.leave_out(1);
            }
            let mut draft: Draft<'_> = out.draft();
            draft.time = whole.time;
            draft.inherit(
                &whole,
                &[
                    "sentry.item_type",
                    "app.version",
                    "app.env",
                    "sentry.user_agent",
                ],
            );
            draft.set("sentry.item_bytes", element.len().to_string());
            if name.ends_with("_events") {
                draft.set("sentry.discard.list", *name);
            }
            entry(out, &mut draft, element, table);
            finish(out, draft, header);
        });
        count = count.saturating_add(found);
    }
    match (count, single, &text) {
        (1.., _, _) => return,
        (0, Some(table), Ok(text)) if whole.lists.is_empty() => entry(out, &mut whole, text, table),
        _ => whole.error("bad item", "no entries"),
    }
    finish(out, whole, header);
}

/// Reads an entry, which is its record's payload.
pub(super) fn entry<'p>(out: &Out<'_, '_>, draft: &mut Draft<'p>, json: &'p str, table: Table) {
    match walk(json, table, draft) {
        Ok(()) if out.context.options.payload => draft.set("payload", json),
        Ok(()) => {}
        Err(error) => draft.error("bad item", &error),
    }
}

fn finish<'p>(out: &mut Out<'_, '_>, mut draft: Draft<'p>, header: &'p Header<'_>) {
    if draft.record.get("sentry.item_type") == Some("sessions") {
        draft.set("event_type", "session");
    }
    draft.duration();
    inherit(&mut draft, header);
    out.emit(&mut draft);
}
