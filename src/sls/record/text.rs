//! The bytes of an item as text, in steps. The meaning of the text is not looked at.

use std::task::Poll;

use crate::meter::Meter;

/// Units a byte of the check and the copy, at the worst.
const PER_BYTE: u64 = 20;
const PIECE: usize = 65_536;

/// Checks that bytes are UTF-8 and copies them.
#[derive(Default)]
pub(super) struct Text {
    text: String,
}

impl Text {
    /// Goes on. `is_cut` says that the bytes are the beginning of more: their last character need not be whole.
    pub(super) fn step(
        &mut self,
        bytes: &[u8],
        is_cut: bool,
        meter: &mut Meter,
    ) -> Poll<Result<String, String>> {
        if bytes.is_empty() {
            return Poll::Ready(Err("empty".to_owned()));
        }
        if self.text.capacity() == 0 && self.text.try_reserve_exact(bytes.len()).is_err() {
            return Poll::Ready(Err("no memory to read it".to_owned()));
        }
        loop {
            let at = self.text.len();
            let rest = bytes.get(at..).unwrap_or_default();
            if rest.is_empty() {
                return Poll::Ready(Ok(std::mem::take(&mut self.text)));
            }
            let room = meter.bytes(PER_BYTE).min(PIECE);
            if room == 0 {
                return Poll::Pending;
            }
            let piece = rest.get(..room).unwrap_or(rest);
            meter.spend_bytes(piece.len(), PER_BYTE);
            let (good, error) = match std::str::from_utf8(piece) {
                Ok(good) => (good, None),
                Err(error) => {
                    let good = piece.get(..error.valid_up_to()).unwrap_or_default();
                    (std::str::from_utf8(good).unwrap_or_default(), Some(error))
                }
            };
            self.text.push_str(good);
            let Some(error) = error else { continue };
            // A character that the piece cuts in two is whole in the next one.
            let is_split = error.error_len().is_none();
            if is_split && piece.len() < rest.len() {
                continue;
            }
            return Poll::Ready(if is_split && is_cut {
                Ok(std::mem::take(&mut self.text))
            } else {
                Err(format!("not UTF-8 at byte {}", self.text.len()))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], is_cut: bool, units: u64) -> Result<String, String> {
        let mut text = Text::default();
        loop {
            if let Poll::Ready(text) = text.step(bytes, is_cut, &mut Meter::new(units)) {
                return text;
            }
        }
    }

    #[test]
    fn whole_characters_at_every_step() {
        let text = "aä€😀".repeat(20_000);
        for units in [1, 7_770, 1_000_000_000] {
            assert_eq!(read(text.as_bytes(), false, units).as_deref(), Ok(&*text));
            let broken = [text.as_bytes(), b"\xFFxyz"].concat();
            let expected = format!("not UTF-8 at byte {}", text.len());
            assert_eq!(read(&broken, true, units), Err(expected));
            let split = [b"x".as_slice(), b"\xE2\x82"].concat();
            assert_eq!(read(&split, true, units).as_deref(), Ok("x"));
            let expected = Err("not UTF-8 at byte 1".to_owned());
            assert_eq!(read(&split, false, units), expected);
        }
        assert_eq!(read(b"", false, 1), Err("empty".to_owned()));
    }
}
