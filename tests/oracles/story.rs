//! Any bytes as a story: what happens next, and to whom, is read byte by byte, so that a small change of the bytes is a
//! small change of the story.

pub struct Story<'a>(&'a [u8]);

impl<'a> Story<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte; after the end, zero.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Rarely so.
    pub fn rarely(&mut self) -> bool {
        self.byte() >= 224
    }

    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}
