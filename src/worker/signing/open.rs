//! The open writes: what each is charged with, and how many there are.
//!
//! The proxy holds their bodies: `limits.max_pending_bytes` bounds its memory, until the target has answered.

use super::{Stage, Write};
use crate::outcome::DenyReason;
use crate::sls::write_request::Denial;

/// Up to this size a body may take whatever is free: nearly every write is smaller.
const LARGE_BYTES: usize = 262_144;

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Open {
    max_bytes: usize,
    pub(super) bytes: usize,
    pub(super) held: usize,
    pub(super) in_flight: usize,
}

impl Open {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            held: 0,
            in_flight: 0,
        }
    }

    /// Charges `more` bytes to a request, if there is room.
    pub(super) fn charge(&mut self, write: &mut Write, more: usize) -> Result<(), Denial> {
        let free = self.max_bytes.saturating_sub(self.bytes);
        let others = self.bytes.saturating_sub(write.bytes);
        if more > fair(free, write.bytes, others) {
            return Err(Denial::busy(
                DenyReason::NoRoom,
                "too much is being written through this proxy, retry later",
            ));
        }
        self.bytes = self.bytes.saturating_add(more);
        write.bytes = write.bytes.saturating_add(more);
        Ok(())
    }

    /// A write is held.
    pub(super) fn begin(&mut self) {
        self.held = self.held.saturating_add(1);
    }

    /// A held write goes on.
    pub(super) fn let_go(&mut self, write: &mut Write) {
        write.stage = Stage::InFlight;
        self.held = self.held.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// The write is over, whatever the result.
    pub(super) fn release(&mut self, write: &mut Write) {
        self.bytes = self.bytes.saturating_sub(std::mem::take(&mut write.bytes));
        match std::mem::replace(&mut write.stage, Stage::Over) {
            Stage::Held => self.held = self.held.saturating_sub(1),
            Stage::InFlight => self.in_flight = self.in_flight.saturating_sub(1),
            Stage::Over => {}
        }
    }
}

/// How much of `free` a body may take that holds `held` bytes, when all others hold `others`. Among several, a large one may
/// hold no more than it leaves free: so a few huge ones, however slow, do not take the room from all the small ones.
fn fair(free: usize, held: usize, others: usize) -> usize {
    if others == 0 {
        return free;
    }
    let fair = (free.saturating_sub(held) / 2).max(LARGE_BYTES.saturating_sub(held));
    free.min(fair)
}
