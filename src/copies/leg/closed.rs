//! What a second Sentry does not accept for longer than a copy may wait, by project and category.

use crate::delivery::outbox::Charge;
use crate::time::Millis;

/// The most projects and categories remembered. What is not remembered is refused again.
const MAX_CLOSED: usize = 1_000;

/// Until when, by group and part, in their order.
#[derive(Debug, Default)]
pub(super) struct Closed(Vec<((u64, u8), Millis)>);

impl Closed {
    fn place(&self, key: (u64, u8)) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(known, _)| *known)
    }

    /// Closes a part of a group; with part 0, the whole group.
    pub(super) fn close(&mut self, key: (u64, u8), until: Millis, now: Millis) {
        // Groups come from clients: those whose time has passed are removed.
        if self.0.len() >= MAX_CLOSED {
            self.0.retain(|(_, until)| *until > now);
        }
        match self.place(key) {
            Ok(at) => {
                if let Some((_, closed)) = self.0.get_mut(at) {
                    *closed = until.max(*closed);
                }
            }
            Err(at) if self.0.len() < MAX_CLOSED => self.0.insert(at, (key, until)),
            Err(_) => {}
        }
    }

    /// Whether an entry with this charge is not sent because of its group or its part.
    pub(super) fn is_closed(&mut self, charge: Charge, now: Millis) -> bool {
        let Charge { group, part, .. } = charge;
        !self.0.is_empty()
            && (self.holds((group, 0), now) || part != 0 && self.holds((group, part), now))
    }

    fn holds(&mut self, key: (u64, u8), now: Millis) -> bool {
        let Ok(at) = self.place(key) else {
            return false;
        };
        let is_closed = self.0.get(at).is_some_and(|(_, until)| *until > now);
        if !is_closed {
            self.0.remove(at);
        }
        is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::{Closed, MAX_CLOSED};
    use crate::delivery::outbox::Charge;
    use crate::time::Millis;

    const T0: Millis = Millis(1_000_000);

    fn of(group: u64, part: u8) -> Charge {
        Charge {
            size: 1,
            group,
            part,
            share: 0,
        }
    }

    #[test]
    fn a_part_is_closed_alone_and_a_group_with_its_parts() {
        let mut closed = Closed::default();
        assert!(!closed.is_closed(of(1, 2), T0));
        closed.close((1, 2), T0.after(10), T0);
        closed.close((1, 2), T0.after(5), T0);
        closed.close((2, 0), T0.after(10), T0);
        let all = [of(1, 2), of(1, 3), of(1, 0), of(2, 2), of(2, 0), of(3, 2)];
        let of = |closed: &mut Closed, at| all.map(|charge| closed.is_closed(charge, at));
        let shut = [true, false, false, true, true, false];
        assert_eq!(of(&mut closed, T0.after(9)), shut);
        assert_eq!(of(&mut closed, T0.after(10)), [false; 6]);
        assert!(closed.0.is_empty());
    }

    #[test]
    fn groups_do_not_fill_the_memory() {
        let mut closed = Closed::default();
        for group in 0..2_000 {
            closed.close((group, 1), T0.after(10), T0);
        }
        assert_eq!(closed.0.len(), MAX_CLOSED);
        closed.close((5_000, 1), T0.after(30), T0.after(20));
        assert_eq!(closed.0.len(), 1);
    }
}
