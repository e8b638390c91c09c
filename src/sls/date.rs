//! Dates in the formats that SLS and the metadata service use. All are UTC. Times are unix milliseconds; fractions of a
//! second are dropped when writing.
//!
//! | spelling | where |
//! | --- | --- |
//! | `Thu, 29 Feb 2024 07:08:09 GMT` | `Date`, and `x-log-date` of v1 |
//! | `20240229T070809Z` | `x-log-date` of v4 |
//! | `2017-11-01T05:20:01Z` | `Expiration` of a RAM role's credential |
//!
//! The calendar arithmetic is the proleptic Gregorian one of Howard Hinnant's `civil_from_days`, on years 1970 to 9999.

use std::num::Saturating as N;

const MS_PER_DAY: u64 = 86_400_000;
/// 9999-12-31T23:59:59Z: the last second that a four-digit year can express.
const LAST_MS: u64 = 253_402_300_799_000;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: u64 = 719_468;
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // 1970-01-01 was a Thursday
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

struct Civil {
    year: u64,
    month: u64,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    weekday: usize,
}

/// The date of `Date`: `Thu, 29 Feb 2024 07:08:09 GMT`.
pub fn http(unix_ms: u64) -> String {
    let at = civil(unix_ms);
    let weekday = WEEKDAYS.get(at.weekday).copied().unwrap_or_default();
    let month = usize::try_from(at.month.saturating_sub(1))
        .ok()
        .and_then(|month| MONTHS.get(month))
        .copied();
    format!(
        "{weekday}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        at.day,
        month.unwrap_or_default(),
        at.year,
        at.hour,
        at.minute,
        at.second
    )
}

/// The date of v4: `20240229T070809Z`. Its first eight characters are the date of the scope.
pub fn basic(unix_ms: u64) -> String {
    let at = civil(unix_ms);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        at.year, at.month, at.day, at.hour, at.minute, at.second
    )
}

/// Reads what [`http`] writes; a day of one digit is fine, the weekday is not checked.
pub fn parse_http(text: &str) -> Option<u64> {
    let mut words = text.trim().split(' ');
    let weekday = words.next()?;
    let day = number(words.next()?, 1, 2)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)?;
    let year = number(words.next()?, 4, 4)?;
    let (hour, minute, second) = clock(words.next()?)?;
    if !weekday.ends_with(',') || words.next()? != "GMT" || words.next().is_some() {
        return None;
    }
    unix_ms(
        year,
        u64::try_from(month).ok()?.checked_add(1)?,
        day,
        hour,
        minute,
        second,
    )
}

