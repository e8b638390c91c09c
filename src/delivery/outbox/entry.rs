//! What is waiting in the outbox, and for what.

use super::gate::Passed;
use crate::time::Millis;
use std::collections::BTreeMap;
use std::ops::Deref;

/// Identifies an entry. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub(super) u64);

/// What an entry is charged with, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Bytes.
    pub size: usize,
    /// What a 429 holds back as one.
    pub group: u64,
    /// A part of the group that may be held back alone. 0: only the whole group is held back.
    pub part: u8,
    /// The share of the budgets.
    pub share: usize,
}

/// Something to deliver.
#[derive(Debug)]
pub struct Entry<T> {
    /// The caller's own data.
    pub payload: T,
    pub(super) standing: Standing,
}

/// What an outbox knows of an entry, whatever the payload is.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// What it is charged with.
    pub charge: Charge,
    /// When it was pushed.
    pub created: Millis,
    /// Attempts so far.
    pub attempts: u32,
    /// Dispatches that the host refused: nothing was sent, so they do not count as attempts.
    pub refusals: u32,
    pub(super) state: State,
    /// It is counted in `held_bytes`.
    pub(super) held: bool,
    pub(super) passed: Passed,
}

impl Standing {
    /// Whether it was [put aside](super::Outbox::push_aside), and has not been released.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        self.state == State::Aside
    }
}

impl<T> Deref for Entry<T> {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.standing
    }
}

/// All entries, without their payloads.
pub(super) trait Entries {
    fn of(&self, id: Id) -> Option<&Standing>;

    fn of_mut(&mut self, id: Id) -> Option<&mut Standing>;
}

impl<T> Entries for BTreeMap<Id, Entry<T>> {
    fn of(&self, id: Id) -> Option<&Standing> {
        self.get(&id).map(|entry| &entry.standing)
    }

    fn of_mut(&mut self, id: Id) -> Option<&mut Standing> {
        self.get_mut(&id).map(|entry| &mut entry.standing)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// The caller has not decided yet whether it may leave.
    Aside,
    Waiting(Millis),
    /// Given to the caller, who then says whether the host took it.
    Leaving,
    InFlight {
        token: u32,
        deadline: Millis,
    },
}
