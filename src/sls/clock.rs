//! The time as SLS sees it. A signature's date may be off by 15 minutes, and a log's time must be in a window around the
//! server's clock. A machine whose clock is wrong learns the difference from the answer that refuses it
//! (`RequestTimeExpired`) and signs again at once (manual: sls, "Clock").

use super::date;

/// A smaller difference cannot be the reason for a refusal, which allows 15 minutes. Learning it would only mean that the
/// next attempt is refused as well, at once and for ever.
const WORTH_LEARNING_MS: u64 = 60_000;
/// 2020-01-01: no server is older, so an earlier date is not the time.
const PLAUSIBLE_MS: u64 = 1_577_836_800_000;

/// The local clock and the difference that was learnt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    offset_ms: i64,
}

/// What an answer taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learned {
    /// The clock was off and is now right: sign again and retry at once.
    Corrected,
    /// The clock was right, or the answer's time makes no sense: retry later.
    Nothing,
}

impl Clock {
    /// The corrected time at local time `local_ms`.
    pub fn now(&self, local_ms: u64) -> u64 {
        local_ms.saturating_add_signed(self.offset_ms)
    }

    /// The learnt difference, server minus local, in ms.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Adopts the server's time, from an answer that arrived at local time `local_ms`.
    pub fn learn(&mut self, local_ms: u64, server_ms: u64) -> Learned {
        let off = self.now(local_ms).abs_diff(server_ms);
        if server_ms < PLAUSIBLE_MS || off < WORTH_LEARNING_MS {
            return Learned::Nothing;
        }
        let (Ok(server), Ok(local)) = (i64::try_from(server_ms), i64::try_from(local_ms)) else {
            return Learned::Nothing;
        };
        self.offset_ms = server.saturating_sub(local);
        Learned::Corrected
    }
}

/// The server's time in an answer, unix ms: `x-log-time` (unix seconds) if present, else `Date`.
pub fn server_time(header: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let seconds = header("x-log-time").and_then(|text| text.trim().parse::<u64>().ok());
    match seconds.and_then(|seconds| seconds.checked_mul(1_000)) {
        Some(ms) => Some(ms),
        None => header("date").as_deref().and_then(date::parse_http),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: u64 = 1_709_190_489_000;
    const HOUR: u64 = 3_600_000;

    #[test]
    fn a_wrong_clock_is_corrected_once() {
        for server in [LOCAL + 5 * HOUR, LOCAL - 5 * HOUR] {
            let mut clock = Clock::default();
            assert_eq!(clock.now(LOCAL), LOCAL);
            assert_eq!(clock.learn(LOCAL, server), Learned::Corrected);
            assert_eq!(clock.now(LOCAL + 7), server + 7);
            // Refused again although the time is now right: no reason to hurry.
            assert_eq!(clock.learn(LOCAL + 2_000, server + 2_000), Learned::Nothing);
            // The local clock jumps to the truth: learnt again.
            assert_eq!(clock.learn(server, server), Learned::Corrected);
            assert_eq!(clock.offset_ms(), 0);
        }
    }

    #[test]
    fn nonsense_is_not_learnt() {
        let mut clock = Clock::default();
        assert_eq!(clock.learn(LOCAL, 0), Learned::Nothing);
        assert_eq!(
            clock.learn(LOCAL, LOCAL + WORTH_LEARNING_MS - 1),
            Learned::Nothing
        );
        assert_eq!(clock.learn(LOCAL, u64::MAX), Learned::Nothing);
        assert_eq!(clock, Clock::default());
    }

    #[test]
    fn the_server_says_its_time_in_two_ways() {
        let of = |log_time: Option<&str>, date: Option<&str>| {
            server_time(|name| match name {
                "x-log-time" => log_time.map(str::to_owned),
                "date" => date.map(str::to_owned),
                _ => None,
            })
        };
        let date = Some("Thu, 29 Feb 2024 07:08:09 GMT");
        assert_eq!(of(Some("1709190400"), date), Some(1_709_190_400_000));
        assert_eq!(of(None, date), Some(1_709_190_489_000));
        assert_eq!(of(Some("soon"), date), Some(1_709_190_489_000));
        assert_eq!(of(Some("18446744073709551615"), None), None);
        assert_eq!(of(None, Some("yesterday")), None);
        assert_eq!(of(None, None), None);
    }
}
