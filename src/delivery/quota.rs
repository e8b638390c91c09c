//! One limit shared by several shares: each is guaranteed a part, and the rest goes to whoever comes first.
//!
//! With `n` shares each is guaranteed `limit / 2n` (at least one, as long as there is one for each). So half of the limit is
//! always there for those that need it, and the other half is never idle. The unused part of a share's guarantee is reserved
//! for it: a share may use whatever is neither used nor reserved for others. So all together never use more than the limit,
//! and a share within its guarantee has room whatever the others do. A single share has all of it.
//!
//! Units are the caller's: bytes, calls.

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Quota {
    limit: usize,
    guarantee: usize,
    used: Vec<usize>,
    total: usize,
    /// The sum of the unused parts of the guarantees.
    spared: usize,
}

impl Quota {
    /// A limit for this many shares, at least one.
    pub(super) fn new(limit: usize, shares: usize) -> Self {
        let shares = shares.max(1);
        let guarantee = match shares {
            1 => 0,
            _ if shares > limit => 0,
            _ => (limit / 2).checked_div(shares).unwrap_or_default().max(1),
        };
        Self {
            limit,
            guarantee,
            used: vec![0; shares],
            total: 0,
            spared: guarantee.saturating_mul(shares),
        }
    }

    /// What all shares use.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// What this share uses.
    pub(super) fn used(&self, share: usize) -> usize {
        self.used.get(share).copied().unwrap_or_default()
    }

    /// What this share may still use.
    pub(super) fn room(&self, share: usize) -> usize {
        let free = self.limit.saturating_sub(self.total);
        match self.guarantee {
            0 => free,
            guarantee => {
                let own = guarantee.saturating_sub(self.used(share));
                free.saturating_sub(self.spared).saturating_add(own)
            }
        }
    }

    /// Charges a share, even beyond its room.
    pub(super) fn add(&mut self, share: usize, amount: usize) {
        let now = self.used(share).saturating_add(amount);
        self.change(share, now);
    }

    /// Gives back part of what a share was charged.
    pub(super) fn remove(&mut self, share: usize, amount: usize) {
        let now = self.used(share).saturating_sub(amount);
        self.change(share, now);
    }

    fn change(&mut self, share: usize, now: usize) {
        let Some(used) = self.used.get_mut(share) else {
            return;
        };
        let before = std::mem::replace(used, now);
        self.total = self.total.saturating_sub(before).saturating_add(now);
        if self.guarantee > 0 {
            let spare = |used| self.guarantee.saturating_sub(used);
            self.spared = self
                .spared
                .saturating_sub(spare(before))
                .saturating_add(spare(now));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Quota;
    use proptest::prelude::*;

    #[test]
    fn one_share_has_all_of_it() {
        let mut quota = Quota::new(100, 1);
        assert_eq!(quota.room(0), 100);
        quota.add(0, 99);
        assert_eq!((quota.room(0), quota.total()), (1, 99));
        quota.add(0, 50);
        assert_eq!(quota.room(0), 0, "beyond its room");
        quota.remove(0, 149);
        assert_eq!((quota.room(0), quota.total()), (100, 0));
    }

    #[test]
    fn each_of_two_is_guaranteed_a_quarter_and_may_use_three() {
        let mut quota = Quota::new(100, 2);
        assert_eq!(quota.room(0), 75);
        quota.add(0, 75);
        assert_eq!((quota.room(0), quota.room(1)), (0, 25));
        quota.add(1, 25);
        assert_eq!((quota.room(0), quota.room(1)), (0, 0));
        quota.remove(0, 60);
        assert_eq!((quota.room(0), quota.room(1)), (60, 50));
    }

    #[test]
    fn an_unknown_share_has_nothing_of_its_own_and_no_shares_are_one() {
        let mut quota = Quota::new(8, 0);
        quota.add(7, 3);
        assert_eq!((quota.total(), quota.used(7), quota.room(0)), (0, 0, 8));
    }

    proptest! {
        /// Whoever asks for or returns what and when: never more than the limit, never less than the guarantee.
        #[test]
        fn within_the_limit_and_never_below_the_guarantee(
            limit in 0_usize..1_000,
            shares in 1_usize..9,
            steps in prop::collection::vec((0_usize..9, 0_usize..400, any::<bool>()), 0..200),
        ) {
            let mut quota = Quota::new(limit, shares);
            let mut held = vec![Vec::new(); shares];
            let guarantee = match shares {
                1 => limit,
                _ if shares > limit => 0,
                _ => (limit / (2 * shares)).max(1),
            };
            for (share, amount, give_back) in steps {
                let share = share % shares;
                if give_back {
                    if let Some(amount) = held[share].pop() {
                        quota.remove(share, amount);
                    }
                } else if amount <= quota.room(share) {
                    quota.add(share, amount);
                    held[share].push(amount);
                }
                let used: Vec<usize> = held.iter().map(|held| held.iter().sum()).collect();
                prop_assert_eq!(quota.total(), used.iter().sum::<usize>());
                prop_assert!(quota.total() <= limit);
                for (share, used) in used.into_iter().enumerate() {
                    prop_assert_eq!(quota.used(share), used);
                    prop_assert!(used + quota.room(share) >= guarantee);
                }
            }
        }
    }
}
