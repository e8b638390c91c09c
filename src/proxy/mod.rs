//! The proxy-wasm side: thin, and the only code that knows a host.
//!
//! `abi` holds the entry points that the host calls, `host` the calls to the host, `root` and `stream` what happens in
//! between, `turns` what a tick does for waiting requests, `metric_ids` the host's ids for the metrics. The SDK (crate
//! proxy-wasm) provides the ABI's types, the version marker and `main!`. Its dispatcher is not used, because it panics on
//! hosts that misbehave, and a panic kills the instance with everything pending in it.

mod abi;
mod artefact;
mod host;
mod metric_ids;
mod root;
mod stream;
mod turns;

use crate::pool::Pool;

#[global_allocator]
static ALLOCATOR: Pool = Pool::new();
