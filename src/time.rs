//! Milliseconds on the host's clock, an input of the core like everything else from outside.
//!
//! The host's clock is the wall clock: it may stand still or jump in either direction. So durations saturate, and nothing
//! here can overflow.

/// A point in time in milliseconds: since the Unix epoch on the host's clock, or since its first callback on a plugin's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment plus `ms` milliseconds.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 if the clock went back in between.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The earliest of these moments, if there is one. The compiler unrolls this loop over an array; it runs in every callback.
#[must_use]
pub(crate) fn earliest<const N: usize>(moments: [Option<Millis>; N]) -> Option<Millis> {
    let mut first = None;
    for moment in moments {
        first = match (first, moment) {
            (Some(first), Some(moment)) if moment > first => Some(first),
            (first, None) => first,
            (_, moment) => moment,
        };
    }
    first
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For waits and ages: it never goes back.
    pub steady: Millis,
    /// The host's clock, for dates that others will read.
    pub wall: Millis,
}

#[cfg(test)]
mod tests {
    use super::Millis;

    #[test]
    fn a_clock_that_goes_back_gives_no_negative_duration() {
        assert_eq!(Millis(5).since(Millis(9)), 0);
        assert_eq!(Millis(u64::MAX).after(1), Millis(u64::MAX));
    }
}
