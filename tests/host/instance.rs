//! One wasm instance = one worker: how it starts, how a callback is run, how it dies.

use std::collections::BTreeMap;
use std::fmt;

use wasmtime::{Extern, Func, Store, Val};

use super::cost::Cost;
use super::guest::{self, Guest};
use super::options::{Options, Profile};
use super::state::{ContextId, Life, Log, State};
use super::trap::Trap;

/// The host with one instance of the guest in it.
pub struct Host {
    store: Store<State>,
    /// Exported functions and how many results they have.
    functions: BTreeMap<String, (Func, usize)>,
    guest: Guest,
    dead: Option<Trap>,
    pub(super) next_context: ContextId,
    pub(super) last_cost: Cost,
}

/// Why an instance or a configuration was not taken into service.
#[derive(Clone, Debug)]
pub enum StartError {
    /// The module cannot be loaded by this host.
    Load(String),
    /// The guest trapped on the way.
    Trap(Trap),
    /// `on_vm_start` or `on_configure` returned false; the guest's log lines say why.
    Rejected {
        callback: &'static str,
        logs: Vec<Log>,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(why) => f.write_str(why),
            Self::Trap(trap) => trap.fmt(f),
            Self::Rejected { callback, logs } => {
                write!(f, "{callback} returned false, having logged {logs:#?}")
            }
        }
    }
}

impl std::error::Error for StartError {}

impl From<Trap> for StartError {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

impl Host {
    /// Starts an instance with one root context; anything but success fails the test.
    pub fn new(profile: Profile, guest: &Guest, options: Options) -> Self {
        Self::try_new(profile, guest, options).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn try_new(profile: Profile, guest: &Guest, options: Options) -> Result<Self, StartError> {
        let config = options.config.clone();
        let mut host = Self::bare(guest, State::new(profile, options))?;
        host.create_root(&config, true)?;
        Ok(host)
    }

    /// An initialized instance without contexts.
    pub(super) fn bare(guest: &Guest, state: State) -> Result<Self, StartError> {
        let (linker, profile) = (guest::linker(), state.profile);
        guest.check(profile, &linker).map_err(StartError::Load)?;
        let mut store = Store::new(guest::engine(), state);
        store
            .set_fuel(store.data().options.fuel_per_callback)
            .unwrap();
        let instance = linker
            .instantiate(&mut store, guest.module(profile))
            .map_err(|error| {
                StartError::Load(format!("the module cannot be instantiated: {error:#}"))
            })?;
        let exports: Vec<_> = instance
            .exports(&mut store)
            .map(|e| (e.name().to_owned(), e.into_extern()))
            .collect();
        let mut functions = BTreeMap::new();
        for (name, export) in exports {
            match export {
                Extern::Func(function) => {
                    let results = function.ty(&store).results().len();
                    functions.insert(name, (function, results));
                }
                Extern::Memory(memory) if name == "memory" => {
                    store.data_mut().memory = Some(memory)
                }
                _ => {}
            }
        }
        let allocate = ["malloc", "proxy_on_memory_allocate"]
            .into_iter()
            .find_map(|name| functions.get(name));
        store.data_mut().allocate = allocate.and_then(|(function, _)| function.typed(&store).ok());
        let mut host = Self {
            store,
            functions,
            guest: guest.clone(),
            dead: None,
            next_context: 1,
            last_cost: Cost::default(),
        };
        host.initialize()?;
        Ok(host)
    }

    /// `WasmBase::startVm`: a reactor is initialized and its `main` called, a command is started.
    fn initialize(&mut self) -> Result<(), Trap> {
        let names: &[&str] = if self.functions.contains_key("_initialize") {
            if self.functions.contains_key("main") {
                &["_initialize", "main"]
            } else {
                &["_initialize", "__main_void"]
            }
        } else {
            &["_start"]
        };
        for name in names {
            let args: &[u32] = if *name == "main" { &[0, 0] } else { &[] };
            self.run(name, "initialize", 0, args)?;
        }
        Ok(())
    }

    /// Runs a callback. `None`: the module does not export it, which real Envoy passes over as well.
    pub(super) fn call(
        &mut self,
        name: &'static str,
        context: ContextId,
        args: &[u32],
    ) -> Result<Option<u32>, Trap> {
        self.run(name, name, context, args)
    }

    fn run(
        &mut self,
        export: &str,
        callback: &'static str,
        context: ContextId,
        args: &[u32],
    ) -> Result<Option<u32>, Trap> {
        if let Some(trap) = &self.dead {
            return Err(trap.clone());
        }
        let Some((function, results)) = self.functions.get(export).cloned() else {
            self.last_cost = Cost::default();
            return Ok(None);
        };
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg as i32)).collect();
        let mut results = vec![Val::I32(0); results];

