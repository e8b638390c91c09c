//! Takes a sealed group through the queue, where it is packed, into the outbox. If there is no room it is dropped and
//! counted.
//!
//! A group comes from the open batch, which is already charged. So it is packed first: usually a fifth of it remains, and
//! only that needs room. A group beyond the budget is dropped at once only while others are being packed.

use super::{Context, OVERHEAD, SlsLeg};
use crate::meter::Meter;
use crate::metric::Metric;
use crate::sls::report;
use crate::sls::write::{Batch, Done, Group, Queue};
use crate::time::Millis;
use std::task::Poll;

/// Takes a sealed group into the queue.
pub(super) struct Outlet<'a> {
    pub(super) queue: &'a mut Queue,
    /// Bytes of everything that is neither open nor in the queue.
    pub(super) others: usize,
    pub(super) max_bytes: usize,
    /// When the batches start to age.
    pub(super) now: Millis,
}

impl Outlet<'_> {
    /// `open`: bytes of the open batches.
    pub(super) fn take(&mut self, open: usize, group: Group, context: &mut Context<'_>) {
        let bytes = self.queue.bytes().saturating_add(group.bytes());
        let bytes = bytes.saturating_add(open).saturating_add(self.others);
        if bytes > self.max_bytes && !self.queue.is_empty() {
            context.ledger.grow(Metric::Dropped, group.logs());
            return report::no_room(context.log, self.max_bytes);
        }
        self.queue.pack(group, self.now);
    }
}

impl SlsLeg {
    /// The way for a group that is no longer open. `reserved` is how many bytes of the budget others hold.
    pub(super) fn outlet(&mut self, now: Millis, reserved: usize) -> Outlet<'_> {
        let others = self.outbox.bytes().saturating_add(self.unread_bytes());
        let others = others.saturating_add(self.batcher.bytes());
        Outlet {
            queue: &mut self.queue,
            others: others.saturating_add(reserved),
            max_bytes: self.max_bytes,
            now,
        }
    }

    /// Works on the queue, and puts whatever is ready into the outbox.
    pub(super) fn pack(&mut self, reserved: usize, meter: &mut Meter, context: &mut Context<'_>) {
        while let Poll::Ready(Some(done)) = self.queue.step(meter) {
            match done {
                Done::Packed { batch, created } => {
                    let queued = self.queue.bytes();
                    self.post(batch, created, reserved.saturating_add(queued), context);
                }
                Done::Divided(logs, refusal) => {
                    context.ledger.one(Metric::Divided);
                    report::divided(context.log, logs, refusal.reason);
                }
                Done::Lost(logs, refusal) => {
                    context.ledger.grow(Metric::Failed, logs);
                    report::failed(context.log, logs, refusal.reason, refusal.status);
                }
            }
        }
    }

    fn post(&mut self, batch: Batch, created: Millis, reserved: usize, context: &mut Context<'_>) {
        let charge = super::charge(batch.bytes().saturating_add(OVERHEAD));
        let reserved = reserved
            .saturating_add(self.unread_bytes())
            .saturating_add(self.batcher.bytes());
        let logs = batch.logs();
        match self.outbox.push(batch, charge, reserved, created) {
            Ok(_) => self.packed = self.packed.saturating_add(logs),
            Err(_) => {
                context.ledger.grow(Metric::Dropped, logs);
                report::no_room(context.log, self.max_bytes);
            }
        }
    }

    /// This many logs are no longer in the outbox.
    pub(super) fn gone(&mut self, logs: usize) {
        self.packed = self.packed.saturating_sub(logs);
    }
}