/// Reads `2017-11-01T05:20:01Z`; a fraction of a second is allowed and dropped, any offset but `Z` is not.
pub fn parse_rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.trim().strip_suffix('Z')?.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let time = match time.split_once('.') {
        Some((time, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => time,
        Some(_) => return None,
        None => time,
    };
    let (hour, minute, second) = clock(time)?;
    if parts.next().is_some() {
        return None;
    }
    unix_ms(
        number(year, 4, 4)?,
        number(month, 2, 2)?,
        number(day, 2, 2)?,
        hour,
        minute,
        second,
    )
}

fn clock(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    Some((
        number(hour, 2, 2)?,
        number(minute, 2, 2)?,
        number(second, 2, 2)?,
    ))
}

/// `min` to `max` digits and nothing else: `u64::from_str` would also accept a sign.
fn number(text: &str, min: usize, max: usize) -> Option<u64> {
    let digits =
        (min..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn civil(unix_ms: u64) -> Civil {
    let unix_ms = unix_ms.min(LAST_MS);
    let (days, ms) = (unix_ms / MS_PER_DAY, unix_ms % MS_PER_DAY);
    let since = days.saturating_add(EPOCH_DAYS);
    let (era, of_era) = (since / 146_097, N(since % 146_097));
    let year = div(
        of_era - div(of_era, 1_460) + div(of_era, 36_524) - div(of_era, 146_096),
        365,
    );
    let of_year = of_era - (N(365) * year + div(year, 4) - div(year, 100));
    let shifted = div(N(5) * of_year + N(2), 153); // months since March
    let day = of_year - div(N(153) * shifted + N(2), 5) + N(1);
    let month = if shifted < N(10) {
        shifted + N(3)
    } else {
        shifted - N(9)
    };
    let year = year + N(era) * N(400) + N(u64::from(month <= N(2)));
    Civil {
        year: year.0,
        month: month.0,
        day: day.0,
        hour: ms / 3_600_000,
        minute: ms / 60_000 % 60,
        second: ms / 1_000 % 60,
        weekday: usize::try_from(days % 7).unwrap_or(0),
    }
}

fn unix_ms(year: u64, month: u64, day: u64, hour: u64, minute: u64, second: u64) -> Option<u64> {
    // A leap second is read as the second after it.
    let sane = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !sane || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let year = year.saturating_sub(u64::from(month <= 2));
    let month = N(month);
    let shifted = if month > N(2) {
        month - N(3)
    } else {
        month + N(9)
    };
    let (era, of_era_year) = (N(year / 400), N(year % 400));
    let of_year = div(N(153) * shifted + N(2), 5) + N(day) - N(1);
    let of_era = of_era_year * N(365) + div(of_era_year, 4) - div(of_era_year, 100) + of_year;
    let days = era * N(146_097) + of_era - N(EPOCH_DAYS);
    let seconds = ((days * N(24) + N(hour)) * N(60) + N(minute)) * N(60) + N(second);
    Some((seconds * N(1_000)).0)
}

fn div(value: N<u64>, by: u64) -> N<u64> {
    N(value.0.checked_div(by).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_both_ways() {
        for (ms, http_text, basic_text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT", "19700101T000000Z"),
            (
                951_782_400_000,
                "Tue, 29 Feb 2000 00:00:00 GMT",
                "20000229T000000Z",
            ),
            (
                1_709_190_489_000,
                "Thu, 29 Feb 2024 07:08:09 GMT",
                "20240229T070809Z",
            ),
            (
                1_767_225_599_000,
                "Wed, 31 Dec 2025 23:59:59 GMT",
                "20251231T235959Z",
            ),
            (
                4_107_542_400_000,
                "Mon, 01 Mar 2100 00:00:00 GMT",
                "21000301T000000Z",
            ),
            (LAST_MS, "Fri, 31 Dec 9999 23:59:59 GMT", "99991231T235959Z"),
        ] {
            assert_eq!(http(ms), http_text);
            assert_eq!(basic(ms), basic_text);
            assert_eq!(parse_http(http_text), Some(ms));
        }
        assert_eq!(http(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(http(1_709_190_489_999), "Thu, 29 Feb 2024 07:08:09 GMT");
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..146_097_u64 {
            let ms = day * MS_PER_DAY + 45_296_000;
            assert_eq!(parse_http(&http(ms)), Some(ms));
        }
    }

    #[test]
    fn expirations() {
        assert_eq!(
            parse_rfc3339("2017-11-01T05:20:01Z"),
            Some(1_509_513_601_000)
        );
        assert_eq!(
            parse_rfc3339("2017-11-01T05:20:01.123Z"),
            Some(1_509_513_601_000)
        );
        assert_eq!(parse_rfc3339("1970-01-01T00:00:00Z"), Some(0));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "Thu",
            "Thu, 29 Feb 2024 07:08:09",
            "Thu, 29 Feb 2024 07:08:09 CET",
            "Thu, +9 Feb 2024 07:08:09 GMT",
        ] {
            assert_eq!(parse_http(text), None, "{text}");
        }
        assert_eq!(parse_http("Thu, 29 Feb 2024 24:08:09 GMT"), None);
        assert_eq!(parse_http("Thu, 29 Feb 1969 07:08:09 GMT"), None);
        for text in [
            "2017-11-01",
            "2017-11-01T05:20:01",
            "2017-11-01T05:20:01+08:00",
            "2017-13-01T05:20:01Z",
            "99999-11-01T05:20:01Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
