//! When the root context must wake up, and what to tell the host for that.
//!
//! Envoy: a tick is requested when there is something to do and cancelled when there is not, so that an idle edge does nothing at
//! all. nginx allows one such call in the life of an instance (manual: hosts, "One tick period"): there the tick always runs.

use crate::host::HostKind;
use crate::time::Millis;

/// The shortest tick: how soon a copy leaves.
const SOON_MS: u32 = 1;
/// No timer is longer than this: the host's clock may jump.
const LONGEST_MS: u64 = 60_000;
/// A tick this late will not come when expected: the clock has jumped ahead.
const LATE_MS: u64 = 1_000;

/// The state of the host's timer.
#[derive(Debug)]
pub struct Ticker {
    /// The only period possible, if there is only one.
    fixed_ms: Option<u32>,
    /// When the host ticks next, as far as was requested.
    armed: Option<Millis>,
    /// The period that the host repeats by itself.
    period: u32,
    started: bool,
}

impl Ticker {
    /// No tick has been requested yet.
    #[must_use]
    pub fn new(host: HostKind) -> Self {
        Self {
            fixed_ms: host.traits().fixed_tick_ms,
            armed: None,
            period: 0,
            started: false,
        }
    }

    /// The period to set so that a tick comes at `due` or sooner; `None` if one will anyway. For request callbacks: it never
    /// postpones a tick.
    pub fn hurry(&mut self, now: Millis, due: Millis) -> Option<u32> {
        if self.fixed_ms.is_some() || self.comes_by(now, due) {
            return None;
        }
        Some(self.arm(now, due))
    }

    /// The period to set for the next tick at `due`, or for none. For root callbacks. `ticked` says that the armed tick has
    /// come; a period left unchanged would repeat it.
    pub fn settle(&mut self, now: Millis, due: Option<Millis>, ticked: bool) -> Option<u32> {
        if let Some(fixed) = self.fixed_ms {
            let first = !std::mem::replace(&mut self.started, true);
            return first.then_some(fixed);
        }
        match (due, self.armed) {
            (None, None) => None,
            (None, Some(_)) => {
                self.armed = None;
                self.period = 0;
                Some(0)
            }
            // A tick that comes too early costs less than postponing it at every answer.
            (Some(due), _) if !ticked && self.comes_by(now, due) => None,
            (Some(due), _) => {
                let repeated = self.period;
                let period = self.arm(now, due);
                (!ticked || period != repeated).then_some(period)
            }
        }
    }

    /// Whether a tick comes at `due` or sooner.
    #[must_use]
    pub fn comes_by(&self, now: Millis, due: Millis) -> bool {
        let soonest = due.max(now.after(u64::from(SOON_MS)));
        self.armed
            .is_some_and(|armed| armed <= soonest && now.since(armed) < LATE_MS)
    }

    /// The host did not take the last period.
    pub fn refused(&mut self) {
        self.armed = None;
        self.period = 0;
    }

    fn arm(&mut self, now: Millis, due: Millis) -> u32 {
        let wait = due.since(now).min(LONGEST_MS);
        let period = u32::try_from(wait).unwrap_or(SOON_MS).max(SOON_MS);
        self.armed = Some(now.after(u64::from(period)));
        self.period = period;
        period
    }
}

#[cfg(test)]
mod tests {
    use super::Ticker;
    use crate::host::HostKind;
    use crate::time::Millis;

    const T: Millis = Millis(1_000);

    #[test]
    fn envoy_ticks_only_when_there_is_something_to_do() {
        let mut ticker = Ticker::new(HostKind::Envoy);
        assert_eq!(ticker.settle(T, None, false), None);
        assert_eq!(ticker.hurry(T, T), Some(1));
        assert_eq!(ticker.hurry(T, T.after(1)), None, "already on its way");
        assert_eq!(ticker.hurry(T, T), None, "no tick comes sooner");
        assert_eq!(
            ticker.settle(T.after(1), Some(T.after(500)), true),
            Some(499)
        );
        assert_eq!(
            ticker.settle(T.after(2), Some(T.after(900)), false),
            None,
            "not put off"
        );
        assert_eq!(ticker.hurry(T.after(3), T.after(3)), Some(1));
        assert_eq!(
            ticker.settle(T.after(4), Some(T.after(5)), true),
            None,
            "it repeats"
        );
        assert_eq!(ticker.settle(T.after(5), None, true), Some(0));
        assert_eq!(ticker.settle(T.after(6), None, false), None);
    }

    #[test]
    fn a_distant_or_past_due_time_gives_a_sane_period() {
        let mut ticker = Ticker::new(HostKind::Envoy);
        assert_eq!(ticker.hurry(T, Millis(u64::MAX)), Some(60_000));
        assert_eq!(ticker.hurry(T, Millis(0)), Some(1));
    }

    #[test]
    fn a_clock_that_jumps_does_not_lose_the_tick() {
        let mut ticker = Ticker::new(HostKind::Envoy);
        ticker.hurry(T, T.after(50_000));
        let later = T.after(3_600_000);
        assert_eq!(
            ticker.settle(later, Some(later.after(10)), false),
            Some(10),
            "ahead"
        );
        assert_eq!(ticker.hurry(T, T.after(10)), Some(10), "back");
    }

    #[test]
    fn nginx_is_told_once() {
        let mut ticker = Ticker::new(HostKind::Nginx);
        assert_eq!(ticker.settle(T, None, false), Some(4));
        assert_eq!(ticker.hurry(T, T), None);
        assert_eq!(ticker.settle(T, Some(T), true), None);
        assert_eq!(ticker.settle(T, None, true), None);
    }
}
