//! A worker: a `Plugin` with the smallest host around it, two clocks, and the [`Model`] that watches.
//!
//! The host ticks by its monotonic clock, as both real ones do; the plugin is shown the wall clock, which jumps. What goes
//! back is no time: the model counts only the steps ahead, between the moments at which the plugin looks. After every
//! callback the published figures must add up and the budgets must hold.

use crate::model::{Meaning, Model, Rules, State};
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::effect::Effect;
use sentry_edge_mirror::exchange::Exchange;
use sentry_edge_mirror::metric::{Kind, Leg, Metric, Series};
use sentry_edge_mirror::mirror::headers::Head;
use sentry_edge_mirror::mirror::reply::Reply;
use sentry_edge_mirror::outcome::SkipReason;
use sentry_edge_mirror::plugin::Plugin;
use sentry_edge_mirror::time::Millis;
use std::collections::VecDeque;

/// Stands in every body and in every header that must not pass; in no log line.
const SECRET: &str = "s3cr3t";
/// What a copy costs beside its body, at least and at most.
const OVERHEAD: usize = 512;
const MOST_OVERHEAD: usize = 4_096;

/// Which callback of the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    /// Anything in a request but its end.
    Request,
    End,
    Answer,
    Tick,
    LifeCycle,
}

/// What the host does with a dispatch.
#[derive(Clone, Copy, Debug)]
pub enum Dispatch {
    Takes,
    Refuses,
    /// Says neither.
    Forgets,
}

/// How the host hands out a chunk.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    Whole,
    Short,
    Nothing,
}

/// A request whose end has not come.
struct Open {
    serial: u64,
    project: u64,
    exchange: Box<Exchange>,
    body: Vec<u8>,
}

pub struct Worker {
    pub model: Model,
    plugin: Plugin,
    mono: u64,
    pub wall: u64,
    /// The wall clock when the plugin last looked, the latest of these, and the time that has passed for it.
    seen: u64,
    latest: u64,
    now: u64,
    /// Period and next tick.
    tick: Option<(u64, u64)>,
    pub refuse_tick: bool,
    pub dispatches: VecDeque<Dispatch>,
    open: Vec<Open>,
    serial: u64,
    token: u32,
    /// The host's view.
    metrics: Vec<i64>,
    samples: i64,
    /// What the counters must come to.
    expected: Vec<i64>,
    done: u32,
    sent: u32,
}

impl Worker {
    pub fn new(rules: Rules) -> Self {
        let mut plugin = Plugin::new(config(&rules), 1);
        plugin.start("test");
        let mut worker = Self {
            model: Model::new(rules),
            plugin,
            mono: 0,
            wall: 1_767_225_600_000,
            seen: u64::MAX,
            latest: 0,
            now: 0,
            tick: None,
            refuse_tick: false,
            dispatches: VecDeque::new(),
            open: Vec::new(),
            serial: 0,
            token: 0,
            metrics: vec![0; Series::COUNT],
            samples: 0,
            expected: vec![0; Series::COUNT],
            done: 0,
            sent: 0,
        };
        worker.carry_out(Callback::LifeCycle);
        worker
    }

    pub fn metric(&self, metric: Metric) -> i64 {
        let leg = Leg::Rum;
        self.metrics[Series { leg, metric }.index()]
    }

