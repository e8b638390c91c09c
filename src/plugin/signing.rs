//! Mode `sign`: a write is held until its body is complete, signed, and let go; or answered here.
//!
//! Callbacks: [`write_begins`](Plugin::write_begins), [`write_grows`](Plugin::write_grows), then
//! [`write_ends`](Plugin::write_ends) with [`write_left`](Plugin::write_left) or
//! [`write_stuck`](Plugin::write_stuck), [`write_answered`](Plugin::write_answered), and always
//! [`write_gone`](Plugin::write_gone). What gives a [`LocalAnswer`] has ended the write.
//!
//! The host holds the body. Here it is hashed as it comes, and only its size is kept: what is charged to
//! `limits.max_pending_bytes` is the host's memory, until the target has answered.
//!
//! `received = signed + denied + aborted + pending`, `signed = answered + unanswered + in_flight`.

use super::books::{Book, Gauges};
use super::requests::fair;
use super::{Leaving, Plugin, Step, report};
use crate::config::Sign;
use crate::effect::Call;
use crate::metric::{Leg, Metric};
use crate::mirror::header_list::HeaderList;
use crate::mirror::headers::Pair;
use crate::outcome::{AnswerClass, DenyReason};
use crate::sls::clock::{self, Clock, Learned};
use crate::sls::keys::{Answer, Keys};
use crate::sls::metadata;
use crate::sls::wire_digest::Hasher;
use crate::sls::write_request::{self, Denial, Incoming, Rules};
use crate::time::{Millis, Moment};

/// What an open request costs beside its headers and its body.
const OVERHEAD: usize = 1_024;
/// What is read of a body at once: more would be a copy of its own, less would be more host calls.
const PIECE: usize = 262_144;

/// The mode's state.
#[derive(Debug)]
pub(super) struct Side {
    rules: Rules,
    keys: Keys,
    clock: Clock,
    pub(super) book: Book,
    max_bytes: usize,
    /// Bytes that the open requests hold.
    bytes: usize,
    held: usize,
    in_flight: usize,
    /// Of the answers that we give, so that no two are alike.
    next_id: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Held,
    InFlight,
    Over,
}

/// A request between its headers and its end.
#[derive(Debug)]
pub struct Write {
    hasher: Hasher,
    /// What it is charged with.
    bytes: usize,
    stage: Stage,
    /// A piece of the body has come, or none will.
    fed: bool,
}

/// An answer in the target's place, in SLS's shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAnswer {
    /// The status.
    pub status: u16,
    /// Without pseudo headers.
    pub headers: HeaderList,
    /// JSON.
    pub body: String,
}

impl Side {
    pub(super) fn new(sign: Sign, max_bytes: usize, random: u64) -> Self {
        Self {
            rules: sign.rules,
            keys: Keys::new(sign.credential, random),
            clock: Clock::default(),
            book: Book::new(Leg::Sign),
            max_bytes,
            bytes: 0,
            held: 0,
            in_flight: 0,
            next_id: u128::from(random) << 32,
        }
    }

    pub(super) fn gauges(&self) -> Gauges {
        [self.held, self.bytes, self.in_flight, 0]
    }

    pub(super) fn due(&self) -> Option<Millis> {
        self.keys.wake_at()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.held == 0 && self.in_flight == 0
    }

    pub(super) fn started(&mut self, id: u32, token: u32, now: Millis) {
        self.keys.started(id, token, now);
    }

    pub(super) fn refused(&mut self, id: u32, now: Millis) {
        self.keys.refused(id, now);
    }

