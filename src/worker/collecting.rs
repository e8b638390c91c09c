//! Bodies being received: how much room they get, and what happens to slow ones.
//!
//! *Room.* A body is charged with the bytes of it that have arrived. All bodies together hold at most half of a leg's budget,
//! and no more than the leg has free. With two legs a body is collected while either has room for it, and is charged once, to
//! both. The other half is for what is complete. So is a second Sentry's whole budget: bodies being received are not charged
//! to it.
//!
//! *Giving way.* When the half is full, the slowest-growing body is dropped for one that grows faster or for a newcomer: a
//! body of up to 256 KiB that began less than 30 s ago. Bodies younger than two seconds give way to none, unless they hold
//! more than a quarter of the half. Then a body that grows well gives way to none of them, and they give way to it, so nobody
//! can drive it out with many small beginnings. What is pending never gives way, and nothing gives way to it.
//!
//! *Giving up.* No byte for 30 s, or after 30 s less than 1 KiB/s. Ticks find this; they come every second while a body is
//! being received. On nginx bodies arrive whole: nothing is given up, nothing gives way, and there is no half.

use super::{Worker, report};
use crate::copies::capture::Refusal;
use crate::outcome::SkipReason;
use crate::time::Millis;
use crate::worker::collect::{Collecting, PULSE_MS, Swept, Ticket};
use crate::worker::exchange::{Exchange, Parts};
use crate::worker::wanted::{SENTRY, Wants};

/// The most bodies that give way in one callback.
const MOST_VICTIMS: usize = 32;
/// Looks at slow bodies in one tick, including those that are given up. The rest follows with the next ticks.
const MOST_LOOKS: usize = 128;
const MOST_GIVEN_UP: usize = 32;

impl Worker {
    /// An open exchange, unless it is over.
    #[must_use]
    pub fn exchange(&self, ticket: Ticket) -> Option<&Exchange> {
        self.collecting.get(ticket)
    }

    /// Begins to collect a body, if it may turn out to fit.
    pub(crate) fn open(&mut self, parts: Parts) -> Result<Ticket, (Box<Parts>, Refusal)> {
        let exchange = Exchange::new(parts, self.config.limits.max_body_bytes)
            .map_err(|parts| (parts, Refusal::TooLarge))?;
        let wants = exchange.wants(exchange.held());
        if self.make_room(None, wants) < wants.bytes {
            return Err((exchange.restart(), Refusal::NoRoom));
        }
        let opened = self.collecting.insert(exchange);
        let ticket = opened.map_err(|exchange| (exchange.restart(), Refusal::NoRoom))?;
        // Nothing else might wake the worker.
        let now = self.clock.last().steady;
        if !self.publisher.ticker.comes_by(now, now.after(PULSE_MS)) {
            self.wake();
        }
        Ok(ticket)
    }

    /// A piece of a body arrives.
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

    /// How much a body may grow by. If that is less than it wants, others give way.
    fn make_room(&mut self, ticket: Option<Ticket>, wants: Wants) -> usize {
        let (half, room) = (self.half(), self.room(wants));
        let free = room.min(half).saturating_sub(self.collecting.bytes());
        if free < wants.bytes && wants.bytes <= half && half <= room {
            return self.drive_out(ticket, wants.bytes, half);
        }
        free
    }

    /// How much a body may grow by, given how much of the half it needs. Others give way.
    // Seldom needed: kept apart so that other calls do not pay for it.
    #[inline(never)]
    fn drive_out(&mut self, ticket: Option<Ticket>, needs: usize, half: usize) -> usize {
        let free = |collecting: &Collecting| half.saturating_sub(collecting.bytes());
        for _ in 0..MOST_VICTIMS {
            // This many newcomers at a time is not ordinary traffic.
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

    /// A body is collected while one leg has room.
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

    /// What all bodies being received may hold.
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

    /// A tick's share of the work: bodies that are too slow are given up.
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
