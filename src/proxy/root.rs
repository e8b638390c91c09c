//! A root context: configuration, ticks, answers, the drain. It carries out what the core asks for.

use super::artefact;
use super::host::{self, Buffer, Map};
use super::metric_ids::MetricIds;
use crate::config::{Mode, Role};
use crate::delivery::answer::Answer;
use crate::delivery::call::Call;
use crate::effect::Proxy;
use crate::host::{HostKind, HostTraits};
use crate::log::Level;
use crate::metric::{Leg, Metric, Series};
use crate::time::Millis;
use crate::worker::Worker;
use crate::worker::account::{Read, Store};
use crate::worker::lanes::mismatch;
use proxy_wasm::types::Action;
use std::hash::{BuildHasher, RandomState};

/// nginx: how long after the start the lanes are counted. All contexts are configured before the first tick; after a trap
/// they come back one by one, each with its own tick.
const COUNT_LANES_MS: u64 = 1_000;

/// The proxy's memory that outlives this instance.
struct SharedData<'a> {
    metrics: &'a mut MetricIds,
}

impl Store for SharedData<'_> {
    fn read(&mut self, key: &str) -> Read {
        host::shared(key)
    }

    fn write(&mut self, key: &str, value: &[u8], cas: u32) -> bool {
        host::set_shared(key, value, cas)
    }

    fn gauge(&mut self, series: Series) -> Option<u64> {
        if self.metrics.get(series).is_none() {
            // Another configuration has this leg, but not ours.
            self.metrics.define(series.leg);
        }
        host::metric(self.metrics.get(series)?)
    }
}

/// A root context.
#[derive(Default)]
pub(super) struct Root {
    worker: Option<Worker>,
    /// Its mode lets no request go on unchanged, whether or not its configuration is in force.
    pub(super) holds: bool,
    /// The proxy that it runs in.
    running: HostKind,
    /// nginx: the lane that it is, if it is one.
    pub(super) lane: Option<u8>,
    /// nginx: when to count the lanes.
    count_lanes: Option<Millis>,
    /// The call that left in this callback.
    left: Option<u32>,
    /// The host's ids, by [`Series::index`].
    metrics: MetricIds,
    /// Reused for the headers of calls.
    scratch: Vec<u8>,
}

impl Root {
    pub(super) fn worker(&mut self) -> Option<&mut Worker> {
        self.worker.as_mut()
    }

    /// What to do with a request of its mode when nothing is known about it. On nginx nothing is held: the location itself
    /// answers whatever was not put in place. Also, after a trap on nginx all open requests of a worker are unknown to the
    /// new instance, including those of mode `tee`, which must go on.
    pub(super) fn hold(&self) -> Action {
        if self.holds && self.running.traits().answers_requests {
            Action::Pause
        } else {
            Action::Continue
        }
    }

    /// Puts a configuration in force. `false` makes Envoy refuse the update and keep the old one. `lanes` are the lanes among
    /// the other root contexts.
    pub(super) fn configure(&mut self, size: usize, lanes: &[u8]) -> bool {
        let json = host::buffer(Buffer::PluginConfiguration, size).unwrap_or_default();
        let running = host::kind();
        let role = Role::parse(&json, &|name| std::env::var(name).ok());
        self.running = running;
        let traits = running.traits();
        self.holds = matches!(&role, Ok(Role::Main(config)) if config.mode != Mode::Tee);
        let artefact = artefact::own();
        let role = role.and_then(|role| {
            artefact.check(&role, running)?;
            role.running_in(running)?.beside(lanes)
        });
        let config = match role {
            Ok(Role::Main(config)) => *config,
            Ok(Role::Lane(number)) => {
                if self.lane.replace(number).is_none()
                    && let Some(period) = traits.fixed_tick_ms
                {
                    host::set_tick(period);
                }
                return true;
            }
            Err(error) => {
                host::log(Level::Error, &error.to_string());
                return !traits.may_refuse;
            }
        };
        let seed = RandomState::new().hash_one(host::now().0);
        let mut worker = Worker::new(config, seed);
        self.metrics = MetricIds::default();
        for leg in worker.legs() {
            self.metrics.define(leg);
        }
        worker.start(env!("EDGE_MIRROR_VERSION"));
        if let Some(warning) = artefact.warning(running) {
            host::log(Level::Warn, &warning);
        }
        self.worker = Some(worker);
        let now = host::now();
        self.count_lanes = traits.calls_in_ticks.then(|| now.after(COUNT_LANES_MS));
        self.carry_out(now);
        true
    }

    /// Ends the context at once. What is pending is counted as dropped.
    pub(super) fn end(&mut self) {
        if let Some(worker) = &mut self.worker {
            let now = host::now();
            worker.give_up(now);
            self.root_effects(now);
        }
    }

