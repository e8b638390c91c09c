//! The SLS leg: from an envelope to an outcome for each of its logs.
//!
//! ```text
//! take ─▶ intake ─▶ work (in ticks): reader ─▶ batcher ─▶ queue ─▶ outbox ─▶ next, call (signed here) ─▶ SLS
//!                                                          ▲ to be cut │ ▲ retry           │
//!                                                          └───────────┴─┴──── settled ◀───┘
//! ```
//! Its budget is its own: envelopes that wait, the open batch, what is being packed and what is packed together. Envelopes
//! are read a little per tick, so that the worker's other traffic is not held up. A target that does not answer, or asks for
//! less, is tried with one write at a time until it takes one: an outage costs few calls, and few of a batch's attempts.
//! While there is no credential nothing leaves, and what waits grows old as it does behind a dead target.
//!
//! `calls` is what leaves, `answers` what comes back, `outlet` the way from the batcher into the outbox; this file is the
//! way to there, and the leg's state.
//!
//! What is counted is logs. An envelope that is dropped unread counts as one, since nobody knows how many it held.

mod answers;
mod calls;
mod outlet;

use super::batch::Batcher;
use super::clock::Clock;
use super::intake::{Envelope, Intake};
use super::keys::{GRACE_MS, Keys};
use super::reader::Outcome;
use super::readers::{Needs, Readers};
use super::record::{Options, Record};
use super::repair::Log;
use super::report;
use super::scrub::Scrubber;
use super::write::{Batch, Queue};
use crate::delivery::outbox::{Id, Outbox, Policy};
use crate::header_list::HeaderList;
use crate::log::RateLimitedLog;
use crate::meter::{CALLBACK, Meter, TICK};
use crate::metric::{Ledger, Metric};
use crate::pace::Pace;
use crate::sls::settings::Sls;
use crate::time::{Millis, Moment};
use outlet::Outlet;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a batch costs beside its body.
const OVERHEAD: usize = 512;
/// Units of signing a write, at the worst, and how many are signed in one callback at most.
const SIGN: u64 = 260_000;
const MAX_SIGNS: u64 = 16;
/// Work of more units is a slice, after which the worker is for others. No rest is longer.
const LONG: u64 = 200_000;
const LONGEST_REST_MS: u64 = 250;
/// Every batch goes to the one destination, so a hold is for all of them.
const GROUP: u64 = 0;

/// Where the leg counts and writes.
#[derive(Debug)]
pub struct Books<'a> {
    /// Its counters.
    pub ledger: &'a mut Ledger,
    /// The log.
    pub log: &'a mut RateLimitedLog,
}

/// A call that is on its way to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaving {
    /// A write.
    Write(Id),
    /// A request for a credential, by its own number.
    Metadata(u32),
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this.
    Call(Leaving),
    /// Something ended by itself; there may be more.
    Progress,
    /// Nothing now.
    Idle,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Leg {
    config: Sls,
    max_bytes: usize,
    max_decoded_bytes: usize,
    max_age_ms: u64,
    intake: Intake,
    readers: Readers,
    batcher: Batcher,
    queue: Queue,
    outbox: Outbox<Batch>,
    /// Logs in the outbox.
    packed: usize,
    /// By how much the clock was corrected when a call was signed.
    signed: BTreeMap<Id, i64>,
    keys: Keys,
    clock: Clock,
    scrubber: Option<Scrubber>,
    /// Of the write that is leaving.
    headers: HeaderList,
    draining: bool,
    pace: Pace,
    /// When a slice of work began whose end is not known yet.
    begun: Option<Millis>,
    /// So many writes may still be signed in this callback.
    signs: u64,
    /// The last answer told to hold back: one write at a time, until one is taken.
    probing: bool,
}

impl Leg {
    /// `random` is any number, different in each worker.
    #[must_use]
    pub fn new(
        config: Sls,
        max_bytes: usize,
        max_in_flight: usize,
        max_decoded_bytes: usize,
        random: u64,
    ) -> Self {
        let policy = Policy {
            max_bytes,
            // One destination: a hold is for all that there is.
            max_held_bytes: max_bytes,
            shares: 1,
            max_in_flight,
            max_attempts: config.retry.max_attempts,
            backoff: config.retry.backoff,
            max_age_ms: config.retry.max_age_ms,
            // At least once: SLS does not tell doubles, and a lost log is worse.
            retry_ambiguous: true,
        };
        Self {
            max_bytes,
            max_decoded_bytes,
            max_age_ms: config.retry.max_age_ms,
            intake: Intake::default(),
            readers: Readers::default(),
            // An open batch is not compressed yet: a small budget must not be full of one that lingers.
            batcher: Batcher::new(config.batch.within(max_bytes / 4)),
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
            begun: None,
            signs: MAX_SIGNS,
            probing: false,
            config,
        }
    }

