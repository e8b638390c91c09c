//! Mode `sign`: a write is held until its body is complete, then signed and let go; or it is answered here.
//!
//! Callbacks: [`write_begins`](Worker::write_begins), [`write_grows`](Worker::write_grows), then
//! [`write_ends`](Worker::write_ends) with [`write_left`](Worker::write_left) or
//! [`write_stuck`](Worker::write_stuck), [`write_answered`](Worker::write_answered), and always
//! [`write_gone`](Worker::write_gone). Whatever returns a [`LocalAnswer`] has ended the write.
//!
//! The host holds the body. Here it is hashed as it arrives, and only its size is kept: what is charged to
//! `limits.max_pending_bytes` is the host's memory, until the target has answered.
//!
//! A piece that is too large to hash in one callback is hashed in ticks, as are all pieces behind it. While
//! [`has_turns`](Worker::has_turns), each tick calls [`turns_begin`](Worker::turns_begin), then
//! [`write_turn`](Worker::write_turn) for each [`next_turn`](Worker::next_turn), and finally [`turns_end`](Worker::turns_end).
//!
//! `received = signed + denied + aborted + pending`, `signed = answered + unanswered + in_flight`.

mod backlog;
mod lookups;
mod open;
mod signer;

pub(super) use signer::Signer;

use super::{Worker, report};
use crate::header_list::HeaderList;
use crate::header_map::Pair;
use crate::meter::Meter;
use crate::metric::Metric;
use crate::outcome::{AnswerClass, DenyReason};
use crate::sls::clock::{self, Learned};
use crate::sls::wire_digest::Hasher;
use crate::sls::write_request::Denial;
use crate::time::Millis;
use std::task::Poll;

/// What an open request costs besides its headers and its body.
const OVERHEAD: usize = 1_024;

/// What a request callback may spend on a write: with everything else it does it stays under
/// [`CALLBACK`](crate::meter::CALLBACK). So a piece of up to 512 KiB (v4: 110 KiB) is hashed as it arrives, and a write of
/// that size goes on in the callback that completed it.
pub const REQUEST: u64 = 9_650_000;
/// What a turn costs besides the work done in it.
const TURN: u64 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Held,
    InFlight,
    Over,
}

/// A request between its headers and its end.
#[derive(Debug)]
pub struct Write {
    /// The host's ID for its stream.
    stream: u32,
    hasher: Hasher,
    /// What the host holds of the body.
    size: usize,
    head_bytes: usize,
    /// What it is charged with.
    bytes: usize,
    stage: Stage,
    /// A piece of the body has arrived, or none will.
    fed: bool,
    /// It is waiting for its turn.
    waits: bool,
    /// It is complete.
    ended: bool,
}

impl Write {
    fn hashed(&self) -> usize {
        usize::try_from(self.hasher.len()).unwrap_or(usize::MAX)
    }

    /// What is still to be hashed.
    fn rest(&self) -> usize {
        self.size.saturating_sub(self.hashed())
    }
}

/// An answer in the target's place, in the form that SLS uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAnswer {
    /// The status.
    pub status: u16,
    /// Without pseudo headers.
    pub headers: HeaderList,
    /// JSON, or nothing.
    pub body: String,
}

