//! One envelope into the batcher: decode, make records, hand each over as a log.
//!
//! The decoded body lives no longer than this, and no decoder makes more than `max_decoded_bytes` of it.

use super::batch::{Batch, Batcher};
use super::intake::Envelope;
use super::put_logs::Destination;
use super::record::{self, Context, Options, Record};
use super::repair::Log;
use crate::sentry::decode;
use std::borrow::Cow;
use std::rc::Rc;

/// What became of an envelope.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Logs made, the rejected ones among them.
    pub(super) logs: usize,
    /// Logs that could not be made acceptable.
    pub(super) rejected: usize,
    /// Logs that had to be mended.
    pub(super) repaired: usize,
    /// Records beyond the bound of one envelope; a log tells.
    pub(super) left_out: usize,
    /// Relay would refuse the envelope; its only log tells.
    pub(super) malformed: bool,
    /// The content encoding could not be undone; its only log tells.
    pub(super) undecodable: bool,
    /// Bytes after decoding: what the work was proportional to.
    pub(super) bytes: usize,
}

/// Where the logs of an envelope go, and how they are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) destination: &'a Rc<Destination>,
    pub(super) options: Options<'a>,
    pub(super) max_decoded_bytes: usize,
    /// Corrected time.
    pub(super) received_ms: u64,
    /// Corrected time.
    pub(super) now_ms: u64,
}

/// Reads `envelope` into `batcher`; what is full is handed to `sealed`.
pub(super) fn read(
    envelope: &Envelope,
    rules: Rules<'_>,
    batcher: &mut Batcher,
    sealed: &mut dyn FnMut(&Batcher, Batch),
) -> Outcome {
    let mut outcome = Outcome::default();
    let project = envelope.head.project.to_string();
    let context = Context {
        project_id: &project,
        app_id: envelope.head.app.as_deref().map(|app| app.service_id()),
        received_ms: rules.received_ms,
        options: rules.options,
    };
    let mut sink = |record: &Record<'_>| {
        outcome.logs = outcome.logs.saturating_add(1);
        match batcher.push(rules.destination, log(record), rules.now_ms) {
            Ok(accepted) => {
                let repaired = usize::from(!accepted.repairs.none());
                outcome.repaired = outcome.repaired.saturating_add(repaired);
                for batch in accepted.sealed {
                    sealed(batcher, batch);
                }
            }
            Err(_) => outcome.rejected = outcome.rejected.saturating_add(1),
        }
    };
    let head = &envelope.head;
    let decoded = decode::decode(&envelope.body, &head.encoding, rules.max_decoded_bytes);
    match decoded {
        Ok(bytes) => {
            let summary = record::records(&bytes, &context, &mut sink);
            outcome.left_out = summary.left_out;
            outcome.malformed = summary.malformed.is_some();
            outcome.bytes = bytes.len();
        }
        Err(error) => {
            record::undecodable(&error, &context, &mut sink);
            outcome.undecodable = true;
            // A bomb is counted to the cap, and its bytes were work.
            outcome.bytes = rules.max_decoded_bytes;
        }
    }
    outcome
}

fn log<'r>(record: &'r Record<'_>) -> Log<'r> {
    const NS_PER_S: u64 = 1_000_000_000;
    let seconds = u64::from(record.time_s).saturating_mul(NS_PER_S);
    let fields = record.fields.iter();
    Log {
        time_ns: seconds.saturating_add(u64::from(record.time_ns)),
        contents: fields
            .map(|(key, value)| (Cow::Borrowed(*key), Cow::Borrowed(value.as_ref())))
            .collect(),
    }
}
