//! A worker: the core, and the proxy that it asks.

use crate::reply::Reply;
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::copies::headers::Head;
use sentry_edge_mirror::delivery::answer::Answer;
use sentry_edge_mirror::delivery::call::Call;
use sentry_edge_mirror::effect::Proxy;
use sentry_edge_mirror::log::Level;
use sentry_edge_mirror::metric::{Leg, Metric, Series};
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use sentry_edge_mirror::worker::account::{Read, Store};
use std::collections::BTreeMap;

/// Virtual time begins here, on the clock that the core sees.
const EPOCH_MS: u64 = 1_800_000_000_000;

/// Calls that leave: who answers them.
pub trait Targets {
    /// The answer that will come.
    fn call(&mut self, call: &Call<'_>, now: u64) -> Reply;
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Edge {
    worker: Worker,
    state: State,
}

/// What the proxy keeps of a worker.
#[derive(Debug)]
struct State {
    now: u64,
    /// What nobody has touched is 0.
    counts: BTreeMap<(Leg, usize), i64>,
    /// Period, and when it is over.
    tick: Option<(u64, u64)>,
    tokens: u32,
    /// Answers that are on their way.
    replies: Vec<(u32, Reply)>,
}

/// What a worker wants to be woken for, after a callback.
#[derive(Debug)]
pub struct Wants {
    /// The next tick.
    pub tick: Option<u64>,
    /// Answers, by token.
    pub replies: Vec<(u32, Reply)>,
}

impl State {
    fn count(&mut self, leg: Leg, metric: Metric) -> &mut i64 {
        self.counts.entry((leg, metric.index())).or_default()
    }
}

struct Host<'a, T> {
    state: &'a mut State,
    targets: &'a mut T,
}

/// Each worker is alone in its process: nobody else has an account.
struct Alone;

impl Store for Alone {
    fn read(&mut self, _: &str) -> Read {
        Read::Absent
    }

    fn write(&mut self, _: &str, _: &[u8], _: u32) -> bool {
        true
    }

    fn gauge(&mut self, _: Series) -> Option<u64> {
        None
    }
}

impl<T: Targets> Proxy for Host<'_, T> {
    fn now(&mut self) -> Millis {
        Millis(EPOCH_MS + self.state.now)
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Option<u32> {
        self.state.tokens += 1;
        let reply = self.targets.call(call, self.state.now);
        self.state.replies.push((self.state.tokens, reply));
        Some(self.state.tokens)
    }

    fn add(&mut self, series: Series, amount: i64) {
        *self.state.count(series.leg, series.metric) += amount;
    }

    fn set(&mut self, series: Series, value: u64) {
        *self.state.count(series.leg, series.metric) = i64::try_from(value).unwrap_or(i64::MAX);
    }

    fn latency(&mut self, _: Leg, _: u64) {}

    fn log(&mut self, _: Level, _: &str) {}

    fn set_tick(&mut self, period_ms: u32) -> bool {
        let period = u64::from(period_ms);
        self.state.tick = (period > 0).then(|| (period, self.state.now + period));
        true
    }
}

impl Edge {
    /// A worker with this configuration; `seed` is its own.
    #[must_use]
    pub fn new(config: Config, seed: u64) -> Self {
        let mut worker = Worker::new(config, seed);
        worker.start("fleet");
        Self {
            worker,
            state: State {
                now: 0,
                counts: BTreeMap::new(),
                tick: None,
                tokens: 0,
                replies: Vec::new(),
            },
        }
    }

    /// What was counted, and what the gauges say.
    #[must_use]
    pub fn count(&self, leg: Leg, metric: Metric) -> i64 {
        let key = (leg, metric.index());
        self.state.counts.get(&key).copied().unwrap_or_default()
    }

    /// A request comes, whole.
    pub fn request<T: Targets>(
        &mut self,
        now: u64,
        number: usize,
        target: &str,
        body: &[u8],
        targets: &mut T,
    ) -> Wants {
        self.state.now = now;
        let wall = Millis(EPOCH_MS + now);
        let (length, number) = (body.len().to_string(), number.to_string());
        let headers: [(&[u8], &[u8]); 4] = [
            (b"content-type", b"application/x-sentry-envelope"),
            (b"content-length", length.as_bytes()),
            (b"x-forwarded-for", b"192.0.2.1"),
            (b"x-request-id", number.as_bytes()),
        ];
        let head = Head {
            method: b"POST",
            target: target.as_bytes(),
            headers: headers.into_iter(),
            source: &|| None,
            scheme: None,
        };
        let plan = self.worker.decide(head.method, head.target);
        let ticket = plan.and_then(|plan| self.worker.begin(plan, &head));
        let ticket = ticket.and_then(|ticket| {
            self.worker.chunk(ticket, body.len(), |room| {
                room.extend_from_slice(body);
                Some(())
            })
        });
        if let Some(ticket) = ticket {
            self.worker.end(ticket, wall);
        }
        if self.worker.has_effects() {
            self.carry_out(false, targets);
        }
        self.wants()
    }

    /// The tick that was asked for.
    pub fn tick<T: Targets>(&mut self, now: u64, targets: &mut T) -> Wants {
        if let Some((period, due)) = self.state.tick
            && due <= now
        {
            self.state.now = now;
            self.state.tick = Some((period, now + period));
            self.worker.tick(true);
            self.carry_out(true, targets);
        }
        self.wants()
    }

    /// An answer comes.
    pub fn answer<T: Targets>(
        &mut self,
        now: u64,
        token: u32,
        reply: &Reply,
        targets: &mut T,
    ) -> Wants {
        self.state.now = now;
        let bytes = self.worker.answer_bytes(token, Some(reply.status));
        let answer = Answer {
            status: Some(reply.status),
            header: &|name| reply.header(name),
            body: reply.body.get(..bytes).unwrap_or(reply.body),
        };
        self.worker.answered(token, &answer, Millis(EPOCH_MS + now));
        self.carry_out(true, targets);
        self.wants()
    }

    fn carry_out<T: Targets>(&mut self, root: bool, targets: &mut T) {
        let mut host = Host {
            state: &mut self.state,
            targets,
        };
        let now = host.now();
        self.worker.carry_out(&mut host, now);
        if root && self.worker.keep_account(&mut Alone) {
            self.worker.carry_out(&mut host, now);
        }
    }

    fn wants(&mut self) -> Wants {
        Wants {
            tick: self.state.tick.map(|(_, due)| due),
            replies: std::mem::take(&mut self.state.replies),
        }
    }
}
