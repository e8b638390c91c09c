//! Watching the accounts of the other instances.
//!
//! The work of one look: reading each slot that was ever in use, and at most [`MAX_TAKEN`] takeovers.

use super::record::{self, Record};
use super::{Held, LOOK_MS, MAX_STRANGE, ORPHAN_MS, Read, SLOTS, Store, next};
use crate::time::Millis;

/// In one look.
const MAX_TAKEN: usize = 32;

/// An account of another instance.
#[derive(Debug)]
struct Seen {
    slot: u16,
    cas: u32,
    /// How long it has been seen unchanged.
    unchanged_ms: u64,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// By their slots.
    seen: Vec<Seen>,
    looked: Option<Millis>,
}

impl Watch {
    /// Whether the last look was long enough ago.
    pub(super) fn is_due(&self, now: Millis) -> bool {
        self.looked
            .is_none_or(|looked| now.since(looked) >= LOOK_MS)
    }

    /// Looks, unless it did so a short time ago. Returns what the accounts taken over held.
    pub(super) fn look(
        &mut self,
        own: Option<u16>,
        id: u64,
        now: Millis,
        store: &mut impl Store,
    ) -> Vec<Held> {
        if !self.is_due(now) {
            return Vec::new();
        }
        self.looked = Some(now);
        let before = std::mem::take(&mut self.seen);
        let known = |slot: u16| before.binary_search_by_key(&slot, |seen| seen.slot).ok();
        let (mut taken, mut strange) = (Vec::new(), 0_u32);
        for slot in 0..SLOTS {
            let key = record::key(slot);
            let (value, cas) = match store.read(&key) {
                Read::Found(value, cas) => (value, cas),
                // Slots are used in order: none is used before the one in front of it.
                Read::Absent | Read::Failed => break,
            };
            if own == Some(slot) || record::is_free(&value) {
                continue;
            }
            let known = known(slot).and_then(|index| before.get(index));
            let unchanged = known.filter(|seen| seen.cas == cas);
            let unchanged_ms =
                unchanged.map_or(0, |seen| seen.unchanged_ms.saturating_add(LOOK_MS));
            let is_orphan = unchanged_ms >= ORPHAN_MS && taken.len() < MAX_TAKEN;
            // Parsed only when it is new and when it is taken over; most reads are in between.
            if known.is_none() || is_orphan {
                let Some(record) = Record::parse(&value) else {
                    if strange >= MAX_STRANGE {
                        break;
                    }
                    strange = strange.saturating_add(1);
                    continue;
                };
                // Whoever is first to free the slot has the account.
                let free = record::text(id, &Held::default());
                if is_orphan && store.write(&key, free.as_bytes(), cas) {
                    taken.push(record.held);
                    continue;
                }
            }
            self.seen.push(Seen {
                slot,
                cas,
                unchanged_ms,
            });
        }
        taken
    }

    /// When to look again, as long as there is anything to watch.
    pub(super) fn due(&self, now: Millis) -> Option<Millis> {
        let watching = !self.seen.is_empty();
        watching.then(|| next(self.looked, LOOK_MS, now))
    }
}
