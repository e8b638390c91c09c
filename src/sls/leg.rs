//! The SLS leg: from an envelope to an outcome for each of its logs.
//!
//! ```text
//! take ─▶ intake ─▶ work (in ticks): reader ─▶ batcher ─▶ queue ─▶ outbox ─▶ next, call (signed here) ─▶ SLS
//!                                                          ▲ to be cut │ ▲ retry           │
//!                                                          └───────────┴─┴──── settled ◀───┘
//! ```
//! It has its own budget: waiting envelopes, the open batch, what is being packed and what has been packed all count. Envelopes
//! are read a little per tick, so that the worker's other traffic is not held up. A target that does not answer, or asks for
//! less, is tried with one write at a time until it accepts one: so an outage costs few calls and few of a batch's attempts.
//! While writes wait for that, logs go on gathering in the open batch, so that what leaves later are few large writes.
//! While there is no credential nothing leaves, and what is waiting ages just as behind a dead target.
//!
//! `calls` is the leg as the worker sees it, `signing` what leaves, `answers` what comes back, `outlet` the way from the
//! batcher into the outbox. This file has the way up to there, and the leg's state.
//!
//! Logs are what is counted. An envelope dropped unread counts as one, since nobody knows how many it held.

mod answers;
mod calls;
mod outlet;
mod signing;

use super::batch::Batcher;
use super::clock::Clock;
use super::intake::{Envelope, Intake};
use super::keys::{GRACE_MS, Keys};
use super::log_group::Contents;
use super::log_time::LogTime;
use super::reader::Outcome;
use super::readers::{Needs, Readers};
use super::record::{Options, Record};
use super::report;
use super::scrub::Scrubber;
use super::write::{Batch, Queue};
use crate::delivery::caller::Context;
use crate::delivery::outbox::{Charge, Id, Outbox, Policy};
use crate::header_list::HeaderList;
use crate::meter::Meter;
use crate::metric::Metric;
use crate::pace::Pace;
use crate::sls::settings::Sls;
use crate::time::{Millis, Moment};
use outlet::Outlet;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a batch costs besides its body.
const OVERHEAD: usize = 512;
/// Worst-case units for signing a write, and the most writes signed in one callback.
const SIGN: u64 = 260_000;
const MAX_SIGNS: u64 = 16;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct SlsLeg {
    config: Sls,
    max_bytes: usize,
    max_decoded_bytes: usize,
    intake: Intake,
    readers: Readers,
    batcher: Batcher,
    queue: Queue,
    outbox: Outbox<Batch>,
    /// Logs in the outbox.
    packed: usize,
    /// The clock's correction at the time a call was signed.
    signed: BTreeMap<Id, i64>,
    keys: Keys,
    clock: Clock,
    scrubber: Option<Scrubber>,
    /// The headers of the write that is leaving.
    headers: HeaderList,
    draining: bool,
    pace: Pace,
    /// How many more writes may be signed in this callback.
    signs: u64,
}

impl SlsLeg {
    /// `random` is any number, different in each worker.
    #[must_use]
    pub(crate) fn new(
        config: Sls,
        max_bytes: usize,
        max_in_flight: usize,
        max_decoded_bytes: usize,
        random: u64,
    ) -> Self {
        let policy = Policy {
            max_bytes,
            // One destination: a hold applies to everything.
            max_held_bytes: max_bytes,
            shares: 1,
            max_in_flight,
            max_attempts: config.retry.max_attempts,
            backoff: config.retry.backoff,
            max_age_ms: config.retry.max_age_ms,
            // At least once: SLS does not report duplicates, and a lost log is worse.
            retry_ambiguous: true,
        };
        Self {
            max_bytes,
            max_decoded_bytes,
            intake: Intake::default(),
            readers: Readers::default(),
            // An open batch is not compressed yet: a lingering one must not fill a small budget.
            batcher: Batcher::new(
                Rc::clone(&config.destination),
                config.batch.within(max_bytes / 4),
            ),
            queue: Queue::new(config.compression, config.signature.clone()),
            outbox: Outbox::new(policy),
            packed: 0,
            signed: BTreeMap::new(),
            keys: Keys::new(config.credential.clone(), random),
            clock: Clock::default(),
            scrubber: config.scrub.then(|| Scrubber::new(&config.scrub_keys)),
            headers: HeaderList::default(),
            draining: false,
            pace: Pace::default(),
            signs: MAX_SIGNS,
            config,
        }
    }

    /// Bytes pending, and the maximum.
    pub(crate) fn budget(&self) -> (usize, usize) {
        (self.bytes(), self.max_bytes)
    }

    /// Bytes of everything waiting or in flight.
    #[must_use]
    fn bytes(&self) -> usize {
        self.outbox
            .bytes()
            .saturating_add(self.queue.bytes())
            .saturating_add(self.batcher.bytes())
            .saturating_add(self.unread_bytes())
    }

    /// Bytes of the envelopes waiting or being read.
    fn unread_bytes(&self) -> usize {
        self.intake.bytes().saturating_add(self.readers.bytes())
    }

    /// What is left of the budget.
    #[must_use]
    pub(crate) fn room(&self) -> usize {
        self.max_bytes.saturating_sub(self.bytes())
    }

    /// Logs waiting or in flight.
    #[must_use]
    pub(crate) fn pending(&self) -> usize {
        self.batcher
            .logs()
            .saturating_add(self.queue.logs())
            .saturating_add(self.packed)
    }

