//! Entries put aside: they take room from the start, and leave only when the caller says so.

use super::entry::State;
use super::{Charge, Id, Outbox};
use crate::time::Millis;

impl<T> Outbox<T> {
    /// Like [`push`](Self::push), for an entry that may not leave yet.
    ///
    /// # Errors
    /// Returns the payload.
    pub fn push_aside(
        &mut self,
        payload: T,
        charge: Charge,
        reserved: usize,
        now: Millis,
    ) -> Result<Id, T> {
        let id = self.insert(payload, charge, reserved, now)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing.state = State::Aside;
        }
        let (count, bytes) = self.register.aside;
        self.register.aside = (count.saturating_add(1), bytes.saturating_add(charge.size));
        Ok(id)
    }

    /// From now on the entry may leave, and its age counts. `None` if it does not exist or is not aside; `false` if it is
    /// gone because too much is already waiting for the end of a hold.
    pub fn release(&mut self, id: Id, now: Millis) -> Option<bool> {
        let entry = self.entries.get(&id).filter(|entry| entry.is_aside())?;
        let charge = entry.charge;
        if self.register.is_held_full(charge) {
            self.remove(id);
            return Some(false);
        }
        self.register.no_longer_aside(charge.size);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing.created = now;
            entry.standing.state = State::Ready;
        }
        self.register.place(&mut self.entries, id, charge);
        Some(true)
    }

    /// Sets the part of its group that an entry belongs to, now that it is known.
    pub fn assign(&mut self, id: Id, part: u8) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.standing.charge.part = part;
        }
    }

    /// Bytes of the entries put aside.
    #[must_use]
    pub fn bytes_aside(&self) -> usize {
        self.register.aside.1
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{T0, policy};
    use super::super::{Charge, Next, Outbox};

    fn charge(size: usize) -> Charge {
        Charge {
            size,
            group: 1,
            part: 0,
            share: 0,
        }
    }

    #[test]
    fn it_takes_room_and_leaves_when_it_is_released() {
        let mut outbox = Outbox::new(policy());
        let all = policy().max_bytes;
        let id = outbox.push_aside("aside", charge(all - 1), 0, T0).unwrap();
        assert_eq!(outbox.push_aside("b", charge(2), 0, T0), Err("b"));
        assert_eq!(
            (outbox.len(), outbox.aside(), outbox.bytes_aside()),
            (1, 1, all - 1)
        );
        assert!(!outbox.has_ready() && outbox.due(T0).is_none());
        assert!(matches!(outbox.next(T0), Next::Idle));
        let later = T0.after(policy().max_age_ms * 2);
        assert_eq!(outbox.release(id, later), Some(true));
        assert_eq!(outbox.release(id, later), None);
        assert_eq!((outbox.aside(), outbox.bytes_aside()), (0, 0));
        assert!(matches!(outbox.next(later), Next::Dispatch(found) if found == id));
    }

    #[test]
    fn what_is_taken_out_gives_its_room_back() {
        let mut outbox = Outbox::new(policy());
        let id = outbox.push_aside("aside", charge(10), 0, T0).unwrap();
        assert!(outbox.take(id).unwrap().is_aside());
        assert_eq!(
            (outbox.bytes(), outbox.aside(), outbox.bytes_aside()),
            (0, 0, 0)
        );
        outbox.push_aside("aside", charge(10), 0, T0).unwrap();
        assert!(outbox.give_up().unwrap().is_aside());
        assert_eq!(
            (outbox.bytes(), outbox.aside(), outbox.bytes_aside()),
            (0, 0, 0)
        );
        assert_eq!(outbox.release(id, T0), None);
    }
}
