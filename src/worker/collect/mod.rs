//! The bodies being received: what they hold, which of them is too slow, and which gives way when they hold too much.
//!
//! An exchange lives here and not in the proxy's stream, which only has a [`Ticket`]. So an exchange that is given up frees
//! its memory at once, even if its stream never gets another callback. The ticket of an exchange that is over finds nothing.
//!
//! Nothing here is proportional to how many are open. Each exchange is in one of 64 lists by the second at which it is to be
//! looked at next, and after its first look also in one of 64 by its growth ([`pace`]). Both places are updated only when it
//! is looked at: a body can be faster than its place says, never slower. `lists` owns the links.
//!
//! Time comes from callbacks that know it, see [`Collecting::pass`]. A piece of a body does not ask the host for the clock.
//!
//! The worker decides what is counted and how much may be held.

mod lists;
mod pace;
mod room;

pub(crate) use room::Swept;

use crate::copies::capture::Refusal;
use crate::worker::exchange::Exchange;
use crate::worker::wanted::Wants;
use lists::{Lists, Place};
use pace::Pace;

/// A body of up to this many bytes may be a newcomer: nearly every envelope is smaller.
pub(crate) const LARGE_BYTES: usize = 262_144;
/// How often the clock must be read while a body is being received.
pub(crate) const PULSE_MS: u64 = 1_000;
/// How soon after its beginning a body is first looked at. Until then it is a newcomer, unless it is large.
const FIRST_LOOK_MS: u64 = 2 * PULSE_MS;
/// The most looks in a search for the one that gives way.
const MOST_LOOKS: usize = 16;
/// The most time that may pass between two pulses: a clock that jumps or a worker that stalled makes no body slow.
const MOST_PASSED_MS: u64 = 2 * PULSE_MS;

/// Identifies an exchange. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: u32,
    turn: u32,
}

#[derive(Debug)]
struct Slot {
    /// Counts the exchanges that had this slot.
    turn: u32,
    exchange: Option<Exchange>,
    pace: Pace,
    /// It is among those that may have to give way.
    ranked: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Collecting {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// By the second of the next look.
    due: Lists,
    /// Those that are not newcomers, by growth.
    ranks: Lists,
    open: usize,
    bytes: usize,
    /// Of these bytes, those that newcomers hold.
    new_bytes: usize,
    /// Milliseconds, see [`Collecting::pass`].
    now: u64,
    /// The next span that passes began before the first open exchange.
    unsure: bool,
    /// Everything due up to this second has been looked at.
    swept: u64,
}

impl Collecting {
    /// How many exchanges are open.
    pub(crate) fn len(&self) -> usize {
        self.open
    }

    /// What they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What the newcomers hold: bodies of up to [`LARGE_BYTES`] that have not been looked at.
    pub(crate) fn new_bytes(&self) -> usize {
        self.new_bytes
    }

    /// Time has passed. It counts only while something is open, and as two pulses at most: so it lags by at most one pulse,
    /// unless ticks are late.
    pub(crate) fn pass(&mut self, ms: u64) {
        if std::mem::take(&mut self.unsure) || self.open == 0 {
            return;
        }
        self.now = self.now.saturating_add(ms.min(MOST_PASSED_MS));
    }

