//! The core as wasm, run by wasmtime's optimising compiler.

use sls_bench::Stage;
use wasmtime::{Config, Engine, Instance, Memory, Module, OptLevel, Store, TypedFunc};

/// Whether instructions are counted: that costs time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    Instructions,
    No,
}

/// An instance with one workload open.
pub(crate) struct Guest {
    store: Store<()>,
    instance: Instance,
    memory: Memory,
    run: TypedFunc<(u32, u32, u32), u32>,
    workload: u32,
}

impl Guest {
    pub(crate) fn open(module: &[u8], bytes: &[u8], count: Count) -> wasmtime::Result<Self> {
        let mut config = Config::new();
        config.cranelift_opt_level(OptLevel::Speed);
        config.consume_fuel(count == Count::Instructions);
        let engine = Engine::new(&config)?;
        let module = Module::new(&engine, module)?;
        let mut store = Store::new(&engine, ());
        if count == Count::Instructions {
            store.set_fuel(u64::MAX)?;
        }
        let instance = Instance::new(&mut store, &module, &[])?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| wasmtime::Error::msg("no memory"))?;
        let run = instance.get_typed_func(&mut store, "run")?;
        let mut guest = Self {
            store,
            instance,
            memory,
            run,
            workload: 0,
        };
        let size = u32::try_from(bytes.len())?;
        let at = guest
            .function::<u32, u32>("reserve")?
            .call(&mut guest.store, size)?;
        guest.memory.write(&mut guest.store, at as usize, bytes)?;
        guest.workload = guest
            .function::<(u32, u32), u32>("open")?
            .call(&mut guest.store, (at, size))?;
        Ok(guest)
    }

    /// The batch before compression.
    pub(crate) fn raw(&mut self) -> wasmtime::Result<&[u8]> {
        let workload = self.workload;
        let place = self
            .function::<u32, u64>("raw")?
            .call(&mut self.store, workload)?;
        let (at, size) = ((place & 0xFFFF_FFFF) as usize, (place >> 32) as usize);
        let data = self.memory.data(&self.store).get(at..at + size);
        data.ok_or_else(|| wasmtime::Error::msg("raw is outside the memory"))
    }

    pub(crate) fn run(&mut self, stage: Stage, times: u32) -> wasmtime::Result<()> {
        self.run
            .call(&mut self.store, (self.workload, stage as u32, times))?;
        Ok(())
    }

    /// Instructions of one run. The run before has warmed up the allocator.
    pub(crate) fn instructions(&mut self, stage: Stage) -> wasmtime::Result<u64> {
        self.run(stage, 1)?;
        let before = self.store.get_fuel()?;
        self.run(stage, 1)?;
        Ok(before - self.store.get_fuel()?)
    }

    fn function<P: wasmtime::WasmParams, R: wasmtime::WasmResults>(
        &mut self,
        name: &str,
    ) -> wasmtime::Result<TypedFunc<P, R>> {
        self.instance.get_typed_func(&mut self.store, name)
    }
}
