//! The mode's state, and what it does with a write: its digest, its signature, an answer in its place.

use super::backlog::Backlog;
use super::open::Open;
use super::{LocalAnswer, OVERHEAD, Stage, Write, text, unreadable};
use crate::header_list::HeaderList;
use crate::header_map::Pair;
use crate::meter::{Meter, TICK};
use crate::sls::clock::Clock;
use crate::sls::keys::Keys;
use crate::sls::settings::Sign;
use crate::sls::signature::Signature;
use crate::sls::wire_digest::Hasher;
use crate::sls::write_request::{self, Denial, Incoming, Rules};
use crate::time::{Millis, Moment};
use std::task::Poll;

/// How much of a body is read at once: larger pieces would be copied once more, smaller ones would cost more host calls.
const PIECE: usize = 262_144;
/// What a write may spend in its turn, so that several make progress in one tick.
const TURN: u64 = TICK / 4;
/// The most that is signed of the headers, path and query.
const SIGNED: u64 = 12_288;
/// If no more than this was spent before it, a signature may cost more than is left: no meter is too small for it.
const BARELY: u64 = 100_000;

/// The mode's state.
#[derive(Debug)]
pub(in crate::worker) struct Signer {
    pub(super) rules: Rules,
    pub(super) keys: Keys,
    pub(super) clock: Clock,
    pub(super) backlog: Backlog,
    pub(super) open: Open,
    /// For the answers given here, so that no two are alike.
    next_id: u128,
}

impl Signer {
    pub(in crate::worker) fn new(sign: Sign, max_bytes: usize, random: u64) -> Self {
        Self {
            rules: sign.rules,
            keys: Keys::new(sign.credential, random),
            clock: Clock::default(),
            backlog: Backlog::default(),
            open: Open::new(max_bytes),
            next_id: u128::from(random) << 32,
        }
    }

    /// The write is over, whatever the result.
    pub(super) fn release(&mut self, write: &mut Write) {
        write.waits = false;
        self.open.release(write);
    }

    pub(super) fn begin<'a, I>(
        &mut self,
        stream: u32,
        headers: &I,
        head_bytes: usize,
        now: Millis,
    ) -> Result<Write, Denial>
    where
        I: Iterator<Item = Pair<'a>> + Clone,
    {
        write_request::fits(head_bytes)?;
        let first = |name: &[u8]| {
            let mut all = headers.clone();
            all.find(|(own, _)| own.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let length = first(b"content-length");
        let length = length.and_then(|value| std::str::from_utf8(value).ok()?.parse().ok());
        let (Some(method), Some(target)) = (first(b":method"), first(b":path")) else {
            return Err(unreadable());
        };
        let (method, target) = (text(method)?, text(target)?);
        write_request::admit(&self.rules, method, target, length)?;
        write_request::speaks(first(b"content-type"))?;
        // Checked now, not only after ten megabytes. The last callback's clock is good enough: this is checked again.
        if self.keys.current(now).is_none() {
            return Err(Denial::no_credential());
        }
        let mut write = Write {
            stream,
            hasher: Hasher::new(&self.rules.signature),
            size: 0,
            head_bytes,
            bytes: 0,
            stage: Stage::Held,
            fed: false,
            waits: false,
            ended: false,
        };
        self.open
            .charge(&mut write, head_bytes.saturating_add(OVERHEAD))?;
        self.open.begin();
        Ok(write)
    }

    /// The host holds this much by now. It is hashed at once, or all of it waits for its turn.
    pub(super) fn grow(
        &mut self,
        write: &mut Write,
        size: usize,
        read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
        meter: &mut Meter,
    ) -> Result<(), Denial> {
        write.fed = true;
        if size > self.rules.max_body_bytes {
            return Err(write_request::too_large(&self.rules));
        }
        let more = size.checked_sub(write.size).ok_or_else(unreadable)?;
        self.open.charge(write, more)?;
        write.size = size;
        let rest = write.rest();
        if write.waits {
            return Ok(());
        }
        if rest > meter.bytes(write.hasher.per_byte()) {
            self.wait(write);
            return Ok(());
        }
        hash(write, rest, read, meter)
    }

    fn wait(&mut self, write: &mut Write) {
        write.waits = true;
        self.backlog.push(write.stream);
    }

    /// The turn of a waiting write. `true`: it is complete and hashed.
    pub(super) fn turn(
        &mut self,
        write: &mut Write,
        read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
        meter: &mut Meter,
    ) -> Result<bool, Denial> {
        if !std::mem::take(&mut write.waits) {
            return Ok(false);
        }
        let per_byte = write.hasher.per_byte();
        let share = Meter::new(TURN).bytes(per_byte);
        hash(write, share.min(meter.bytes(per_byte)), read, meter)?;
        if write.rest() > 0 {
            self.wait(write);
            return Ok(false);
        }
        Ok(write.ended)
    }

    pub(super) fn sign<'a, I>(
        &mut self,
        write: &mut Write,
        headers: I,
        now: Moment,
        meter: &mut Meter,
    ) -> Poll<Result<HeaderList, Denial>>
    where
        I: Iterator<Item = Pair<'a>>,
    {
        if write.stage != Stage::Held {
            return Poll::Ready(Err(unreadable()));
        }
        write.ended = true;
        if write.waits {
            return Poll::Pending;
        }
        let cost = self.signature_cost(write);
        let left = u64::try_from(meter.bytes(1)).unwrap_or(u64::MAX);
        if cost > left && meter.spent() > BARELY {
            write.waits = true;
            self.backlog.push_first(write.stream);
            meter.spend(u64::MAX);
            return Poll::Pending;
        }
        meter.spend(cost);
        Poll::Ready(self.sign_now(write, headers, now))
    }

    /// The most a signature costs: every header is looked at, and what is signed of them is hashed.
    fn signature_cost(&self, write: &Write) -> u64 {
        let head = u64::try_from(write.head_bytes).unwrap_or(u64::MAX);
        let (base, per_signed) = match self.rules.signature {
            Signature::V1 => (100_000_u64, 0),
            Signature::V4 { .. } => (250_000, 350),
        };
        base.saturating_add(head.saturating_mul(60))
            .saturating_add(head.min(SIGNED).saturating_mul(per_signed))
    }

    fn sign_now<'a, I>(&self, write: &Write, headers: I, now: Moment) -> Result<HeaderList, Denial>
    where
        I: Iterator<Item = Pair<'a>>,
    {
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

    pub(super) fn local_answer(&mut self, denial: &Denial) -> LocalAnswer {
        let id = write_request::request_id(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        let mut headers = HeaderList::default();
        for (name, value) in denial.headers(&id).iter() {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        LocalAnswer {
            status: denial.status,
            headers,
            body: denial.body(),
        }
    }
}

/// Hashes at most this much more of what the host holds.
fn hash(
    write: &mut Write,
    most: usize,
    mut read: impl FnMut(usize, usize) -> Option<Vec<u8>>,
    meter: &mut Meter,
) -> Result<(), Denial> {
    let mut left = most.min(write.rest());
    while left > 0 {
        let piece = PIECE.min(left);
        let bytes = read(write.hashed(), piece).filter(|bytes| bytes.len() == piece);
        write.hasher.update(&bytes.ok_or_else(unreadable)?);
        meter.spend_bytes(piece, write.hasher.per_byte());
        left = left.saturating_sub(piece);
    }
    Ok(())
}