        let state = self.store.data_mut();
        (state.callback, state.current, state.effective) = (callback, context, 0);
        state.cost = Cost {
            callbacks: 1,
            ..Cost::default()
        };
        let fuel = state.options.fuel_per_callback;
        self.store.set_fuel(fuel).unwrap();
        let outcome = function.call(&mut self.store, &args, &mut results);
        self.book(callback, fuel - self.store.get_fuel().unwrap());

        let state = self.store.data_mut();
        state.callback = "";
        if let Err(error) = outcome {
            return Err(self.die(callback, context, &format!("{error:#}")));
        }
        Ok(results
            .first()
            .and_then(Val::i32)
            .map(|result| result as u32))
    }

    fn book(&mut self, callback: &'static str, fuel: u64) {
        let memory_bytes = self.memory_bytes() as u64;
        let state = self.store.data_mut();
        let mut cost = std::mem::take(&mut state.cost);
        (cost.fuel, cost.memory_bytes) = (fuel, memory_bytes);
        state.ledger.book(callback, &cost);
        self.last_cost = cost;
    }

    /// Size of the guest's linear memory now.
    pub fn memory_bytes(&self) -> usize {
        self.state()
            .memory
            .map_or(0, |memory| memory.data_size(&self.store))
    }

    /// What a client gets when the instance is dead.
    pub(super) fn failure_status(&self) -> u16 {
        if self.profile() == Profile::Envoy {
            503
        } else {
            500
        }
    }

    /// The instance is gone, and the stream with it.
    fn die(&mut self, callback: &'static str, context: ContextId, reason: &str) -> Trap {
        let status = self.failure_status();
        let state = self.store.data_mut();
        if let Some(stream) = state.streams.get_mut(&context) {
            stream.exchange.failed_with = Some(status);
        }
        let last_logs = state
            .logs
            .iter()
            .rev()
            .take(5)
            .rev()
            .map(|log| log.text.clone())
            .collect();
        let trap = Trap {
            callback,
            reason: reason.to_owned(),
            last_logs,
        };
        self.dead = Some(trap.clone());
        if let Some(violation) = self.store.data_mut().violation.take() {
            panic!("{violation}");
        }
        trap
    }

    pub(super) fn state(&self) -> &State {
        self.store.data()
    }

    pub(super) fn state_mut(&mut self) -> &mut State {
        self.store.data_mut()
    }

    pub(super) fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Any callback with any arguments: what no host would do. Gives its result.
    pub fn try_raw(
        &mut self,
        callback: &'static str,
        arguments: &[u32],
    ) -> Result<Option<u32>, Trap> {
        let context = arguments.first().copied().unwrap_or_default();
        let result = self.call(callback, context, arguments)?;
        self.settle()?;
        Ok(result)
    }

    pub fn profile(&self) -> Profile {
        self.state().profile
    }

    /// The trap that ended the instance.
    pub fn trap(&self) -> Option<&Trap> {
        self.dead.as_ref()
    }

    pub fn is_dead(&self) -> bool {
        self.dead.is_some()
    }

    /// Does the module export this callback?
    pub fn exports(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// The root context that gets new streams: in Envoy the newest active one, in nginx the first.
    pub fn current_root(&self) -> ContextId {
        let mut active = self
            .state()
            .roots
            .iter()
            .filter(|(_, root)| root.life == Life::Active)
            .map(|(id, _)| *id);
        let found = if self.profile() == Profile::Envoy {
            active.next_back()
        } else {
            active.next()
        };
        found
            .or_else(|| self.state().roots.keys().next_back().copied())
            .unwrap_or(0)
    }

    /// What the guest logged, with what it printed among it.
    pub fn logs(&self) -> &[Log] {
        &self.state().logs
    }

    pub fn take_logs(&mut self) -> Vec<Log> {
        std::mem::take(&mut self.state_mut().logs)
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.state().stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.state().stderr).into_owned()
    }
}
