//! A judged worker: a `Worker` with the smallest host around it, two clocks, and the books that watch: [`Model`] for the copies,
//! [`Logs`] for the other leg, when there is one.
//!
//! After every callback the published figures must add up and the budgets must hold.

use super::books::Books;
use super::clocks::Clocks;
use super::logs::{Logs, PASSWORD, UPSTREAM};
use super::metadata::{self, Answer as Metadata, KEY, TOKEN};
use super::model::{Meaning, Model, Rules, State};
use super::received::{Body, Clock};
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::copies::headers::Head;
use sentry_edge_mirror::copies::reply::Reply;
use sentry_edge_mirror::delivery::answer::Answer;
use sentry_edge_mirror::delivery::call::Call;
use sentry_edge_mirror::effect::Proxy;
use sentry_edge_mirror::log::Level;
use sentry_edge_mirror::metric::{Kind, Leg, Metric, Series};
use sentry_edge_mirror::outcome::SkipReason;
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use sentry_edge_mirror::worker::collect::Ticket;
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
    /// The legs that want it.
    rum: bool,
    sls: bool,
    ticket: Ticket,
    body: Vec<u8>,
    received: Body,
}

pub struct JudgedWorker {
    pub model: Model,
    pub logs: Option<Logs>,
    /// Always there, but while it is asking for something.
    worker: Option<Worker>,
    pub clocks: Clocks,
    pub refuse_tick: bool,
    pub dispatches: VecDeque<Dispatch>,
    open: Vec<Open>,
    /// Of those that are open.
    clock: Clock,
    serial: u64,
    token: u32,
    /// The host's view.
    metrics: Books,
    samples: i64,
    /// What the counters must come to.
    expected: Books,
    done: u32,
    sent: u32,
    gave_way: u32,
}

/// What the worker asks for in a callback.
struct Asked<'a> {
    judged: &'a mut JudgedWorker,
    callback: Callback,
    /// It may send calls.
    sending: bool,
    published: bool,
}

impl Proxy for Asked<'_> {
    fn now(&mut self) -> Millis {
        self.judged.wall()
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Option<u32> {
        assert!(self.sending, "a call from {:?}", self.callback);
        let judged = &mut *self.judged;
        let now = judged.clocks.now();
        check_turn(&judged.model, judged.logs.as_ref(), now);
        if matches!(call.upstream, UPSTREAM | metadata::UPSTREAM) {
            if let Some(logs) = &mut judged.logs {
                logs.dispatched(call, now);
            }
            return judged.dispatch_log(now);
        }
        let must_stay = |name: &[u8]| name == b"cookie" || name == b"authorization";
        assert!(!call.headers.iter().any(|(name, _)| must_stay(name)));
        assert_eq!(u64::from(call.timeout_ms), judged.model.rules.timeout);
        let path = call.headers.get(b":path").unwrap();
        judged.dispatch(path, call.body, now)
    }

    fn add(&mut self, series: Series, amount: i64) {
        self.published = true;
        let kind = series.metric.kind();
        let envoy = self.judged.model.rules.envoy;
        assert!(kind == Kind::Counter && amount > 0 || kind == Kind::Gauge && envoy);
        self.judged.metrics[series] += amount;
    }

    fn set(&mut self, series: Series, value: u64) {
        self.published = true;
        let envoy = self.judged.model.rules.envoy;
        assert!(series.metric.kind() == Kind::Gauge && !envoy);
        self.judged.metrics[series] = i64::try_from(value).unwrap();
    }

    fn latency(&mut self, leg: Leg, ms: u64) {
        assert!(ms <= self.judged.clocks.now());
        self.judged.samples += i64::from(leg == Leg::Rum);
    }

    fn log(&mut self, _: Level, line: &str) {
        let secrets = [SECRET, PASSWORD, KEY, TOKEN];
        assert!(
            !secrets.iter().any(|secret| line.contains(secret)),
            "{line}"
        );
    }

    fn set_tick(&mut self, period: u32) -> bool {
        let judged = &mut *self.judged;
        let envoy = judged.model.rules.envoy;
        if std::mem::take(&mut judged.refuse_tick) && envoy {
            return false;
        }
        assert!(
            envoy || !judged.clocks.is_ticking(),
            "nginx takes one period in its life"
        );
        judged.clocks.set_tick(period);
        true
    }
}

