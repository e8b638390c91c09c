//! The bounded copy of a body while it streams past.
//!
//! The host hands out each chunk in a buffer of our own (its one copy, host to guest). A body that comes in one
//! chunk keeps that buffer. Room for more is reserved from Content-Length, but never more than twice what has
//! really come (at least [`STEP`]): a client that announces 10 MiB and sends one byte gets no 10 MiB.

/// First reservation. Nearly every envelope is smaller.
const STEP: usize = 262_144;

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Kept.
    Kept,
    /// The body is over the limit: nothing of it is kept.
    TooLarge,
    /// The budget has no room for it: nothing of it is kept.
    NoRoom,
}

/// A body that is being collected.
#[derive(Debug)]
pub struct Capture {
    body: Vec<u8>,
    announced: Option<usize>,
    max: usize,
}

impl Capture {
    /// An empty body; `None` when the announced length is over the limit already.
    #[must_use]
    pub fn new(content_length: Option<u64>, max: usize) -> Option<Self> {
        let announced = match content_length {
            Some(length) => Some(
                usize::try_from(length)
                    .ok()
                    .filter(|length| *length <= max)?,
            ),
            None => None,
        };
        Some(Self {
            body: Vec::new(),
            announced,
            max,
        })
    }

    /// Takes a chunk. `room` is what the budget has left, beside what this capture [holds](Self::held).
    pub fn push(&mut self, chunk: Vec<u8>, room: usize) -> Chunk {
        let length = self.body.len().saturating_add(chunk.len());
        if length > self.max {
            self.body = Vec::new();
            return Chunk::TooLarge;
        }
        let room = self.body.capacity().saturating_add(room);
        if length > room {
            self.body = Vec::new();
            return Chunk::NoRoom;
        }
        if self.body.is_empty() {
            self.body = chunk;
            return Chunk::Kept;
        }
        if length > self.body.capacity() {
            let announced = self.announced.unwrap_or_default();
            let wanted = announced
                .min(length.saturating_mul(2).max(STEP))
                .max(length)
                .min(room);
            let additional = wanted.saturating_sub(self.body.len());
            if self.body.try_reserve_exact(additional).is_err() {
                self.body = Vec::new();
                return Chunk::NoRoom;
            }
        }
        self.body.extend_from_slice(&chunk);
        Chunk::Kept
    }

    /// Bytes that the capture occupies.
    #[must_use]
    pub fn held(&self) -> usize {
        self.body.capacity()
    }

    /// The collected body, without the room that was not needed.
    #[must_use]
    pub fn into_body(mut self) -> Vec<u8> {
        self.body.shrink_to_fit();
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::{Capture, Chunk, STEP};

    const MAX: usize = 1_000_000;

    #[test]
    fn the_limit_is_a_limit_whatever_was_announced() {
        for (announced, sizes, end) in [
            (None, vec![MAX - 1], Chunk::Kept),
            (None, vec![MAX], Chunk::Kept),
            (None, vec![MAX + 1], Chunk::TooLarge),
            (None, vec![1, MAX - 1], Chunk::Kept),
            (None, vec![1, MAX], Chunk::TooLarge),
            (Some(3), vec![1, MAX], Chunk::TooLarge),
            (Some(1_000_000), vec![1, 1], Chunk::Kept),
        ] {
            let mut capture = Capture::new(announced, MAX).unwrap();
            let last = sizes
                .iter()
                .map(|size| capture.push(vec![0; *size], MAX * 4))
                .last();
            assert_eq!(last, Some(end), "{sizes:?}");
        }
        assert!(Capture::new(Some(MAX as u64 + 1), MAX).is_none());
        assert!(Capture::new(Some(u64::MAX), MAX).is_none());
    }

    #[test]
    fn one_byte_chunks_give_the_body() {
        let body: Vec<u8> = (0..=255).cycle().take(2000).collect();
        let mut capture = Capture::new(None, MAX).unwrap();
        for byte in &body {
            assert_eq!(capture.push(vec![*byte], MAX), Chunk::Kept);
        }
        assert_eq!(capture.into_body(), body);
    }

    #[test]
    fn an_announced_length_reserves_no_more_than_what_is_likely() {
        let mut capture = Capture::new(Some(1_000_000), MAX).unwrap();
        capture.push(vec![0; 10], MAX);
        capture.push(vec![0; 10], MAX);
        assert!(capture.held() <= STEP, "{}", capture.held());
        capture.push(vec![0; STEP], MAX);
        assert!(capture.held() <= 3 * STEP);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut capture = Capture::new(None, MAX).unwrap();
        assert_eq!(capture.push(vec![0; 100], 100), Chunk::Kept);
        assert_eq!(capture.push(vec![0; 100], 99), Chunk::NoRoom);
        assert_eq!(capture.held(), 0);
    }
}
