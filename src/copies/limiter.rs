//! How many copies of a project may leave per second: one token bucket per project, in this worker.
//!
//! A bucket holds what may be sent in a second, and starts full. A copy needs one token of copies and at least one of bytes.
//! It takes as many byte tokens as it has bytes, so that a copy larger than the bucket leaves too and is paid for afterwards.
//!
//! Projects may come from clients (`rum.default`). So there are at most [`MAX_BUCKETS`]. Full buckets hold no information and
//! are dropped first. While all are in use, the other projects share one.

use super::rules::Rate;
use crate::time::Millis;

/// The most projects with a bucket of their own.
const MAX_BUCKETS: usize = 1_000;
/// Units of a token, for a copy or a byte: so that every millisecond adds a whole number of units.
const TOKEN: i64 = 1_000;

/// Units of one kind of token. A negative number was spent in advance.
#[derive(Clone, Copy, Debug)]
struct Tokens(i64);

impl Tokens {
    fn full(per_s: u32) -> Self {
        Self(i64::from(per_s).saturating_mul(TOKEN))
    }

    fn fill(&mut self, per_s: u32, ms: u64) {
        let ms = i64::try_from(ms).unwrap_or(i64::MAX);
        let more = i64::from(per_s).saturating_mul(ms);
        self.0 = self.0.saturating_add(more).min(Self::full(per_s).0);
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    copies: Tokens,
    bytes: Tokens,
    filled: Millis,
}

impl Bucket {
    fn new(rate: Rate, now: Millis) -> Self {
        Self {
            copies: Tokens::full(rate.copies_per_s.unwrap_or_default()),
            bytes: Tokens::full(rate.bytes_per_s.unwrap_or_default()),
            filled: now,
        }
    }

    fn fill(&mut self, rate: Rate, now: Millis) {
        let ms = now.since(self.filled);
        self.filled = now;
        self.copies.fill(rate.copies_per_s.unwrap_or_default(), ms);
        self.bytes.fill(rate.bytes_per_s.unwrap_or_default(), ms);
    }

    /// Whether a copy may leave. If so, it pays.
    fn take(&mut self, rate: Rate, bytes: usize) -> bool {
        let copies_are_left = rate.copies_per_s.is_none() || self.copies.0 >= TOKEN;
        let bytes_are_left = rate.bytes_per_s.is_none() || self.bytes.0 > 0;
        if !copies_are_left || !bytes_are_left {
            return false;
        }
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.copies.0 = self.copies.0.saturating_sub(TOKEN);
        self.bytes.0 = self.bytes.0.saturating_sub(bytes.saturating_mul(TOKEN));
        true
    }

    /// Whether it is as good as a new one. After the rate has changed, this may become true too late.
    fn is_full(&self, rate: Rate, now: Millis) -> bool {
        let (mut filled, new) = (*self, Self::new(rate, now));
        filled.fill(rate, now);
        (rate.copies_per_s.is_none() || filled.copies.0 >= new.copies.0)
            && (rate.bytes_per_s.is_none() || filled.bytes.0 >= new.bytes.0)
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    /// By project, in their order.
    buckets: Vec<(u64, Rate, Bucket)>,
    /// Shared by all projects without one of their own.
    shared: Option<Bucket>,
    /// When full buckets were last removed. That looks at each, and none fills before the clock advances.
    swept: Option<Millis>,
}

impl Limiter {
    fn place(&self, project: u64) -> Result<usize, usize> {
        self.buckets
            .binary_search_by_key(&project, |(known, ..)| *known)
    }