impl JudgedWorker {
    pub fn new(rules: Rules) -> Self {
        let mut worker = Worker::new(config(&rules), 1);
        worker.start("test");
        let mut worker = Self {
            model: Model::new(rules),
            logs: rules.logs.map(|logs| Logs::new(logs, &rules)),
            worker: Some(worker),
            clocks: Clocks::default(),
            refuse_tick: false,
            dispatches: VecDeque::new(),
            open: Vec::new(),
            clock: Clock::default(),
            serial: 0,
            token: 0,
            metrics: Books::default(),
            samples: 0,
            expected: Books::default(),
            done: 0,
            sent: 0,
            gave_way: 0,
        };
        worker.carry_out(Callback::LifeCycle);
        worker
    }

    pub fn metric(&self, metric: Metric) -> i64 {
        self.of(Leg::Rum, metric)
    }

    pub fn of(&self, leg: Leg, metric: Metric) -> i64 {
        self.metrics[Series { leg, metric }]
    }

    /// Nothing waits, nothing is in flight, nobody is waited for.
    pub fn is_at_rest(&self) -> bool {
        let waits = [Metric::Pending, Metric::Queued].map(|metric| self.of(Leg::Sls, metric));
        self.metric(Metric::Pending) == 0 && waits == [0, 0] && self.all_tokens().is_empty()
    }

    /// Calls that have been dispatched.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Bodies that gave way to others.
    pub fn gave_way(&self) -> u32 {
        self.gave_way
    }

    pub fn is_done(&self) -> bool {
        self.done > 0
    }

    pub fn is_ticking(&self) -> bool {
        self.clocks.is_ticking()
    }

    fn worker_mut(&mut self) -> &mut Worker {
        self.worker.as_mut().unwrap()
    }

    /// The worker looks at the clock.
    fn look(&mut self) -> u64 {
        let now = self.clocks.look();
        // The epoch is a clock that failed.
        if self.clocks.wall > 0 {
            self.clock.look(now, self.open.len());
        }
        self.model.look(now);
        now
    }

    fn wall(&self) -> Millis {
        Millis(self.clocks.wall)
    }

    fn expect(&mut self, metric: Metric, amount: usize) {
        self.expect_of(Leg::Rum, metric, amount);
    }

    fn expect_of(&mut self, leg: Leg, metric: Metric, amount: usize) {
        self.expected[Series { leg, metric }] += i64::try_from(amount).unwrap();
    }

