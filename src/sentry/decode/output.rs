//! A decoder's output: the bytes, or only their number and as much history as copies go back to.
//!
//! Owns the cap and the memory. When to stop is up to the decoders. Up to [`AT_ONCE`] bytes are stored as they come. What
//! turns out to be larger is first counted ([`Output::counted`]), and then stored by a second run in one allocation of its
//! size. Growing step by step towards 32 MiB would leave twice that in holes, and a module's memory never shrinks.

use super::Reason;
use crate::meter::Meter;

/// How much is stored as it comes. Larger envelopes are rare: events end at 1 MiB.
pub(super) const AT_ONCE: usize = 1 << 20;

/// Short copies are made with this many bytes and then cut: two loads instead of a call for three bytes.
const SHORT: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Growing,
    Counting,
    Exact,
}

/// See the module's documentation.
pub(super) struct Output {
    bytes: Vec<u8>,
    /// What came before `bytes` and is only counted.
    gone: usize,
    mode: Mode,
    limit: usize,
    cap: usize,
}

impl Output {
    /// For a body that may decode to `cap` bytes.
    pub(super) fn new(cap: usize) -> Self {
        Self {
            bytes: Vec::new(),
            gone: 0,
            mode: Mode::Growing,
            limit: cap.min(AT_ONCE),
            cap,
        }
    }

    /// For a body known to decode to `size` bytes.
    pub(super) fn exact(size: usize) -> Result<Self, Reason> {
        let mut output = Self::new(size);
        let reserved = output.bytes.try_reserve_exact(size);
        reserved.map_err(|_| Reason::NoMemory(size))?;
        (output.mode, output.limit) = (Mode::Exact, size);
        Ok(output)
    }

    /// The size, if the bytes were only counted: then a second run is needed.
    pub(super) fn counted(&self) -> Option<usize> {
        (self.mode == Mode::Counting).then(|| self.len())
    }

    /// Whether this is the second run. Checksums were verified in the first.
    pub(super) fn second(&self) -> bool {
        self.mode == Mode::Exact
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What was decoded, if it is still there from the first byte on.
    pub(super) fn beginning(&self) -> &[u8] {
        if self.gone == 0 { &self.bytes } else { &[] }
    }

    /// Bytes decoded.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.gone.wrapping_add(self.bytes.len())
    }

    /// Memory held.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether the cap is exceeded; call it before decoding continues. Where it is called decides which error a body gets
    /// that is both too large and broken, so that must not depend on the size of a step.
    pub(super) fn check(&mut self) -> Result<(), Reason> {
        if self.len() <= self.limit {
            return Ok(());
        }
        if self.limit == self.cap {
            return Err(Reason::TooLarge(self.cap));
        }
        (self.mode, self.limit) = (Mode::Counting, self.cap);
        self.check()
    }

    /// How many more bytes may come before [`Output::check`] could fail.
    pub(super) fn allowed(&self) -> usize {
        self.limit.saturating_sub(self.len()).saturating_add(1)
    }

    /// Makes room for `more` bytes. `keep`: how far back copies may go.
    #[inline]
    pub(super) fn room(
        &mut self,
        more: usize,
        keep: usize,
        meter: &mut Meter,
    ) -> Result<(), Reason> {
        if self.bytes.capacity().wrapping_sub(self.bytes.len()) >= more {
            return Ok(());
        }
        self.grow(more, keep, meter)
    }

