//! A plugin with a proxy around it that does what it is asked for, and writes down what it sees.

use super::books::Books;
use super::clocks::Clocks;
use super::logs::PASSWORD;
use super::metadata::{KEY, TOKEN};
use super::story::Story;
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::delivery::answer::Answer;
use sentry_edge_mirror::delivery::call::Call;
use sentry_edge_mirror::effect;
use sentry_edge_mirror::header_list::HeaderList;
use sentry_edge_mirror::host::HostKind;
use sentry_edge_mirror::log::Level;
use sentry_edge_mirror::metric::{Kind, Leg, Metric, Series};
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;

/// Stands in headers and bodies; in no log line.
pub const SECRET: &str = "s3cr3t-of-a-client";

/// A call that the proxy makes.
#[derive(Clone)]
pub struct Out {
    pub token: u32,
    /// When it left.
    pub at: u64,
    pub upstream: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Out {
    pub fn path(&self) -> &str {
        let mut found = self.headers.iter().filter(|(name, _)| name == ":path");
        found.next().map_or("", |(_, value)| value)
    }
}

pub struct Proxy {
    pub plugin: Worker,
    pub clocks: Clocks,
    metrics: Books,
    /// Calls without an answer.
    pub out: Vec<Out>,
    /// Calls to look at: each is there once, refused ones too.
    pub seen: Vec<Out>,
    /// So many of the next calls are refused.
    pub refuses: usize,
    token: u32,
    is_over: bool,
}

/// What the worker asks for in a callback.
struct Asked<'a> {
    now: u64,
    wall: Millis,
    nginx: bool,
    clocks: &'a mut Clocks,
    metrics: &'a mut Books,
    out: &'a mut Vec<Out>,
    seen: &'a mut Vec<Out>,
    refuses: &'a mut usize,
    token: &'a mut u32,
}

impl effect::Proxy for Asked<'_> {
    fn now(&mut self) -> Millis {
        self.wall
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Option<u32> {
        let mut sent = Out {
            token: 0,
            at: self.now,
            upstream: call.upstream.to_owned(),
            headers: lines(call.headers),
            body: call.body.to_vec(),
        };
        assert!(
            !self.nginx || self.out.is_empty(),
            "a root context bears one call"
        );
        if let Some(left) = self.refuses.checked_sub(1) {
            *self.refuses = left;
            self.seen.push(sent);
            return None;
        }
        *self.token += 1;
        sent.token = *self.token;
        self.out.push(sent.clone());
        self.seen.push(sent);
        Some(*self.token)
    }

    fn add(&mut self, series: Series, amount: i64) {
        assert!(series.metric.kind() == Kind::Gauge || amount > 0);
        self.metrics[series] += amount;
    }

    fn set(&mut self, series: Series, value: u64) {
        assert!(series.metric.kind() == Kind::Gauge && self.nginx);
        self.metrics[series] = i64::try_from(value).unwrap();
    }

    fn latency(&mut self, _: Leg, _: u64) {}

    fn log(&mut self, _: Level, line: &str) {
        let secrets = [SECRET, PASSWORD, KEY, TOKEN];
        assert!(
            !secrets.iter().any(|secret| line.contains(secret)),
            "{line}"
        );
    }

    fn set_tick(&mut self, period: u32) -> bool {
        self.clocks.set_tick(period);
        true
    }
}

impl Proxy {
    pub fn new(config: &str) -> Self {
        let config = Config::parse(config.as_bytes(), &|_| None).unwrap();
        let mut plugin = Worker::new(config, 1);
        plugin.start("test");
        let mut proxy = Self {
            plugin,
            clocks: Clocks::default(),
            metrics: Books::default(),
            out: Vec::new(),
            seen: Vec::new(),
            refuses: 0,
            token: 0,
            is_over: false,
        };
        proxy.carry_out();
        proxy
    }

    pub fn shown(&self, leg: Leg, metric: Metric) -> i64 {
        self.metrics[Series { leg, metric }]
    }

    pub fn wall(&self) -> Millis {
        Millis(self.clocks.wall)
    }

    fn is_nginx(&self) -> bool {
        self.plugin.config().host == HostKind::Nginx
    }

    /// The context is gone: nothing happens to it any more.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// The end of a request callback.
    pub fn settle(&mut self) {
        if self.plugin.has_effects() {
            self.carry_out();
        }
    }

    /// Does what is asked for.
    fn carry_out(&mut self) {
        self.clocks.look();
        let wall = self.wall();
        let mut asked = Asked {
            now: self.clocks.now(),
            wall,
            nginx: self.is_nginx(),
            clocks: &mut self.clocks,
            metrics: &mut self.metrics,
            out: &mut self.out,
            seen: &mut self.seen,
            refuses: &mut self.refuses,
            token: &mut self.token,
        };
        self.is_over |= self.plugin.carry_out(&mut asked, wall);
        assert!(!self.plugin.has_effects(), "there is no end to it");
        if self.is_over {
            let gauges = [Metric::Pending, Metric::PendingBytes, Metric::InFlight];
            for leg in [Leg::Rum, Leg::Sls] {
                let left = gauges.map(|gauge| self.shown(leg, gauge));
                assert_eq!(left, [0; 3], "{leg:?}: left behind");
            }
        }
        assert!(
            self.metrics.values().all(|value| *value >= 0),
            "{:?}",
            self.metrics
        );
    }

    fn tick(&mut self) {
        let slot = !self.is_nginx() || self.out.is_empty();
        self.plugin.tick(slot);
        self.carry_out();
    }

    /// Time passes, ticks come.
    pub fn pass(&mut self, mut ms: u64) {
        let least = if self.is_nginx() { ms / 50 } else { 0 };
        while let Some(left) = self.clocks.pass(ms, least) {
            self.tick();
            ms = left;
        }
    }

    /// The call of this index is answered; gives it, if it was still waited for.
    pub fn answer(
        &mut self,
        index: usize,
        status: Option<u16>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Out> {
        let call = self.out.swap_remove(index);
        let before = self.plugin.in_flight();
        let header = |name: &str| {
            let found = headers.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let wall = self.wall();
        let bytes = self.plugin.answer_bytes(call.token, status);
        let answer = Answer {
            status,
            header: &header,
            body: &body[..bytes.min(body.len())],
        };
        self.plugin.answered(call.token, &answer, wall);
        let waited = self.plugin.in_flight() < before;
        self.carry_out();
        waited.then_some(call)
    }

    fn drain(&mut self) {
        let wall = self.wall();
        self.plugin.drain(wall);
        self.carry_out();
    }

    /// What a clock, a host or a listener may do by itself.
    pub fn whim(&mut self, story: &mut Story<'_>) {
        let byte = i64::from(story.byte());
        match story.below(8) {
            0 => self.refuses = story.below(4),
            1 => self.clocks.wall = self.clocks.wall.saturating_add_signed((byte - 128) * 3_000),
            2 => self.clocks.wall = story.pick(&[0, 1, 1_767_225_600_000, 1 << 50]),
            3 if byte > 230 => self.drain(),
            4 => self.tick(),
            _ => self.pass((byte * byte).unsigned_abs()),
        }
    }
}

/// All headers of a list as text: each of ours is.
pub fn lines(list: &HeaderList) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    list.iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