    fn skip(&mut self, rum: bool, sls: bool, reason: SkipReason) {
        self.expect(Metric::Skipped(reason), usize::from(rum));
        self.expect_of(Leg::Sls, Metric::Skipped(reason), usize::from(sls));
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
        let decided = self.worker_mut().decide(b"POST", target.as_bytes());
        match project {
            7 => self.skip(true, false, SkipReason::Excluded),
            44 => self.skip(true, false, SkipReason::Unmapped),
            _ => self.expect(Metric::HeadersOmitted, usize::from(odd_header)),
        }
        let (rum, sls) = (!matches!(project, 7 | 44), self.logs.is_some());
        assert_eq!(decided.is_some(), rum || sls);
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
            let begun = self.worker_mut().begin(decided, &head);
            let received = Body::new(self.clock.now());
            if !too_large {
                self.some_gave_way(&received);
            }
            match begun {
                Some(ticket) => {
                    assert!(!too_large);
                    if self.open.is_empty() {
                        self.clock.first_begins();
                    }
                    self.open.push(Open {
                        serial,
                        project,
                        rum,
                        sls,
                        ticket,
                        body: Vec::new(),
                        received,
                    });
                }
                None if too_large => self.skip(rum, sls, SkipReason::TooLarge),
                None => self.no_room(rum, 0, &received),
            }
        }
        self.finish(Callback::Request);
    }

    /// A request that is none of ours, or that no rule covers.
    pub fn other(&mut self, target: &str) {
        assert!(
            self.worker_mut()
                .decide(b"POST", target.as_bytes())
                .is_none()
        );
        let reason = match target {
            _ if target.starts_with("/rum/sentry/") => Some(SkipReason::Loop),
            _ if target.starts_with("/api/42/") => Some(SkipReason::Route),
            _ => None,
        };
        if let Some(reason) = reason {
            self.skip(true, self.logs.is_some(), reason);
        }
        self.finish(Callback::Request);
    }

    /// A chunk for one of the open requests.
    pub fn chunk(&mut self, which: usize, size: usize, fill: Fill) {
        if self.open.is_empty() || size == 0 {
            return;
        }
        let mut open = self.open.swap_remove(which % self.open.len());
        let chunk = match self.logs {
            Some(_) => piece_of_envelope(open.serial, open.body.len(), size),
            None => piece(open.serial, open.body.len(), size),
        };
        let (rum, sls) = (open.rum, open.sls);
        let mut asked = false;
        let collected = self.worker_mut().chunk(open.ticket, size, |body| {
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
        open.received.grow(size, self.clock.now());
        if too_large {
            self.nobody_gave_way()
        } else {
            self.some_gave_way(&open.received)
        }
        match collected {
            Some(ticket) => {
                assert!(!too_large && matches!(fill, Fill::Whole));
                assert_eq!(ticket, open.ticket);
                open.body.extend(chunk);
                self.open.push(open);
            }
            None if too_large => self.skip(rum, sls, SkipReason::TooLarge),
            None if asked => {
                assert!(!matches!(fill, Fill::Whole));
                self.skip(rum, sls, SkipReason::Unreadable);
            }
            None => self.no_room(rum, length, &open.received),
        }
        self.finish(Callback::Request);
    }

    /// A body found no room: there must have been none, and nobody who had to give way.
    fn no_room(&mut self, rum: bool, length: usize, received: &Body) {
        let rules = self.model.rules;
        let now = self.clock.now();
        let wants = self.held() + length + MOST_OVERHEAD;
        if wants > self.most_received() && rules.envoy {
            // One that is larger than the half finds none, whoever gives way; nor does one that would find none then.
            let pending = self.most_pending();
            let hopeless = length + MOST_OVERHEAD > rules.max_pending / 2
                || self.logs.is_some()
                || pending + rules.max_pending / 2 > rules.max_pending;
            let newcomer = received.is_newcomer(now);
            for other in self.open.iter().filter(|other| other.received.was_due) {
                assert!(
                    hopeless || !newcomer || other.received.may_be_fast(now),
                    "{:?} does not give way to {received:?} at {now}",
                    other.received
                );
            }
        } else if rum {
            assert!(
                wants + self.most_pending() > rules.max_pending,
                "there was room"
            );
        }
        if rum {
            self.expect(Metric::Captured, 1);
        }
    }

    /// What the bodies may hold that are being received.
    fn most_received(&self) -> usize {
        let rules = self.model.rules;
        if rules.envoy {
            rules.max_pending / 2
        } else {
            rules.max_pending
        }
    }

    /// What all copies hold at most that have no end yet.
    fn most_pending(&self) -> usize {
        self.model.bytes_pending() + self.model.copies.len() * MOST_OVERHEAD
    }

    /// Those that are over since the last time.
    fn take_over(&mut self) -> Vec<Open> {
        let worker = self.worker.as_ref().unwrap();
        let over = |open: &mut Open| worker.exchange(open.ticket).is_none();
        self.open.extract_if(.., over).collect()
    }

    fn nobody_gave_way(&mut self) {
        assert!(self.take_over().is_empty(), "somebody is over");
    }

    /// Others may have made room for this one: the half was full, and they grew least.
    fn some_gave_way(&mut self, received: &Body) {
        let now = self.clock.now();
        let over = self.take_over();
        if over.is_empty() {
            return;
        }
        assert!(self.model.rules.envoy, "nothing gives way on nginx");
        let least = |all: &[Open]| {
            let due = all.iter().filter(|open| open.received.was_due);
            let worths = due.map(|open| open.received.worth(now));
            worths.fold(f64::INFINITY, f64::min)
        };
        let left = least(&self.open);
        for open in over {
            let gone = &open.received;
            self.gave_way += 1;
            assert!(
                !gone.is_fresh(now),
                "a newcomer gave way: {gone:?} at {now}"
            );
            // The worker rounds: a quarter more or less.
            let worth = gone.worth(now).max(1.0);
            assert!(worth <= left.max(1.0) * 1.3, "{gone:?}, {left} is left");
            let faster = received.worth(now).max(1.0) * 1.3 >= worth;
            assert!(
                received.is_newcomer(now) || faster,
                "{gone:?} for {received:?}"
            );
            self.expect(Metric::Captured, usize::from(open.rum));
        }
    }

    /// A tick has come: those that are too slow are over, and nobody else.
    fn slow_ones(&mut self) {
        let now = self.clock.now();
        for open in self.take_over() {
            assert!(self.model.rules.envoy, "on nginx bodies come whole");
            let received = &open.received;
            assert!(received.may_be_slow(now), "{received:?} at {now}");
            self.skip(open.rum, open.sls, SkipReason::Slow);
        }
        let envoy = self.model.rules.envoy;
        for open in &mut self.open {
            let received = &mut open.received;
            assert!(
                !envoy || !received.must_be_slow(now),
                "{received:?} at {now}"
            );
            received.was_due |= envoy && received.is_due(now);
        }
    }

    /// It has ended: the bodies that were being received are lost, but for those that were found too slow just before.
    fn ended(&mut self) {
        let now = self.clock.now();
        let over = self.take_over();
        assert!(self.open.is_empty(), "a body is still collected");
        for (leg, wanted) in [
            (Leg::Rum, (|open| open.rum) as fn(&Open) -> bool),
            (Leg::Sls, |open| open.sls),
        ] {
            let metric = Metric::Skipped(SkipReason::Slow);
            let series = Series { leg, metric };
            let slow = self.of(leg, metric) - self.expected[series];
            let wanted = || over.iter().filter(|open| wanted(open));
            let may_be = wanted().filter(|open| open.received.may_be_slow(now));
            assert!((0..=i64::try_from(may_be.count()).unwrap()).contains(&slow));
            self.expected[series] += slow;
            if leg == Leg::Rum {
                let lost = i64::try_from(wanted().count()).unwrap() - slow;
                self.expected[Series {
                    leg,
                    metric: Metric::Captured,
                }] += lost;
            }
        }
    }

    /// What is being collected.
    fn held(&self) -> usize {
        let open = self.open.iter();
        let exchanges = open.filter_map(|open| self.worker.as_ref().unwrap().exchange(open.ticket));
        exchanges.map(|exchange| exchange.held()).sum()
    }

    pub fn end(&mut self, which: usize) {
        if self.open.is_empty() {
            return;
        }
        let now = self.look();
        let open = self.open.swap_remove(which % self.open.len());
        if let Some(logs) = &mut self.logs {
            logs.captured(&open.body);
        }
        if open.rum {
            self.model
                .captured(open.serial, open.project, open.body, now);
            self.expect(Metric::Captured, 1);
        }
        let wall = self.wall();
        self.worker_mut().end(open.ticket, wall);
        self.finish(Callback::End);
    }

    pub fn abort(&mut self, which: usize) {
        if self.open.is_empty() {
            return;
        }
        let open = self.open.swap_remove(which % self.open.len());
        self.worker_mut().abort(open.ticket);
        self.skip(open.rum, open.sls, SkipReason::Aborted);
        self.finish(Callback::Request);
    }

    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Tokens of the copies' calls that are in flight.
    pub fn tokens(&self) -> Vec<u32> {
        self.model.in_flight().map(|(_, token)| token).collect()
    }

    /// Tokens of the other leg's calls that have no answer.
    pub fn log_tokens(&self) -> Vec<u32> {
        self.logs.as_ref().map(Logs::tokens).unwrap_or_default()
    }

    /// Tokens of all calls whose answer is still waited for.
    fn all_tokens(&self) -> Vec<u32> {
        let mut tokens = self.tokens();
        let logs = self.log_tokens().into_iter();
        tokens.extend(logs.filter(|token| self.waits_for_log(*token)));
        tokens
    }

    /// Whether the other leg waits for this answer.
    fn waits_for_log(&self, token: u32) -> bool {
        self.worker.as_ref().unwrap().waits_for(token) == Some(Leg::Sls)
    }

    /// An answer for whichever leg waits for it, as one to a copy.
    pub fn answer(&mut self, token: u32, reply: &Reply<'_>, meaning: Meaning) {
        if self.waits_for_log(token) {
            return self.answer_log(token, reply.status, &[], reply.body);
        }
        let now = self.look();
        self.check_waits(token, false);
        match self.model.waits_for(token) {
            Some(serial) => self.model.settle(serial, meaning, now),
            None => self.expect(Metric::UnexpectedReplies, 1),
        }
        let header = |name: &str| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
            match name {
                "retry-after" => reply.retry_after.and_then(text),
                "x-envoy-upstream-service-time" => reply.from_target.then(|| "1".to_owned()),
                ":dispatch_status" => reply.dispatch_status.and_then(text),
                _ => None,
            }
        };
        let bytes = self
            .worker
            .as_ref()
            .unwrap()
            .answer_bytes(token, reply.status);
        let answer = Answer {
            status: reply.status,
            header: &header,
            body: &reply.body[..bytes.min(reply.body.len())],
        };
        let wall = self.wall();
        self.worker_mut().answered(token, &answer, wall);
        self.carry_out(Callback::Answer);
    }

    /// An answer for the other leg, if it waits for it: as SLS or the metadata service would give it.
    pub fn answer_log(
        &mut self,
        token: u32,
        status: Option<u16>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        if !self.waits_for_log(token) {
            let reply = Reply {
                status,
                ..Reply::default()
            };
            return self.answer(token, &reply, Meaning::Unknown);
        }
        self.look();
        self.check_waits(token, true);
        let header = |name: &str| {
            let found = headers.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let from_sls = header("x-log-requestid").is_some_and(|id| !id.is_empty());
        let taken = status == Some(200)
            || from_sls && status.is_some_and(|status| (200..300).contains(&status));
        if let Some(logs) = &mut self.logs {
            logs.answered(token, taken);
        }
        let bytes = self.worker.as_ref().unwrap().answer_bytes(token, status);
        let answer = Answer {
            status,
            header: &header,
            body: &body[..bytes.min(body.len())],
        };
        let wall = self.wall();
        self.worker_mut().answered(token, &answer, wall);
        self.carry_out(Callback::Answer);
    }

    /// The metadata service answers.
    pub fn answer_metadata(&mut self, token: u32, answer: Metadata) {
        let now = self.look();
        if let Some(logs) = &mut self.logs {
            let (status, date, body) = logs.metadata(token, answer, now);
            self.answer_log(token, status, &[("date", date)], &body);
        }
    }

    fn check_waits(&mut self, token: u32, waits: bool) {
        let (now, gone) = (self.clocks.now(), self.done > 0);
        if let Some(logs) = &mut self.logs {
            logs.check_waits(token, waits, now, gone);
            if !waits {
                logs.forgotten(token);
            }
        }
    }

    /// Every call in flight is answered with 200, and the ones that follow.
    pub fn take_all(&mut self) {
        let ok = Reply {
            status: Some(200),
            from_target: true,
            ..Reply::default()
        };
        while let Some(token) = self.all_tokens().first() {
            match &self.logs {
                Some(logs) if logs.is_metadata(*token) => {
                    self.answer_metadata(*token, Metadata::Right(3_600));
                }
                _ => self.answer(*token, &ok, Meaning::Taken),
            }
        }
    }

    pub fn tick_now(&mut self) {
        let slot = self.has_slot();
        self.worker_mut().tick(slot);
        self.carry_out(Callback::Tick);
        // nginx: the lanes tick too.
        for _ in 1..self.model.rules.lanes() {
            if self.has_slot() && self.worker.as_ref().unwrap().has_ready() {
                self.worker_mut().tick_for_lane();
                self.carry_out(Callback::Tick);
            }
        }
    }

    fn has_slot(&self) -> bool {
        let out = self.tokens().len() + self.log_tokens().len();
        self.model.rules.envoy || out < self.model.rules.lanes()
    }

    /// The host's timer fires next; `false` when it is not armed.
    pub fn next_tick(&mut self) -> bool {
        let Some(ms) = self.clocks.until_tick() else {
            return false;
        };
        self.pass(ms);
        true
    }

    /// Time passes, ticks come.
    pub fn pass(&mut self, mut ms: u64) {
        // nginx ticks every few milliseconds: often enough when much time passes.
        let least = if self.model.rules.envoy { 0 } else { ms / 50 };
        while let Some(left) = self.clocks.pass(ms, least) {
            self.tick_now();
            ms = left;
        }
    }

    pub fn drain(&mut self) {
        let wall = self.wall();
        self.worker_mut().drain(wall);
        self.carry_out(Callback::LifeCycle);
    }

    /// The end of a request callback.
    fn finish(&mut self, callback: Callback) {
        if self.worker.as_ref().unwrap().has_effects() {
            self.carry_out(callback);
        }
        self.check_budget();
    }

    fn carry_out(&mut self, callback: Callback) {
        let (now, wall) = (self.look(), self.wall());
        let envoy = self.model.rules.envoy;
        let sending = match callback {
            Callback::Tick => true,
            Callback::End | Callback::Answer => envoy,
            Callback::Request | Callback::LifeCycle => false,
        };
        if sending {
            self.model.give_up_overdue(now);
        }
        let (before, taken) = (self.sent, self.token);
        let mut worker = self.worker.take().unwrap();
        let mut asked = Asked {
            judged: self,
            callback,
            sending,
            published: false,
        };
        let over = worker.carry_out(&mut asked, wall);
        let published = asked.published;
        self.worker = Some(worker);
        if over {
            self.done += 1;
            self.model.lose_all();
        }
        match callback {
            _ if self.done > 0 => self.ended(),
            Callback::Tick => self.slow_ones(),
            _ => self.nobody_gave_way(),
        }
        if callback == Callback::End {
            assert!(self.sent - before <= 1, "a request waits for a backlog");
        }
        assert!(
            envoy || self.token - taken <= 1,
            "a root context bears one call"
        );
        assert!(
            !self.worker.as_ref().unwrap().has_effects(),
            "there is no end to it"
        );
        self.check_books(published);
        self.check_budget();
    }

    fn dispatch(&mut self, path: &[u8], body: &[u8], now: u64) -> Option<u32> {
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
        let token = self.give_to_host();
        match token {
            Some(token) => self.model.taken_by_host(serial, token, now),
            None => self.model.refused_by_host(serial),
        }
        token
    }

    fn dispatch_log(&mut self, now: u64) -> Option<u32> {
        let token = self.give_to_host();
        if let Some(logs) = &mut self.logs {
            match token {
                Some(token) => logs.taken_by_host(token, now),
                None => logs.refused_by_host(),
            }
        }
        token
    }

    /// The token of a call that the host takes.
    fn give_to_host(&mut self) -> Option<u32> {
        self.sent += 1;
        match self.dispatches.pop_front().unwrap_or(Dispatch::Takes) {
            Dispatch::Takes => {
                self.token += 1;
                Some(self.token)
            }
            Dispatch::Refuses => None,
        }
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
            self.metrics.values().all(|value| *value >= 0),
            "{:?}",
            self.metrics
        );
        assert_eq!(pending == 0, bytes == 0);
        assert!(usize::try_from(bytes).unwrap() <= self.model.rules.max_pending);
        assert!(usize::try_from(bytes).unwrap() >= usize::try_from(pending).unwrap() * OVERHEAD);
        let logs = self.check_log_books(published);
        if self.done > 0 {
            assert_eq!([pending, bytes, in_flight], [0; 3], "left behind");
        }
        if published {
            // The gauges are of this very moment. What is being collected is in the same budget.
            let max_pending = self.model.rules.max_pending;
            let budget = max_pending * self.model.rules.legs();
            let packed = self.logs.as_ref().map_or(0, |_| most_packed(max_pending));
            let budget = budget + packed;
            let held = self.held();
            for leg in self.worker.as_ref().unwrap().legs() {
                let shown = self.of(leg, Metric::CollectingBytes);
                assert_eq!(usize::try_from(shown).unwrap(), held);
            }
            assert!(
                usize::try_from(bytes).unwrap() + logs + held <= budget,
                "{bytes} and {logs} bytes pending and {held} held"
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
            let surely = self.model.count(|state| state == State::Failed);
            assert!(
                failed >= surely,
                "failed {failed}, dropped {dropped}; by the model {surely} failed: {:#?}",
                self.model
            );
            assert!(pending <= self.model.pending());
            assert!(pending == self.model.pending() || !self.model.rules.is_roomy());
            assert!(bytes >= i64::try_from(self.model.bytes_in_flight()).unwrap());
        }
    }

    /// The same of the other leg; gives its bytes.
    fn check_log_books(&self, published: bool) -> usize {
        let Some(logs) = &self.logs else { return 0 };
        let of = |metric| self.of(Leg::Sls, metric);
        let ended = of(Metric::Delivered) + of(Metric::Failed) + of(Metric::Dropped);
        assert_eq!(of(Metric::Captured), ended + of(Metric::Pending));
        let waits = of(Metric::Pending) > 0 || of(Metric::Queued) > 0;
        let bytes = usize::try_from(of(Metric::PendingBytes)).unwrap();
        assert_eq!(waits, bytes > 0);
        let max_pending = self.model.rules.max_pending;
        let most = max_pending + most_packed(max_pending);
        assert!(bytes <= most, "{bytes} of {max_pending} bytes of logs");
        assert!(of(Metric::InFlight) == 0 || of(Metric::Pending) > 0);
        if self.done > 0 {
            assert_eq!((of(Metric::Pending), bytes), (0, 0), "left behind");
            assert_eq!((of(Metric::Queued), of(Metric::InFlight)), (0, 0));
        }
        if published && self.done == 0 {
            let [least, most] = logs.in_flight(self.clocks.now());
            assert!((least..=most).contains(&of(Metric::InFlight)));
            assert_eq!(of(Metric::Delivered), logs.delivered);
        }
        bytes
    }

    /// The bodies that are surely held, whoever holds them, fit in the budget.
    fn check_budget(&self) {
        let (held, most) = (self.held(), self.most_received());
        assert!(held <= most, "{held} bytes are being received");
        let least = self.held() + self.model.bytes_in_flight();
        let budget = self.model.rules.max_pending * self.model.rules.legs();
        assert!(least <= budget, "{least} bytes");
    }

    /// The host deletes the context when it has said that it is done, and the requests' contexts with it.
    pub fn delete(&mut self) {
        assert!(self.is_done());
        self.open.clear();
    }

    /// Every counter is what it must be, once all is over. `certain`: nothing can have been dropped or expired.
    pub fn check_end(&self, certain: bool) {
        assert_eq!(self.open(), 0);
        let mut expected = self.expected.clone();
        let delivered = self.model.count(|state| state == State::Delivered);
        let failed = self.model.count(|state| state == State::Failed);
        expected[Series {
            leg: Leg::Rum,
            metric: Metric::Delivered,
        }] = delivered;
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
            let (actual, expected) = (self.metrics[series], expected[series]);
            match series.metric {
                Metric::Failed | Metric::Dropped | Metric::LatencyMs => {}
                // Ordinary traffic waits for the next publication.
                Metric::Skipped(SkipReason::Route) => assert!(actual <= expected),
                _ => assert_eq!(actual, expected, "{}", series.name()),
            }
        }
        self.check_end_of_logs();
    }

    fn check_end_of_logs(&self) {
        let Some(logs) = &self.logs else { return };
        let of = |metric| self.of(Leg::Sls, metric);
        assert_eq!(of(Metric::Delivered), logs.delivered);
        assert_eq!(
            (of(Metric::Attempts), of(Metric::Bytes)),
            (logs.attempts, logs.bytes)
        );
        assert_eq!((of(Metric::Pending), of(Metric::Queued)), (0, 0));
        // An envelope that was dropped unread counts as one log, whatever it held.
        if of(Metric::Unread) == 0 {
            assert_eq!(
                (of(Metric::Captured), of(Metric::Malformed)),
                (logs.made, logs.malformed)
            );
        }
        for reason in SkipReason::ALL {
            let metric = Metric::Skipped(reason);
            let leg = Leg::Sls;
            let expected = self.expected[Series { leg, metric }];
            match reason {
                SkipReason::Route => assert!(of(metric) <= expected),
                _ => assert_eq!(of(metric), expected, "{reason:?}"),
            }
        }
    }
}