    /// Whether a copy of this many bytes may leave.
    pub(super) fn take(&mut self, project: u64, rate: Rate, bytes: usize, now: Millis) -> bool {
        let is_crowded = self.place(project).is_err() && self.buckets.len() >= MAX_BUCKETS;
        if is_crowded && self.swept.replace(now) != Some(now) {
            self.buckets
                .retain(|(_, rate, bucket)| !bucket.is_full(*rate, now));
        }
        let new = Bucket::new(rate, now);
        let place = self.place(project);
        if let Err(at) = place
            && self.buckets.len() < MAX_BUCKETS
        {
            self.buckets.insert(at, (project, rate, new));
        }
        let own = self.place(project).ok();
        let own = own.and_then(|at| self.buckets.get_mut(at));
        let bucket = match own {
            Some((_, _, bucket)) => bucket,
            None => self.shared.get_or_insert(new),
        };
        bucket.fill(rate, now);
        bucket.take(rate, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Limiter, MAX_BUCKETS};
    use crate::copies::rules::Rate;
    use crate::time::Millis;

    const T: Millis = Millis(1_000);

    fn copies(copies_per_s: u32) -> Rate {
        Rate {
            copies_per_s: Some(copies_per_s),
            bytes_per_s: None,
        }
    }

    fn bytes(bytes_per_s: u32) -> Rate {
        Rate {
            copies_per_s: None,
            bytes_per_s: Some(bytes_per_s),
        }
    }

    fn taken(limiter: &mut Limiter, project: u64, rate: Rate, now: Millis) -> usize {
        (0..1_000)
            .filter(|_| limiter.take(project, rate, 100, now))
            .count()
    }

    #[test]
    fn a_second_at_once_and_then_as_they_come() {
        let mut limiter = Limiter::default();
        let rate = copies(10);
        assert_eq!(taken(&mut limiter, 42, rate, T), 10);
        assert_eq!(taken(&mut limiter, 42, rate, T.after(99)), 0);
        assert_eq!(taken(&mut limiter, 42, rate, T.after(100)), 1);
        assert_eq!(taken(&mut limiter, 42, rate, T.after(700)), 6);
        // A long silence saves up no more than one second.
        assert_eq!(taken(&mut limiter, 42, rate, T.after(u64::MAX / 2)), 10);
        // Each project has its own bucket.
        assert_eq!(taken(&mut limiter, 43, rate, T), 10);
    }

    #[test]
    fn bytes_are_paid_for_afterwards() {
        let mut limiter = Limiter::default();
        let rate = bytes(1_000);
        assert!(limiter.take(42, rate, 5_000, T), "larger than the bucket");
        assert!(!limiter.take(42, rate, 1, T.after(4_000)), "still in debt");
        assert!(limiter.take(42, rate, 1, T.after(4_001)));
        // In the long run it is the rate.
        let mut left = 0;
        for n in 0..10_000 {
            let now = T.after(10_000 + n * 10);
            left += usize::from(limiter.take(42, rate, 700, now)) * 700;
        }
        assert!((100_000..103_000).contains(&left), "{left}");
    }

    #[test]
    fn both_bind() {
        let rate = Rate {
            copies_per_s: Some(5),
            bytes_per_s: Some(250),
        };
        let mut limiter = Limiter::default();
        assert_eq!(taken(&mut limiter, 42, rate, T), 3, "of 100 bytes each");
        let rate = Rate {
            bytes_per_s: Some(1_000_000),
            ..rate
        };
        assert_eq!(taken(&mut Limiter::default(), 42, rate, T), 5);
    }

    #[test]
    fn projects_that_clients_make_up_take_no_memory() {
        let mut limiter = Limiter::default();
        let rate = copies(1);
        let many = u64::try_from(MAX_BUCKETS).unwrap() * 3;
        let passed = (1..=many).filter(|project| limiter.take(*project, rate, 1, T));
        assert_eq!(passed.count(), MAX_BUCKETS + 1, "the rest share one");
        assert_eq!(limiter.buckets.len(), MAX_BUCKETS);
        // A second later they are as good as new.
        assert!(limiter.take(many + 1, rate, 1, T.after(1_000)));
        assert_eq!(limiter.buckets.len(), 1);
    }
}
