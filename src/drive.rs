//! A worker without a proxy: the command, the tests and the cost table drive the core with it. Not part of the module.
//!
//! Time is virtual. What the core asks for is recorded; nothing leaves, and the driver's user answers the calls.

mod passing;

pub use passing::{Passing, Refusal, Stream, turns};

use crate::config::Config;
use crate::delivery::answer::Answer;
use crate::delivery::call::Call;
use crate::effect::Proxy;
use crate::log::Level;
use crate::metric::{Leg, Series};
use crate::time::Millis;
use crate::worker::Worker;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// An owned header.
pub type Header = (Vec<u8>, Vec<u8>);

/// A call that would leave.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The token that its answer must name.
    pub token: u32,
    /// Envoy cluster, or `host:port` on nginx.
    pub upstream: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Pseudo headers first.
    pub headers: Vec<Header>,
    /// The body.
    pub body: Vec<u8>,
    /// For the whole call.
    pub timeout_ms: u32,
    /// When it left.
    pub at: Millis,
}

/// What a proxy would have done, recorded.
#[derive(Debug, Default)]
pub struct Written {
    /// The clock.
    pub now: Millis,
    /// Calls, without those that were refused.
    pub calls: Vec<Sent>,
    /// Counters and gauges by name.
    pub metrics: BTreeMap<String, i64>,
    /// Lines of the log.
    pub log: Vec<(Level, String)>,
    /// How many of the next calls are refused.
    pub refuses: u32,
    /// The period, and when it ends.
    tick: Option<(u64, Millis)>,
    tokens: u32,
}

impl Written {
    /// Whether a tick will come.
    #[must_use]
    pub fn is_ticking(&self) -> bool {
        self.tick.is_some()
    }

    /// Advances to the next tick, if it is not later than `until`.
    pub fn next_tick(&mut self, until: Millis) -> bool {
        let Some((period, due)) = self.tick.filter(|(_, due)| *due <= until) else {
            return false;
        };
        self.now = due;
        self.tick = Some((period, due.after(period)));
        true
    }
}

fn owned((name, value): (&[u8], &[u8])) -> Header {
    (name.to_vec(), value.to_vec())
}

impl Proxy for Written {
    fn now(&mut self) -> Millis {
        self.now
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Option<u32> {
        if let Some(left) = self.refuses.checked_sub(1) {
            self.refuses = left;
            return None;
        }
        self.tokens = self.tokens.saturating_add(1);
        self.calls.push(Sent {
            token: self.tokens,
            upstream: call.upstream.to_owned(),
            scheme: call.scheme.to_owned(),
            headers: call.headers.iter().map(owned).collect(),
            body: call.body.to_vec(),
            timeout_ms: call.timeout_ms,
            at: self.now,
        });
        Some(self.tokens)
    }

    fn add(&mut self, series: Series, amount: i64) {
        let value = self.metrics.entry(series.name()).or_default();
        *value = value.saturating_add(amount);
    }

    fn set(&mut self, series: Series, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.metrics.insert(series.name(), value);
    }

    fn latency(&mut self, _: Leg, _: u64) {}

    fn log(&mut self, level: Level, line: &str) {
        self.log.push((level, line.to_owned()));
    }

    fn set_tick(&mut self, period_ms: u32) -> bool {
        let period = u64::from(period_ms);
        self.tick = (period > 0).then(|| (period, self.now.after(period)));
        true
    }
}

/// A worker, its requests, and what it asked for.
#[derive(Debug)]
pub struct Driver {
    /// The core.
    pub worker: Worker,
    /// What it asked for.
    pub written: Written,
    /// Its root context may be deleted.
    pub is_over: bool,
    /// How often the proxy refuses a request something.
    pub refusals: RefCell<BTreeMap<Refusal, u32>>,
}

impl Driver {
    /// Puts a configuration in force. The version goes into the log line.
    #[must_use]
    pub fn new(config: Config, now: Millis, version: &str) -> Self {
        let mut worker = Worker::new(config, 1);
        worker.start(version);
        let mut driver = Self {
            worker,
            written: Written {
                now,
                ..Written::default()
            },
            is_over: false,
            refusals: RefCell::default(),
        };
        driver.carry_out();
        driver
    }

    /// Carries out what a root callback asks for.
    pub fn carry_out(&mut self) {
        let now = self.written.now;
        self.is_over |= self.worker.carry_out(&mut self.written, now);
    }

    /// Carries out what a request callback asks for.
    pub fn settle(&mut self) {
        if self.worker.has_effects() {
            self.carry_out();
        }
    }

    /// Lets time pass, with its ticks. `ticked` sees the result of each.
    pub fn advance(&mut self, ms: u64, mut ticked: impl FnMut(&mut Self)) {
        let until = self.written.now.after(ms);
        while self.written.next_tick(until) {
            self.worker.tick(true);
            self.carry_out();
            ticked(self);
        }
        self.written.now = until;
    }

    /// Answers a call. The core sees no more of the body than it asks for.
    pub fn answer(
        &mut self,
        token: u32,
        status: Option<u16>,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
    ) {
        let bytes = self.worker.answer_bytes(token, status);
        let answer = Answer {
            status,
            header,
            body: body.get(..bytes).unwrap_or(body),
        };
        self.worker.answered(token, &answer, self.written.now);
        self.carry_out();
    }

    /// Tells the root context to end.
    pub fn drain(&mut self) {
        self.worker.drain(self.written.now);
        self.carry_out();
    }
}