/// nginx: each root context bears one call at a time, whichever leg it is for.
fn check_turn(model: &Model, logs: Option<&Logs>, now: u64) {
    let calls = model.in_flight().count() + logs.map_or(0, |logs| logs.calls_waiting(now));
    assert!(
        model.rules.envoy || calls < model.rules.lanes(),
        "{calls} calls are in flight"
    );
}

/// Bytes that are no envelope.
fn piece(serial: u64, at: usize, size: usize) -> Vec<u8> {
    let text = format!("{serial}:{SECRET}:{at};");
    text.bytes().cycle().take(size).collect()
}

/// An event of just this size, behind the envelope's header if it is the first piece; when that is too short for one,
/// what makes the envelope one that nobody can read.
pub fn piece_of_envelope(serial: u64, at: usize, size: usize) -> Vec<u8> {
    let header = if at == 0 { "{}" } else { "" };
    let mut text = format!(
        "{header}\n{{\"type\":\"event\"}}\n{{\"message\":\"log#{serial}.{at}\",\"extra\":{{\"x\":\"{SECRET}\"}},\"password\":\"{PASSWORD}\""
    );
    if text.len() >= size {
        return piece(serial, at, size);
    }
    text.extend(std::iter::repeat_n(' ', size - text.len() - 1));
    text.push('}');
    text.into_bytes()
}

