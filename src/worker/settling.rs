//! The end of a callback: whether the drain is over, what is published, and when the next tick is due.

use super::books::Gauges;
use super::requests::legs_of;
use super::{Callback, Life, MAX_LOST, PUBLISH_MS, Stage, Worker, signing};
use crate::log::Level;
use crate::metric::Metric;
use crate::time::{Millis, Moment};
use crate::worker::effect::Effect;

impl Worker {
    /// Everything is sent: what else is to be done before the callback ends?
    pub(super) fn settle_callback(&mut self, now: Millis) {
        let callback = std::mem::replace(&mut self.callback, Callback::Request);
        (self.sends, self.steps) = (0, 0);
        self.stage = Stage::Settled;
        let over = callback != Callback::Request && self.is_over(callback, now);
        if self.publishes(callback, over, now) {
            self.publish(now);
        }
        let side = self.sls.as_deref();
        let sign = self.sign.as_deref();
        let collecting = self.collecting.bytes();
        let stale = self.book.is_stale(self.gauges())
            || side.is_some_and(|side| side.book.is_stale(side.gauges(collecting)))
            || sign.is_some_and(|sign| sign.book.is_stale(sign.gauges()));
        let unpublished = (stale || self.is_pressing()).then(|| self.publish_due(now));
        self.publishing_soon = unpublished.is_some();
        let drained = match self.life {
            Life::Draining { until } => Some(until),
            Life::Serving | Life::Over => None,
        };
        let (steady, wall) = (now, self.wall);
        let moment = Moment { steady, wall };
        let logs = self.sls.as_deref().and_then(|side| side.leg.due(moment));
        let keys = self.sign.as_deref().and_then(signing::Side::due);
        let pulse = self.next_pulse(now);
        let account = self.account.due(now);
        let due = [
            self.outbox.due(now),
            logs,
            keys,
            drained,
            unpublished,
            pulse,
            account,
        ];
        let due = due.into_iter().flatten().min();
        let period = match callback {
            Callback::Request => due.and_then(|due| self.ticker.hurry(now, due)),
            _ => self.ticker.settle(now, due, callback == Callback::Tick),
        };
        self.effects.extend(period.map(Effect::SetTick));
        if over {
            self.effects.push_back(Effect::Done);
        }
    }

    /// Whether the drain ends in this callback. What is still pending then is lost.
    fn is_over(&mut self, callback: Callback, now: Millis) -> bool {
        if let Life::Draining { until } = self.life
            && now >= until
        {
            // What is lost is freed a little at a time, unless nothing comes after this.
            let most = match callback {
                Callback::LifeCycle => usize::MAX,
                _ => MAX_LOST,
            };
            if !self.lose(most) {
                return false;
            }
        }
        let over = match self.life {
            Life::Draining { until } => {
                now >= until || (self.is_idle() && self.collecting.len() == 0)
            }
            Life::Serving | Life::Over => false,
        };
        if over {
            self.life = Life::Over;
        }
        if self.life == Life::Over {
            self.lose(usize::MAX);
            let forwarded = std::mem::take(&mut self.forwarded);
            self.book.ledger.grow(Metric::Dropped, forwarded);
            let [copies, logs] = std::mem::take(&mut self.lost);
            let copies = copies.saturating_add(forwarded);
            let logs = self.sls.as_deref_mut().map_or(0, |side| {
                let (leg, mut books) = side.with(&mut self.log);
                leg.give_up(&mut books).saturating_add(logs)
            });
            if copies > 0 || logs > 0 {
                let text = format!(
                    "{copies} copies and {logs} logs were still pending at the end of the drain and are lost"
                );
                self.log.say(Level::Error, text);
            }
        }
        over
    }

    /// Gives up on so many bodies, on so many copies, and then on so many writes. `true` if none is left.
    fn lose(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(exchange) = self.collecting.take() else {
                break;
            };
            let legs = legs_of(&exchange);
            for (lost, leg) in self.lost.iter_mut().zip(legs) {
                *lost = lost.saturating_add(leg.iter().len());
            }
            self.drop_unfinished(legs);
        }
        if self.collecting.len() > 0 {
            return false;
        }
        let [copies, logs] = &mut self.lost;
        let given_up = std::iter::from_fn(|| self.outbox.give_up()).take(most);
        let count = given_up.count();
        *copies = copies.saturating_add(count);
        self.book.ledger.grow(Metric::Dropped, count);
        if !self.outbox.is_empty() {
            return false;
        }
        let Some(side) = &mut self.sls else {
            return true;
        };
        let (leg, mut books) = side.with(&mut self.log);
        let written = leg.give_up_writes(most, &mut books);
        let unread = leg.give_up_unread(most, &mut books);
        *logs = logs.saturating_add(written).saturating_add(unread);
        leg.has_no_backlog()
    }

    fn publishes(&self, callback: Callback, over: bool, now: Millis) -> bool {
        let quiet = self
            .last_published
            .is_none_or(|last| now.since(last) >= PUBLISH_MS);
        match callback {
            Callback::Request => false,
            Callback::Answer => over || (quiet && self.is_idle()),
            Callback::Tick => over || quiet,
            Callback::LifeCycle => true,
        }
    }

    fn publish_due(&self, now: Millis) -> Millis {
        let latest = now.after(PUBLISH_MS);
        match self.last_published {
            Some(last) => last.after(PUBLISH_MS).clamp(now, latest),
            None => latest,
        }
    }

    fn publish(&mut self, now: Millis) {
        self.last_published = Some(now);
        let (sets, gauges) = (self.host().sets_gauges, self.gauges());
        self.book.publish(sets, gauges, &mut self.effects);
        if let Some(side) = &mut self.sls {
            let gauges = side.gauges(self.collecting.bytes());
            side.book.publish(sets, gauges, &mut self.effects);
        }
        if let Some(side) = &mut self.sign {
            let gauges = side.gauges();
            side.book.publish(sets, gauges, &mut self.effects);
        }
        self.account.set(self.held());
        let effects = &mut self.effects;
        let last = self.life == Life::Over;
        self.log.flush(now, last, |level, line| {
            effects.push_back(Effect::Log(level, line))
        });
    }

    fn gauges(&self) -> Gauges {
        let outbox = &self.outbox;
        let [pending, in_flight] =
            [outbox.len(), outbox.in_flight()].map(|n| n.saturating_add(self.forwarded));
        let collecting = self.collecting.bytes();
        [pending, outbox.bytes(), in_flight, 0, collecting]
    }

    pub(super) fn is_pressing(&self) -> bool {
        let side = self.sls.as_deref();
        let sign = self.sign.as_deref();
        self.book.ledger.is_pressing()
            || side.is_some_and(|side| side.book.ledger.is_pressing())
            || sign.is_some_and(|sign| sign.book.ledger.is_pressing())
    }

    fn is_idle(&self) -> bool {
        let side = self.sls.as_deref();
        let sign = self.sign.as_deref();
        self.outbox.is_empty()
            && self.forwarded == 0
            && side.is_none_or(|side| side.leg.is_idle())
            && sign.is_none_or(signing::Side::is_idle)
    }
}
