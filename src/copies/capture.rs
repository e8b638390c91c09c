//! A bounded copy of a body as it streams past.
//!
//! The host writes each chunk straight into the body's own buffer: one copy, host to guest. Room is reserved from
//! Content-Length, but never more than twice what has really arrived (at least [`STEP`]). So a client that announces 10 MiB
//! and sends one byte neither gets 10 MiB nor is charged for it.

/// First reservation, unless the first piece is larger.
const STEP: usize = 4_096;

/// Why a body is no longer collected. None of it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is over the limit.
    TooLarge,
    /// The budget has no room for it.
    NoRoom,
    /// The host did not provide what it announced.
    Unreadable,
}

/// A body being collected.
#[derive(Debug)]
pub struct Capture {
    body: Vec<u8>,
    announced: Option<usize>,
    max: usize,
}

impl Capture {
    /// An empty body; `None` if the announced length is already over the limit.
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

    /// Takes a chunk of `size` bytes, which `fill` appends. `room` is what the budget has left, besides what this capture
    /// [holds](Self::held).
    ///
    /// # Errors
    /// Why the body is no longer collected.
    pub fn push(
        &mut self,
        size: usize,
        room: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Option<()>,
    ) -> Result<(), Refusal> {
        let result = self.reserve(size, room).and_then(|()| {
            let length = self.body.len().saturating_add(size);
            fill(&mut self.body)
                .filter(|()| self.body.len() == length)
                .ok_or(Refusal::Unreadable)
        });
        if result.is_err() {
            self.body = Vec::new();
        }
        result
    }

    /// The least that a chunk of `size` bytes needs besides what is held: 0 if the body would be over the limit.
    #[must_use]
    pub fn needs(&self, size: usize) -> usize {
        let length = self.body.len().saturating_add(size);
        if length > self.max {
            0
        } else {
            length.saturating_sub(self.body.capacity())
        }
    }

    fn reserve(&mut self, size: usize, room: usize) -> Result<(), Refusal> {
        let length = self.body.len().saturating_add(size);
        if length > self.max {
            return Err(Refusal::TooLarge);
        }
        let room = self.body.capacity().saturating_add(room);
        if length > room {
            return Err(Refusal::NoRoom);
        }
        if length <= self.body.capacity() {
            return Ok(());
        }
        // The first chunk of a body of unknown length is usually all of it.
        let ahead = match (self.announced, self.body.is_empty()) {
            (Some(announced), _) => announced.min(length.saturating_mul(2).max(STEP)),
            (None, true) => length,
            (None, false) => length.saturating_mul(2).min(self.max),
        };
        let wanted = ahead.min(room).max(length);
        self.body
            .try_reserve_exact(wanted.saturating_sub(self.body.len()))
            .map_err(|_| Refusal::NoRoom)
    }

    /// Bytes that the capture takes up.
    #[must_use]
    pub fn held(&self) -> usize {
        self.body.capacity()
    }

    /// The collected body, without the unused room.
    #[must_use]
    pub fn into_body(mut self) -> Vec<u8> {
        self.body.shrink_to_fit();
        self.body
    }
}

#[cfg(test)]
mod tests {
    use super::{Capture, Refusal, STEP};

    const MAX: usize = 1_000_000;

    fn push(capture: &mut Capture, bytes: &[u8], room: usize) -> Result<(), Refusal> {
        capture.push(bytes.len(), room, |body| {
            body.extend_from_slice(bytes);
            Some(())
        })
    }

    #[test]
    fn the_limit_is_a_limit_whatever_was_announced() {
        for (announced, sizes, end) in [
            (None, vec![MAX - 1], Ok(())),
            (None, vec![MAX], Ok(())),
            (None, vec![MAX + 1], Err(Refusal::TooLarge)),
            (None, vec![1, MAX - 1], Ok(())),
            (None, vec![1, MAX], Err(Refusal::TooLarge)),
            (Some(3), vec![1, MAX], Err(Refusal::TooLarge)),
            (Some(1_000_000), vec![1, 1], Ok(())),
        ] {
            let mut capture = Capture::new(announced, MAX).unwrap();
            let pushes = sizes
                .iter()
                .map(|size| push(&mut capture, &vec![0; *size], MAX * 4));
            assert_eq!(pushes.last(), Some(end), "{sizes:?}");
        }
        assert!(Capture::new(Some(MAX as u64 + 1), MAX).is_none());
        assert!(Capture::new(Some(u64::MAX), MAX).is_none());
    }

    #[test]
    fn one_byte_chunks_give_the_body_with_few_reservations() {
        let body: Vec<u8> = (0..=255).cycle().take(20_000).collect();
        let mut capture = Capture::new(None, MAX).unwrap();
        let mut capacities = Vec::new();
        for byte in &body {
            assert_eq!(push(&mut capture, &[*byte], MAX), Ok(()));
            capacities.push(capture.held());
        }
        capacities.dedup();
        assert!(capacities.len() < 20, "{capacities:?}");
        assert_eq!(capture.into_body(), body);
    }

    #[test]
    fn an_announced_length_reserves_no_more_than_what_is_likely() {
        let mut capture = Capture::new(Some(1_000_000), MAX).unwrap();
        push(&mut capture, &[0; 10], MAX).unwrap();
        assert!(capture.held() <= STEP, "{}", capture.held());
        let mut came = 10;
        for size in [STEP, 1, 16_384, 16_384, 100_000, 1] {
            push(&mut capture, &vec![0; size], MAX).unwrap();
            came += size;
            assert!(capture.held() <= 2 * came, "{} for {came}", capture.held());
        }
        let mut capture = Capture::new(Some(20_000), MAX).unwrap();
        push(&mut capture, &[0; 16_384], MAX).unwrap();
        assert_eq!(capture.held(), 20_000, "once for the whole body");
    }

    #[test]
    fn what_a_chunk_needs_is_what_it_takes_at_least() {
        let mut capture = Capture::new(None, 1_000).unwrap();
        assert_eq!((capture.needs(300), capture.needs(1_001)), (300, 0));
        push(&mut capture, &[0; 300], 300).unwrap();
        assert_eq!((capture.needs(700), capture.needs(701)), (700, 0));
        push(&mut capture, &[0; 1], 1).unwrap();
        assert_eq!(capture.needs(usize::MAX), 0);
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let mut capture = Capture::new(None, MAX).unwrap();
        assert_eq!(push(&mut capture, &[0; 100], 100), Ok(()));
        assert_eq!(push(&mut capture, &[0; 100], 99), Err(Refusal::NoRoom));
        assert_eq!(capture.held(), 0);
    }

    #[test]
    fn a_chunk_that_is_not_what_was_announced_is_refused() {
        let mut capture = Capture::new(None, MAX).unwrap();
        assert_eq!(capture.push(5, MAX, |_| None), Err(Refusal::Unreadable));
        let short = capture.push(5, MAX, |body| {
            body.push(1);
            Some(())
        });
        assert_eq!(short, Err(Refusal::Unreadable));
    }
}
