//! Turns one envelope into logs, in steps: decodes it, makes records, hands each over.
//!
//! The decoded body lives no longer than this reader, and no decoder produces more than `max_decoded_bytes` of it.

use std::task::Poll;

use super::intake::Envelope;
use super::record::{self, Context, EnvelopeReader, Options, Record, Summary};
use crate::meter::Meter;
use crate::sentry::decode::{Decoded, Decoder};

/// The most units that one envelope may cost. A real one of a megabyte costs a tenth of this; one crafted to cost more ends
/// as a log that says so.
pub(super) const MAX_UNITS: u64 = 2_000_000_000;

/// Units for the single log of a body that cannot be decoded.
const RECORD: u64 = 20_000;

/// How the logs of an envelope are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) options: Options<'a>,
    pub(super) max_decoded_bytes: usize,
    /// Units that the envelope may cost.
    pub(super) max_units: u64,
    /// Corrected time.
    pub(super) received_ms: u64,
}

/// What happened to an envelope.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Records left out because there were too many; a log says so.
    pub(super) left_out: usize,
    /// Relay would refuse the envelope; its only log says so.
    pub(super) malformed: bool,
    /// The content encoding could not be undone; its only log says so.
    pub(super) undecodable: bool,
    /// It cost too much and was not read to its end; a log says so.
    pub(super) too_costly: bool,
}

/// An envelope being read.
#[derive(Debug)]
pub(super) struct Reader {
    envelope: Envelope,
    project: String,
    stage: Stage,
    spent: u64,
}

#[derive(Debug)]
enum Stage {
    New,
    Decode(Box<Decoder>),
    Read(Option<Vec<u8>>, Box<EnvelopeReader>),
}

impl Reader {
    pub(super) fn new(envelope: Envelope) -> Self {
        Self {
            project: envelope.head.project.to_string(),
            envelope,
            stage: Stage::New,
            spent: 0,
        }
    }

    /// The envelope it reads.
    pub(super) fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Units that it has cost so far.
    pub(super) fn spent(&self) -> u64 {
        self.spent
    }

    /// Ends it because it has cost too much.
    pub(super) fn end(&mut self, rules: &Rules<'_>, sink: &mut dyn FnMut(&Record)) -> Outcome {
        self.give_up(rules, sink)
    }

    /// Reads further; each log goes to `sink`.
    pub(super) fn step(
        &mut self,
        rules: &Rules<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
    ) -> Poll<Outcome> {
        let before = meter.spent();
        let outcome = self.go_on(rules, meter, sink);
        let spent = meter.spent().saturating_sub(before);
        self.spent = self.spent.saturating_add(spent);
        if outcome.is_pending() && self.spent > rules.max_units {
            return Poll::Ready(self.give_up(rules, sink));
        }
        outcome
    }

    fn context<'c>(&'c self, rules: &Rules<'c>) -> Context<'c> {
        let app = self.envelope.head.app.as_deref();
        Context {
            project_id: &self.project,
            app_id: app.map(|app| app.service_id()),
            received_ms: rules.received_ms,
            options: rules.options,
        }
    }

    fn go_on(
        &mut self,
        rules: &Rules<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
    ) -> Poll<Outcome> {
        // Taken out while it works: what it works on belongs to the same envelope.
        let mut stage = std::mem::replace(&mut self.stage, Stage::New);
        let outcome = loop {
            let next = match &mut stage {
                Stage::New => {
                    let head = &self.envelope.head;
                    let size = self.envelope.body.len();
                    match Decoder::new(&head.encoding, size, rules.max_decoded_bytes) {
                        Ok(decoder) => Stage::Decode(Box::new(decoder)),
                        Err(error) => {
                            meter.spend(RECORD);
                            break Poll::Ready(self.undecodable(&error, rules, sink));
                        }
                    }
                }
                Stage::Decode(decoder) => match decoder.step(&self.envelope.body, meter) {
                    Poll::Pending => break Poll::Pending,
                    Poll::Ready(Ok(Decoded::Same)) => Stage::Read(None, Box::default()),
                    Poll::Ready(Ok(Decoded::Bytes(bytes))) => {
                        Stage::Read(Some(bytes), Box::default())
                    }
                    Poll::Ready(Err(error)) => {
                        meter.spend(RECORD);
                        break Poll::Ready(self.undecodable(&error, rules, sink));
                    }
                },
                Stage::Read(decoded, reader) => {
                    let bytes = decoded.as_deref().unwrap_or(&self.envelope.body);
                    let context = self.context(rules);
                    break reader
                        .step(bytes, &context, meter, sink)
                        .map(|summary| Outcome {
                            left_out: summary.left_out,
                            malformed: summary.malformed.is_some(),
                            ..Outcome::default()
                        });
                }
            };
            stage = next;
        };
        self.stage = stage;
        outcome
    }