impl Worker {
    /// Request callback: the headers. `stream` is the host's ID for the request, by which [`next_turn`](Worker::next_turn)
    /// refers to it; `head_bytes` is what the caller keeps of the headers.
    ///
    /// # Errors
    /// Requests that do not pass get this answer.
    pub fn write_begins<'a, I>(
        &mut self,
        stream: u32,
        headers: I,
        head_bytes: usize,
    ) -> Result<Write, LocalAnswer>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let now = self.clock.last().steady;
        let Some((signer, context)) = self.legs.signer() else {
            return Err(LocalAnswer::nowhere());
        };
        context.ledger.one(Metric::Received);
        let begun = signer.begin(stream, &headers, head_bytes, now);
        // The gauges show who is waiting.
        self.publish_soon();
        begun.map_err(|denial| self.deny(&denial))
    }

    /// Request callback: the host holds `size` bytes of the body by now; `read` hands out a given number from an offset. What
    /// `meter` does not allow for waits for its turn.
    ///
    /// # Errors
    /// Requests that do not pass get this answer.
    pub fn write_grows(
        &mut self,
        write: &mut Write,
        size: usize,
        read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
        meter: &mut Meter,
    ) -> Result<(), LocalAnswer> {
        let Some((signer, _)) = self.legs.signer() else {
            return Err(LocalAnswer::nowhere());
        };
        let grown = signer.grow(write, size, read, meter);
        if grown.is_ok() && write.waits {
            self.wake();
        }
        grown.map_err(|denial| self.deny_write(write, &denial))
    }

    /// Request or root callback: the request is complete. Returns all its headers as they should go on. `Pending`: not
    /// everything is hashed, or `meter` does not allow for a signature; its turn will come.
    ///
    /// # Errors
    /// Requests that do not pass get this answer.
    pub fn write_ends<'a, I>(
        &mut self,
        write: &mut Write,
        headers: I,
        now: Millis,
        meter: &mut Meter,
    ) -> Poll<Result<HeaderList, LocalAnswer>>
    where
        I: Iterator<Item = Pair<'a>>,
    {
        let now = self.moment(now);
        write.fed = true;
        let Some((signer, _)) = self.legs.signer() else {
            return Poll::Ready(Err(LocalAnswer::nowhere()));
        };
        let signed = signer.sign(write, headers, now, meter);
        if signed.is_pending() {
            self.wake();
        }
        signed.map(|signed| signed.map_err(|denial| self.deny_write(write, &denial)))
    }

    /// Root callback, in a tick: whether writes may take their turns now.
    pub fn turns_begin(&mut self, now: Millis) -> bool {
        let now = self.moment(now).steady;
        let sign = self.legs.sign.as_ref();
        sign.is_some_and(|sign| sign.leg.backlog.is_due(now))
    }

    /// Whether a write is waiting for its turn.
    #[must_use]
    pub fn has_turns(&self) -> bool {
        let sign = self.legs.sign.as_ref();
        sign.is_some_and(|sign| !sign.leg.backlog.is_empty())
    }

    /// Root callback, in a tick: the stream whose turn it is, which may have ended meanwhile. Call
    /// [`write_turn`](Worker::write_turn) for it.
    pub fn next_turn(&mut self, meter: &mut Meter) -> Option<u32> {
        if meter.is_empty() {
            return None;
        }
        meter.spend(TURN);
        self.legs.sign.as_mut()?.leg.backlog.pop()
    }

    /// Root callback, in a tick: the turn of a write. `true`: [`write_ends`](Worker::write_ends) is next.
    ///
    /// # Errors
    /// Requests that do not pass get this answer.
    pub fn write_turn(
        &mut self,
        write: &mut Write,
        read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
        meter: &mut Meter,
    ) -> Result<bool, LocalAnswer> {
        let Some((signer, _)) = self.legs.signer() else {
            return Err(LocalAnswer::nowhere());
        };
        let turn = signer.turn(write, read, meter);
        turn.map_err(|denial| self.deny_write(write, &denial))
    }

    /// Root callback, in a tick: the turns that began at `begun` are over.
    pub fn turns_end(&mut self, begun: Millis, now: Millis) {
        let ended = self.moment(now).steady;
        // On a clock that went back meanwhile, they took no time.
        let begun = Millis(ended.0.saturating_sub(now.since(begun)));
        if let Some((signer, _)) = self.legs.signer() {
            signer.backlog.took(begun, ended);
        }
    }

    /// Request callback: the host took the headers, so the request goes on.
    pub fn write_left(&mut self, write: &mut Write) {
        let Some((signer, context)) = self.legs.signer() else {
            return;
        };
        signer.open.let_go(write);
        context.ledger.one(Metric::Signed);
        context.ledger.grow(Metric::Bytes, write.hashed());
        self.publish_soon();
    }

    /// Request callback: the host did not take the headers. The request must not go on without a signature.
    pub fn write_stuck(&mut self, write: &mut Write) -> LocalAnswer {
        let message = "the proxy could not sign the request, retry later";
        self.deny_write(write, &Denial::busy(DenyReason::Host, message))
    }

    /// Response callback: the headers of the response, from the target or from the proxy itself.
    pub fn write_answered(
        &mut self,
        write: &mut Write,
        status: Option<u16>,
        header: &dyn Fn(&str) -> Option<String>,
        now: impl FnOnce() -> Millis,
    ) {
        let Some((signer, context)) = self.legs.signer() else {
            return;
        };
        let status = status.unwrap_or_default();
        match write.stage {
            Stage::InFlight => {}
            Stage::Held => {
                report::answered_unasked(context.log, status);
                return;
            }
            Stage::Over => return,
        }
        signer.release(write);
        let class = AnswerClass::of(status);
        context.ledger.one(Metric::Answered(class));
        // Only SLS itself knows the time and which keys it accepts.
        if matches!(status, 400 | 401) && header("x-log-requestid").is_some() {
            let now = now();
            if let Some(server) = clock::server_time(header)
                && signer.clock.learn(now.0, server) == Learned::Corrected
            {
                report::clock_corrected(context.log, signer.clock.offset_ms());
            } else if status == 401 {
                signer.keys.ask_refresh();
                report::key_refused(context.log);
            }
        }
        self.publish_soon();
    }

    /// The stream is over.
    pub fn write_gone(&mut self, write: &mut Write) {
        let Some((signer, context)) = self.legs.signer() else {
            return;
        };
        match write.stage {
            Stage::Held => {
                context.ledger.one(Metric::Aborted);
                if !write.fed {
                    report::never_fed(context.log, "sign");
                }
            }
            Stage::InFlight => context.ledger.one(Metric::Unanswered),
            Stage::Over => return,
        }
        signer.release(write);
        self.publish_soon();
    }

    fn deny_write(&mut self, write: &mut Write, denial: &Denial) -> LocalAnswer {
        if let Some((signer, _)) = self.legs.signer() {
            signer.release(write);
        }
        self.deny(denial)
    }

    fn deny(&mut self, denial: &Denial) -> LocalAnswer {
        let Some((signer, context)) = self.legs.signer() else {
            return LocalAnswer::nowhere();
        };
        context.ledger.one(Metric::Denied(denial.reason));
        report::denied(context.log, denial);
        let answer = signer.local_answer(denial);
        self.publish_soon();
        answer
    }
}

impl LocalAnswer {
    /// A status and nothing else.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: HeaderList::default(),
            body: String::new(),
        }
    }

    /// In another mode nobody asks.
    fn nowhere() -> Self {
        Self::empty(503)
    }
}

fn unreadable() -> Denial {
    let message = "the proxy did not hand out the request, retry later";
    Denial::busy(DenyReason::Host, message)
}

fn text(bytes: &[u8]) -> Result<&str, Denial> {
    std::str::from_utf8(bytes)
        .map_err(|_| Denial::malformed("ParameterInvalid", "the request line is not UTF-8"))
}
