//! The compiled module: loaded once per process, checked against what the hosts offer, linked per instance.
//!
//! Only the wasm features that both hosts take are switched on, so a build with others fails here and not at a user's
//! Envoy.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::OnceLock;

use wasmtime::{Config, Engine, Linker, Module, OperatorCost, OptLevel};

use super::options::Profile;
use super::rules::NEEDED_EXPORTS;
use super::state::State;
use super::{abi, trace, wasi};

/// A module that can be run.
#[derive(Clone)]
pub struct Guest(Source);

#[derive(Clone)]
enum Source {
    /// The project's artefact for the proxy.
    Project,
    Module(Module),
}

/// Where the artefact for a proxy is: a variable, or else a file in `dist`.
const ARTEFACTS: [(Profile, &str, &str); 2] = [
    (
        Profile::Envoy,
        "SENTRY_EDGE_MIRROR_WASM",
        "sentry_edge_mirror.wasm",
    ),
    (
        Profile::Nginx,
        "SENTRY_EDGE_MIRROR_NGINX_WASM",
        "sentry_edge_mirror_nginx.wasm",
    ),
];

/// Compiled once per process.
fn project(profile: Profile) -> &'static Module {
    static MODULES: [OnceLock<Module>; 4] = [const { OnceLock::new() }; 4];
    let index = usize::from(profile == Profile::Nginx) * 2 + usize::from(COPIES_ARE_FREE.get());
    MODULES[index].get_or_init(|| {
        let path = Guest::path(profile);
        let bytes = std::fs::read(&path).unwrap_or_else(|error| {
            panic!(
                "{} cannot be read ({error}): run make build",
                path.display()
            );
        });
        compiled(&bytes).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    })
}

fn compiled(bytes: impl AsRef<[u8]>) -> Result<Module, String> {
    Module::new(engine(), bytes).map_err(|error| format!("{error:#}"))
}

impl Guest {
    /// The project's module: in each proxy the artefact that is made for it.
    pub fn sentry_edge_mirror() -> &'static Self {
        &Self(Source::Project)
    }

    /// The file of the project's artefact for a proxy.
    pub fn path(profile: Profile) -> PathBuf {
        let (_, variable, file) = ARTEFACTS.into_iter().find(|own| own.0 == profile).unwrap();
        let default = || {
            [env!("CARGO_MANIFEST_DIR"), "../..", "dist", file]
                .iter()
                .collect()
        };
        std::env::var_os(variable).map_or_else(default, PathBuf::from)
    }

    /// A module in binary or text form.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Result<Self, String> {
        compiled(bytes).map(|module| Self(Source::Module(module)))
    }

    /// Names of what it imports from this module, `env` for the host calls.
    pub fn imports(&self, module: &str) -> Vec<String> {
        let imports = self
            .module(Profile::Envoy)
            .imports()
            .filter(|import| import.module() == module);
        imports.map(|import| import.name().to_owned()).collect()
    }

    pub(super) fn module(&self, profile: Profile) -> &Module {
        match &self.0 {
            Source::Project => project(profile),
            Source::Module(module) => module,
        }
    }

    /// What a real host would say of the module before it runs: unknown imports, missing exports, wrong ABI.
    pub(super) fn check(&self, profile: Profile, linker: &Linker<State>) -> Result<(), String> {
        let module = self.module(profile);
        let exported = |name: &str| module.get_export(name).is_some();
        let mut problems = Vec::new();
        if !exported("proxy_abi_version_0_2_1") {
            problems.push("it does not export proxy_abi_version_0_2_1".to_owned());
        }
        if !exported("malloc") && !exported("proxy_on_memory_allocate") {
            problems.push("it exports neither malloc nor proxy_on_memory_allocate".to_owned());
        }
        if !exported("memory") {
            problems.push("it does not export its memory".to_owned());
        }
        let mut store =
            wasmtime::Store::new(engine(), State::new(profile, super::Options::new("")));
        for import in module.imports() {
            let (module, name) = (import.module(), import.name());
            let offered = linker.get(&mut store, module, name).is_ok();
            if !offered || (profile == Profile::Nginx && !wasi::nginx_offers(module, name)) {
                problems.push(format!(
                    "it imports {module}.{name}, which {profile:?} does not offer"
                ));
            }
        }
        if profile == Profile::Nginx {
            let missing: Vec<_> = NEEDED_EXPORTS
                .into_iter()
                .filter(|name| !exported(name))
                .collect();
            if !missing.is_empty() {
                problems.push(format!(
                    "nginx: {} ({})",
                    super::Rule::MissingExport.text(),
                    missing.join(", ")
                ));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "the module cannot be loaded: {}",
                problems.join("; ")
            ))
        }
    }
}

thread_local! {
    static COPIES_ARE_FREE: Cell<bool> = const { Cell::new(false) };
}

/// Whether `memory.copy` and `memory.fill` cost one unit of fuel, from now on and in this thread, or one for each byte, as
/// wasmtime counts by itself. A processor copies some tens of bytes in the time of an instruction.
pub fn copies_are_free(free: bool) {
    COPIES_ARE_FREE.set(free);
}

pub(super) fn engine() -> &'static Engine {
    static ENGINES: [OnceLock<Engine>; 2] = [OnceLock::new(), OnceLock::new()];
    ENGINES[usize::from(COPIES_ARE_FREE.get())].get_or_init(|| {
        let mut config = Config::new();
        config.consume_fuel(true);
        if COPIES_ARE_FREE.get() {
            let mut cost = OperatorCost::default();
            cost.variable.memory_copy_per_byte = 0;
            cost.variable.memory_fill_per_byte = 0;
            config.operator_cost(cost);
        }
        // Tests compile the module far more often than they run a hot loop in it.
        config.cranelift_opt_level(OptLevel::None);
        config.wasm_simd(false).wasm_relaxed_simd(false);
        config.wasm_multi_memory(false).wasm_memory64(false);
        config.wasm_tail_call(false).wasm_extended_const(false);
        Engine::new(&config).unwrap()
    })
}

pub(super) fn linker() -> Linker<State> {
    let mut linker = Linker::new(engine());
    abi::link(&mut linker).unwrap();
    wasi::link(&mut linker).unwrap();
    trace::link(&mut linker).unwrap();
    linker
}