    pub(super) fn call(&self) -> Call<'_> {
        self.keys.call()
    }

    /// How much of an answer is to be read, if it is waited for.
    pub(super) fn answer_bytes(&self, token: u32) -> Option<usize> {
        let waits = self.keys.waits_for(token);
        waits.then_some(metadata::MAX_REPLY_BYTES)
    }

    pub(super) fn answered(&mut self, token: u32, answer: &Answer<'_>, now: Moment) {
        self.keys.answered(token, answer, now);
    }

    pub(super) fn step(&mut self, now: Millis) -> Step {
        match self.keys.next_call(now) {
            Some(id) => Step::Call(Leaving::Keys(id)),
            None => Step::Idle,
        }
    }

    /// Room for `more` bytes of a request.
    fn charge(&mut self, write: &mut Write, more: usize) -> Result<(), Denial> {
        let free = self.max_bytes.saturating_sub(self.bytes);
        let others = self.bytes.saturating_sub(write.bytes);
        if more > fair(free, write.bytes, others) {
            return Err(Denial::busy(
                DenyReason::NoRoom,
                "too much is being written through this proxy, retry later",
            ));
        }
        self.bytes = self.bytes.saturating_add(more);
        write.bytes = write.bytes.saturating_add(more);
        Ok(())
    }

    /// The write is over, whatever it came to.
    fn release(&mut self, write: &mut Write) {
        self.bytes = self.bytes.saturating_sub(std::mem::take(&mut write.bytes));
        match std::mem::replace(&mut write.stage, Stage::Over) {
            Stage::Held => self.held = self.held.saturating_sub(1),
            Stage::InFlight => self.in_flight = self.in_flight.saturating_sub(1),
            Stage::Over => {}
        }
    }

    fn begin(
        &mut self,
        method: Option<&[u8]>,
        target: Option<&[u8]>,
        length: Option<u64>,
        head_bytes: usize,
        now: Millis,
    ) -> Result<Write, Denial> {
        let (Some(method), Some(target)) = (method, target) else {
            return Err(unreadable());
        };
        let (method, target) = (text(method)?, text(target)?);
        write_request::admit(&self.rules, method, target, length)?;
        // Not after ten megabytes only. The clock is that of the last callback, which is good enough: it is asked again.
        if self.keys.current(now).is_none() {
            return Err(Denial::no_credential());
        }
        let mut write = Write {
            hasher: Hasher::new(&self.rules.signature),
            bytes: 0,
            stage: Stage::Held,
            fed: false,
        };
        self.charge(&mut write, head_bytes.saturating_add(OVERHEAD))?;
        self.held = self.held.saturating_add(1);
        Ok(write)
    }

    fn grow(
        &mut self,
        write: &mut Write,
        size: usize,
        mut read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
    ) -> Result<(), Denial> {
        write.fed = true;
        if size > self.rules.max_body_bytes {
            return Err(write_request::too_large(&self.rules));
        }
        let mut known = usize::try_from(write.hasher.len()).unwrap_or(usize::MAX);
        let more = size.checked_sub(known).ok_or_else(unreadable)?;
        self.charge(write, more)?;
        while known < size {
            let piece = PIECE.min(size.saturating_sub(known));
            let bytes = read(known, piece).filter(|bytes| bytes.len() == piece);
            write.hasher.update(&bytes.ok_or_else(unreadable)?);
            known = known.saturating_add(piece);
        }
        Ok(())
    }

    fn sign<'a, I>(&self, write: &Write, headers: I, now: Moment) -> Result<HeaderList, Denial>
    where
        I: Iterator<Item = Pair<'a>>,
    {
        if write.stage != Stage::Held {
            return Err(unreadable());
        }
        let named = |(name, value)| Ok((text(name)?, value));
        let headers: Vec<(&str, &[u8])> = headers.map(named).collect::<Result<_, Denial>>()?;
        let find = |name: &str| {
            let found = headers.iter().find(|(own, _)| *own == name);
            text(found.ok_or_else(unreadable)?.1)
        };
        let incoming = Incoming {
            method: find(":method")?,
            target: find(":path")?,
            headers: &headers,
            body: &write.hasher.clone().finish(),
        };
        let now_ms = self.clock.now(now.wall.0);
        let credential = self.keys.current(now.steady);
        write_request::sign(&self.rules, &incoming, credential, now_ms)
    }

    fn local_answer(&mut self, denial: &Denial) -> LocalAnswer {
        let id = write_request::request_id(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let mut headers = HeaderList::default();
        for (name, value) in denial.headers(&id).iter() {
            headers.push(name.as_bytes(), &[value.as_bytes()]);
        }
        LocalAnswer {
            status: denial.status,
            headers,
            body: denial.body(),
        }
    }
}

