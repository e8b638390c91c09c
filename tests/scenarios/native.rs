//! The core without a module: the same callbacks in the same order, with the smallest possible host around it.

use crate::edge::{Edge, for_host_with};
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::delivery::answer::Answer;
use sentry_edge_mirror::effect::Effect;
use sentry_edge_mirror::rum::headers::Head;
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use sentry_edge_mirror::worker::collect::Ticket;
use sentry_edge_mirror::worker::lanes::Lanes;
use std::collections::BTreeMap;
use test_host::{Call, Headers, Profile, Reply, Request};

/// The core in the worker of a host; on nginx with so many root contexts, of which the others are lanes.
pub struct NativeWith<const LANES: u8> {
    profile: Profile,
    pub plugin: Worker,
    pub now: Millis,
    pub logs: Vec<String>,
    /// Period and next tick.
    tick: Option<(u64, Millis)>,
    streams: BTreeMap<u32, Option<Ticket>>,
    pub next_stream: u32,
    next_token: u32,
    calls: Vec<Call>,
    /// Which root context waits for which call.
    in_flight: BTreeMap<u32, u32>,
    lanes: Lanes,
    refuse: u32,
    metrics: BTreeMap<String, i64>,
    gone: bool,
}

pub type Native = NativeWith<1>;

/// The root context of the plugin; the lanes have the numbers after it.
const ROOT: u32 = 1;

impl<const LANES: u8> NativeWith<LANES> {
    fn set_tick(&mut self, period: u32) {
        let period = u64::from(period);
        self.tick = (period > 0).then(|| (period, self.now.after(period)));
    }

    /// The end of a request callback.
    pub fn finish(&mut self) {
        if self.plugin.has_effects() {
            self.carry_out();
        }
    }

    /// Time passes; each tick begins with that.
    pub fn advance_with(&mut self, ms: u64, mut begins: impl FnMut(&mut Self)) {
        let until = self.now.after(ms);
        while let Some((period, due)) = self.tick.filter(|(_, due)| *due <= until) {
            self.now = due;
            self.tick = Some((period, due.after(period)));
            begins(self);
            self.plugin.tick(self.lanes.is_free(ROOT));
            self.carry_out();
            // The lanes tick for themselves, with the same period.
            for lane in ROOT + 1..ROOT + u32::from(LANES) {
                if self.lanes.is_free(lane) && self.plugin.has_ready() {
                    self.plugin.tick_for_lane();
                    self.carry_out_in(lane);
                }
            }
        }
        self.now = until;
    }

    fn carry_out(&mut self) {
        self.carry_out_in(ROOT);
    }

    fn carry_out_in(&mut self, root: u32) {
        let now = self.now;
        let mut period = None;
        while let Some(effect) = self.plugin.next_effect(now) {
            match effect {
                Effect::Dispatch(call) => {
                    let taken = self.refuse == 0;
                    self.refuse = self.refuse.saturating_sub(1);
                    if !taken {
                        self.plugin.call_refused(now);
                        continue;
                    }
                    self.next_token += 1;
                    self.calls.push(Call {
                        token: self.next_token,
                        root,
                        context: root,
                        callback: "proxy_on_tick",
                        upstream: call.upstream.to_owned(),
                        headers: Headers::from_iter(call.headers.iter()),
                        body: call.body.to_vec(),
                        trailers: Headers::new(),
                        timeout_ms: call.timeout_ms,
                        at_ms: now.0,
                    });
                    if self.profile == Profile::Nginx {
                        let other = self.in_flight.insert(root, self.next_token);
                        assert_eq!(other, None, "one call in flight in root context {root}");
                        self.lanes.took(root, self.next_token, ROOT);
                    }
                    self.plugin.call_started(self.next_token, now);
                }
                Effect::Add(metric, amount) => {
                    *self.metrics.entry(metric.name()).or_default() += amount;
                }
                Effect::Set(metric, value) => {
                    self.metrics
                        .insert(metric.name(), i64::try_from(value).unwrap());
                }
                Effect::Latency(..) => {}
                Effect::Log(_, line) => self.logs.push(line),
                Effect::SetTick(ms) => period = Some(ms),
                Effect::Worked => {}
                Effect::Done => self.gone = true,
            }
        }
        if let Some(period) = period {
            self.set_tick(period);
        }
    }

