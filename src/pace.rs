//! How often slices of deferred work come: never so often that they fill up a worker's time.
//!
//! After a slice that took t, the next one comes 2.5 t later, but at least a millisecond. So deferred work gets at most some
//! 30 % of the time, however slow the machine is, and the rest is for the requests of all clients.

use crate::time::Millis;

/// The time between two slices, in halves of the time that the first one took.
const HALVES: u64 = 5;
/// No slice of [`TICK`](crate::meter::TICK) units takes this long. A clock that says so has jumped.
const LONGEST_MS: u64 = 100;

/// Work of more units counts as a slice. For less, it is not worth reading the clock when it ends.
const SLICE: u64 = 200_000;
/// No pause is longer, whatever the clock says.
const LONGEST_REST_MS: u64 = 250;

/// When the next slice may come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When the slice began whose end has not been reported.
    begun: Option<Millis>,
    /// When the last slice ended.
    ended: Millis,
    next: Millis,
}

impl Pace {
    /// When the next slice may come. In the past: at once.
    #[must_use]
    pub fn next(&self) -> Millis {
        self.next
    }

    /// Whether a slice may come now. If the clock stands still it may: nothing should wait for ever.
    #[must_use]
    pub fn is_due(&self, now: Millis) -> bool {
        self.next <= now || now <= self.ended
    }

    /// When work waiting in a leg resumes: no sooner than the next tick.
    #[must_use]
    pub fn due(&self, now: Millis) -> Millis {
        let rested = self.next.min(now.after(LONGEST_REST_MS));
        rested.max(now.after(1))
    }

    /// This many units of work were done from `now` on. `true` if that was a slice: then [`worked`](Self::worked) must be
    /// told when it ended.
    pub fn spent(&mut self, units: u64, now: Millis) -> bool {
        self.begun = (units > SLICE).then_some(now);
        self.begun.is_some()
    }

    /// The slice, if there was one, has ended.
    pub fn worked(&mut self, now: Millis) {
        if let Some(begun) = self.begun.take() {
            self.took(begun, now);
        }
    }

    /// A slice took from `begun` to `ended`.
    pub fn took(&mut self, begun: Millis, ended: Millis) {
        let took = ended.since(begun).min(LONGEST_MS);
        let rest = took.saturating_mul(HALVES).div_ceil(2).max(1);
        self.ended = ended;
        self.next = ended.after(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use crate::time::Millis;

    #[test]
    fn slices_have_less_than_a_third_of_the_time() {
        let mut pace = Pace::default();
        assert!(pace.is_due(Millis(0)));
        for (took, rest) in [(0, 1), (1, 3), (2, 5), (10, 25), (1 << 40, 250)] {
            let begun = Millis(1_000);
            let ended = begun.after(took);
            pace.took(begun, ended);
            assert_eq!(pace.next(), ended.after(rest));
            let soon = (1..rest).any(|ms| pace.is_due(ended.after(ms)));
            assert!(!soon && pace.is_due(ended.after(rest)), "{took}");
            assert!(pace.is_due(ended), "the clock stands still");
        }
    }
    #[test]
    fn little_work_is_no_slice() {
        let mut pace = Pace::default();
        let now = Millis(1_000);
        assert!(!pace.spent(200_000, now));
        pace.worked(now.after(50));
        assert_eq!((pace.is_due(now), pace.due(now)), (true, now.after(1)));
        assert!(pace.spent(200_001, now));
        let ended = now.after(50);
        pace.worked(ended);
        assert_eq!(pace.due(ended), ended.after(125));
        assert_eq!(pace.due(now.after(1)), ended.after(125));
        // The clock was set back.
        assert_eq!(pace.due(Millis(1)), Millis(251));
    }
}
