//! A model of RUM: so many copies a second, over all projects; above that 429.
//!
//! RUM documents neither a rate nor its headers (manual: rum, "Limits"), so both answers are tried: 429 alone, and with a
//! `Retry-After` that counts down to the end of the refusal, which is the hardest for the edges: it names one moment to all.

use crate::measure::Measure;
use crate::reply::{Reply, State};
use sentry_edge_mirror::delivery::backoff::Jitter;

/// See the module's documentation.
#[derive(Debug)]
pub struct Rum {
    /// Where it is.
    pub state: State,
    /// While it throttles: when that ends, if it says so.
    pub says_until: Option<u64>,
    quota: u64,
    second: u64,
    taken: u64,
}

impl Rum {
    /// It takes so many copies a second.
    #[must_use]
    pub fn new(quota: u64) -> Self {
        Self {
            state: State::Up,
            says_until: None,
            quota,
            second: 0,
            taken: 0,
        }
    }

    /// Copies a second.
    #[must_use]
    pub fn quota(&self) -> u64 {
        self.quota
    }

    /// A copy comes; `number` is its request's.
    pub fn call(
        &mut self,
        number: usize,
        timeout_ms: u32,
        now: u64,
        random: &mut Jitter,
        measure: &mut Measure,
    ) -> Reply {
        measure.rum.attempt(now);
        match self.state {
            State::Refuses => return Reply::refused(random),
            State::Hangs => return Reply::timed_out(timeout_ms),
            State::Up | State::Throttles | State::Busy => {}
        }
        measure.rum.load(now, 1.0 / self.quota as f64);
        if now / 1_000 != self.second {
            (self.second, self.taken) = (now / 1_000, 0);
        }
        match self.state {
            State::Busy => {
                Reply::of_target(503, random).with("x-envoy-upstream-service-time", "20".to_owned())
            }
            State::Up if self.taken < self.quota => {
                self.taken += 1;
                measure.rum.taken(number, now);
                Reply::of_target(200, random)
            }
            _ => {
                measure.rum.refusal(now);
                let reply = Reply::of_target(429, random);
                let until = self.says_until.filter(|until| *until > now);
                match until {
                    Some(until) => {
                        let seconds = (until - now).div_ceil(1_000);
                        reply.with("retry-after", seconds.to_string())
                    }
                    None => reply,
                }
            }
        }
    }
}