    /// Takes an exchange in, or gives it back if there is no memory for it.
    pub(crate) fn insert(&mut self, exchange: Exchange) -> Result<Ticket, Box<Exchange>> {
        let held = exchange.held();
        let large = exchange.announces_more_than(LARGE_BYTES);
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
                let missing = self.slots.try_reserve(1).is_err()
                    // So that giving back a slot needs no memory.
                    || self.free.try_reserve(self.slots.len().saturating_add(1)).is_err()
                    || self.due.reserve(index).is_none()
                    || self.ranks.reserve(index).is_none();
                if missing {
                    return Err(Box::new(exchange));
                }
                self.slots.push(Slot {
                    turn: 0,
                    exchange: None,
                    pace: Pace::new(0, false),
                    ranked: false,
                });
                index
            }
        };
        let Some(slot) = slot(&mut self.slots, index) else {
            return Err(Box::new(exchange));
        };
        slot.turn = slot.turn.wrapping_add(1);
        slot.exchange = Some(exchange);
        slot.pace = Pace::new(self.now, large);
        slot.ranked = false;
        let turn = slot.turn;
        if self.open == 0 {
            self.unsure = true;
            self.swept = self.swept.max(self.now / 1_000);
        }
        self.open = self.open.saturating_add(1);
        self.bytes = self.bytes.saturating_add(held);
        self.new_bytes = self.new_bytes.saturating_add(held);
        let due = self.second(self.now.saturating_add(FIRST_LOOK_MS));
        self.due.push(index, due);
        if large {
            self.rank(index);
        }
        Ok(Ticket { slot: index, turn })
    }

    /// The exchange, unless it is over.
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Exchange> {
        let slot = self.slots.get(usize::try_from(ticket.slot).ok()?)?;
        let exchange = slot.exchange.as_ref()?;
        (slot.turn == ticket.turn).then_some(exchange)
    }

    fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot> {
        let slot = slot(&mut self.slots, ticket.slot)?;
        (slot.turn == ticket.turn && slot.exchange.is_some()).then_some(slot)
    }

    /// Takes an exchange out.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Exchange> {
        let slot = self.slot(ticket)?;
        let exchange = slot.exchange.take()?;
        let ranked = slot.ranked;
        let held = exchange.held();
        self.due.remove(ticket.slot);
        if ranked {
            self.ranks.remove(ticket.slot);
        } else {
            self.new_bytes = self.new_bytes.saturating_sub(held);
        }
        self.bytes = self.bytes.saturating_sub(held);
        self.open = self.open.saturating_sub(1);
        self.free.push(ticket.slot);
        Some(exchange)
    }

    /// Takes out any one that is open.
    pub(crate) fn take(&mut self) -> Option<Exchange> {
        let index = self.due.first(self.swept)?.index;
        let turn = slot(&mut self.slots, index)?.turn;
        self.remove(Ticket { slot: index, turn })
    }

    /// Runs a change on an exchange, then charges what the exchange holds.
    pub(crate) fn change<T>(
        &mut self,
        ticket: Ticket,
        change: impl FnOnce(&mut Exchange) -> T,
    ) -> Option<T> {
        let slot = self.slot(ticket)?;
        let ranked = slot.ranked;
        let exchange = slot.exchange.as_mut()?;
        let before = exchange.held();
        let result = change(exchange);
        let held = exchange.held();
        let charge = |all: usize| all.saturating_sub(before).saturating_add(held);
        self.bytes = charge(self.bytes);
        if !ranked {
            self.new_bytes = charge(self.new_bytes);
        }
        Some(result)
    }

    /// `size` more bytes of its body arrive. Returns what it needs for them, unless it is over.
    pub(crate) fn grows(&mut self, ticket: Ticket, size: usize) -> Option<Wants> {
        let now = self.now;
        let slot = self.slot(ticket)?;
        slot.pace.grow(size, now);
        let exchange = slot.exchange.as_ref()?;
        let wants = exchange.wants(exchange.needs(size));
        if !slot.ranked && slot.pace.is_large() {
            self.rank(ticket.slot);
        }
        Some(wants)
    }

    /// Appends a piece of the body.
    pub(crate) fn push(
        &mut self,
        ticket: Ticket,
        size: usize,
        room: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Result<(), Refusal> {
        let pushed = self.change(ticket, |exchange| exchange.capture().push(size, room, fill));
        pushed.unwrap_or(Err(Refusal::Unreadable))
    }

    /// From now on it may have to give way.
    fn rank(&mut self, index: u32) {
        let Some(slot) = slot(&mut self.slots, index) else {
            return;
        };
        if std::mem::replace(&mut slot.ranked, true) {
            return;
        }
        let held = slot.exchange.as_ref().map_or(0, Exchange::held);
        self.new_bytes = self.new_bytes.saturating_sub(held);
        self.ranks.push(index, slot.pace.rank());
    }

    /// The slowest-growing exchange that may give way to `ticket`: never `ticket` itself, and never a newcomer. If `ticket`
    /// is not a newcomer, it must grow faster. An exchange that grows well gives way only `if_fast`.
    pub(crate) fn slower_than(&mut self, ticket: Option<Ticket>, if_fast: bool) -> Option<Ticket> {
        let now = self.now;
        let own = ticket.and_then(|ticket| self.slot(ticket)).map(|slot| {
            let newcomer = !slot.ranked || slot.pace.is_new(now);
            (!newcomer).then(|| slot.pace.growth())
        });
        let bar = own.flatten().unwrap_or(u64::MAX);
        let index = self.slowest(ticket.map(|ticket| ticket.slot))?;
        let slot = slot(&mut self.slots, index)?;
        let gives_way = slot.pace.growth() < bar && (if_fast || !slot.pace.is_fast(now));
        let turn = slot.turn;
        gives_way.then_some(Ticket { slot: index, turn })
    }

    /// The slowest-growing of the lowest by rank. Those that have become faster are moved up on the way.
    fn slowest(&mut self, except: Option<u32>) -> Option<u32> {
        let mut best: Option<(u64, u32)> = None;
        // Whether one that may give way was already where it belongs.
        let mut sure = false;
        let lowest = pace::lowest_rank(self.now);
        let mut place = self.ranks.first(lowest);
        for _ in 0..MOST_LOOKS {
            let Some(Place { index, list }) = place else {
                break;
            };
            place = self.ranks.next(index, lowest);
            let Some(slot) = slot(&mut self.slots, index) else {
                break;
            };
            let (growth, rank) = (slot.pace.growth(), slot.pace.rank());
            let stays = Lists::same(rank, list);
            if !stays {
                self.ranks.remove(index);
                self.ranks.push(index, rank);
            }
            if Some(index) != except {
                sure |= stays;
                if best.is_none_or(|(least, _)| growth < least) {
                    best = Some((growth, index));
                }
            }
            // Everything after this list has grown more, even where its place is out of date.
            let last = place.is_none_or(|next| next.list != list);
            if last && sure {
                break;
            }
        }
        best.map(|(_, index)| index)
    }

    /// Among the oldest newcomers, the one that has received least of late, which gives way to `ticket`. `ticket` must grow
    /// well and not be a newcomer itself.
    pub(crate) fn idle_newcomer(&mut self, ticket: Ticket) -> Option<Ticket> {
        let now = self.now;
        self.slot(ticket)
            .filter(|slot| slot.ranked && slot.pace.is_fast(now))?;
        let start = self.swept.saturating_add(1);
        let mut place = self.due.first(start);
        let mut best: Option<(u64, Ticket)> = None;
        for _ in 0..MOST_LOOKS {
            let Some(Place { index, .. }) = place else {
                break;
            };
            place = self.due.next(index, start);
            let Some(slot) = slot(&mut self.slots, index).filter(|slot| !slot.ranked) else {
                continue;
            };
            let (growth, turn) = (slot.pace.growth(), slot.turn);
            if best.is_none_or(|(least, _)| growth < least) {
                best = Some((growth, Ticket { slot: index, turn }));
            }
        }
        best.map(|(_, ticket)| ticket)
    }

    /// Looks at one exchange that is due.
    pub(crate) fn sweep(&mut self) -> Swept {
        let now = self.now;
        while self.swept < now / 1_000 {
            let next = self.swept.saturating_add(1);
            let Some(index) = self.due.head(next) else {
                self.swept = next;
                continue;
            };
            return self.look(index, now);
        }
        Swept::Nothing
    }

    fn look(&mut self, index: u32, now: u64) -> Swept {
        self.rank(index);
        let Some(slot) = slot(&mut self.slots, index) else {
            return Swept::Nothing;
        };
        let ticket = Ticket {
            slot: index,
            turn: slot.turn,
        };
        match slot.pace.next_look(now) {
            Some(due) => {
                let rank = slot.pace.rank();
                let due = self.second(due);
                self.due.remove(index);
                self.due.push(index, due);
                self.ranks.remove(index);
                self.ranks.push(index, rank);
                Swept::Kept
            }
            None => self
                .remove(ticket)
                .map_or(Swept::Kept, |exchange| Swept::Slow(Box::new(exchange))),
        }
    }

    /// The first whole second not before this one. It may be one earlier, because there are only so many lists.
    fn second(&self, ms: u64) -> u64 {
        ms.div_ceil(1_000)
            .min(self.swept.saturating_add(lists::SPAN))
    }

    /// In how many milliseconds the clock must be read next: soon if a sweep was not complete.
    pub(crate) fn next_pulse(&self) -> Option<u64> {
        const SOON_MS: u64 = 10;
        let behind = self.swept < self.now / 1_000;
        let pulse = if behind { SOON_MS } else { PULSE_MS };
        (self.open > 0).then_some(pulse)
    }
}

fn slot(slots: &mut [Slot], index: u32) -> Option<&mut Slot> {
    slots.get_mut(usize::try_from(index).ok()?)
}

#[cfg(test)]
mod tests;
