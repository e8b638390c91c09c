//! How much work one callback may still do.
//!
//! A worker serves all its clients in one thread: every other request waits for what a callback does. So whatever a client
//! can make large is done in steps. A step takes a [`Meter`], spends from it as it works, and stops when it is empty
//! ([`Poll::Pending`](std::task::Poll::Pending)); it resumes in a later callback.
//!
//! Units: about one wasm instruction each. Constants that state a cost are measured by `make cost`, which fails if a callback
//! takes more instructions than [`CALLBACK`].

/// The most instructions of one callback. It is a bound, not a budget: steps spend [`TICK`] and leave the rest to whatever
/// else a callback does.
pub const CALLBACK: u64 = 10_000_000;

/// What a tick gives to steps.
pub const TICK: u64 = 3_000_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Meter {
    left: u64,
    spent: u64,
}

impl Meter {
    /// A meter that is empty after this many units.
    #[must_use]
    pub fn new(units: u64) -> Self {
        Self {
            left: units,
            spent: 0,
        }
    }

    /// A meter that is never empty, for tests and for callers without a time limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// A meter of at most this many units of this one, which must then be charged with what the new one spent.
    #[must_use]
    pub fn part(&self, units: u64) -> Self {
        Self::new(self.left.min(units))
    }

    /// This many units of work were done, or are about to be. More than what is left empties the meter.
    pub fn spend(&mut self, units: u64) {
        self.left = self.left.saturating_sub(units);
        self.spent = self.spent.saturating_add(units);
    }

    /// Work on this many bytes was done, at `per_byte` units each.
    pub fn spend_bytes(&mut self, bytes: usize, per_byte: u64) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.spend(bytes.saturating_mul(per_byte));
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Whether there are this many units, or the meter is as good as new: work that cannot stop halfway waits for such a meter.
    #[must_use]
    pub fn has(&self, units: u64) -> bool {
        self.left >= units || self.spent == 0
    }

    /// How many bytes may be worked on at once, at `per_byte` units each: 0 if the meter is empty, else at least 1024, so
    /// that every step makes progress.
    #[must_use]
    pub fn bytes(&self, per_byte: u64) -> usize {
        const LEAST: usize = 1_024;
        if self.is_empty() {
            return 0;
        }
        let bytes = self.left.checked_div(per_byte).unwrap_or(u64::MAX);
        usize::try_from(bytes).unwrap_or(usize::MAX).max(LEAST)
    }

    /// Units spent so far, including those beyond the limit.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::Meter;

    #[test]
    fn it_is_empty_when_everything_is_spent_and_knows_what_was() {
        let mut meter = Meter::new(10_000);
        assert_eq!((meter.bytes(2), meter.bytes(0)), (5_000, usize::MAX));
        meter.spend_bytes(4_999, 2);
        assert_eq!((meter.bytes(2), meter.is_empty()), (1_024, false));
        meter.spend(50);
        assert_eq!(
            (meter.bytes(2), meter.is_empty(), meter.spent()),
            (0, true, 10_048)
        );
        assert!(!Meter::unlimited().is_empty());
    }
}
