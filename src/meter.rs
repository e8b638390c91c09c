//! How much work one callback may still do.
//!
//! A worker serves all its clients in one thread: what a callback does, every other request waits for. So whatever a client
//! can make large is done in steps. A step takes a [`Meter`], spends from it as it works, and stops when it is empty
//! ([`Poll::Pending`](std::task::Poll::Pending)); it goes on where it was in a later callback.
//!
//! Units: about one wasm instruction each. A constant that says what something costs is measured by `make cost`, which fails
//! when a callback takes more instructions than [`CALLBACK`].

/// The most instructions of one callback. It is a bound, not a budget: steps spend [`TICK`] and leave the rest to what a
/// callback does besides.
pub const CALLBACK: u64 = 10_000_000;

/// What a tick hands out to steps.
pub const TICK: u64 = 3_000_000;

/// See the module's documentation.
#[derive(Debug)]
pub struct Meter {
    left: u64,
    spent: u64,
}

impl Meter {
    /// A meter that is empty after so many units.
    #[must_use]
    pub fn new(units: u64) -> Self {
        Self {
            left: units,
            spent: 0,
        }
    }

    /// A meter that is never empty, for tests and for whoever has all the time there is.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// A meter of at most so many units of this one, which is to be charged with what that one spends.
    #[must_use]
    pub fn part(&self, units: u64) -> Self {
        Self::new(self.left.min(units))
    }

    /// Work of so many units was done, or is about to be. More than what is left empties the meter.
    pub fn spend(&mut self, units: u64) {
        self.left = self.left.saturating_sub(units);
        self.spent = self.spent.saturating_add(units);
    }

    /// Work on so many bytes was done, at `per_byte` units each.
    pub fn spend_bytes(&mut self, bytes: usize, per_byte: u64) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.spend(bytes.saturating_mul(per_byte));
    }

    /// Whether it is time to stop.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Whether there are so many units, or the meter is as good as new: what cannot stop in the middle waits for one that is.
    #[must_use]
    pub fn has(&self, units: u64) -> bool {
        self.left >= units || self.spent == 0
    }

    /// How many bytes may be worked on at once, at `per_byte` units each: 0 when the meter is empty, else at least 1024, so
    /// that every step comes on.
    #[must_use]
    pub fn bytes(&self, per_byte: u64) -> usize {
        const LEAST: usize = 1_024;
        if self.is_empty() {
            return 0;
        }
        let bytes = self.left.checked_div(per_byte).unwrap_or(u64::MAX);
        usize::try_from(bytes).unwrap_or(usize::MAX).max(LEAST)
    }

    /// Units spent so far, also beyond what there was.
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
