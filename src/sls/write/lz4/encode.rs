//! Encodes one LZ4 block in steps.
//!
//! Greedy: a table knows where four bytes with a given hash occurred last. What matches there becomes a reference, and what
//! is between two references is stored literally. Where nothing matches, the search takes longer and longer strides, so that
//! noise costs little.
//!
//! The input is one slice, passed at every step. A reference ends after [`LONGEST`](super::common::LONGEST) bytes and the
//! next one begins there, so no step is long, and a block of zeros grows by a thousandth.

use super::common::{common_end, common_start, narrow, widen};
use super::sequences::{Sequences, bound};
use super::{LAST_START, MAX_DISTANCE, MIN_MATCH, four};
use crate::meter::Meter;
use std::collections::TryReserveError;
use std::task::Poll;

/// Places in the table.
const SLOTS: usize = 4_096;
/// 2^32 over the golden ratio: its upper bits depend on all bits of what it multiplies.
const PRIME: u32 = 2_654_435_761;
/// The stride grows by one byte after this many places without a match.
const PATIENCE: u32 = 5;
/// Literals at the end are copied in pieces of this size.
const PIECE: usize = 1 << 20;

/// Units for looking at a place, for a sequence, and for each four bytes compared in it.
const PROBE: usize = 80;
const SEQUENCE: usize = 330;
const COMPARED: usize = 7;

/// See the module's documentation.
pub struct Encoder {
    table: Option<Box<[u32; SLOTS]>>,
    out: Sequences,
    /// The next place to look at.
    next: usize,
    /// The first byte that has not been written yet.
    anchor: usize,
    /// Places without a match since the last one, plus the patience.
    misses: usize,
    /// Whether the length of the last literals has been written.
    tail: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: None,
            out: Sequences::default(),
            // A block cannot begin with a reference; in the empty table every entry is 0.
            next: 1,
            anchor: 0,
            misses: 1 << PATIENCE,
            tail: false,
        }
    }
}

impl std::fmt::Debug for Encoder {
    /// Positions only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoder(at {})", self.next)
    }
}

impl Encoder {
    /// The memory of the output, in bytes. The table, 16 KiB, exists only between the first step and the last.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.out.memory()
    }

    /// Continues with `input`, the same at every step, and returns the block at the end.
    ///
    /// # Errors
    /// There is no memory for the block.
    pub fn step(
        &mut self,
        input: &[u8],
        meter: &mut Meter,
    ) -> Poll<Result<Vec<u8>, TryReserveError>> {
        match self.advance(input, meter) {
            Ok(true) => Poll::Ready(Ok(std::mem::take(&mut self.out).finish())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn advance(&mut self, input: &[u8], meter: &mut Meter) -> Result<bool, TryReserveError> {
        if !self.tail {
            if !self.search(input, meter)? {
                return Ok(false);
            }
            self.table = None;
            let literals = input.len().saturating_sub(self.anchor);
            self.out.room(bound(literals), input.len())?;
            self.out.last(literals);
            self.tail = true;
        }
        while let Some(rest) = input.get(self.anchor..)
            && !rest.is_empty()
        {
            if meter.is_empty() {
                return Ok(false);
            }
            let piece = rest.get(..PIECE).unwrap_or(rest);
            self.out.put(piece);
            self.anchor = self.anchor.saturating_add(piece.len());
            meter.spend_bytes(piece.len() / 16, 1);
        }
        Ok(true)
    }

    /// Finds and writes references; returns whether the end has been reached.
    fn search(&mut self, input: &[u8], meter: &mut Meter) -> Result<bool, TryReserveError> {
        let Some(last) = input.len().checked_sub(LAST_START) else {
            return Ok(true);
        };
        let most = meter.bytes(1);
        if most == 0 {
            return Ok(false);
        }
        let table = match &mut self.table {
            Some(table) => table,
            empty => {
                self.out.room(input.len() / 4, input.len())?;
                empty.insert(new_table()?)
            }
        };
        // In locals, not behind `self`: this is where the time is spent.
        let mut out = std::mem::take(&mut self.out);
        let (mut next, mut anchor, mut misses) = (self.next, self.anchor, self.misses);
        let mut spent = 0_usize;
        let ended = loop {
            if next > last {
                break Ok(true);
            }
            if spent >= most {
                break Ok(false);
            }
            let Some(here) = four(input, next) else {
                break Ok(true);
            };
            let Some(place) = table.get_mut(place(here)) else {
                break Ok(true);
            };
            let before = widen(std::mem::replace(place, narrow(next)));
            let distance = next.wrapping_sub(before);
            if distance > MAX_DISTANCE || four(input, before) != Some(here) {
                next = next.wrapping_add(misses >> PATIENCE);
                misses = misses.wrapping_add(1);
                spent = spent.wrapping_add(PROBE);
                continue;
            }
            let back = common_end(input, anchor, next, before);
            let start = next.wrapping_sub(back);
            let ahead = next.wrapping_add(MIN_MATCH);
            let end = ahead.wrapping_add(common_start(input, ahead, distance));
            let length = end.wrapping_sub(start);
            let literals = start.wrapping_sub(anchor);
            if let Err(error) = out.put_sequence(input, anchor, literals, distance, length) {
                break Err(error);
            }
            let two = end.wrapping_sub(2);
            if let Some(bytes) = four(input, two)
                && let Some(place) = table.get_mut(self::place(bytes))
            {
                *place = narrow(two);
            }
            (anchor, next, misses) = (end, end, 1 << PATIENCE);
            let bytes = (length >> 2).wrapping_mul(COMPARED);
            spent = spent.wrapping_add(SEQUENCE).wrapping_add(bytes);
            spent = spent.wrapping_add(literals >> 4);
        };
        self.out = out;
        (self.next, self.anchor, self.misses) = (next, anchor, misses);
        meter.spend_bytes(spent, 1);
        ended
    }
}

fn new_table() -> Result<Box<[u32; SLOTS]>, TryReserveError> {
    let mut table = Vec::new();
    table.try_reserve_exact(SLOTS)?;
    table.resize(SLOTS, 0);
    // Its length is right; otherwise it would be allocated anew.
    let table = table.into_boxed_slice().try_into();
    Ok(table.unwrap_or_else(|_| Box::new([0; SLOTS])))
}

/// Where the table has these four bytes.
#[inline(always)]
fn place(bytes: u32) -> usize {
    const SHIFT: u32 = u32::BITS.saturating_sub(SLOTS.trailing_zeros());
    widen(bytes.wrapping_mul(PRIME) >> SHIFT)
}