    #[cold]
    fn grow(&mut self, more: usize, keep: usize, meter: &mut Meter) -> Result<(), Reason> {
        /// Memory that grew in smaller pieces than this would grow too often.
        const LEAST: usize = 4 << 10;
        const SLACK: usize = 64 << 10;
        /// `memory.copy` and `memory.fill`.
        const BYTES_PER_UNIT: usize = 16;

        let wanted = match self.mode {
            // Its size is known: nothing more can come.
            Mode::Exact => return Ok(()),
            Mode::Growing => {
                let double = self.bytes.capacity().saturating_mul(2);
                let most = self.limit.saturating_add(SLACK);
                double.min(most).max(LEAST)
            }
            Mode::Counting => {
                if let Some(gone @ 1..) = self.bytes.len().checked_sub(keep) {
                    self.bytes.copy_within(gone.., 0);
                    self.bytes.truncate(keep);
                    self.gone = self.gone.saturating_add(gone);
                    meter.spend_bytes(keep.div_ceil(BYTES_PER_UNIT), 1);
                }
                // With more slack, what is kept is moved less often.
                let slack = keep.checked_div(4).unwrap_or_default().max(SLACK);
                keep.min(self.cap).saturating_add(slack)
            }
        };
        let needed = self.bytes.len().saturating_add(more);
        if needed <= self.bytes.capacity() {
            return Ok(());
        }
        // A zstd block may exceed what is wanted, in a thousand small pieces.
        let wanted = wanted.max(needed.saturating_add(SLACK));
        meter.spend_bytes(self.bytes.len().div_ceil(BYTES_PER_UNIT), 1);
        let additional = wanted.saturating_sub(self.bytes.len());
        let reserved = self.bytes.try_reserve_exact(additional);
        reserved.map_err(|_| Reason::NoMemory(wanted))
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Appends the first `length` bytes of `from`, or all of it.
    #[inline]
    pub(super) fn extend(&mut self, from: &[u8], length: usize) {
        if length <= SHORT
            && self.spare() >= SHORT
            && let Some(chunk) = from.first_chunk::<SHORT>()
        {
            let end = self.bytes.len().wrapping_add(length);
            self.bytes.extend_from_slice(chunk);
            self.bytes.truncate(end);
        } else {
            self.bytes
                .extend_from_slice(from.get(..length).unwrap_or(from));
        }
    }

    pub(super) fn fill(&mut self, byte: u8, length: usize) {
        // Beyond this, a few copies are cheaper.
        const FILLED: usize = 256;
        let (start, first) = (self.bytes.len(), length.min(FILLED));
        self.bytes.resize(start.saturating_add(first), byte);
        self.copy_long(start, first, length.saturating_sub(first));
    }

    /// Copies what was decoded `distance` bytes ago. `false`: there was nothing there.
    #[inline]
    pub(super) fn copy(&mut self, distance: usize, length: usize) -> bool {
        let Some(start) = self.bytes.len().checked_sub(distance) else {
            return false;
        };
        if length <= SHORT
            && distance >= SHORT
            && self.spare() >= SHORT
            && let Some(chunk) = self.bytes.get(start..).and_then(<[u8]>::first_chunk)
        {
            let chunk: [u8; SHORT] = *chunk;
            let end = self.bytes.len().wrapping_add(length);
            self.bytes.extend_from_slice(&chunk);
            self.bytes.truncate(end);
            return true;
        }
        self.copy_long(start, distance, length)
    }

    fn copy_long(&mut self, start: usize, distance: usize, length: usize) -> bool {
        if distance == 1 && length > 0 {
            let byte = self.bytes.last().copied().unwrap_or_default();
            self.fill(byte, length);
            return true;
        }
        // A copy is as good a source as the original, so each round may be twice as long.
        let (mut left, mut span) = (length, distance);
        while left > 0 && span > 0 {
            let count = left.min(span);
            let end = start.saturating_add(count);
            self.bytes.extend_from_within(start..end);
            left = left.saturating_sub(count);
            span = span.saturating_add(count);
        }
        left == 0
    }

    #[inline]
    fn spare(&self) -> usize {
        self.bytes.capacity().wrapping_sub(self.bytes.len())
    }

    /// What was decoded after the first `since` bytes.
    pub(super) fn since(&self, since: usize) -> &[u8] {
        let from = since.saturating_sub(self.gone);
        self.bytes.get(from..).unwrap_or_default()
    }

    /// The last two bytes, the very last first. Before the first byte there are zeros.
    #[inline]
    pub(super) fn last_two(&self) -> [u8; 2] {
        match self.bytes.as_slice() {
            [.., before, last] => [*last, *before],
            [last] => [*last, 0],
            [] => [0, 0],
        }
    }
}
