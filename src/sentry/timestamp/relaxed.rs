//! The spellings of a time that Relay reads: RFC 3339, and what else the parser of `chrono` accepts.
//!
//! | part | spellings |
//! | --- | --- |
//! | numbers | one or two digits; a year with a sign has any number of them |
//! | between date and time | `T`; with an offset also `t` and a space |
//! | offset | `Z`, `UTC`, `+08:00`, `+0800`, `+08 00`, with `-` and U+2212 too; none means UTC, but only behind `T` |
//! | white space | between any two parts |
//!
//! A second of 60 is the first of the next minute. A time in the year 10000 or later is not accepted.

use super::{END, Timestamp};

/// The seconds of a day.
const DAY: i64 = 86_400;
/// The earliest year of `chrono`.
const FIRST_YEAR: i64 = -262_143;

pub(super) fn read(text: &str) -> Option<Timestamp> {
    let mut rest = Rest(text);
    let year = rest.year()?;
    let month = rest.behind('-')?;
    let day = rest.behind('-')?;
    let separator = rest.next_of(&['T', 't', ' '])?;
    let hour = rest.number(2)?;
    let minute = rest.behind(':')?;
    let second = rest.behind(':')?;
    let nanos = rest.fraction()?;
    rest.space();
    let offset = if rest.0.is_empty() && separator == 'T' {
        0
    } else {
        rest.offset()?
    };
    rest.space();
    let fits = rest.0.is_empty() && hour <= 23 && minute <= 59 && second <= 60;
    let days = days(year, month, day).filter(|_| fits)?;
    let seconds = hour
        .checked_mul(3600)?
        .checked_add(minute.checked_mul(60)?)?
        .checked_add(second)?
        .checked_add(days.checked_mul(DAY)?)?
        .checked_sub(offset)?;
    (seconds < END).then_some(Timestamp { seconds, nanos })
}

