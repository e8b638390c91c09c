//! What makes calls: copies for RUM, writes for SLS, look-ups of a key.
//!
//! A caller says what may leave next and when, hands over the call, is told how it went, and finally gives up. The worker
//! decides when there is room for a call; it knows no target.

use super::answer::Answer;
use super::backoff::Jitter;
use super::call::Call;
use super::outbox;
use crate::log::RateLimitedLog;
use crate::metric::{Gauges, Ledger};
use crate::time::{Millis, Moment};

/// Identifies a call on its way to the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallId {
    /// What an entry of the outbox holds.
    Entry(outbox::Id),
    /// A look-up of a key, by its own number.
    Key(u32),
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Make this call, then report [`Caller::started`] or [`Caller::refused`].
    Call(CallId),
    /// Something ended by itself; there may be more.
    Progress,
    /// Nothing now.
    Idle,
}

/// What a caller uses from the worker.
pub(crate) struct Context<'a> {
    /// Its counters.
    pub(crate) ledger: &'a mut Ledger,
    /// The log.
    pub(crate) log: &'a mut RateLimitedLog,
    /// Random waits.
    pub(crate) jitter: &'a mut Jitter,
}

/// See the module's documentation.
pub(crate) trait Caller {
    /// Whether its calls leave only in ticks, because preparing one takes time.
    fn calls_in_ticks(&self) -> bool;

    /// A tick's share of the work. `reserved` is how many bytes of its budget others hold. `true` if it took noticeable time:
    /// then [`worked`](Self::worked) must be told when it ended.
    fn work(&mut self, _now: Moment, _reserved: usize, _context: &mut Context<'_>) -> bool {
        false
    }

    /// The clock has been read again since.
    fn worked(&mut self, _now: Millis) {}

    /// What to do next; a call only if `open`. To be called until it returns `Idle`.
    fn next(&mut self, now: Moment, open: bool, context: &mut Context<'_>) -> Next;

    /// The call to hand to the host. It is counted here.
    fn call(&self, id: CallId, context: &mut Context<'_>) -> Option<Call<'_>>;

    /// The host took the call. `tells`: it always reports the end. Otherwise the answer may be lost.
    fn started(&mut self, id: CallId, token: u32, now: Millis, tells: bool);

    /// The host refused the call.
    fn refused(&mut self, id: CallId, now: Millis, context: &mut Context<'_>);

    /// How much of this answer's body is worth reading, if the call is this caller's.
    fn answer_bytes(&self, token: u32, status: Option<u16>) -> Option<usize>;

    /// An answer came. `false` if the call is not this caller's.
    fn answered(
        &mut self,
        token: u32,
        answer: &Answer<'_>,
        now: Moment,
        context: &mut Context<'_>,
    ) -> bool;

    /// When there is next something to do.
    fn due(&self, now: Moment) -> Option<Millis>;

    /// Calls without an answer.
    fn calls(&self, now: Millis) -> usize;

    /// How many calls there may be without an answer.
    fn max_calls(&self) -> usize;

    /// Whether a call could leave at once.
    fn has_ready(&self) -> bool;

    /// The gauges; `collecting` is the bytes of bodies being received.
    fn gauges(&self, collecting: usize) -> Gauges;

    /// Whether nothing waits and nothing is in flight.
    fn is_idle(&self) -> bool;

    /// The worker ends soon: nothing is put off from now on.
    fn drain(&mut self) {}

    /// Gives up at most `most` of what waits; returns how many. A little at a time: each has buffers to free.
    fn give_up(&mut self, most: usize, context: &mut Context<'_>) -> usize;

    /// Whether there is more to be [given up](Self::give_up).
    fn has_backlog(&self) -> bool;

    /// Gives up everything else, once there is no backlog; returns how much was lost.
    fn end(&mut self, context: &mut Context<'_>) -> usize;
}
