//! Exponential backoff with full jitter: the n-th wait is anything from 0 to min(max, initial * 2^(n-1)).
//!
//! Full jitter spreads the retries of a burst evenly instead of sending them all at once again.

/// The bounds of the waits. `initial` is at least 1 and at most `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    initial_ms: u64,
    max_ms: u64,
}

impl Backoff {
    /// `None` unless 0 < initial <= max.
    #[must_use]
    pub fn new(initial_ms: u64, max_ms: u64) -> Option<Self> {
        (initial_ms > 0 && initial_ms <= max_ms).then_some(Self { initial_ms, max_ms })
    }

    /// The longest wait after `attempts` attempts.
    #[must_use]
    pub fn ceiling(&self, attempts: u32) -> u64 {
        let exponent = attempts.saturating_sub(1).min(63);
        let factor = 1_u64.checked_shl(exponent).unwrap_or(u64::MAX);
        self.initial_ms.saturating_mul(factor).min(self.max_ms)
    }

    /// A wait after `attempts` attempts.
    #[must_use]
    pub fn wait(&self, attempts: u32, jitter: &mut Jitter) -> u64 {
        jitter.up_to(self.ceiling(attempts))
    }
}

/// A small generator (SplitMix64) for jitter, seeded by the caller. Not for secrets.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Any seed will do.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform from 0 to `max`, both included.
    pub fn up_to(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        max.checked_add(1)
            .and_then(|n| z.checked_rem(n))
            .unwrap_or(z)
    }
}

#[cfg(test)]
mod tests {
    use super::{Backoff, Jitter};

    #[test]
    fn waits_double_up_to_the_maximum() {
        let backoff = Backoff::new(500, 30_000).unwrap();
        let ceilings: Vec<u64> = (1..=8).map(|n| backoff.ceiling(n)).collect();
        assert_eq!(
            ceilings,
            [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]
        );
        assert_eq!(backoff.ceiling(u32::MAX), 30_000);
    }

    #[test]
    fn it_cannot_be_built_wrong() {
        assert_eq!(Backoff::new(0, 1), None);
        assert_eq!(Backoff::new(2, 1), None);
    }

    #[test]
    fn jitter_fills_its_range() {
        let mut jitter = Jitter::new(1);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(jitter.up_to(9)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|count| *count > 800), "{seen:?}");
        assert_eq!(jitter.up_to(0), 0);
        jitter.up_to(u64::MAX);
    }
}
