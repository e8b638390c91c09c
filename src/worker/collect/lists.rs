//! 64 linked lists of numbers, one for each value of a key modulo 64. Insert, remove and find-first take the same few steps
//! however many numbers there are.
//!
//! The caller ensures that the keys present at any time span less than 64.

/// How many lists there are.
const LISTS: usize = 64;
const MASK: u64 = 63;
/// The greatest span of the keys.
pub(super) const SPAN: u64 = MASK;
/// No number.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
    list: u8,
    linked: bool,
}

/// The position of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: u32,
    pub(super) list: u8,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Lists {
    heads: [u32; LISTS],
    /// A bit for each list that is not empty.
    used: u64,
    links: Vec<Link>,
}

impl Default for Lists {
    fn default() -> Self {
        Self {
            heads: [NONE; LISTS],
            used: 0,
            links: Vec::new(),
        }
    }
}

fn list_of(key: u64) -> u8 {
    u8::try_from(key & MASK).unwrap_or_default()
}

impl Lists {
    /// Whether a key belongs in this list.
    pub(super) fn same(key: u64, list: u8) -> bool {
        list_of(key) == list
    }

    /// Makes room for a number, which must be the next after all that have room. `None` if there is no memory.
    pub(super) fn reserve(&mut self, index: u32) -> Option<()> {
        let known = self.links.len();
        if usize::try_from(index).ok()? < known {
            return Some(());
        }
        self.links.try_reserve(1).ok()?;
        self.links.push(Link {
            before: NONE,
            after: NONE,
            list: 0,
            linked: false,
        });
        Some(())
    }

    fn link(&mut self, index: u32) -> Option<&mut Link> {
        self.links.get_mut(usize::try_from(index).ok()?)
    }

    /// Puts a number at the front of a list. It must not be in any list.
    pub(super) fn push(&mut self, index: u32, key: u64) {
        let list = list_of(key);
        let Some(head) = self.heads.get_mut(usize::from(list)) else {
            return;
        };
        let after = std::mem::replace(head, index);
        if let Some(link) = self.link(index) {
            *link = Link {
                before: NONE,
                after,
                list,
                linked: true,
            };
        }
        if let Some(link) = self.link(after) {
            link.before = index;
        }
        self.used |= 1_u64.wrapping_shl(u32::from(list));
    }

    /// Takes a number out, if it is in a list.
    pub(super) fn remove(&mut self, index: u32) {
        let Some(link) = self.link(index).filter(|link| link.linked) else {
            return;
        };
        link.linked = false;
        let Link {
            before,
            after,
            list,
            ..
        } = *link;
        if let Some(link) = self.link(after) {
            link.before = before;
        }
        if let Some(link) = self.link(before) {
            link.after = after;
            return;
        }
        if let Some(head) = self.heads.get_mut(usize::from(list)) {
            *head = after;
        }
        if after == NONE {
            self.used &= !1_u64.wrapping_shl(u32::from(list));
        }
    }

    /// The first number in a key's list.
    pub(super) fn head(&self, key: u64) -> Option<u32> {
        let head = *self.heads.get(usize::from(list_of(key)))?;
        (head != NONE).then_some(head)
    }

    /// The first number of all, starting with the list of the lowest key.
    pub(super) fn first(&self, lowest: u64) -> Option<Place> {
        let start = u32::from(list_of(lowest));
        self.from(start, 0)
    }

    /// The number after one that is in a list.
    pub(super) fn next(&self, index: u32, lowest: u64) -> Option<Place> {
        let link = self.links.get(usize::try_from(index).ok()?)?;
        if link.after != NONE {
            return Some(Place {
                index: link.after,
                list: link.list,
            });
        }
        let start = u32::from(list_of(lowest));
        let at = u32::from(link.list).wrapping_sub(start) & 63;
        self.from(start, at.saturating_add(1))
    }

    /// The first number in the lists at least `skip` after `start`.
    fn from(&self, start: u32, skip: u32) -> Option<Place> {
        let in_order = self.used.rotate_right(start);
        let rest = in_order & u64::MAX.checked_shl(skip).unwrap_or_default();
        if rest == 0 {
            return None;
        }
        let list = rest.trailing_zeros().wrapping_add(start) & 63;
        let list = u8::try_from(list).ok()?;
        let index = *self.heads.get(usize::from(list))?;
        Some(Place { index, list })
    }
}

#[cfg(test)]
mod tests {
    use super::{Lists, Place};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn in_order(lists: &Lists, lowest: u64) -> Vec<(u8, u32)> {
        let mut all = Vec::new();
        let mut place = lists.first(lowest);
        while let Some(Place { index, list }) = place {
            all.push((list, index));
            place = lists.next(index, lowest);
        }
        all
    }

    proptest! {
        /// As a map from numbers to keys has it.
        #[test]
        fn all_are_found_in_the_order_of_their_keys(
            lowest in 0_u64..1_000,
            steps in prop::collection::vec((0_u32..20, prop::option::weighted(0.7, 0_u64..64)), 0..200),
        ) {
            let (mut lists, mut model) = (Lists::default(), BTreeMap::new());
            for index in 0..20 {
                lists.reserve(index).unwrap();
            }
            for (index, offset) in steps {
                lists.remove(index);
                model.remove(&index);
                if let Some(offset) = offset {
                    lists.push(index, lowest + offset);
                    model.insert(index, lowest + offset);
                }
                let found = in_order(&lists, lowest);
                let keys: Vec<u64> = found.iter().map(|(_, index)| model[index]).collect();
                prop_assert_eq!(found.len(), model.len());
                prop_assert!(keys.is_sorted());
                prop_assert!(found.iter().all(|(list, index)| Lists::same(model[index], *list)));
            }
        }
    }
}
