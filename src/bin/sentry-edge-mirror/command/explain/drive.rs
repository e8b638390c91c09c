//! One request through the real core: the host around it is this file. Time is virtual, every call is answered at once with
//! 200, nothing leaves.

use sentry_edge_mirror::config::{Config, Mode};
use sentry_edge_mirror::delivery::answer::Answer;
use sentry_edge_mirror::delivery::verdict::Verdict;
use sentry_edge_mirror::effect::Effect;
use sentry_edge_mirror::host::HostKind;
use sentry_edge_mirror::log::Level;
use sentry_edge_mirror::metric::{Kind, PREFIX};
use sentry_edge_mirror::rum::headers::Head;
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use sentry_edge_mirror::worker::rewrite::{RewriteRequest, Step};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// A request as the proxy would see it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// `ip:port`
    pub(super) peer: Option<String>,
}

/// A call that would leave, or a request that goes on as the copy.
#[derive(Debug)]
pub(super) struct Sent {
    /// `None`: the request itself, where the proxy's route leads.
    pub(super) upstream: Option<String>,
    /// On nginx; in Envoy the cluster decides.
    pub(super) scheme: Option<String>,
    /// Names and values, pseudo headers first.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeout_ms: u32,
}

/// Everything that the core did.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) calls: Vec<Sent>,
    /// Counters by name, without the prefix.
    pub(super) counters: BTreeMap<String, i64>,
    /// Warnings and errors of the log.
    pub(super) log: Vec<String>,
    /// Mode `rewrite`: it is answered with 204 when it is complete.
    pub(super) answered: bool,
}

/// Longer than anything waits before its first attempt.
const WATCHED_MS: u64 = 60_000;

/// The clock, since the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since_epoch.map_or(0, |passed| passed.as_millis());
    u64::try_from(ms).unwrap_or_default()
}

/// Lets the core handle a request.
pub(super) fn drive(config: Config, request: &Request) -> Trace {
    let mut host = Host {
        nginx: config.host == HostKind::Nginx,
        rewrites: matches!(config.mode, Mode::Rewrite { .. }),
        worker: Worker::new(config, 0),
        now: Millis(now_ms()),
        tick: None,
        trace: Trace::default(),
        tokens: 0,
    };
    let end = host.now.after(WATCHED_MS);
    host.worker.start(env!("EDGE_MIRROR_VERSION"));
    host.carry_out();
    host.exchange(request);
    host.carry_out();
    while let Some((period, due)) = host.tick.filter(|(_, due)| *due <= end) {
        host.now = due;
        host.tick = Some((period, due.after(period)));
        host.worker.tick(true);
        host.carry_out();
    }
    // Counters that nobody is in a hurry for are published now.
    host.worker.drain(host.now);
    host.carry_out();
    host.trace
}

struct Host {
    nginx: bool,
    rewrites: bool,
    worker: Worker,
    now: Millis,
    /// Period, and when it is over.
    tick: Option<(u64, Millis)>,
    trace: Trace,
    tokens: u32,
}

impl Host {
    fn exchange(&mut self, request: &Request) {
        let (method, target) = (request.method.as_bytes(), request.target.as_bytes());
        let Some(plan) = self.worker.decide(method, target) else {
            self.trace.answered = self.rewrites;
            return;
        };
        let headers = request.headers.iter();
        let source = || request.peer.as_ref().map(|peer| peer.clone().into_bytes());
        let head = Head {
            method,
            target,
            headers: headers.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
            source: &source,
            scheme: None,
        };
        if self.rewrites {
            let has_body = !request.body.is_empty();
            let (passage, step) = self.worker.arrive(plan, &head, has_body, self.now);
            return self.pass(passage, step, request);
        }
        let exchange = self.worker.begin(plan, &head).and_then(|exchange| {
            if request.body.is_empty() {
                return Some(exchange);
            }
            self.worker.chunk(exchange, request.body.len(), |body| {
                body.extend_from_slice(&request.body);
                Some(())
            })
        });
        if let Some(exchange) = exchange {
            self.worker.end(exchange, self.now);
        }
    }

    /// Does what the core says, with the whole body at once; the proxied request is answered with 200.
    fn pass(&mut self, passage: RewriteRequest, step: Step, request: &Request) {
        let (mut passage, mut step) = (passage, step);
        let mut bodies = (!request.body.is_empty())
            .then_some(&request.body)
            .into_iter();
        loop {
            (passage, step) = match step {
                Step::PutInPlace => {
                    self.trace.calls.extend(in_place(&passage, request));
                    self.worker.placed(passage, true)
                }
                Step::Answer => {
                    self.trace.answered = true;
                    self.worker.answered_here(passage, true, self.now)
                }
                Step::Pass | Step::Wait => match bodies.next() {
                    Some(body) => {
                        let fill = |copy: &mut Vec<u8>| {
                            copy.extend_from_slice(body);
                            Some(())
                        };
                        self.worker.piece(passage, body.len(), Some(self.now), fill)
                    }
                    None => break,
                },
            };
        }
        let (status, now) = (200, self.now);
        self.worker
            .response(&mut passage, status, Verdict::Delivered, now);
        self.worker.leave(&mut passage, now);
    }

    /// Does what the core asks for, and answers its calls until it asks for nothing more.
    fn carry_out(&mut self) {
        let mut unanswered = self.effects();
        while !unanswered.is_empty() {
            for token in std::mem::take(&mut unanswered) {
                self.answer(token);
                unanswered.append(&mut self.effects());
            }
        }
    }

    fn answer(&mut self, token: u32) {
        let status = Some(200);
        let answer = Answer {
            status,
            header: &|_| None,
            body: b"",
        };
        self.worker.answered(token, &answer, self.now);
    }

    fn effects(&mut self) -> Vec<u32> {
        let mut tokens = Vec::new();
        let trace = &mut self.trace;
        while let Some(effect) = self.worker.next_effect(self.now) {
            match effect {
                Effect::Dispatch(call) => {
                    trace.calls.push(Sent {
                        upstream: Some(call.upstream.to_owned()),
                        scheme: self.nginx.then(|| call.scheme.to_owned()),
                        headers: call
                            .headers
                            .iter()
                            .map(|(name, value)| (lossy(name), lossy(value)))
                            .collect(),
                        body: call.body.to_vec(),
                        timeout_ms: call.timeout_ms,
                    });
                    self.tokens = self.tokens.saturating_add(1);
                    self.worker.call_started(self.tokens, self.now);
                    tokens.push(self.tokens);
                }
                Effect::Add(series, amount) if series.metric.kind() == Kind::Counter => {
                    let name = series.name();
                    let name = name.strip_prefix(PREFIX).unwrap_or(&name);
                    let counter = trace.counters.entry(name.to_owned()).or_default();
                    *counter = counter.saturating_add(amount);
                }
                Effect::Log(Level::Warn | Level::Error, line) => trace.log.push(line),
                Effect::SetTick(period) => {
                    let period = u64::from(period);
                    self.tick = (period > 0).then(|| (period, self.now.after(period)));
                }
                Effect::Add(..)
                | Effect::Set(..)
                | Effect::Latency(..)
                | Effect::Log(..)
                | Effect::Worked
                | Effect::Done => {}
            }
        }
        tokens
    }
}

fn in_place(passage: &RewriteRequest, request: &Request) -> Option<Sent> {
    let headers = passage.headers()?;
    Some(Sent {
        upstream: None,
        scheme: None,
        headers: headers
            .iter()
            .map(|(name, value)| (lossy(name), lossy(value)))
            .collect(),
        body: request.body.clone(),
        timeout_ms: 0,
    })
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