impl Plugin {
    /// Request callback: the headers. `length` is Content-Length, `head_bytes` what the caller keeps of the headers.
    ///
    /// # Errors
    /// What does not pass gets this answer.
    pub fn write_begins<'a, I>(
        &mut self,
        headers: I,
        head_bytes: usize,
    ) -> Result<Box<Write>, LocalAnswer>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        let now = self.steady;
        let first = |name: &[u8]| {
            let mut all = headers.clone();
            all.find(|(own, _)| own.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let length = first(b"content-length");
        let length = length.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let Some(side) = &mut self.sign else {
            return Err(LocalAnswer::nowhere());
        };
        side.book.ledger.one(Metric::Received);
        let begun = side.begin(first(b":method"), first(b":path"), length, head_bytes, now);
        // The gauges show who waits.
        self.publish_soon();
        begun.map(Box::new).map_err(|denial| self.deny(&denial))
    }

    /// Request callback: the host holds `size` bytes of the body by now; `read` hands out so many from an offset.
    ///
    /// # Errors
    /// What does not pass gets this answer.
    pub fn write_grows(
        &mut self,
        write: &mut Write,
        size: usize,
        read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
    ) -> Result<(), LocalAnswer> {
        let Some(side) = &mut self.sign else {
            return Err(LocalAnswer::nowhere());
        };
        let grown = side.grow(write, size, read);
        grown.map_err(|denial| self.deny_write(write, &denial))
    }

    /// Request callback: the request is complete. Gives all its headers as they are to go on.
    ///
    /// # Errors
    /// What does not pass gets this answer.
    pub fn write_ends<'a, I>(
        &mut self,
        write: &mut Write,
        headers: I,
        now: Millis,
    ) -> Result<HeaderList, LocalAnswer>
    where
        I: Iterator<Item = Pair<'a>>,
    {
        let now = self.moment(now);
        write.fed = true;
        let Some(side) = &mut self.sign else {
            return Err(LocalAnswer::nowhere());
        };
        let signed = side.sign(write, headers, now);
        signed.map_err(|denial| self.deny_write(write, &denial))
    }

    /// Request callback: the host took the headers, the request goes on.
    pub fn write_left(&mut self, write: &mut Write) {
        let Some(side) = &mut self.sign else { return };
        write.stage = Stage::InFlight;
        side.held = side.held.saturating_sub(1);
        side.in_flight = side.in_flight.saturating_add(1);
        side.book.ledger.one(Metric::Signed);
        let bytes = usize::try_from(write.hasher.len()).unwrap_or(usize::MAX);
        side.book.ledger.grow(Metric::Bytes, bytes);
        self.publish_soon();
    }

    /// Request callback: the host did not take the headers. The request must not go on without a signature.
    pub fn write_stuck(&mut self, write: &mut Write) -> LocalAnswer {
        let message = "the proxy could not sign the request, retry later";
        self.deny_write(write, &Denial::busy(DenyReason::Host, message))
    }

    /// Response callback: the headers of the answer, the target's or the proxy's own.
    pub fn write_answered(
        &mut self,
        write: &mut Write,
        status: Option<u16>,
        header: &dyn Fn(&str) -> Option<String>,
        now: impl FnOnce() -> Millis,
    ) {
        let Some(side) = &mut self.sign else { return };
        let status = status.unwrap_or_default();
        match write.stage {
            Stage::InFlight => {}
            Stage::Held => {
                report::answered_unasked(&mut self.journal, status);
                return;
            }
            Stage::Over => return,
        }
        side.release(write);
        let class = AnswerClass::of(status);
        side.book.ledger.one(Metric::Answered(class));
        // Only SLS itself knows what time it is, and whose key it knows.
        if matches!(status, 400 | 401) && header("x-log-requestid").is_some() {
            let now = now();
            if let Some(server) = clock::server_time(header)
                && side.clock.learn(now.0, server) == Learned::Corrected
            {
                report::clock_corrected(&mut self.journal, side.clock.offset_ms());
            } else if status == 401 {
                side.keys.ask_refresh();
                report::key_refused(&mut self.journal);
            }
        }
        self.publish_soon();
    }

    /// The stream is over.
    pub fn write_gone(&mut self, write: &mut Write) {
        let Some(side) = &mut self.sign else { return };
        match write.stage {
            Stage::Held => {
                side.book.ledger.one(Metric::Aborted);
                if !write.fed {
                    report::never_fed(&mut self.journal);
                }
            }
            Stage::InFlight => side.book.ledger.one(Metric::Unanswered),
            Stage::Over => return,
        }
        side.release(write);
        self.publish_soon();
    }

    fn deny_write(&mut self, write: &mut Write, denial: &Denial) -> LocalAnswer {
        if let Some(side) = &mut self.sign {
            side.release(write);
        }
        self.deny(denial)
    }

    fn deny(&mut self, denial: &Denial) -> LocalAnswer {
        let Some(side) = &mut self.sign else {
            return LocalAnswer::nowhere();
        };
        side.book.ledger.one(Metric::Denied(denial.reason));
        report::denied(&mut self.journal, denial);
        let answer = side.local_answer(denial);
        self.publish_soon();
        answer
    }
}

impl LocalAnswer {
    /// In another mode nobody asks.
    fn nowhere() -> Self {
        Self {
            status: 503,
            headers: HeaderList::default(),
            body: String::new(),
        }
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
