//! Reads the two spellings of a time that Sentry SDKs use: seconds since 1970 as a JSON number (Python, JavaScript, Rust's
//! `start_timestamp`) and RFC 3339 (Rust, Ruby, Python, Go), the latter also without an offset, which means UTC (raven,
//! and Relay's reading of it).
//!
//! A number is read from its digits, not through `f64`, which at today's dates keeps no more than 0.2 µs.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

    /// Milliseconds since `earlier`, with three decimals; none when it is not earlier.
    pub fn ms_since(self, earlier: Self) -> Option<String> {
        let seconds = i128::from(self.seconds).checked_sub(i128::from(earlier.seconds))?;
        let nanos = i128::from(self.nanos).checked_sub(i128::from(earlier.nanos))?;
        let micros = seconds
            .checked_mul(1_000_000)?
            .checked_add(nanos.div_euclid(1000))?;
        (micros >= 0).then(|| format!("{}.{:03}", micros / 1000, micros % 1000))
    }

    /// Reads RFC 3339; a missing offset means UTC.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let utc;
        let parsed = match OffsetDateTime::parse(text, &Rfc3339) {
            Ok(parsed) => parsed,
            // Only worth a second try when it has the length of a time without an offset: `2026-11-21T03:34:36`, and
            // up to nine decimals.
            Err(_) if (19..=29).contains(&text.len()) => {
                utc = [text, "Z"].concat();
                OffsetDateTime::parse(&utc, &Rfc3339).ok()?
            }
            Err(_) => return None,
        };
        Some(Self {
            seconds: parsed.unix_timestamp(),
            nanos: parsed.nanosecond(),
        })
    }

    /// Reads a JSON number of seconds.
    pub fn from_number(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) {
            // Negative, or with an exponent: rare enough for the slow and less exact way.
            let seconds: f64 = text.parse().ok()?;
            return Self::from_f64(seconds);
        }
        let mut nanos: u32 = 0;
        for digit in fraction.bytes().chain(std::iter::repeat(b'0')).take(9) {
            nanos = nanos
                .checked_mul(10)?
                .checked_add(u32::from(digit.checked_sub(b'0')?))?;
        }
        Some(Self {
            seconds: whole.parse().ok()?,
            nanos,
        })
    }

    fn from_f64(seconds: f64) -> Option<Self> {
        let whole = seconds.floor();
        // Within what RFC 3339 can say: year 0 to 9999.
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
