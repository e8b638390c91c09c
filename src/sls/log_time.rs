//! The time of a log, and the window in which SLS accepts it.
//!
//! A PutLogs request is all or nothing: one log outside the window causes the others to be rejected too, so its time is moved
//! to the nearest that SLS accepts (manual: sls, "The log group"). A record's time is in the window when the record is made.
//! But the clock of SLS may differ from this machine's, which is known only when the log is batched.
//!
//! Names and sizes need no such check: see [`super::record`].

/// SLS accepts logs of the last 7 days; half an hour of that is kept for linger, retries and their maximum age.
const PAST_MS: u64 = 7 * 86_400_000 - 30 * 60_000;
/// SLS accepts logs of the next 15 minutes; one minute of that is kept for the difference of the clocks.
const FUTURE_MS: u64 = 14 * 60_000;
const NS_PER_MS: u32 = 1_000_000;

/// When a log was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogTime {
    /// Seconds since 1970.
    pub seconds: u32,
    /// The nanoseconds after that second.
    pub nanos: u32,
}

impl LogTime {
    fn from_ms(unix_ms: u64) -> Self {
        let seconds = unix_ms / 1_000;
        let millis = u32::try_from(unix_ms % 1_000).unwrap_or_default();
        Self {
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            nanos: millis.saturating_mul(NS_PER_MS),
        }
    }

    /// The nearest time that SLS accepts at `now_ms` (corrected, see [`super::clock`]).
    #[must_use]
    pub fn within_window(self, now_ms: u64) -> Self {
        let oldest = Self::from_ms(now_ms.saturating_sub(PAST_MS));
        let newest = Self::from_ms(now_ms.saturating_add(FUTURE_MS));
        self.clamp(oldest, newest)
    }

    /// The field `Time_ns`. It is left out if there is nothing below the second, as in the Java SDK.
    pub(super) fn time_ns(self) -> Option<u32> {
        (self.nanos != 0).then_some(self.nanos)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_709_190_489_123;
    const NOW: LogTime = LogTime {
        seconds: 1_709_190_489,
        nanos: 123_000_000,
    };
    const DAY: u32 = 86_400;

    fn at(seconds: u32) -> LogTime {
        LogTime { seconds, nanos: 5 }
    }

    #[test]
    fn times_are_moved_into_the_window() {
        for (time, fits) in [
            (NOW, true),
            (at(NOW.seconds - 6 * DAY), true),
            (at(NOW.seconds + 13 * 60), true),
            (at(0), false),
            (at(NOW.seconds - 7 * DAY), false),
            (at(NOW.seconds + 15 * 60), false),
            (at(u32::MAX), false),
        ] {
            let moved = time.within_window(NOW_MS);
            assert_eq!(moved == time, fits, "{time:?}");
            // Ten minutes later SLS still accepts it.
            let later = NOW.seconds + 10 * 60;
            assert!(moved.seconds > later - 7 * DAY && moved.seconds < NOW.seconds + 15 * 60);
        }
        assert_eq!(at(5).within_window(0), at(5));
        let end = at(u32::MAX).within_window(u64::MAX);
        assert_eq!(end.seconds, u32::MAX);
    }

    #[test]
    fn a_whole_second_has_no_nanoseconds() {
        assert_eq!(NOW.time_ns(), Some(123_000_000));
        assert_eq!(LogTime { nanos: 0, ..NOW }.time_ns(), None);
    }
}
