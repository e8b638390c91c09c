//! What is being packed or divided, in order: one after the other, so that what is sealed first leaves first, and only the
//! first one holds more memory than it came with.

use super::super::compress::Compression;
use super::super::response::Reason;
use super::super::signature::Signature;
use super::dividing::Dividing;
use super::group::{Batch, Group};
use super::packing::Packing;
use crate::meter::Meter;
use crate::time::Millis;
use std::collections::VecDeque;
use std::task::{Poll, ready};

/// What a task costs besides its buffers.
const OVERHEAD: usize = 512;

/// How SLS refused a batch.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Refusal {
    pub(in super::super) reason: Reason,
    pub(in super::super) status: u16,
}

/// A completed task.
#[derive(Debug)]
pub(in super::super) enum Done {
    /// A batch is ready.
    Packed { batch: Batch, created: Millis },
    /// A batch of this many logs was cut; its halves are next.
    Divided(usize, Refusal),
    /// The bytes of a batch of this many logs could not be decompressed.
    Lost(usize, Refusal),
}

#[derive(Debug)]
enum Work {
    Pack(Packing),
    Divide(Dividing, Refusal),
}

#[derive(Debug)]
struct Task {
    // The states of hashes and encoders are larger than a queue's entries should be.
    work: Box<Work>,
    created: Millis,
    /// Part of the queue's bytes.
    charged: usize,
}

/// See the module's documentation.
#[derive(Debug)]
pub(in super::super) struct Queue {
    compression: Compression,
    signature: Signature,
    tasks: VecDeque<Task>,
    bytes: usize,
    logs: usize,
}

impl Work {
    fn memory(&self) -> usize {
        match self {
            Self::Pack(packing) => packing.memory(),
            Self::Divide(dividing, _) => dividing.memory(),
        }
    }

    fn logs(&self) -> usize {
        match self {
            Self::Pack(packing) => packing.logs(),
            Self::Divide(dividing, _) => dividing.logs(),
        }
    }
}

impl Task {
    fn new(work: Work, created: Millis) -> Self {
        Self {
            charged: work.memory().saturating_add(OVERHEAD),
            work: Box::new(work),
            created,
        }
    }
}

impl Queue {
    /// An empty queue.
    pub(in super::super) fn new(compression: Compression, signature: Signature) -> Self {
        Self {
            compression,
            signature,
            tasks: VecDeque::new(),
            bytes: 0,
            logs: 0,
        }
    }

    /// The memory of everything in it, in bytes.
    pub(in super::super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The logs of everything in it.
    pub(in super::super) fn logs(&self) -> usize {
        self.logs
    }

    /// Whether there is nothing to do.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Adds a group to be packed. Its batch is as old as `created` says.
    pub(in super::super) fn pack(&mut self, group: Group, created: Millis) {
        let work = self.packing(group);
        let task = Task::new(work, created);
        self.charge(&task);
        self.tasks.push_back(task);
    }

    /// Adds a batch to be cut.
    pub(in super::super) fn divide(
        &mut self,
        dividing: Dividing,
        refusal: Refusal,
        created: Millis,
    ) {
        let task = Task::new(Work::Divide(dividing, refusal), created);
        self.charge(&task);
        self.tasks.push_back(task);
    }

    /// Forgets everything.
    pub(in super::super) fn clear(&mut self) {
        self.tasks = VecDeque::new();
        (self.bytes, self.logs) = (0, 0);
    }

    /// Continues the first task; `None` if there is none. To be called until it is pending.
    pub(in super::super) fn step(&mut self, meter: &mut Meter) -> Poll<Option<Done>> {
        let Some(task) = self.tasks.front_mut() else {
            return Poll::Ready(None);
        };
        let end = match &mut *task.work {
            Work::Pack(packing) => {
                let created = task.created;
                let packed = |batch| (Done::Packed { batch, created }, None);
                packing.step(meter).map(packed)
            }
            Work::Divide(dividing, refusal) => {
                let (refusal, logs) = (*refusal, dividing.logs());
                dividing.step(meter).map(|halves| match halves {
                    Some(halves) => (Done::Divided(logs, refusal), Some(halves)),
                    None => (Done::Lost(logs, refusal), None),
                })
            }
        };
        let charged = task.work.memory().saturating_add(OVERHEAD);
        let before = std::mem::replace(&mut task.charged, charged);
        self.bytes = self.bytes.saturating_sub(before).saturating_add(charged);
        let (done, halves) = ready!(end);
        if let Some(task) = self.tasks.pop_front() {
            self.bytes = self.bytes.saturating_sub(task.charged);
            self.logs = self.logs.saturating_sub(task.work.logs());
            for half in halves.into_iter().flatten().rev() {
                let half = Task::new(self.packing(half), task.created);
                self.charge(&half);
                self.tasks.push_front(half);
            }
        }
        Poll::Ready(Some(done))
    }

    fn packing(&self, group: Group) -> Work {
        let packing = Packing::new(group, self.compression, &self.signature);
        Work::Pack(packing)
    }

    fn charge(&mut self, task: &Task) {
        self.bytes = self.bytes.saturating_add(task.charged);
        self.logs = self.logs.saturating_add(task.work.logs());
    }
}

#[cfg(test)]
mod tests;
