//! One item to its records: which kind it is, and what all kinds of JSON have in common.

use std::borrow::Cow;

use crate::sentry::envelope::{Header, Item};

use super::batch;
use super::draft::Draft;
use super::event::{self, CONTEXTS, EVENT, SDK, SPAN};
use super::walk::{NO_OBJECT, Table, Take, elements, walk};
use super::{Out, inherit, metadata};

use Take::{Fill, Id, In, Json, Start, Text, Time};

/// `check_in`
const CHECK_IN: Table = &[
    ("check_in_id", Text("sentry.check_in_id")),
    ("monitor_slug", Text("sentry.monitor_slug")),
    ("status", Text("sentry.status")),
    ("duration", Text("sentry.duration_s")),
    ("event_id", Id("event_id")),
    ("timestamp", Time),
    ("release", Text("app.version")),
    ("environment", Text("app.env")),
    ("platform", Text("sentry.platform")),
    ("server_name", Text("sentry.server_name")),
    ("contexts", In(CONTEXTS)),
    ("sdk", In(SDK)),
];

/// `session`
const SESSION: Table = &[
    ("sid", Text("session.id")),
    ("did", Text("user.id")),
    ("status", Text("sentry.session.status")),
    ("init", Text("sentry.session.init")),
    ("seq", Text("sentry.session.seq")),
    ("errors", Text("sentry.session.errors")),
    ("duration", Text("sentry.duration_s")),
    ("started", Start),
    ("timestamp", Time),
    ("attrs", In(batch::SESSION_ATTRIBUTES)),
];

/// `user_report`
const USER_REPORT: Table = &[
    ("event_id", Id("event_id")),
    ("name", Text("user.name")),
    ("comments", Text("sentry.message")),
];

/// `security`, `raw_security`, `nel`: what browsers report.
const SECURITY: Table = &[
    ("csp-report", In(CSP)),
    ("type", Text("sentry.report_type")),
    ("url", Text("sentry.request.url")),
];

const CSP: Table = &[
    ("document-uri", Text("sentry.request.url")),
    ("blocked-uri", Text("sentry.csp.blocked_uri")),
    ("effective-directive", Text("sentry.csp.directive")),
    ("violated-directive", Fill("sentry.csp.directive")),
];

/// `metric_buckets`, `metric_meta`, `form_data`: JSON that is kept, but not taken apart.
const OPAQUE: Table = &[("timestamp", Time), ("tags", Json("sentry.tags"))];

/// Items that may be a list.
const LISTS: &[&str] = &[
    "nel",
    "security",
    "raw_security",
    "metric_buckets",
    "form_data",
];

/// What a span shares with its transaction.
const SHARED: &[&str] = &[
    "event_id",
    "app.version",
    "app.env",
    "sentry.transaction",
    "sentry.platform",
    "user.id",
];

/// Makes the records of one item.
pub(super) fn records<'c: 'p, 'p>(out: &mut Out<'c, '_>, header: &'p Header<'_>, item: &Item<'p>) {
    let one = |out: &mut Out<'c, '_>, table, last: fn(&mut Draft<'_>)| {
        whole(out, header, item, table, last)
    };
    match &*item.header.ty {
        "event" | "feedback" => one(out, EVENT, event::exception),
        "replay_event" => one(out, EVENT, |draft| draft.duration()),
        "transaction" => transaction(out, header, item),
        "session" => one(out, SESSION, |draft| {
            draft.set("event_type", "session");
            if let Some(started) = draft.start {
                draft.set("sentry.session.started", started.ms().to_string());
            }
        }),
        "check_in" => one(out, CHECK_IN, |_| {}),
        "user_report" => one(out, USER_REPORT, |_| {}),
        "security" | "raw_security" | "nel" => one(out, SECURITY, |_| {}),
        "metric_buckets" | "metric_meta" | "form_data" => one(out, OPAQUE, |_| {}),
        "log" | "trace_metric" | "span" | "sessions" | "client_report" => {
            batch::records(out, header, item)
        }
        _ => metadata::records(out, header, item),
    }
}

/// The item's JSON, scrubbed if that is wanted.
pub(super) fn json<'p>(out: &Out<'_, '_>, payload: &'p [u8]) -> Result<Cow<'p, str>, String> {
    if payload.is_empty() {
        return Err("empty".to_owned());
    }
    let text = std::str::from_utf8(payload)
        .map_err(|error| format!("not UTF-8 at byte {}", error.valid_up_to()))?;
    match out.context.options.scrub {
        Some(scrubber) => scrubber.json(text).map_err(|error| error.to_string()),
        None => Ok(Cow::Borrowed(text)),
    }
}

/// One record for the whole item.
fn whole<'c: 'p, 'p>(
    out: &mut Out<'c, '_>,
    header: &'p Header<'_>,
    item: &Item<'p>,
    table: Table,
    last: fn(&mut Draft<'_>),
) {
    let text = json(out, item.payload);
    let mut draft: Draft<'_> = metadata::draft(out, item);
    match &text {
        Ok(text) => match walk(text, table, &mut draft) {
            Err(error) if error != NO_OBJECT || !LISTS.contains(&&*item.header.ty) => {
                draft.error("bad item", &error);
            }
            _ if out.context.options.payload => draft.set("payload", text.as_ref()),
            _ => {}
        },
        Err(error) => draft.error("bad item", error),
    }
    last(&mut draft);
    inherit(&mut draft, header);
    out.emit(&mut draft);
}

/// A transaction, and its spans if they are wanted.
fn transaction<'c: 'p, 'p>(out: &mut Out<'c, '_>, header: &'p Header<'_>, item: &Item<'p>) {
    let text = match json(out, item.payload) {
        Ok(text) => text,
        Err(error) => {
            let mut draft = metadata::draft(out, item);
            draft.error("bad item", &error);
            inherit(&mut draft, header);
            return out.emit(&mut draft);
        }
    };
    let mut draft: Draft<'_> = metadata::draft(out, item);
    draft.keep_lists = out.context.options.spans;
    match walk(&text, EVENT, &mut draft) {
        Err(error) => draft.error("bad item", &error),
        Ok(()) if out.context.options.payload => draft.set("payload", text.as_ref()),
        Ok(()) => {}
    }
    event::transaction(&mut draft);
    inherit(&mut draft, header);
    let mut spans = Vec::new();
    for (_, list) in std::mem::take(&mut draft.lists) {
        let count = elements(list, &mut |_| {});
        draft.set("sentry.span_count", count.to_string());
        spans.push(list);
    }
    out.emit(&mut draft);
    let transaction = draft;
    for list in spans {
        elements(list, &mut |span| {
            if out.is_full() {
                return out.leave_out(1);
            }
            let mut draft: Draft<'_> = out.draft();
            draft.set("sentry.item_type", "span");
            draft.set("sentry.item_bytes", span.len().to_string());
            batch::entry(out, &mut draft, span, SPAN);
            draft.duration();
            draft.inherit(&transaction, SHARED);
            inherit(&mut draft, header);
            out.emit(&mut draft);
        });
    }
}
