//! What the envelope's header says where an item does not say it itself.
//!
//! What an item's own header says is in [`super::described`].

use crate::meter::Meter;
use crate::sentry::envelope::Header;

use super::context::{Context, INHERITED};
use super::draft::Draft;

/// The parts of a header that records take over, scrubbed and no longer than they may be.
#[derive(Default)]
pub(super) struct Inherited {
    event_id: Option<String>,
    fields: Vec<(&'static str, String, usize)>,
}

impl Inherited {
    pub(super) fn of(header: &Header<'_>, context: &Context<'_>, meter: &mut Meter) -> Self {
        let trace = &header.trace;
        let fields = [
            ("trace_id", &trace.trace_id),
            ("app.version", &trace.release),
            ("app.env", &trace.environment),
            ("sentry.sdk.name", &header.sdk_name),
            ("sentry.sdk.version", &header.sdk_version),
        ];
        let fields = fields.into_iter().filter_map(|(key, text)| {
            let (value, length) = context.header_text(text.as_deref()?, meter);
            Some((key, value.into_owned(), length))
        });
        Self {
            event_id: header.event_id.map(|id| id.to_string()),
            fields: fields.collect(),
        }
    }

    /// Puts in what is missing.
    pub(super) fn fill(&self, draft: &mut Draft) {
        if let Some(id) = &self.event_id {
            // It beats the one in the payload.
            draft.set("event_id", id);
        }
        for (key, value, length) in &self.fields {
            if draft.record.get(key).is_none() {
                draft.set_within(key, value, INHERITED, *length);
            }
        }
    }
}