/// Days from 1970-01-01, by Howard Hinnant's `days_from_civil`; `None` if there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let length = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    };
    if !(FIRST_YEAR..=9_999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=length).contains(&day)
    {
        return None;
    }
    // Years begin in March, so that the leap day is the last day of a year.
    let year = year.checked_sub(i64::from(month <= 2))?;
    let month = month.checked_add(9)?.rem_euclid(12);
    let of_year = month
        .checked_mul(153)?
        .checked_add(2)?
        .div_euclid(5)
        .checked_add(day)?
        .checked_sub(1)?;
    year.checked_mul(365)?
        .checked_add(year.div_euclid(4))?
        .checked_sub(year.div_euclid(100))?
        .checked_add(year.div_euclid(400))?
        .checked_add(of_year)?
        .checked_sub(719_468)
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn next_of(&mut self, accepted: &[char]) -> Option<char> {
        let mut chars = self.0.chars();
        let next = chars.next().filter(|next| accepted.contains(next))?;
        self.0 = chars.as_str();
        Some(next)
    }

    /// At least one digit and at most `most`. The rest stays.
    fn digits(&mut self, most: usize) -> Option<&str> {
        let count = self
            .0
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        (count > 0).then_some(digits)
    }

    fn number(&mut self, most: usize) -> Option<i64> {
        self.space();
        self.digits(most)?.parse().ok()
    }

    /// A number after a mark.
    fn behind(&mut self, mark: char) -> Option<i64> {
        self.space();
        self.next_of(&[mark])?;
        self.number(2)
    }

    fn year(&mut self) -> Option<i64> {
        self.space();
        let sign = self.next_of(&['+', '-']);
        let most = if sign.is_some() { usize::MAX } else { 4 };
        let year: i64 = self.digits(most)?.parse().ok()?;
        if sign == Some('-') {
            year.checked_neg()
        } else {
            Some(year)
        }
    }

    /// Nanoseconds after a point. Digits beyond the ninth are dropped.
    fn fraction(&mut self) -> Option<u32> {
        if self.next_of(&['.']).is_none() {
            return Some(0);
        }
        super::nanos(self.digits(usize::MAX)?)
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.next_of(&['Z', 'z']).is_some() {
            return Some(0);
        }
        if let Some((name, rest)) = self.0.split_at_checked(3)
            && name.eq_ignore_ascii_case("UTC")
        {
            self.0 = rest;
            return Some(0);
        }
        let sign = self.next_of(&['+', '-', '\u{2212}'])?;
        let hours = self.two_digits()?;
        self.0 = self
            .0
            .trim_start_matches(|c: char| c == ':' || c.is_whitespace());
        let minutes = self.two_digits()?;
        if hours > 23 || minutes > 59 {
            return None;
        }
        let seconds = hours
            .checked_mul(3600)?
            .checked_add(minutes.checked_mul(60)?)?;
        if sign == '+' {
            Some(seconds)
        } else {
            seconds.checked_neg()
        }
    }

    fn two_digits(&mut self) -> Option<i64> {
        let digits = self.digits(2)?;
        (digits.len() == 2).then(|| digits.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    const SECONDS: i64 = 1_795_232_076;

    #[test]
    fn spellings_that_relay_reads() {
        for text in [
            "2026-11-21T03:34:36Z",
            "2026-11-21T03:34:36z",
            "2026-11-21T03:34:36",
            "2026-11-21 03:34:36Z",
            "2026-11-21t03:34:36Z",
            "2026-11-21T03:34:36+00:00",
            "2026-11-21T03:34:36+0000",
            "2026-11-21T03:34:36-0000",
            "2026-11-21T03:34:36 +0000",
            "2026-11-21 03:34:36 +0000",
            "2026-11-21T03:34:36 UTC",
            "2026-11-21 03:34:36 UTC",
            "2026-11-21T03:34:36utc",
            "2026-11-21 03:34:36.000 UTC",
            "2026-11-21T11:34:36+08:00",
            "2026-11-21T11:34:36+0800",
            "2026-11-21T11:34:36+08 00",
            "2026-11-21T11:34:36+08 : 00",
            "2026-11-20T22:04:36-05:30",
            "2026-11-20T22:04:36\u{2212}05:30",
            "2026-11-21T3:34:36Z",
            " 2026 - 11 - 21T 03 : 34 : 36 Z ",
            "+2026-11-21T03:34:36Z",
            "+002026-11-21T03:34:36Z",
        ] {
            let found = read(text).map(|time| (time.seconds, time.nanos));
            assert_eq!(found, Some((SECONDS, 0)), "{text}");
        }
    }

    #[test]
    fn fractions_and_ends_of_the_calendar() {
        for (text, expected) in [
            ("2026-11-21T03:34:36.5", (SECONDS, 500_000_000)),
            (
                "2026-11-21T03:34:36.1234567899+0000",
                (SECONDS, 123_456_789),
            ),
            ("1970-01-01T00:00:00Z", (0, 0)),
            ("1969-12-31T23:59:59.9Z", (-1, 900_000_000)),
            ("2016-12-31T23:59:60Z", (1_483_228_800, 0)),
            ("2024-02-29T00:00:00Z", (1_709_164_800, 0)),
            ("2000-02-29T00:00:00Z", (951_782_400, 0)),
            ("9999-12-31T23:59:59.999Z", (253_402_300_799, 999_000_000)),
            ("0000-01-01T00:00:00Z", (-62_167_219_200, 0)),
            ("-0001-12-31T00:00:00Z", (-62_167_305_600, 0)),
        ] {
            let found = read(text).map(|time| (time.seconds, time.nanos));
            assert_eq!(found, Some(expected), "{text}");
        }
    }

    #[test]
    fn what_relay_does_not_read() {
        for text in [
            "",
            "Z",
            "yesterday",
            "2026-11-21",
            "2026-11-21 03:34:36",
            "2026-11-21t03:34:36",
            "2026-11-21T03:34",
            "2026-11-21T03:34Z",
            "20261121T033436Z",
            "2026/11/21T03:34:36Z",
            "2026-13-21T03:34:36Z",
            "2026-00-21T03:34:36Z",
            "2026-02-29T03:34:36Z",
            "2100-02-29T03:34:36Z",
            "2026-11-31T03:34:36Z",
            "2026-11-00T03:34:36Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T03:60:36Z",
            "2026-11-21T03:34:61Z",
            "2026-11-21T03:34:36.Z",
            "2026-11-21T03:34:36+8",
            "2026-11-21T03:34:36+08",
            "2026-11-21T03:34:36+08:0",
            "2026-11-21T03:34:36+24:00",
            "2026-11-21T03:34:36+08:60",
            "2026-11-21T03:34:36 GMT",
            "2026-11-21T03:34:36ZZ",
            "2026-11-21T03:34:36Z x",
            "10000-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "9999-12-31T23:30:00-01:00",
            "-999999-01-01T00:00:00Z",
            "+99999999999999999999-01-01T00:00:00Z",
            "Sat, 21 Nov 2026 03:34:36 GMT",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
