//! What the host is told besides calls: counters and gauges, the log, and when to wake us.
//!
//! Counters are published together, so that they always add up. They are published at once if nothing is pending and nothing
//! was published in the last [`PUBLISH_MS`]; otherwise that much later.

use super::account::Account;
use super::legs::Legs;
use super::schedule::Callback;
use super::ticker::Ticker;
use crate::effect::Effect;
use crate::host::HostKind;
use crate::time::Millis;
use std::collections::VecDeque;

/// The shortest time between publications: a few host calls per batch, not ten per request.
const PUBLISH_MS: u64 = 100;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) effects: VecDeque<Effect<'static>>,
    pub(super) ticker: Ticker,
    /// What the gauges have added, for whoever follows this instance.
    pub(super) account: Account,
    /// The tick that will publish what was counted is on its way.
    pub(super) is_due_soon: bool,
    sets_gauges: bool,
    last: Option<Millis>,
}

impl Publisher {
    pub(super) fn new(host: HostKind, seed: u64) -> Self {
        Self {
            effects: VecDeque::new(),
            ticker: Ticker::new(host),
            account: Account::new(seed, host.traits().shares_data),
            is_due_soon: false,
            sets_gauges: host.traits().sets_gauges,
            last: None,
        }
    }

    /// Whether this callback publishes. `over`: nothing comes after it.
    pub(super) fn publishes(
        &self,
        callback: Callback,
        over: bool,
        idle: bool,
        now: Millis,
    ) -> bool {
        let quiet = self.last.is_none_or(|last| now.since(last) >= PUBLISH_MS);
        match callback {
            Callback::Request => false,
            Callback::Answer => over || (quiet && idle),
            Callback::Tick => over || quiet,
            Callback::LifeCycle => true,
        }
    }

    /// When changes will be published.
    pub(super) fn due(&self, now: Millis) -> Millis {
        let latest = now.after(PUBLISH_MS);
        match self.last {
            Some(last) => last.after(PUBLISH_MS).clamp(now, latest),
            None => latest,
        }
    }

    /// Publishes everything that has changed, in one go. `last`: nothing comes after it.
    pub(super) fn publish(&mut self, legs: &mut Legs, collecting: usize, last: bool, now: Millis) {
        self.last = Some(now);
        legs.publish(self.sets_gauges, collecting, &mut self.effects);
        self.account.set(super::accounts::held(legs));
        let effects = &mut self.effects;
        legs.log.flush(now, last, |level, line| {
            effects.push_back(Effect::Log(level, line));
        });
    }
}
