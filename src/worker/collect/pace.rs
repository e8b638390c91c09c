//! How fast a body arrives: whether that is too slow, and which of two grows more slowly.
//!
//! *Too slow*: no byte for 30 s, or after 30 s less than 1 KiB/s since its beginning. The clock may lag by one pulse when a
//! byte arrives, so both limits get an extra second: no body is given up early.
//!
//! *Growth* is what has arrived, each byte losing half of its worth every [`HALF_LIFE_MS`]. So a body that stops falls behind
//! all that go on within a few seconds, whatever it received before. All decay at the same rate, so the order of two does not
//! change with time, and growth can be kept as a number that changes only when a byte arrives:
//! `log2(worth at t) + t / HALF_LIFE_MS`.

use super::PULSE_MS;

/// No byte for this long is too slow. No body is too slow before.
const PATIENCE_MS: u64 = 30_000;
/// Fewer bytes per second than this is too slow.
const LEAST_BYTES: u64 = 1_024;
/// 2^12, so that shifts can be used.
const HALF_LIFE_MS: u64 = 4_096;
/// Of the growth: 256 is a factor of two.
const FRACTION_BITS: u32 = 8;
/// With this worth, a body grows well: about 11 KiB/s for some time, or 64 KiB just now.
const FAST_BYTES: u64 = 65_536;
/// More than any body can be worth: it keeps a product small.
const MOST_WORTH: u64 = 1 << 50;
/// A body cannot rank further than this below the growth of a body worth nothing now, unless it is given up.
const RANKS_BELOW: u64 = 20;

/// See the module's documentation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: u64,
    /// When the last byte arrived.
    touched: u64,
    came: usize,
    /// What it was worth then.
    worth: u64,
    /// It is larger than a newcomer may be, or announced that it will be.
    large: bool,
}

impl Pace {
    pub(super) fn new(now: u64, large: bool) -> Self {
        Self {
            large,
            began: now,
            touched: now,
            came: 0,
            worth: 0,
        }
    }

    /// Whether it is larger than a newcomer may be, or announced that it will be.
    pub(super) fn is_large(&self) -> bool {
        self.large
    }

    /// Bytes arrive.
    pub(super) fn grow(&mut self, size: usize, now: u64) {
        let bytes = u64::try_from(size).unwrap_or(u64::MAX);
        self.worth = self.worth_at(now).saturating_add(bytes).min(MOST_WORTH);
        self.came = self.came.saturating_add(size);
        self.large |= self.came > super::LARGE_BYTES;
        self.touched = now;
    }

    fn worth_at(&self, now: u64) -> u64 {
        if self.worth == 0 {
            return 0;
        }
        let silent = now.saturating_sub(self.touched);
        let halves = u32::try_from(silent / HALF_LIFE_MS).unwrap_or(u32::MAX);
        let worth = self.worth.checked_shr(halves).unwrap_or_default();
        // Linear in between. The product is below 2^64.
        let lost = worth.wrapping_mul(silent % HALF_LIFE_MS) / (2 * HALF_LIFE_MS);
        worth.saturating_sub(lost)
    }

    /// Greater means that more has arrived of late. Only for comparison with others.
    pub(super) fn growth(&self) -> u64 {
        let worth = self.worth.max(1);
        let log = worth.ilog2();
        // The bits after the first one: linear between two powers.
        let mantissa = match log.checked_sub(FRACTION_BITS) {
            Some(right) => worth.wrapping_shr(right),
            None => worth.wrapping_shl(FRACTION_BITS.saturating_sub(log)),
        };
        let log = u64::from(log).wrapping_shl(FRACTION_BITS);
        let time = self.touched.wrapping_shl(FRACTION_BITS) / HALF_LIFE_MS;
        log.saturating_add(mantissa & 255).saturating_add(time)
    }

    /// The growth in whole factors of two.
    pub(super) fn rank(&self) -> u64 {
        self.growth().wrapping_shr(FRACTION_BITS)
    }

    /// Whether it grows well now.
    pub(super) fn is_fast(&self, now: u64) -> bool {
        self.worth_at(now) >= FAST_BYTES
    }

    /// Whether it is not large and began so recently that its speed is unknown.
    pub(super) fn is_new(&self, now: u64) -> bool {
        !self.large && now.saturating_sub(self.began) < PATIENCE_MS
    }

