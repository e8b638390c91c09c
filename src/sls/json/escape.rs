//! Writes text as a JSON string.

use std::task::Poll;

use crate::meter::Meter;

/// Units per byte, and extra units per escape.
const WRITE: u64 = 12;
const WRITE_ESCAPE: u64 = 150;
const PIECE: usize = 16_384;

/// Writes a text with the necessary escapes, without the surrounding quotes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Escape {
    at: usize,
}

impl Escape {
    /// Continues, and appends to `out`.
    pub(crate) fn step(&mut self, text: &str, out: &mut String, meter: &mut Meter) -> Poll<()> {
        loop {
            let rest = text.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Poll::Ready(());
            }
            let room = meter.bytes(WRITE).min(PIECE);
            if room == 0 {
                return Poll::Pending;
            }
            let piece = rest.get(..rest.floor_char_boundary(room)).unwrap_or(rest);
            let escaped = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
            let plain = piece.as_bytes().iter().position(escaped);
            let length = plain.unwrap_or(piece.len());
            out.push_str(piece.get(..length).unwrap_or_default());
            meter.spend_bytes(length, WRITE);
            self.at = self.at.saturating_add(length);
            if let Some(byte) = piece.as_bytes().get(length) {
                push(out, *byte);
                meter.spend(WRITE_ESCAPE);
                self.at = self.at.saturating_add(1);
            }
        }
    }
}

fn push(out: &mut String, byte: u8) {
    let short = match byte {
        b'"' => '"',
        b'\\' => '\\',
        0x08 => 'b',
        0x0C => 'f',
        b'\n' => 'n',
        b'\r' => 'r',
        b'\t' => 't',
        _ => {
            out.push_str("\\u00");
            for nibble in [byte >> 4, byte & 0x0F] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            return;
        }
    };
    out.push('\\');
    out.push(short);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn as_serde_json_writes_it() {
        let all: String = (0..0x500_u32).filter_map(char::from_u32).collect();
        let long = all.repeat(30);
        for text in ["", "x", "😀", &all, &long] {
            for units in [1, 1_000, 100_000_000] {
                let (mut escape, mut out) = (Escape::default(), String::from("\""));
                while escape
                    .step(text, &mut out, &mut Meter::new(units))
                    .is_pending()
                {}
                out.push('"');
                assert_eq!(out, serde_json::to_string(text).unwrap());
            }
        }
    }
}
