//! Reads a time as Relay does: seconds since 1970 as a JSON number (Python, JavaScript, Rust's `start_timestamp`), and the
//! spellings of `timestamp/relaxed.rs` (Rust, Ruby, Python, Go). Past the year 9999 nothing is accepted as a time.
//!
//! A number is read from its digits, not through `f64`, which at today's dates is only accurate to 0.2 µs. Work is bounded:
//! more than [`MAX_LEN`] bytes are not a time.

mod relaxed;

/// The longest text that is read. Every spelling of a time is shorter, apart from white space and redundant digits.
const MAX_LEN: usize = 64;

/// 10000-01-01T00:00:00Z in seconds.
const END: i64 = 253_402_300_800;

/// A moment: seconds since 1970 and the nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// Below one billion.
    pub nanos: u32,
}

impl Timestamp {
    /// From milliseconds since 1970.
    pub fn from_ms(ms: u64) -> Self {
        let nanos = u32::try_from(ms % 1000)
            .unwrap_or(0)
            .saturating_mul(1_000_000);
        Self {
            seconds: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
            nanos,
        }
    }

    /// To milliseconds since 1970.
    pub fn ms(self) -> i64 {
        self.seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(self.nanos / 1_000_000))
    }

    /// Milliseconds since `earlier`, with three decimals; `None` if it is not earlier.
    pub fn ms_since(self, earlier: Self) -> Option<String> {
        let seconds = i128::from(self.seconds).checked_sub(i128::from(earlier.seconds))?;
        let nanos = i128::from(self.nanos).checked_sub(i128::from(earlier.nanos))?;
        let micros = seconds
            .checked_mul(1_000_000)?
            .checked_add(nanos.div_euclid(1000))?;
        (micros >= 0).then(|| format!("{}.{:03}", micros / 1000, micros % 1000))
    }

    /// Reads RFC 3339 and the other spellings that Relay reads; a missing offset means UTC.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        (text.len() <= MAX_LEN).then(|| relaxed::read(text))?
    }

    /// Reads a JSON number of seconds.
    pub fn from_number(text: &str) -> Option<Self> {
        if text.len() > MAX_LEN {
            return None;
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            // Negative, or with an exponent: rare enough for the slow and less exact way.
            let seconds: f64 = text.parse().ok()?;
            return Self::from_f64(seconds);
        }
        let seconds = whole.parse().ok().filter(|seconds| *seconds < END)?;
        Some(Self {
            seconds,
            nanos: nanos(fraction)?,
        })
    }

    fn from_f64(seconds: f64) -> Option<Self> {
        let whole = seconds.floor();
        // Within what RFC 3339 can express: year 0 to 9999.
        if !(-62_167_219_200.0..253_402_300_800.0).contains(&whole) {
            return None;
        }
        let nanos = ((seconds - whole) * 1e9).min(999_999_999.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "both ranges were just checked"
        )]
        Some(Self {
            seconds: whole as i64,
            nanos: nanos as u32,
        })
    }
}

/// Digits after a point as nanoseconds. Digits beyond the ninth are dropped.
fn nanos(fraction: &str) -> Option<u32> {
    let mut nanos: u32 = 0;
    for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(9) {
        nanos = nanos
            .checked_mul(10)?
            .checked_add(u32::from(digit.checked_sub(b'0')?))?;
    }
    Some(nanos)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanos: u32) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos })
    }

    #[test]
    fn numbers() {
        assert_eq!(
            Timestamp::from_number("1795232076.7163768"),
            at(1_795_232_076, 716_376_800)
        );
        assert_eq!(Timestamp::from_number("1795232076"), at(1_795_232_076, 0));
        assert_eq!(
            Timestamp::from_number("1795232076.1234567899"),
            at(1_795_232_076, 123_456_789)
        );
        assert_eq!(Timestamp::from_number("1.795e9"), at(1_795_000_000, 0));
        assert_eq!(Timestamp::from_number("-0.5"), at(-1, 500_000_000));
        assert_eq!(
            Timestamp::from_number("253402300799.9"),
            at(253_402_300_799, 900_000_000)
        );
        for bad in [
            "",
            ".",
            "1e400",
            "99999999999999999999",
            "-1e300",
            "x",
            "1.2.3",
            "NaN",
            "253402300800",
            "253402300800.0",
            "1795232076716",
            "2.534023008e11",
        ] {
            assert_eq!(Timestamp::from_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_longer_than_a_time_is_none() {
        let number = format!("1795232076.{}", "1".repeat(53));
        assert_eq!(
            Timestamp::from_number(&number),
            at(1_795_232_076, 111_111_111)
        );
        assert_eq!(Timestamp::from_number(&format!("{number}1")), None);
        let text = format!("2026-11-21T03:34:36.{}Z", "1".repeat(43));
        assert_eq!(
            Timestamp::from_rfc3339(&text),
            at(1_795_232_076, 111_111_111)
        );
        assert_eq!(Timestamp::from_rfc3339(&format!("{text} ")), None);
    }

    #[test]
    fn differences() {
        let start = Timestamp::from_number("1.9999").unwrap();
        let end = Timestamp::from_number("3.0000").unwrap();
        assert_eq!(end.ms_since(start).unwrap(), "1000.100");
        assert_eq!(start.ms_since(end), None);
        assert_eq!(
            Timestamp::from_ms(1_795_232_076_716).ms(),
            1_795_232_076_716
        );
    }
}
