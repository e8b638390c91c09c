//! A number, as RFC 8259 writes it.

use std::task::Poll;

use super::NotJson;
use crate::meter::Meter;

/// Units per byte.
const PER_BYTE: u64 = 40;

/// Looks for the end of a number. The number is kept as written: it may be of any size and have any number of digits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    at: usize,
    part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Start,
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

impl Part {
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Start, b'-') => Self::Minus,
            (Self::Start | Self::Minus, b'0') => Self::Zero,
            (Self::Start | Self::Minus, b'1'..=b'9') => Self::Integer,
            (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::Sign,
            (Self::Exponent | Self::Sign | Self::Power, b'0'..=b'9') => Self::Power,
            _ => return None,
        })
    }

    fn may_end(self) -> bool {
        matches!(
            self,
            Self::Zero | Self::Integer | Self::Fraction | Self::Power
        )
    }
}

impl Number {
    /// `at`: where it begins.
    pub(crate) fn new(at: usize) -> Self {
        let part = Part::Start;
        Self { at, part }
    }

    /// Continues. The result is the offset after the number.
    pub(crate) fn step(&mut self, text: &str, meter: &mut Meter) -> Poll<Result<usize, NotJson>> {
        loop {
            let room = meter.bytes(PER_BYTE);
            if room == 0 {
                return Poll::Pending;
            }
            let rest = text.as_bytes().get(self.at..).unwrap_or_default();
            let mut length = 0_usize;
            for byte in rest.iter().take(room) {
                let Some(next) = self.part.next(*byte) else {
                    break;
                };
                self.part = next;
                length = length.saturating_add(1);
            }
            meter.spend_bytes(length, PER_BYTE);
            self.at = self.at.saturating_add(length);
            if length == room && length < rest.len() {
                continue;
            }
            return Poll::Ready(if self.part.may_end() {
                Ok(self.at)
            } else {
                Err(NotJson::new(self.at, "expected a digit"))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str, units: u64) -> Result<usize, NotJson> {
        let mut number = Number::new(0);
        loop {
            if let Poll::Ready(end) = number.step(text, &mut Meter::new(units)) {
                return end;
            }
        }
    }

    #[test]
    fn numbers() {
        let long = "1".repeat(10_000);
        for number in ["0", "-0", "17", "1.50", "-1.0e+9", "2E5", "1e-07", &long] {
            for units in [1, 1_000_000] {
                for behind in ["", ",", "}", " "] {
                    let text = format!("{number}{behind}");
                    assert_eq!(end(&text, units), Ok(number.len()), "{text}");
                }
            }
        }
        for (bad, offset) in [("-", 1), ("1.", 2), ("1.e5", 2), ("1e", 2), ("-x", 1)] {
            let expected = NotJson::new(offset, "expected a digit");
            assert_eq!(end(bad, 1_000), Err(expected), "{bad}");
        }
        // What follows is not part of the number.
        assert_eq!((end("01", 9), end("1.2.3", 9)), (Ok(1), Ok(3)));
    }
}
