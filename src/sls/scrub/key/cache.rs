//! Verdicts on recent names: an event has a few dozen names, and each of them hundreds of times.

use std::cell::RefCell;

use super::Verdict;

const SLOTS: usize = 256;
/// Longer names are not kept.
const MAX_NAME: usize = 32;

/// Units per look-up, and per byte of it.
const PER_LOOK: u64 = 120;
const PER_BYTE: u64 = 14;

/// One slot per hash of a name; the latest name occupies it.
#[derive(Debug, Default)]
pub(super) struct Cache(RefCell<Vec<Slot>>);

type Slot = Option<(Box<str>, Verdict)>;

impl Cache {
    /// The verdict on a name, computed by `find` if it is not cached. The cost of a look-up is added to `work`.
    pub(super) fn get(
        &self,
        name: &str,
        work: &mut u64,
        find: impl FnOnce(&mut u64) -> Verdict,
    ) -> Verdict {
        if name.len() > MAX_NAME {
            return find(work);
        }
        let length = u64::try_from(name.len()).unwrap_or(0);
        let look = length.saturating_mul(PER_BYTE).saturating_add(PER_LOOK);
        *work = work.saturating_add(look);
        // Nobody else borrows it while this runs; if somebody did, the cache would simply not be used.
        let Ok(mut slots) = self.0.try_borrow_mut() else {
            return find(work);
        };
        if slots.is_empty() {
            slots.resize_with(SLOTS, || None);
        }
        let Some(slot) = slots.get_mut(place(name)) else {
            return find(work);
        };
        if let Some((kept, verdict)) = slot
            && **kept == *name
        {
            return *verdict;
        }
        let verdict = find(work);
        *slot = Some((name.into(), verdict));
        verdict
    }
}

/// FNV-1a, reduced to the number of slots.
fn place(name: &str) -> usize {
    let hash = name.bytes().fold(0x811C_9DC5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    usize::try_from(hash ^ hash >> 15).unwrap_or(0) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_kept_until_another_takes_its_place() {
        let cache = Cache::default();
        let mut found = 0;
        for round in 0..3 {
            for name in ["a", "b", "password"] {
                let verdict = cache.get(name, &mut 0, |_| {
                    found += 1;
                    if name == "password" {
                        Verdict::Yes
                    } else {
                        Verdict::No
                    }
                });
                assert_eq!(verdict == Verdict::Yes, name == "password", "{round}");
            }
        }
        assert_eq!(found, 3);
        for number in 0..5_000 {
            let name = format!("name{number}");
            let verdict = cache.get(&name, &mut 0, |_| Verdict::Count);
            assert_eq!(verdict, Verdict::Count);
        }
        let long = "x".repeat(MAX_NAME + 1);
        for verdict in [Verdict::Yes, Verdict::No] {
            assert_eq!(cache.get(&long, &mut 0, |_| verdict), verdict);
        }
    }
}