    /// When to look at it next. `None`: it is too slow.
    pub(super) fn next_look(&self, now: u64) -> Option<u64> {
        let patience = PATIENCE_MS.saturating_add(PULSE_MS);
        let came = u64::try_from(self.came).unwrap_or(u64::MAX);
        let silence = self.touched.saturating_add(patience);
        // Until then, what has arrived is enough.
        let paid = came.saturating_mul(1_000) / LEAST_BYTES;
        let paid = paid.saturating_add(PULSE_MS).max(patience);
        let due = silence.min(self.began.saturating_add(paid));
        (due > now).then(|| due.min(now.saturating_add(patience)))
    }
}

/// No open body has a lower rank.
pub(super) fn lowest_rank(now: u64) -> u64 {
    (now / HALF_LIFE_MS).saturating_sub(RANKS_BELOW)
}

#[cfg(test)]
mod tests {
    use super::{HALF_LIFE_MS, Pace};

    /// Pieces of so many bytes, each so many milliseconds after the one before.
    fn fed(size: usize, every: u64, until: u64) -> Pace {
        let mut pace = Pace::new(0, false);
        let mut now = 0;
        while now < until {
            pace.grow(size, now);
            now += every;
        }
        pace
    }

    #[test]
    fn no_byte_for_30_s_is_too_slow() {
        for touched in [0, 10, 50_000] {
            let mut pace = Pace::new(0, false);
            pace.grow(1_000_000, touched);
            assert!(pace.next_look(touched + 30_999).is_some());
            assert_eq!(pace.next_look(touched + 31_000), None);
        }
        assert_eq!(
            Pace::new(5, false).next_look(5),
            Some(31_005),
            "nothing at all"
        );
    }

    #[test]
    fn less_than_1_kib_a_second_is_too_slow_after_30_s() {
        for (size, every, is_slow) in [
            (1, 20_000, true),
            (1_000, 1_000, true),
            (1_024, 1_000, false),
            (900, 1_000, true),
            (102_400, 1_000, false),
            (31_000, 29_000, false),
        ] {
            let mut pace = Pace::new(0, false);
            let slow = (0..=200_000).step_by(1_000).find(|now| {
                if now % every == 0 {
                    pace.grow(size, *now);
                }
                pace.next_look(*now).is_none()
            });
            assert_eq!(slow.is_some(), is_slow, "{size} every {every}: {slow:?}");
            assert!(slow.is_none_or(|at| at >= 30_000));
        }
    }

    #[test]
    fn a_look_is_due_when_it_may_be_too_slow() {
        let mut pace = Pace::new(0, false);
        pace.grow(40 * 1_024, 0);
        pace.grow(1, 20_000);
        assert_eq!(pace.next_look(20_000), Some(41_000), "paid for 40 s");
        pace.grow(100 * 1_024, 30_000);
        assert_eq!(pace.next_look(30_000), Some(61_000), "silent for 30 s");
    }

    #[test]
    fn who_sends_more_of_late_grows_more() {
        let until = 40_000;
        let slow = fed(500, 500, until);
        let middle = fed(10_000, 500, until);
        let fast = fed(100_000, 500, until);
        assert!(slow.growth() < middle.growth() && middle.growth() < fast.growth());
        // However much came before.
        let mut stopped = fed(500_000, 500, 10_000);
        assert!(stopped.growth() < middle.growth());
        assert!(!stopped.is_fast(until) && fast.is_fast(until) && !slow.is_fast(until));
        stopped.grow(10_000_000, until);
        assert!(stopped.growth() > fast.growth());
    }

    #[test]
    fn a_half_life_is_worth_a_factor_of_two() {
        let at = |size, now| {
            let mut pace = Pace::new(0, false);
            pace.grow(size, now);
            pace
        };
        let (early, late) = (at(2_000, 0), at(1_000, HALF_LIFE_MS));
        assert_eq!(early.growth(), late.growth());
        assert_eq!(early.rank() + 1, at(2_000, HALF_LIFE_MS).rank());
        assert!(at(2_001, 0).worth_at(HALF_LIFE_MS) == 1_000);
    }

    #[test]
    fn no_number_is_too_large() {
        let mut pace = Pace::new(u64::MAX, false);
        pace.grow(usize::MAX, u64::MAX);
        pace.grow(usize::MAX, 0);
        assert!(pace.growth() > 0 && pace.next_look(u64::MAX).is_none());
    }
}