    /// Bytes of all that waits or is in flight.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.outbox
            .bytes()
            .saturating_add(self.queue.bytes())
            .saturating_add(self.batcher.bytes())
            .saturating_add(self.unread_bytes())
    }

    /// Bytes of the envelopes that wait or are being read.
    fn unread_bytes(&self) -> usize {
        self.intake.bytes().saturating_add(self.readers.bytes())
    }

    /// What is left of the budget.
    #[must_use]
    pub fn room(&self) -> usize {
        self.max_bytes.saturating_sub(self.bytes())
    }

    /// Logs that wait or are in flight.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.batcher
            .logs()
            .saturating_add(self.queue.logs())
            .saturating_add(self.packed)
    }

    /// Writes without an answer.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.outbox.in_flight()
    }

    /// Envelopes that wait or are being read.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.intake.len().saturating_add(self.readers.len())
    }

    /// Whether nothing waits and nothing is in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queued() == 0
            && self.batcher.logs() == 0
            && self.queue.is_empty()
            && self.outbox.is_empty()
    }

    /// Calls of either kind without an answer.
    #[must_use]
    pub fn calls(&self, now: Millis) -> usize {
        self.outbox
            .in_flight()
            .saturating_add(usize::from(self.keys.has_call(now)))
    }

    /// Whether a write could leave, if there is a key.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.outbox.has_ready()
    }

    /// An envelope is complete. `reserved` are bytes of the budget that the caller needs.
    pub fn take(&mut self, envelope: Envelope, reserved: usize, books: &mut Books<'_>) {
        if envelope.size().saturating_add(reserved) > self.room() {
            return self.unread(1, books);
        }
        self.intake.push(envelope);
    }

    /// Envelopes that never became logs.
    pub fn unread(&self, envelopes: usize, books: &mut Books<'_>) {
        books.ledger.grow(Metric::Unread, envelopes);
        books.ledger.grow(Metric::Captured, envelopes);
        books.ledger.grow(Metric::Dropped, envelopes);
        if envelopes > 0 {
            report::no_room(books.log, self.max_bytes);
        }
    }

    /// From now on nothing lingers.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Gives up on so many of the writes that wait or are in flight; gives the number of logs.
    pub fn give_up_writes(&mut self, most: usize, books: &mut Books<'_>) -> usize {
        let writes = std::iter::from_fn(|| self.outbox.give_up()).take(most);
        let logs = writes.fold(0, |logs, entry| entry.payload.logs().saturating_add(logs));
        self.packed = self.packed.saturating_sub(logs);
        books.ledger.grow(Metric::Dropped, logs);
        logs
    }

    /// Gives up on so many of the envelopes that wait; gives their number.
    pub fn give_up_unread(&mut self, most: usize, books: &mut Books<'_>) -> usize {
        let count = std::iter::from_fn(|| self.intake.pop(|_| false))
            .take(most)
            .count();
        self.unread(count, books);
        count
    }

    /// Whether no write and no envelope waits, and no write is in flight.
    #[must_use]
    pub fn has_no_backlog(&self) -> bool {
        self.outbox.is_empty() && self.intake.is_empty()
    }

    /// What is being read, batched and packed is lost, after what waits and what is in flight; gives the number of logs.
    pub fn give_up(&mut self, books: &mut Books<'_>) -> usize {
        let logs = self.pending();
        books.ledger.grow(Metric::Dropped, logs);
        let unread = self.queued();
        self.unread(unread, books);
        self.readers.clear();
        self.batcher.seal_all();
        self.queue.clear();
        self.signed.clear();
        logs.saturating_add(unread)
    }

    /// A tick's share of the work, as much as `meter` allows: packs what is sealed, reads on, seals what is due, and packs that
    /// too, so that a small batch leaves in the tick that seals it. `reserved` are bytes of the budget that others hold. `true`
    /// if it took its time: then [`worked`](Self::worked) is to hear when it ended.
    pub fn work(&mut self, now: Moment, reserved: usize, books: &mut Books<'_>) -> bool {
        self.signs = MAX_SIGNS;
        if !self.pace.is_due(now.steady) {
            return false;
        }
        let mut meter = Meter::new(TICK);
        self.work_within(&mut meter, now, reserved, books);
        let left = CALLBACK.saturating_sub(meter.spent().saturating_mul(2));
        self.signs = left.div_ceil(SIGN).clamp(1, MAX_SIGNS);
        let long = meter.spent() > LONG;
        self.begun = long.then_some(now.steady);
        long
    }

    /// When the last slice of work ended.
    pub fn worked(&mut self, now: Millis) {
        if let Some(begun) = self.begun.take() {
            self.pace.took(begun, now);
        }
    }

    fn work_within(
        &mut self,
        meter: &mut Meter,
        now: Moment,
        reserved: usize,
        books: &mut Books<'_>,
    ) {
        self.pack(reserved, meter, books);
        self.read(now, reserved, meter, books);
        let now_ms = self.clock.now(now.wall.0);
        let ends = self.draining && self.queued() == 0;
        // An open batch grows without asking for room. Sealed it is either taken in or dropped, and counted.
        let over = self.bytes().saturating_add(reserved) > self.max_bytes;
        let sealed = match ends || over {
            true => self.batcher.seal_all(),
            false => self.batcher.seal_due(now_ms),
        };
        let mut outlet = self.outlet(now.steady, reserved);
        for group in sealed {
            outlet.take(0, group, books);
        }
        self.pack(reserved, meter, books);
    }

    /// Reads envelopes into the batcher.
    fn read(&mut self, now: Moment, reserved: usize, meter: &mut Meter, books: &mut Books<'_>) {
        let now_ms = self.clock.now(now.wall.0);
        let reserved = reserved.saturating_add(self.unread_bytes());
        let clock = &self.clock;
        let needs = Needs {
            options: Options {
                payload: self.config.payload,
                spans: self.config.spans,
                scrub: self.scrubber.as_ref(),
                max_item_bytes: self.config.max_item_bytes,
                ..Options::default()
            },
            max_decoded_bytes: self.max_decoded_bytes,
            corrected: &|wall: Millis| clock.now(wall.0),
        };
        let (batcher, destination) = (&mut self.batcher, &self.config.destination);
        let mut outlet = Outlet {
            queue: &mut self.queue,
            others: self.outbox.bytes().saturating_add(reserved),
            max_bytes: self.max_bytes,
            now: now.steady,
        };
        let max_bytes = self.max_bytes;
        let books = RefCell::new(books);
        let mut sink = |record: &Record| {
            let books = &mut *books.borrow_mut();
            books.ledger.grow(Metric::Captured, 1);
            match batcher.push(destination, log(record), now_ms) {
                Ok(accepted) => {
                    let repaired = usize::from(!accepted.repairs.none());
                    books.ledger.grow(Metric::Repaired, repaired);
                    if accepted.lost {
                        books.ledger.grow(Metric::Dropped, 1);
                        report::no_room(books.log, max_bytes);
                    }
                    for group in accepted.sealed {
                        outlet.take(batcher.bytes(), group, books);
                    }
                }
                Err(_) => {
                    books.ledger.grow(Metric::Failed, 1);
                    report::rejected(books.log, 1);
                }
            }
        };
        let mut ended = |outcome: Outcome| {
            let books = &mut *books.borrow_mut();
            let ledger = &mut *books.ledger;
            // What is left out was never made into logs, but it was there.
            ledger.grow(Metric::Captured, outcome.left_out);
            ledger.grow(Metric::Dropped, outcome.left_out);
            ledger.grow(Metric::Malformed, usize::from(outcome.malformed));
            ledger.grow(Metric::Undecodable, usize::from(outcome.undecodable));
            if outcome.too_costly {
                ledger.one(Metric::TooCostly);
                report::too_costly(books.log);
            }
        };
        self.readers
            .step(&mut self.intake, &needs, meter, &mut sink, &mut ended);
    }

    /// When there is something to do: not at once, since it is done in ticks only.
    #[must_use]
    pub fn due(&self, now: Moment) -> Option<Millis> {
        let (wall, now) = (now.wall, now.steady);
        let soon = now.after(1);
        // No sooner than the worker may work again.
        let slice = soon.max(self.pace.next().min(now.after(LONGEST_REST_MS)));
        let unread = (self.queued() > 0 || !self.queue.is_empty()).then_some(slice);
        let corrected = self.clock.now(wall.0);
        let batch = self.batcher.next_due().map(|due| match self.draining {
            true => slice,
            false => now.after(due.saturating_sub(corrected)).max(slice),
        });
        let outbox = match self.may_write(now) {
            true => self.outbox.due(now),
            false => self.outbox.due_closed(),
        };
        let lookup = self.keys.wake_at();
        let due = [unread, batch, outbox, lookup].into_iter().flatten().min();
        due.map(|due| due.max(soon))
    }
}

fn log<'r>(record: &'r Record) -> Log<'r> {
    const NS_PER_S: u64 = 1_000_000_000;
    let seconds = u64::from(record.time_s).saturating_mul(NS_PER_S);
    Log {
        time_ns: seconds.saturating_add(u64::from(record.time_ns)),
        contents: record
            .fields()
            .map(|(key, value)| (Cow::Borrowed(key), Cow::Borrowed(value)))
            .collect(),
    }
}