    /// The tick. `slot` is as in [`Worker::tick`]; `lanes` is how many there are. Returns the call that left, on nginx.
    pub(super) fn tick(&mut self, slot: bool, lanes: usize) -> Option<u32> {
        let worker = self.worker.as_mut()?;
        worker.tick(slot);
        let now = host::now();
        if self.count_lanes.take_if(|due| *due <= now).is_some()
            && let Some(line) = mismatch(worker.config().lanes, lanes)
        {
            host::log(Level::Warn, &line);
        }
        self.carry_out(now);
        self.left.take()
    }

    /// Copies and writes in flight, if a call waits for a lane.
    pub(super) fn waiting(&self) -> Option<usize> {
        let worker = self.worker.as_ref().filter(|worker| worker.has_ready())?;
        Some(worker.in_flight())
    }

    /// The tick of a lane that makes a call for this context. Returns the call, if one left.
    pub(super) fn tick_for_lane(&mut self) -> Option<u32> {
        self.worker.as_mut()?.tick_for_lane();
        self.carry_out(host::now());
        self.left.take()
    }

    pub(super) fn call_done(&mut self, token: u32, headers: usize, body_size: usize) {
        let Some(worker) = &mut self.worker else {
            return;
        };
        let text = |name: &str| host::header(Map::CallReply, name);
        let traits = self.running.traits();
        // Where the status is not counted, an answer with nothing else, such as a 204, has 0 headers.
        let status = (headers > 0 || !traits.counts_status)
            .then(|| text(":status"))
            .flatten()
            .and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
        let body = match body_size {
            0 => None,
            size => match size.min(worker.answer_bytes(token, status)) {
                0 => None,
                bytes => host::buffer(Buffer::CallReplyBody, bytes),
            },
        };
        let header = |name: &str| String::from_utf8(text(name)?).ok();
        let answer = Answer {
            status,
            header: &header,
            body: body.as_deref().unwrap_or_default(),
        };
        let now = host::now();
        worker.answered(token, &answer, now);
        self.carry_out(now);
    }

    /// The host wants the context to end; `true` if it may do so at once.
    pub(super) fn done(&mut self) -> bool {
        let Some(worker) = &mut self.worker else {
            return true;
        };
        let now = host::now();
        worker.drain(now);
        self.root_effects(now)
    }

    /// Carries out what a request callback asks for.
    pub(super) fn request_effects(&mut self, now: Millis) {
        // The end of a drain is up to the root context, and comes only in its callbacks.
        self.effects(now);
    }

    /// Carries out what the core asks for. If a drain ended only now, tells the host.
    fn carry_out(&mut self, now: Millis) {
        if self.root_effects(now) {
            host::done();
        }
    }

    /// Carries out what a root callback asks for, and keeps the account. `true` if the drain is over.
    fn root_effects(&mut self, now: Millis) -> bool {
        let over = self.effects(now);
        let Some(worker) = &mut self.worker else {
            return over;
        };
        let mut store = SharedData {
            metrics: &mut self.metrics,
        };
        if worker.keep_account(&mut store) {
            self.effects(now);
        }
        over
    }

    /// Carries out what the core asks for. `true` if the drain is over.
    fn effects(&mut self, now: Millis) -> bool {
        let Some(worker) = &mut self.worker else {
            return true;
        };
        let mut proxy = InHost {
            traits: self.running.traits(),
            metrics: &self.metrics,
            scratch: &mut self.scratch,
            left: &mut self.left,
        };
        worker.carry_out(&mut proxy, now)
    }
}

/// The proxy, in a callback of the root context or of one of its streams.
struct InHost<'a> {
    traits: &'static HostTraits,
    metrics: &'a MetricIds,
    scratch: &'a mut Vec<u8>,
    left: &'a mut Option<u32>,
}

impl Proxy for InHost<'_> {
    fn now(&mut self) -> Millis {
        host::now()
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Option<u32> {
        let scheme = self.traits.calls_have_schemes.then_some(call.scheme);
        let token = host::dispatch(call, scheme, self.scratch)?;
        *self.left = self.traits.calls_in_ticks.then_some(token);
        Some(token)
    }

    fn add(&mut self, series: Series, amount: i64) {
        if let Some(id) = self.metrics.get(series) {
            host::add_to_metric(id, amount);
        }
    }

    fn set(&mut self, series: Series, value: u64) {
        if let Some(id) = self.metrics.get(series) {
            host::record_metric(id, value);
        }
    }

    fn latency(&mut self, leg: Leg, ms: u64) {
        let metric = Metric::LatencyMs;
        self.set(Series { leg, metric }, ms);
    }

    fn log(&mut self, level: Level, line: &str) {
        host::log(level, line);
    }

    fn set_tick(&mut self, period_ms: u32) -> bool {
        host::set_tick(period_ms)
    }
}