    fn chunk(&mut self, stream: u32, chunk: &[u8]) {
        // The host is not asked for an empty piece.
        if chunk.is_empty() {
            return;
        }
        let slot = self.streams.get_mut(&stream).unwrap();
        if let Some(exchange) = slot.take() {
            *slot = self.plugin.chunk(exchange, chunk.len(), |body| {
                body.extend_from_slice(chunk);
                Some(())
            });
        }
    }

    fn end(&mut self, stream: u32) {
        if let Some(Some(exchange)) = self.streams.remove(&stream) {
            self.plugin.end(exchange, self.now);
        }
    }
}

impl<const LANES: u8> Edge for NativeWith<LANES> {
    const LANES: u8 = LANES;

    fn start(profile: Profile, config: &str) -> Self {
        let config = for_host_with(profile, LANES, config);
        let config = Config::parse(config.as_bytes(), &|_| None).unwrap();
        let mut plugin = Worker::new(config, 1);
        plugin.start("test");
        let mut edge = Self {
            profile,
            plugin,
            now: Millis(1_767_225_600_000),
            logs: Vec::new(),
            tick: None,
            streams: BTreeMap::new(),
            next_stream: 0,
            next_token: 0,
            calls: Vec::new(),
            in_flight: BTreeMap::new(),
            lanes: Lanes::default(),
            refuse: 0,
            metrics: BTreeMap::new(),
            gone: false,
        };
        edge.carry_out();
        edge
    }

    fn profile(&self) -> Profile {
        self.profile
    }

    fn send(&mut self, request: &Request) {
        let stream = self.open(request);
        // nginx hands the body over in one piece.
        let chunks = match self.profile {
            Profile::Envoy => request.chunks.clone(),
            Profile::Nginx => vec![request.body()],
        };
        for chunk in &chunks {
            self.chunk(stream, chunk);
        }
        self.end(stream);
        self.finish();
    }

    fn open(&mut self, request: &Request) -> u32 {
        let text = |name: &str| request.headers.get(name).unwrap_or_default().to_vec();
        let (method, target) = (text(":method"), text(":path"));
        let source = || request.peer(self.profile);
        let exchange = self.plugin.decide(&method, &target).and_then(|plan| {
            let pairs: Vec<(&[u8], &[u8])> = request.headers.iter().collect();
            self.plugin.begin(
                plan,
                &Head {
                    method: &method,
                    target: &target,
                    headers: pairs.iter().copied(),
                    source: &source,
                    scheme: None,
                },
            )
        });
        self.next_stream += 1;
        self.streams.insert(self.next_stream, exchange);
        self.finish();
        self.next_stream
    }

    fn body(&mut self, stream: u32, chunk: &[u8], end: bool) {
        self.chunk(stream, chunk);
        if end {
            self.end(stream);
        }
        self.finish();
    }

    fn abort(&mut self, stream: u32) {
        if let Some(Some(exchange)) = self.streams.remove(&stream) {
            self.plugin.abort(exchange);
        }
        self.finish();
    }

    fn advance(&mut self, ms: u64) {
        self.advance_with(ms, |_| {});
    }

    fn calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    fn reply(&mut self, token: u32, reply: &Reply) {
        if let Some((root, _)) = self.in_flight.iter().find(|(_, known)| **known == token) {
            let root = *root;
            self.in_flight.remove(&root);
            assert_eq!(self.lanes.answered(root, token), ROOT);
        }
        let status = reply
            .headers
            .text(":status")
            .and_then(|status| status.parse().ok());
        let bytes = self.plugin.answer_bytes(token, status);
        let header = |name: &str| reply.headers.text(name);
        let answer = Answer {
            status,
            header: &header,
            body: &reply.body[..bytes.min(reply.body.len())],
        };
        self.plugin.answered(token, &answer, self.now);
        self.carry_out();
    }

    fn refuse(&mut self, count: u32) {
        self.refuse = count;
    }

    fn metric(&self, name: &str) -> i64 {
        self.metrics.get(name).copied().unwrap_or_default()
    }

    fn is_ticking(&self) -> bool {
        self.tick.is_some()
    }

    fn drain(&mut self) {
        self.plugin.drain(self.now);
        self.carry_out();
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}
