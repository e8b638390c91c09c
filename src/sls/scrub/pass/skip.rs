//! What is replaced as a whole is skipped, not read.

/// Skips an array or object, looking at its brackets and strings only.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Skip {
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Skip {
    /// The number of bytes up to behind its end, or all of them.
    pub(super) fn over(&mut self, bytes: &[u8]) -> (usize, bool) {
        for (index, byte) in bytes.iter().enumerate() {
            let escaped = std::mem::take(&mut self.escaped);
            match (byte, self.in_string) {
                (b'"', true) if !escaped => self.in_string = false,
                (b'\\', true) => self.escaped = !escaped,
                (_, true) => {}
                (b'"', false) => self.in_string = true,
                (b'{' | b'[', false) => self.depth = self.depth.saturating_add(1),
                (b'}' | b']', false) => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return (index.saturating_add(1), true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }
}
