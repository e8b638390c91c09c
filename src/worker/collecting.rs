//! Bodies that are being received: the room that they get, and what becomes of those that are slow.
//!
//! *Room.* A body is charged with what has come of it. All together hold at most half of a leg's budget, and no more than
//! a leg has free: with two legs a body is collected while either of them has room for it, and charged once, to both. A second
//! Sentry's budget is for what is complete: bodies that are being received are not charged to it. The
//! other half is for what is complete.
//!
//! *Giving way.* When the half is full, the body that grows slowest is dropped for one that grows faster, or for a newcomer:
//! one of up to 256 KiB that began less than 30 s ago. Those that are younger than two seconds give way to nobody, unless
//! they hold more than a quarter of the half: then one that grows well gives way to none of them, and they give way to it. So
//! nobody drives it out with many small beginnings. What is pending never gives way, and nothing gives way to what is
//! pending.
//!
//! *Giving up.* No byte for 30 s, or after 30 s less than 1 KiB/s: found by ticks, which come every second while a body is
//! being received. On nginx, where bodies come whole, nothing is given up, nothing gives way, and there is no half.

use super::{Worker, report};
use crate::copies::capture::Refusal;
use crate::outcome::SkipReason;
use crate::time::Millis;
use crate::worker::collect::{Collecting, PULSE_MS, Swept, Ticket};
use crate::worker::exchange::{Exchange, Parts};
use crate::worker::wanted::{SENTRY, Wants};

/// So many bodies give way in one callback at most.
const MOST_VICTIMS: usize = 32;
/// Looks at slow bodies in one tick, and of these, those that are given up: the rest follows with the next ticks.
const MOST_LOOKS: usize = 128;
const MOST_GIVEN_UP: usize = 32;

impl Worker {
    /// An open exchange, unless it is over.
    #[must_use]
    pub fn exchange(&self, ticket: Ticket) -> Option<&Exchange> {
        self.collecting.get(ticket)
    }

    /// Begins to collect a body, if it may become one that fits.
    pub(crate) fn open(&mut self, parts: Parts) -> Result<Ticket, (Box<Parts>, Refusal)> {
        let exchange = Exchange::new(parts, self.config.limits.max_body_bytes)
            .map_err(|parts| (parts, Refusal::TooLarge))?;
        let wants = exchange.wants(exchange.held());
        if self.make_room(None, wants) < wants.bytes {
            return Err((exchange.restart(), Refusal::NoRoom));
        }
        let opened = self.collecting.insert(exchange);
        let ticket = opened.map_err(|exchange| (exchange.restart(), Refusal::NoRoom))?;
        // Nothing else may wake the worker.
        let now = self.clock.last().steady;
        if !self.publisher.ticker.comes_by(now, now.after(PULSE_MS)) {
            self.wake();
        }
        Ok(ticket)
    }

    /// A piece of a body comes.
    pub(super) fn collect(
        &mut self,
        ticket: Ticket,
        size: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Result<(), Refusal> {
        let wants = self.collecting.grows(ticket, size).ok_or(Refusal::NoRoom)?;
        let room = match wants.bytes {
            0 => 0,
            _ => self.make_room(Some(ticket), wants),
        };
        self.collecting.push(ticket, size, room, fill)
    }

    /// What a body may grow by. When that is less than it wants, others give way.
    fn make_room(&mut self, ticket: Option<Ticket>, wants: Wants) -> usize {
        let (half, room) = (self.half(), self.room(wants));
        let free = room.min(half).saturating_sub(self.collecting.bytes());
        if free < wants.bytes && wants.bytes <= half && half <= room {
            return self.drive_out(ticket, wants.bytes, half);
        }
        free
    }

    /// What a body may grow by, of a half that it needs so much of: others give way.
    // Seldom: apart, so that others do not pay for it.
    #[inline(never)]
    fn drive_out(&mut self, ticket: Option<Ticket>, needs: usize, half: usize) -> usize {
        let free = |collecting: &Collecting| half.saturating_sub(collecting.bytes());
        for _ in 0..MOST_VICTIMS {
            // So many newcomers at a time are no ordinary traffic.
            let crowded = self.collecting.new_bytes() > half / 4;
            let slowest = self.collecting.slower_than(ticket, !crowded);
            let newcomer = ticket.filter(|_| crowded && slowest.is_none());
            let newcomer = newcomer.and_then(|own| self.collecting.idle_newcomer(own));
            let Some(victim) = slowest.or(newcomer) else {
                break;
            };
            self.give_way(victim);
            if free(&self.collecting) >= needs {
                break;
            }
        }
        free(&self.collecting)
    }

    /// While one leg has room, a body is collected.
    pub(crate) fn room(&self, wants: Wants) -> usize {
        let legs = &self.legs;
        let rum = wants.rum;
        let rum = rum.and_then(|share| Some(legs.rum.as_ref()?.leg.room(share)));
        let sls = legs.sls.as_ref().filter(|_| wants.sls);
        let sls = sls.map(|sls| sls.leg.room());
        let sentries = legs.sentries.iter().zip(SENTRY..);
        let sentries = sentries.filter(|(_, place)| wants.sentries.has(*place));
        let sentries = sentries.map(|(sentry, _)| sentry.leg.room(0)).max();
        rum.max(sls).max(sentries).unwrap_or_default()
    }

    /// What all bodies that are being received may hold.
    fn half(&self) -> usize {
        self.config.collecting_bytes()
    }

    fn give_way(&mut self, ticket: Ticket) {
        let (held, half) = (self.collecting.bytes(), self.half());
        if let Some(exchange) = self.collecting.remove(ticket) {
            report::gave_way(&mut self.legs.log, held, half);
            self.drop_unfinished(exchange.wanted());
        }
    }

    /// A tick's share: bodies that are too slow are given up.
    pub(super) fn sweep(&mut self) {
        if !self.host().streams_bodies {
            return;
        }
        let mut given_up: usize = 0;
        for _ in 0..MOST_LOOKS {
            match self.collecting.sweep() {
                Swept::Nothing => break,
                Swept::Kept => {}
                Swept::Slow(exchange) => {
                    self.skip_all(exchange.wanted(), SkipReason::Slow);
                    given_up = given_up.saturating_add(1);
                    if given_up >= MOST_GIVEN_UP {
                        break;
                    }
                }
            }
        }
    }

    /// When the next tick must look at the bodies.
    pub(super) fn next_pulse(&self, now: Millis) -> Option<Millis> {
        let pulse = self.collecting.next_pulse();
        let pulse = pulse.filter(|_| self.host().streams_bodies)?;
        Some(now.after(pulse))
    }
}