    /// Envelopes waiting or being read.
    #[must_use]
    pub(crate) fn queued(&self) -> usize {
        self.intake.len().saturating_add(self.readers.len())
    }

    /// An envelope is complete. `reserved` is how many bytes of the budget the caller needs.
    pub(crate) fn take(&mut self, envelope: Envelope, reserved: usize, context: &mut Context<'_>) {
        if envelope.size().saturating_add(reserved) > self.room() {
            return self.unread(1, context);
        }
        self.intake.push(envelope);
    }

    /// Envelopes that never became logs.
    pub(crate) fn unread(&self, envelopes: usize, context: &mut Context<'_>) {
        context.ledger.grow(Metric::Unread, envelopes);
        context.ledger.grow(Metric::Captured, envelopes);
        context.ledger.grow(Metric::Dropped, envelopes);
        if envelopes > 0 {
            report::no_room(context.log, self.max_bytes);
        }
    }

    /// Gives up at most this many of the writes waiting or in flight; returns the number of logs.
    pub(crate) fn give_up_writes(&mut self, most: usize, context: &mut Context<'_>) -> usize {
        let writes = std::iter::from_fn(|| self.outbox.give_up()).take(most);
        let logs = writes.fold(0, |logs, entry| entry.payload.logs().saturating_add(logs));
        self.packed = self.packed.saturating_sub(logs);
        context.ledger.grow(Metric::Dropped, logs);
        logs
    }

    /// Gives up at most this many of the waiting envelopes; returns their number.
    pub(crate) fn give_up_unread(&mut self, most: usize, context: &mut Context<'_>) -> usize {
        let count = std::iter::from_fn(|| self.intake.pop(|_| false))
            .take(most)
            .count();
        self.unread(count, context);
        count
    }

    fn work_within(
        &mut self,
        meter: &mut Meter,
        now: Moment,
        reserved: usize,
        context: &mut Context<'_>,
    ) {
        self.pack(reserved, meter, context);
        self.read(now, reserved, meter, context);
        let now_ms = self.clock.now(now.wall.0);
        let ends = self.draining && self.queued() == 0;
        // An open batch grows without asking for room. Once sealed, it is either taken in or dropped and counted.
        let over = self.bytes().saturating_add(reserved) > self.max_bytes;
        let sealed = if ends || over {
            self.batcher.seal()
        } else if self.gathers() {
            None
        } else {
            self.batcher.seal_due(now_ms)
        };
        if let Some(group) = sealed {
            self.outlet(now.steady, reserved).take(0, group, context);
        }
        self.pack(reserved, meter, context);
    }

    /// Whether writes are held back, and there are some: another small one would only wait behind them.
    fn gathers(&self) -> bool {
        let waits = !self.outbox.is_empty() || !self.queue.is_empty();
        waits && !self.draining && self.outbox.is_held(charge(0))
    }

    /// Reads envelopes into the batcher.
    fn read(&mut self, now: Moment, reserved: usize, meter: &mut Meter, context: &mut Context<'_>) {
        let now_ms = self.clock.now(now.wall.0);
        let reserved = reserved.saturating_add(self.unread_bytes());
        let clock = &self.clock;
        let needs = Needs {
            options: Options {
                payload: self.config.payload,
                spans: self.config.spans,
                scrub: self.scrubber.as_ref(),
                client_ip: self.config.client_ip,
                max_item_bytes: self.config.max_item_bytes,
                ..Options::default()
            },
            max_decoded_bytes: self.max_decoded_bytes,
            corrected: &|wall: Millis| clock.now(wall.0),
        };
        let batcher = &mut self.batcher;
        let mut outlet = Outlet {
            queue: &mut self.queue,
            others: self.outbox.bytes().saturating_add(reserved),
            max_bytes: self.max_bytes,
            now: now.steady,
        };
        let max_bytes = self.max_bytes;
        let context = RefCell::new(context);
        let mut sink = |record: &Record| {
            let context = &mut *context.borrow_mut();
            context.ledger.grow(Metric::Captured, 1);
            let pushed = batcher.push(time(record), bytes(record), now_ms);
            let moved = usize::from(pushed.time_moved);
            context.ledger.grow(Metric::Repaired, moved);
            if pushed.lost {
                context.ledger.grow(Metric::Dropped, 1);
                report::no_room(context.log, max_bytes);
            }
            for group in pushed.sealed {
                outlet.take(batcher.bytes(), group, context);
            }
        };
        let mut ended = |outcome: Outcome| {
            let context = &mut *context.borrow_mut();
            let ledger = &mut *context.ledger;
            // What is left out was never made into logs, but it existed.
            ledger.grow(Metric::Captured, outcome.left_out);
            ledger.grow(Metric::Dropped, outcome.left_out);
            ledger.grow(Metric::Malformed, usize::from(outcome.malformed));
            ledger.grow(Metric::Undecodable, usize::from(outcome.undecodable));
            if outcome.too_costly {
                ledger.one(Metric::TooCostly);
                report::too_costly(context.log);
            }
        };
        self.readers
            .step(&mut self.intake, &needs, meter, &mut sink, &mut ended);
    }
}

/// What a batch is charged with: there is one destination.
fn charge(size: usize) -> Charge {
    Charge {
        size,
        group: 0,
        part: 0,
        share: 0,
    }
}

fn time(record: &Record) -> LogTime {
    LogTime {
        seconds: record.time_s,
        nanos: record.time_ns,
    }
}

fn bytes(record: &Record) -> impl Contents<'_> {
    let fields = record.fields();
    fields.map(|(key, value)| (key.as_bytes(), value.as_bytes()))
}
