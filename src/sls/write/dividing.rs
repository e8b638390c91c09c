//! What is done with a batch that SLS refuses as a whole. A request is all or nothing. So a batch that is too large, or holds
//! a log that SLS does not accept (poison), is cut in half and both halves are sent. A refused half is cut again, until the
//! bad log is alone and is dropped alone.
//!
//! The bound: a batch and all its parts share [`EXTRA_REQUESTS`]. A cut uses two of them. When none are left, the refused
//! part is dropped whole. So a target that refuses everything costs at most 32 further requests per batch, and one bad log
//! among 4096 is found with 24. Logs are made acceptable before they enter a batch, so this is for rules that we do not know.
//!
//! Nothing is kept for this: the logs of a group are found again by their length prefixes, after decompressing the body.

use super::super::compress::Body;
use super::super::log_group;
use super::group::{Batch, EXTRA_REQUESTS, Group, Label};
use super::unpacking::{Unpacker, copy};
use crate::meter::Meter;
use std::cell::Cell;
use std::rc::Rc;
use std::task::{Poll, ready};

/// Units for finding the end of a log.
const PER_LOG: u64 = 80;

/// Why a batch is dropped and not cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indivisible {
    /// It has a single log, which is the bad one.
    Single,
    /// No further requests are allowed for it.
    Spent,
}

enum Stage {
    Unpack(Body, Unpacker),
    /// Where the logs end; how many were gone through; where the first half ends.
    Cut(Vec<u8>, usize, usize, usize),
}

/// A batch being cut in half by its number of logs.
pub struct Dividing {
    label: Label,
    stage: Stage,
}

impl std::fmt::Debug for Dividing {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dividing({} logs, {} bytes)", self.logs(), self.memory())
    }
}

impl Batch {
    /// Begins to cut it.
    ///
    /// # Errors
    /// It has to be dropped whole.
    pub fn divide(mut self) -> Result<Dividing, Indivisible> {
        if self.logs() <= 1 {
            return Err(Indivisible::Single);
        }
        let whole = || Rc::new(Cell::new(EXTRA_REQUESTS));
        let extra = self.label.extra.get_or_insert_with(whole);
        let Some(left) = extra.get().checked_sub(2) else {
            return Err(Indivisible::Spent);
        };
        extra.set(left);
        let Self { label, body } = self;
        let unpacker = Unpacker::new(&body);
        let stage = Stage::Unpack(body, unpacker);
        Ok(Dividing { label, stage })
    }
}

impl Dividing {
    /// The logs of both halves.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.label.logs
    }

    /// The memory it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        match &self.stage {
            Stage::Unpack(body, unpacker) => body.wire().len().saturating_add(unpacker.memory()),
            Stage::Cut(raw, ..) => raw.capacity(),
        }
    }

    /// Continues. Returns both halves at the end, to be sent in this order; `None` if decompressing failed.
    pub fn step(&mut self, meter: &mut Meter) -> Poll<Option<[Group; 2]>> {
        if let Stage::Unpack(body, unpacker) = &mut self.stage {
            let Some(raw) = ready!(unpacker.step(body, meter)) else {
                return Poll::Ready(None);
            };
            self.stage = Stage::Cut(raw, 0, 0, 0);
        }
        let first_logs = self.label.logs / 2;
        let Stage::Cut(raw, end, seen, middle) = &mut self.stage else {
            return Poll::Ready(None);
        };
        while *seen < self.label.logs {
            if meter.is_empty() {
                return Poll::Pending;
            }
            if *seen == first_logs {
                *middle = *end;
            }
            let Some(next) = log_group::log_end(raw, *end) else {
                return Poll::Ready(None);
            };
            *end = next;
            *seen = seen.saturating_add(1);
            meter.spend(PER_LOG);
        }
        let (end, middle) = (*end, *middle);
        let raw = std::mem::take(raw);
        meter.spend_bytes(raw.len() / 16, 1);
        let halves = cut(raw, middle, end);
        Poll::Ready(halves.map(|[first, second]| {
            let second_logs = self.label.logs.saturating_sub(first_logs);
            [(first, first_logs), (second, second_logs)].map(|(raw, logs)| {
                let label = self.label.clone();
                Group {
                    label: Label { logs, ..label },
                    raw,
                }
            })
        }))
    }
}

/// The parts before and after `middle`, each with the trailer, which begins at `end`.
fn cut(raw: Vec<u8>, middle: usize, end: usize) -> Option<[Vec<u8>; 2]> {
    let second = copy(raw.get(middle..)?)?;
    let trailer = raw.len().checked_sub(end)?;
    let mut first = raw;
    first.truncate(middle);
    // It was cut, so there is room for the trailer.
    first.extend_from_slice(second.get(second.len().checked_sub(trailer)?..)?);
    first.shrink_to_fit();
    Some([first, second])
}

#[cfg(test)]
mod tests;