    /// Calls that have been dispatched.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    pub fn is_done(&self) -> bool {
        self.done > 0
    }

    pub fn is_ticking(&self) -> bool {
        self.tick.is_some()
    }

    /// The plugin looks at the clock.
    fn look(&mut self) -> u64 {
        // The epoch is a clock that failed.
        if self.wall > 0 {
            self.now += self.wall.saturating_sub(self.seen);
            self.seen = self.wall;
        }
        self.latest = self.latest.max(self.wall);
        self.model.look(self.now);
        self.now
    }

    fn expect(&mut self, metric: Metric, amount: usize) {
        let leg = Leg::Rum;
        self.expected[Series { leg, metric }.index()] += i64::try_from(amount).unwrap();
    }

    fn skip(&mut self, reason: SkipReason) {
        self.expect(Metric::Skipped(reason), 1);
    }

    /// The headers of a request for a project; it stays open if it is captured.
    pub fn begin(&mut self, project: u64, announced: Option<u64>, odd_header: bool) {
        self.serial += 1;
        let serial = self.serial;
        let target = format!("/api/{project}/envelope/?n={serial}");
        let length = announced.map(|length| length.to_string());
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b"cookie", SECRET.as_bytes()),
            (b"authorization", b"Bearer s3cr3t"),
            (b"x-sentry-auth", b"Sentry sentry_key=s3cr3t"),
        ];
        headers.extend(
            length
                .as_ref()
                .map(|length| (&b"content-length"[..], length.as_bytes())),
        );
        headers.extend(odd_header.then_some((&b"user-agent"[..], &b"caf\xe9"[..])));
        let decided = self.plugin.decide(b"POST", target.as_bytes());
        match project {
            7 => self.skip(SkipReason::Excluded),
            44 => self.skip(SkipReason::Unmapped),
            _ => self.expect(Metric::HeadersOmitted, usize::from(odd_header)),
        }
        assert_eq!(decided.is_some(), !matches!(project, 7 | 44));
        if let Some(decided) = decided {
            let head = Head {
                method: b"POST",
                target: target.as_bytes(),
                headers: headers.iter().copied(),
                source: &|| None,
                scheme: None,
            };
            let too_large =
                announced.is_some_and(|length| length > self.model.rules.max_body as u64);
            match self.plugin.begin(decided, &head) {
                Some(exchange) => {
                    assert!(!too_large);
                    self.open.push(Open {
                        serial,
                        project,
                        exchange,
                        body: Vec::new(),
                    });
                }
                None if too_large => self.skip(SkipReason::TooLarge),
                None => self.no_room(0),
            }
        }
        self.finish(Callback::Request);
    }

    /// A request that is none of ours, or that no rule covers.
    pub fn other(&mut self, target: &str) {
        assert!(self.plugin.decide(b"POST", target.as_bytes()).is_none());
        match target {
            _ if target.starts_with("/rum/sentry/") => self.skip(SkipReason::Loop),
            _ if target.starts_with("/api/42/") => self.skip(SkipReason::Route),
            _ => {}
        }
        self.finish(Callback::Request);
    }

    /// A chunk for one of the open requests.
    pub fn chunk(&mut self, which: usize, size: usize, fill: Fill) {
        if self.open.is_empty() || size == 0 {
            return;
        }
        let mut open = self.open.swap_remove(which % self.open.len());
        let text = format!("{}:{SECRET}:{};", open.serial, open.body.len());
        let chunk: Vec<u8> = text.bytes().cycle().take(size).collect();
        let mut asked = false;
        let exchange = self.plugin.chunk(open.exchange, size, |body| {
            asked = true;
            match fill {
                Fill::Whole => body.extend_from_slice(&chunk),
                Fill::Short => body.extend_from_slice(&chunk[1..]),
                Fill::Nothing => return None,
            }
            Some(())
        });
        let length = open.body.len() + size;
        let too_large = length > self.model.rules.max_body;
        match exchange {
            Some(exchange) => {
                assert!(!too_large && matches!(fill, Fill::Whole));
                open.exchange = exchange;
                open.body.extend(chunk);
                self.open.push(open);
            }
            None if too_large => self.skip(SkipReason::TooLarge),
            None if asked => {
                assert!(!matches!(fill, Fill::Whole));
                self.skip(SkipReason::Unreadable);
            }
            None => self.no_room(length),
        }
        self.finish(Callback::Request);
    }

    /// A body found no room: there must have been none.
    fn no_room(&mut self, length: usize) {
        let held: usize = self.open.iter().map(|open| open.exchange.held()).sum();
        let copies = self.model.bytes_pending() + self.model.copies.len() * MOST_OVERHEAD;
        assert!(
            held + copies + length + MOST_OVERHEAD > self.model.rules.max_pending,
            "there was room"
        );
        self.expect(Metric::Captured, 1);
    }

    pub fn end(&mut self, which: usize) {
        if self.open.is_empty() {
            return;
        }
        let open = self.open.swap_remove(which % self.open.len());
        let now = self.look();
        self.model
            .captured(open.serial, open.project, open.body, now);
        self.expect(Metric::Captured, 1);
        self.plugin.end(open.exchange, Millis(self.wall));
        self.finish(Callback::End);
    }

    pub fn abort(&mut self, which: usize) {
        if self.open.is_empty() {
            return;
        }
        let open = self.open.swap_remove(which % self.open.len());
        self.plugin.abort(&open.exchange);
        self.skip(SkipReason::Aborted);
        self.finish(Callback::Request);
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Tokens of the calls that are in flight.
    pub fn tokens(&self) -> Vec<u32> {
        self.model.in_flight().map(|(_, token)| token).collect()
    }

    pub fn answer(&mut self, token: u32, reply: &Reply<'_>, meaning: Meaning) {
        let now = self.look();
        match self.model.waits_for(token) {
            Some(serial) => self.model.settle(serial, meaning, now),
            None => self.expect(Metric::UnexpectedReplies, 1),
        }
        self.plugin.call_done(token, reply, Millis(self.wall));
        self.carry_out(Callback::Answer);
    }

    /// Every call in flight is answered with 200, and the ones that follow.
    pub fn take_all(&mut self) {
        let ok = Reply {
            status: Some(200),
            from_target: true,
            ..Reply::default()
        };
        while let Some(token) = self.tokens().first() {
            self.answer(*token, &ok, Meaning::Taken);
        }
    }

    pub fn tick_now(&mut self) {
        self.plugin.tick(self.has_slot());
        self.carry_out(Callback::Tick);
        // nginx: the lanes tick too.
        for _ in 1..self.lanes() {
            if self.has_slot() && self.plugin.has_ready() {
                self.plugin.lend();
                self.carry_out(Callback::Tick);
            }
        }
    }

    /// Root contexts: on nginx each bears one call at a time.
    fn lanes(&self) -> usize {
        match self.model.rules.envoy {
            true => 1,
            false => self.model.rules.max_in_flight,
        }
    }

    fn has_slot(&self) -> bool {
        self.model.rules.envoy || self.tokens().len() < self.lanes()
    }

    /// The host's timer fires next; `false` when it is not armed.
    pub fn next_tick(&mut self) -> bool {
        let Some((_, due)) = self.tick else {
            return false;
        };
        self.pass(due.saturating_sub(self.mono));
        true
    }

    /// Time passes, ticks come.
    pub fn pass(&mut self, ms: u64) {
        let until = self.mono + ms;
        while let Some((period, due)) = self.tick.filter(|(_, due)| *due <= until) {
            self.wall += due - self.mono;
            self.mono = due;
            // nginx ticks every few milliseconds: a busy worker is late when much time passes.
            let late = if self.model.rules.envoy { 0 } else { ms / 50 };
            let next = period.max(late).min(until - due + period);
            self.tick = Some((period, due + next));
            self.tick_now();
        }
        self.wall += until - self.mono;
        self.mono = until;
    }

    /// Somebody sets the clock.
    pub fn jump_to(&mut self, wall: u64) {
        self.wall = wall;
    }

    /// After all jumps: a moment at which everything is due.
    pub fn jump_beyond_everything(&mut self) {
        self.wall = self.latest.max(self.wall) + 100_000_000;
    }

    pub fn drain(&mut self) {
        self.plugin.drain(Millis(self.wall));
        self.carry_out(Callback::LifeCycle);
    }

    /// The end of a request callback.
    fn finish(&mut self, callback: Callback) {
        if self.plugin.has_effects() {
            self.carry_out(callback);
        }
        self.check_budget();
    }

    fn carry_out(&mut self, callback: Callback) {
        let (now, wall) = (self.look(), Millis(self.wall));
        let envoy = self.model.rules.envoy;
        let sending = match callback {
            Callback::Tick => true,
            Callback::End | Callback::Answer => envoy,
            Callback::Request | Callback::LifeCycle => false,
        };
        if sending {
            self.model.give_up_overdue(now);
        }
        let before = self.sent;
        let mut published = false;
        while let Some(effect) = self.plugin.next_effect(wall) {
            match effect {
                Effect::Dispatch(call) => {
                    assert!(sending, "a call from {callback:?}");
                    let path = call.headers.get(b":path").unwrap().to_vec();
                    let body = call.body.to_vec();
                    assert!(
                        !call
                            .headers
                            .iter()
                            .any(|(name, _)| name == b"cookie" || name == b"authorization")
                    );
                    assert_eq!(u64::from(call.timeout_ms), self.model.rules.timeout);
                    self.dispatch(&path, &body, now);
                }
                Effect::Add(series, amount) => {
                    published = true;
                    assert!(
                        series.metric.kind() == Kind::Counter && amount > 0
                            || series.metric.kind() == Kind::Gauge && envoy
                    );
                    self.metrics[series.index()] += amount;
                }
                Effect::Set(series, value) => {
                    published = true;
                    assert!(series.metric.kind() == Kind::Gauge && !envoy);
                    self.metrics[series.index()] = i64::try_from(value).unwrap();
                }
                Effect::Latency(_, ms) => {
                    assert!(ms <= now);
                    self.samples += 1;
                }
                Effect::Log(_, line) => assert!(!line.contains(SECRET), "{line}"),
                Effect::SetTick(period) => self.set_tick(period),
                Effect::Done => {
                    self.done += 1;
                    self.model.lose_all();
                }
            }
        }
        if callback == Callback::End {
            assert!(self.sent - before <= 1, "a request waits for a backlog");
        }
        assert!(!self.plugin.has_effects(), "there is no end to it");
        self.check_books(published);
        self.check_budget();
    }

    fn dispatch(&mut self, path: &[u8], body: &[u8], now: u64) {
        let path = std::str::from_utf8(path).unwrap();
        let (_, serial) = path.split_once("?n=").unwrap();
        let serial: u64 = serial.parse().unwrap();
        self.model.dispatched(serial, body, now);
        let copy = &self.model.copies[&serial];
        let (project, again) = (copy.project, copy.attempts > 1 || copy.refusals > 0);
        assert_eq!(
            path,
            format!("/rum/sentry/ws/p{project}/api/{project}/envelope/?n={serial}")
        );
        self.expect(Metric::Attempts, 1);
        self.expect(Metric::Retries, usize::from(again));
        self.expect(Metric::Bytes, body.len());
        self.sent += 1;
        match self.dispatches.pop_front().unwrap_or(Dispatch::Takes) {
            Dispatch::Takes => {
                self.token += 1;
                self.model.taken_by_host(serial, self.token, now);
                self.plugin.call_started(self.token, Millis(self.wall));
                return;
            }
            Dispatch::Refuses => self.plugin.call_refused(Millis(self.wall)),
            Dispatch::Forgets => {}
        }
        self.model.refused_by_host(serial);
    }

    fn set_tick(&mut self, period: u32) {
        if std::mem::take(&mut self.refuse_tick) && self.model.rules.envoy {
            self.plugin.tick_refused();
            return;
        }
        assert!(
            self.model.rules.envoy || self.tick.is_none(),
            "nginx takes one period in its life"
        );
        let period = u64::from(period);
        self.tick = (period > 0).then_some((period, self.mono + period));
    }

    /// What the host shows adds up at every moment, and is what the model says where that is certain.
    fn check_books(&self, published: bool) {
        let [captured, delivered, failed, dropped] = [
            Metric::Captured,
            Metric::Delivered,
            Metric::Failed,
            Metric::Dropped,
        ]
        .map(|metric| self.metric(metric));
        let [pending, bytes, in_flight] = [Metric::Pending, Metric::PendingBytes, Metric::InFlight]
            .map(|metric| self.metric(metric));
        assert_eq!(captured, delivered + failed + dropped + pending);
        assert_eq!(self.samples, delivered);
        assert!(0 <= in_flight && in_flight <= pending);
        assert!(
            self.metrics.iter().all(|value| *value >= 0),
            "{:?}",
            self.metrics
        );
        assert_eq!(pending == 0, bytes == 0);
        assert!(usize::try_from(bytes).unwrap() <= self.model.rules.max_pending);
        assert!(usize::try_from(bytes).unwrap() >= usize::try_from(pending).unwrap() * OVERHEAD);
        if published {
            // The gauges are of this very moment. What is being collected is in the same budget.
            let held: usize = self.open.iter().map(|open| open.exchange.held()).sum();
            assert!(
                usize::try_from(bytes).unwrap() + held <= self.model.rules.max_pending,
                "{bytes} bytes pending and {held} held"
            );
        }
        if published && self.done == 0 {
            assert_eq!(
                in_flight,
                self.model
                    .count(|state| matches!(state, State::InFlight { .. }))
            );
            assert_eq!(
                delivered,
                self.model.count(|state| state == State::Delivered)
            );
            assert!(failed >= self.model.count(|state| state == State::Failed));
            assert!(pending <= self.model.pending());
            assert!(pending == self.model.pending() || !self.model.rules.is_roomy());
            assert!(bytes >= i64::try_from(self.model.bytes_in_flight()).unwrap());
        }
    }

    /// The bodies that are surely held, whoever holds them, fit in the budget.
    fn check_budget(&self) {
        let held: usize = self.open.iter().map(|open| open.exchange.held()).sum();
        let least = held + self.model.bytes_in_flight();
        assert!(least <= self.model.rules.max_pending, "{least} bytes");
    }

    /// Every counter is what it must be, once all is over. `certain`: nothing can have been dropped or expired.
    pub fn check_end(&self, certain: bool) {
        assert_eq!(self.open(), 0);
        let mut expected = self.expected.clone();
        let delivered = self.model.count(|state| state == State::Delivered);
        let failed = self.model.count(|state| state == State::Failed);
        expected[Metric::Delivered.index()] = delivered;
        // The model does not know which of the others had no room and which became too old.
        let lost = self.metric(Metric::Failed) + self.metric(Metric::Dropped);
        assert!(self.metric(Metric::Failed) >= failed);
        assert!(self.done <= 1, "it ends once");
        if certain {
            assert_eq!((self.metric(Metric::Failed), lost), (failed, failed));
            assert_eq!(
                self.model.pending(),
                0,
                "a copy that was neither delivered nor failed"
            );
        }
        for series in Series::of(Leg::Rum) {
            let (actual, expected) = (self.metrics[series.index()], expected[series.index()]);
            match series.metric {
                Metric::Failed | Metric::Dropped | Metric::LatencyMs => {}
                // Ordinary traffic waits for the next publication.
                Metric::Skipped(SkipReason::Route) => assert!(actual <= expected),
                _ => assert_eq!(actual, expected, "{}", series.name()),
            }
        }
    }
}

fn config(rules: &Rules) -> Config {
    let host = match rules.envoy {
        true => r#""envoy""#,
        false => &format!(r#""nginx", "lanes": {}"#, rules.max_in_flight),
    };
    let project = |id: u64| format!(r#""{id}": {{"workspace": "ws", "service_id": "p{id}"}}"#);
    let json = format!(
        r#"{{"host": {host}, "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com", "timeout_ms": {},
            "projects": {{{}, {}}}, "exclude": [7]}},
            "limits": {{"max_body_bytes": {}, "max_pending_bytes": {}, "max_in_flight": {}}},
            "retry": {{"max_attempts": {}, "initial_backoff_ms": {}, "max_backoff_ms": {}, "max_age_ms": {}, "ambiguous": {}}}}}"#,
        rules.timeout,
        project(42),
        project(43),
        rules.max_body,
        rules.max_pending,
        rules.max_in_flight,
        rules.max_attempts,
        rules.initial_backoff,
        rules.max_backoff,
        rules.max_age,
        rules.ambiguous,
    );
    Config::parse(json.as_bytes(), &|_| None).unwrap()
}