fn config(rules: &Rules) -> Config {
    let legs = rules.legs();
    let host = if rules.envoy {
        r#""envoy""#
    } else {
        &format!(r#""nginx", "lanes": {}"#, rules.lanes())
    };
    let project = |id: u64| format!(r#""{id}": {{"workspace": "ws", "service_id": "p{id}"}}"#);
    let json = format!(
        r#"{{"host": {host}, "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com", "timeout_ms": {},
            "projects": {{{}, {}}}, "exclude": [7]}}, {}
            "limits": {{"max_body_bytes": {}, "max_pending_bytes": {}, "max_in_flight": {}}},
            "retry": {{"max_attempts": {}, "initial_backoff_ms": {}, "max_backoff_ms": {}, "max_age_ms": {}, "ambiguous": {}}}}}"#,
        rules.timeout,
        project(42),
        project(43),
        rules
            .logs
            .map(|logs| logs.json(rules.timeout))
            .unwrap_or_default(),
        rules.max_body,
        rules.max_pending * legs,
        rules.max_in_flight * legs,
        rules.max_attempts,
        rules.initial_backoff,
        rules.max_backoff,
        rules.max_age,
        rules.ambiguous,
    );
    Config::parse(json.as_bytes(), &|_| None).unwrap()
}

/// What may be beyond the budget: what is made of the one write that is being packed. A write is a quarter of the budget at
/// most, and room is taken by 16 KiB.
fn most_packed(max_pending: usize) -> usize {
    max_pending / 4 + 16_384
}
