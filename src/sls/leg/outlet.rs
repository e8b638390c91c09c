//! The way of a sealed batch into the outbox; without room it is dropped, and counted.

use super::{Books, GROUP, OVERHEAD};
use crate::delivery::outbox::{Charge, Outbox};
use crate::metric::Metric;
use crate::sls::batch::Batch;
use crate::sls::report;
use crate::time::Millis;

/// The way of a sealed batch into the outbox.
pub(super) struct Outlet<'a> {
    pub(super) outbox: &'a mut Outbox<Batch>,
    /// Bytes of what waits before the batcher.
    pub(super) reserved: usize,
    pub(super) max_bytes: usize,
    /// From when on the batches age.
    pub(super) now: Millis,
}

impl Outlet<'_> {
    /// `open`: bytes of the open batches.
    pub(super) fn post(&mut self, open: usize, batch: Batch, books: &mut Books<'_>) {
        let size = batch.bytes().saturating_add(OVERHEAD);
        let reserved = self.reserved.saturating_add(open);
        let charge = Charge {
            size,
            group: GROUP,
            share: 0,
        };
        if let Err(batch) = self.outbox.push(batch, charge, reserved, self.now) {
            books.ledger.grow(Metric::Dropped, batch.logs());
            report::no_room(books.journal, self.max_bytes);
        }
    }
}
