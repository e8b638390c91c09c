//! The envelopes being read, a few at a time, each from a different project: one that takes long does not hold up the others.

use std::collections::VecDeque;
use std::task::Poll;

use super::intake::Intake;
use super::reader::{MAX_UNITS, Outcome, Reader, Rules};
use super::record::{Options, Record};
use crate::meter::Meter;
use crate::time::Millis;

/// The number read at a time. Each may hold a decoded body and what is being made of it.
pub(crate) const MAX_READERS: usize = 2;
/// Units that one may spend before another has its turn.
const TURN: u64 = 1_000_000;
/// An envelope that has cost this many units is slow: a real one of a megabyte costs less.
const SLOW: u64 = 400_000_000;
/// Units per envelope besides its contents.
const ENVELOPE: u64 = 10_000;

/// What reading needs from its leg.
pub(super) struct Needs<'a> {
    pub(super) options: Options<'a>,
    pub(super) max_decoded_bytes: usize,
    /// Converts a moment on the host's clock to corrected time.
    pub(super) corrected: &'a dyn Fn(Millis) -> u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Readers {
    active: VecDeque<Reader>,
}

impl Readers {
    /// Bytes of their envelopes, as charged.
    pub(super) fn bytes(&self) -> usize {
        let sizes = self.active.iter().map(|reader| reader.envelope().size());
        sizes.fold(0, usize::saturating_add)
    }

    /// How many envelopes are being read.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// Drops what is being read.
    pub(super) fn clear(&mut self) {
        self.active.clear();
    }

    /// Reads until the meter is empty or nothing is left. Logs go to `sink`, and the outcome of each envelope to `ended`.
    pub(super) fn step(
        &mut self,
        intake: &mut Intake,
        needs: &Needs<'_>,
        meter: &mut Meter,
        sink: &mut dyn FnMut(&Record),
        ended: &mut dyn FnMut(Outcome),
    ) {
        while !meter.is_empty() {
            self.fill(intake, meter);
            let Some(mut reader) = self.active.pop_front() else {
                return;
            };
            let rules = Rules {
                options: needs.options,
                max_decoded_bytes: needs.max_decoded_bytes,
                max_units: MAX_UNITS,
                received_ms: (needs.corrected)(reader.envelope().received),
            };
            let mut turn = meter.part(TURN);
            let outcome = reader.step(&rules, &mut turn, sink);
            meter.spend(turn.spent());
            match outcome {
                Poll::Pending if self.is_in_the_way(&reader, intake) => {
                    ended(reader.end(&rules, sink));
                }
                Poll::Pending => self.active.push_back(reader),
                Poll::Ready(outcome) => ended(outcome),
            }
        }
    }

    /// Whether all are slow, this one has cost the most, and other projects wait.
    fn is_in_the_way(&self, reader: &Reader, intake: &Intake) -> bool {
        let full = self.active.len().saturating_add(1) >= MAX_READERS;
        let slowest = self
            .active
            .iter()
            .all(|other| other.spent() > SLOW && other.spent() <= reader.spent());
        full && slowest && reader.spent() > SLOW && intake.projects() > MAX_READERS
    }

    fn fill(&mut self, intake: &mut Intake, meter: &mut Meter) {
        while self.active.len() < MAX_READERS {
            let busy = |project| {
                let mut active = self.active.iter();
                active.any(|reader| reader.envelope().head.project == project)
            };
            let Some(envelope) = intake.pop(busy) else {
                return;
            };
            meter.spend(ENVELOPE);
            self.active.push_back(Reader::new(envelope));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sls::intake::{Envelope, Head};
    use crate::sls::scrub::Scrubber;
    use std::rc::Rc;

    fn envelope(project: u64, payload: &str) -> Envelope {
        Envelope {
            head: Head {
                project,
                app: None,
                encoding: Vec::new(),
            },
            body: Rc::new(format!("{{}}\n{{\"type\":\"event\"}}\n{payload}\n").into_bytes()),
            received: Millis(1),
        }
    }

    #[test]
    fn what_is_dear_holds_up_nobody_but_its_own_project() {
        let scrubber = Scrubber::default();
        let needs = Needs {
            options: Options {
                scrub: Some(&scrubber),
                ..Options::default()
            },
            max_decoded_bytes: 1 << 20,
            corrected: &|time| time.0,
        };
        let dear = format!("[{}1]", "\"password=x&\",".repeat(20_000));
        let (mut intake, mut readers) = (Intake::default(), Readers::default());
        for _ in 0..5 {
            intake.push(envelope(666, &dear));
        }
        for _ in 0..20 {
            intake.push(envelope(42, "{\"message\":\"x\"}"));
        }
        let (mut mine, mut slices) = (0, 0);
        while mine < 20 {
            slices += 1;
            let mut sink = |record: &Record| {
                mine += usize::from(record.get("sentry.project_id") == Some("42"));
            };
            let mut meter = Meter::new(3_000_000);
            readers.step(&mut intake, &needs, &mut meter, &mut sink, &mut |_| {});
            assert!(readers.len() <= MAX_READERS);
        }
        assert!(slices < 10, "{slices}");
        assert!(intake.len() >= 3, "the others have hardly begun");
    }
}
