//! What a target answers, or the proxy in its place.

use sentry_edge_mirror::delivery::backoff::Jitter;

/// An answer, and how long it takes.
#[derive(Clone, Debug)]
pub struct Reply {
    /// From the call to the answer, in milliseconds.
    pub after_ms: u64,
    /// `:status`.
    pub status: u16,
    /// By lower-case name.
    pub headers: Vec<(&'static str, String)>,
    /// What the core reads of it.
    pub body: &'static [u8],
}

/// Where a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Up,
    /// Nobody listens: the proxy answers at once.
    Refuses,
    /// Connections are taken and nothing comes back: the proxy answers when the time is up.
    Hangs,
    /// It refuses everything for a quota.
    Throttles,
    /// It answers that it is too busy.
    Busy,
}

impl State {
    /// Whether a call reaches the target.
    #[must_use]
    pub fn is_there(self) -> bool {
        !matches!(self, Self::Refuses | Self::Hangs)
    }
}

/// A target in the same region answers so soon.
const NEAR_MS: u64 = 20;
const SPREAD_MS: u64 = 40;

impl Reply {
    /// Of the target.
    #[must_use]
    pub fn of_target(status: u16, random: &mut Jitter) -> Self {
        Self {
            after_ms: NEAR_MS + random.up_to(SPREAD_MS),
            status,
            headers: Vec::new(),
            body: b"",
        }
    }

    /// Of Envoy, when nobody listens.
    #[must_use]
    pub fn refused(random: &mut Jitter) -> Self {
        Self {
            after_ms: 1 + random.up_to(2),
            status: 503,
            headers: Vec::new(),
            body: b"upstream connect error or disconnect/reset before headers. reset reason: remote connection failure",
        }
    }

    /// Of Envoy, when the time of a call is up.
    #[must_use]
    pub fn timed_out(timeout_ms: u32) -> Self {
        Self {
            after_ms: timeout_ms.into(),
            status: 504,
            headers: Vec::new(),
            body: b"upstream request timeout",
        }
    }

    /// With a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A header, if it is there.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value.clone())
    }
}