    fn undecodable(
        &self,
        error: &crate::sentry::decode::Undecodable,
        rules: &Rules<'_>,
        sink: &mut dyn FnMut(&Record),
    ) -> Outcome {
        record::undecodable(error, &self.context(rules), sink);
        Outcome {
            undecodable: true,
            ..Outcome::default()
        }
    }

    fn give_up(&mut self, rules: &Rules<'_>, sink: &mut dyn FnMut(&Record)) -> Outcome {
        let stage = std::mem::replace(&mut self.stage, Stage::New);
        let mut reader = match stage {
            Stage::Read(_, reader) => reader,
            Stage::New | Stage::Decode(_) => Box::default(),
        };
        let Summary { left_out, .. } = reader.give_up(&self.context(rules), sink);
        Outcome {
            left_out,
            too_costly: true,
            ..Outcome::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sls::intake::Head;
    use crate::sls::scrub::Scrubber;
    use crate::time::Millis;
    use std::rc::Rc;

    fn read(body: &str, max_units: u64) -> (Outcome, Vec<String>) {
        let scrubber = Scrubber::default();
        let rules = Rules {
            options: Options {
                scrub: Some(&scrubber),
                ..Options::default()
            },
            max_decoded_bytes: 1 << 20,
            max_units,
            received_ms: 1_795_240_000_000,
        };
        let head = Head {
            project: 42,
            app: None,
            encoding: Vec::new(),
        };
        let mut reader = Reader::new(Envelope {
            head,
            body: Rc::new(body.as_bytes().to_vec()),
            received: Millis(1),
        });
        let mut said = Vec::new();
        loop {
            let mut sink = |record: &Record| {
                let field = record.get("sentry.error").or(record.get("sentry.message"));
                said.push(field.unwrap_or_default().to_owned());
            };
            let step = reader.step(&rules, &mut Meter::new(50_000), &mut sink);
            if let Poll::Ready(outcome) = step {
                return (outcome, said);
            }
        }
    }

    #[test]
    fn an_envelope_that_costs_too_much_ends_as_a_log_that_says_so() {
        let dear = "\"password=x&\",".repeat(5_000);
        let envelope = format!(
            "{{}}\n{{\"type\":\"event\"}}\n{{\"message\":\"first\"}}\n{{\"type\":\"event\"}}\n[{dear}1]\n{{\"type\":\"event\"}}\n{{}}\n"
        );
        let (outcome, said) = read(&envelope, 1_000_000);
        let expected = Outcome {
            left_out: 2,
            too_costly: true,
            ..Outcome::default()
        };
        assert_eq!(outcome, expected);
        assert_eq!(said.len(), 2);
        assert_eq!(said.first().map(String::as_str), Some("first"));
        assert!(said.iter().any(|text| text.contains("took too much")));
        let (outcome, said) = read(&envelope, MAX_UNITS);
        assert_eq!((outcome, said.len()), (Outcome::default(), 3));
        // While it is being decoded or its headers are read, nothing is known of what is left out.
        let (outcome, said) = read(&format!("{{}}{}", "\n".repeat(900_000)), 1_000_000);
        assert!(outcome.too_costly && outcome.left_out == 1 && said.len() == 1);
    }
}
