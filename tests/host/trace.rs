//! What a module says of its own execution, if `wasm-opt --log-execution` has made it say something.

use wasmtime::{Caller, Linker};

use super::instance::Host;
use super::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let log = |mut caller: Caller<'_, State>, mark: u32| {
        caller.data_mut().trace.insert(mark);
    };
    linker.func_wrap("env", "log_execution", log)?;
    Ok(())
}

impl Host {
    /// The marks that were passed since this was last asked, each once.
    pub fn take_trace(&mut self) -> Vec<u32> {
        let trace = std::mem::take(&mut self.state_mut().trace);
        trace.into_iter().collect()
    }
}
