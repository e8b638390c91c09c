//! What the host functions can reach: the data of the wasmtime store.

use std::collections::{BTreeMap, BTreeSet};

use wasmtime::{Memory, TypedFunc};

use super::abi::shared::SharedData;
use super::clock::{Clock, Tick};
use super::cost::{Cost, Ledger};
use super::dispatch::{Call, Flight, Reply};
use super::exchange::Exchange;
use super::fault::{Faults, Random, What};
use super::leg::{Leg, Way};
use super::metrics::Metrics;
use super::options::{Options, Profile};
use super::rules::Rule;

/// Root contexts and streams share one number space.
pub type ContextId = u32;

/// A log line of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// 0 trace, 1 debug, 2 info, 3 warn, 4 error, 5 critical.
    pub level: u32,
    pub text: String,
}

/// The life of a root context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Active,
    /// Replaced or its listener removed; waits for its streams to end.
    Draining,
    /// `on_done` returned false; waits for `proxy_done`.
    PendingDone,
}

pub(super) struct Root {
    pub(super) config: Vec<u8>,
    pub(super) life: Life,
    pub(super) tick: Option<Tick>,
    /// nginx: a non-zero period was set before.
    pub(super) ticked_once: bool,
    pub(super) streams: u32,
}

pub(super) struct Stream {
    pub(super) root: ContextId,
    pub(super) properties: Vec<(String, Vec<u8>)>,
    pub(super) request: Leg,
    pub(super) response: Leg,
    pub(super) exchange: Exchange,
}

/// What a host call asked for and the host does after the callback, as Envoy's `addAfterVmCallAction`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Later {
    Resume(ContextId, Way),
    LocalResponse(ContextId),
    Done(ContextId),
}

pub(super) struct State {
    pub(super) profile: Profile,
    pub(super) options: Options,
    pub(super) memory: Option<Memory>,
    pub(super) allocate: Option<TypedFunc<u32, u32>>,

    /// The running callback, empty between callbacks. `initialize` stands for the start functions.
    pub(super) callback: &'static str,
    pub(super) current: ContextId,
    /// Set by `proxy_set_effective_context`, 0 for none.
    pub(super) effective: ContextId,
    pub(super) host_call: &'static str,
    pub(super) forced: Option<What>,
    pub(super) later: Vec<Later>,
    pub(super) violation: Option<String>,
    pub(super) stopping: bool,

    pub(super) clock: Clock,
    pub(super) ticks: u64,
    pub(super) roots: BTreeMap<ContextId, Root>,
    pub(super) streams: BTreeMap<ContextId, Stream>,
    pub(super) next_token: u32,
    pub(super) calls: Vec<Call>,
    pub(super) in_flight: BTreeMap<u32, Flight>,
    pub(super) reply: Option<Reply>,
    pub(super) metrics: Metrics,
    pub(super) shared: SharedData,
    pub(super) logs: Vec<Log>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,

    pub(super) random: Random,
    pub(super) faults: Faults,
    pub(super) cost: Cost,
    pub(super) ledger: Ledger,
    pub(super) trace: BTreeSet<u32>,
}

impl State {
    pub(super) fn new(profile: Profile, options: Options) -> Self {
        let wall = options.wall_clock_ms * super::clock::MILLISECOND;
        let mut faults = Faults::default();
        for (call, when, what) in options.faults.iter().cloned() {
            faults.add(call, when, what);
        }
        Self {
            profile,
            memory: None,
            allocate: None,
            callback: "",
            current: 0,
            effective: 0,
            host_call: "",
            forced: None,
            later: Vec::new(),
            violation: None,
            stopping: false,
            clock: Clock {
                monotonic: 0,
                wall,
                stopped: false,
            },
            ticks: 0,
            roots: BTreeMap::new(),
            streams: BTreeMap::new(),
            // Envoy counts from 4 in steps of 4 (`nextHttpCallId`), nginx from 0 in steps of 1 (`callout_ids`).
            next_token: if profile == Profile::Envoy { 4 } else { 0 },
            calls: Vec::new(),
            in_flight: BTreeMap::new(),
            reply: None,
            metrics: Metrics::default(),
            shared: SharedData::default(),
            logs: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            random: Random(options.seed),
            faults,
            cost: Cost::default(),
            ledger: Ledger::default(),
            trace: BTreeSet::new(),
            options,
        }
    }

    /// `contextOrEffectiveContext()`: the effective context if it still exists, else the running one. nginx ignores
    /// the call.
    pub(super) fn context(&self) -> ContextId {
        let exists =
            self.roots.contains_key(&self.effective) || self.streams.contains_key(&self.effective);
        if exists && self.profile == Profile::Envoy {
            self.effective
        } else {
            self.current
        }
    }

    /// The fault that hits this host call, if any.
    pub(super) fn fault(&mut self, call: &'static str) -> Option<What> {
        let what = self.faults.hit(call, &mut self.random)?;
        self.options.hits.count(call);
        Some(what)
    }

    /// What a callback is told as a size, or a count.
    pub(super) fn told(&self, size: usize) -> u32 {
        self.options.claimed_size.unwrap_or(size as u32)
    }

    /// The root context of the context.
    pub(super) fn root_id(&self) -> ContextId {
        let context = self.context();
        self.streams
            .get(&context)
            .map_or(context, |stream| stream.root)
    }

    pub(super) fn is_nginx(&self) -> bool {
        self.profile == Profile::Nginx
    }

    /// A broken rule of nginx: fails the test, unless the test tolerates it; then it is the trap of the real host.
    pub(super) fn broken(&mut self, rule: Rule, detail: impl std::fmt::Display) -> wasmtime::Error {
        let message = format!("nginx: {} ({detail}, in {})", rule.text(), self.callback);
        if !self.options.tolerate.contains(&rule) {
            self.violation = Some(message.clone());
        }
        wasmtime::format_err!("{message}")
    }

    pub(super) fn tolerates(&self, rule: Rule) -> bool {
        self.options.tolerate.contains(&rule)
    }

    pub(super) fn log(&mut self, level: u32, text: &[u8]) {
        self.logs.push(Log {
            level,
            text: String::from_utf8_lossy(text).into_owned(),
        });
    }
}
