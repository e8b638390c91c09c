//! The proxy-wasm side: thin, and the only code that knows a host.
//!
//! `abi` holds the entry points that the host calls, `host` the calls to the host, `pairs` the wire format of header
//! maps, `root`, `http`, `rewrite` and `sign` what happens in between. The SDK (crate proxy-wasm) gives the ABI's types, the version marker
//! and `main!`; its dispatcher is not used, because it panics on hosts that misbehave, and a panic kills the instance
//! with everything that is pending.

mod pairs;

#[cfg(target_os = "wasi")]
mod abi;
#[cfg(target_os = "wasi")]
mod host;
#[cfg(target_os = "wasi")]
mod http;
#[cfg(target_os = "wasi")]
mod rewrite;
#[cfg(target_os = "wasi")]
mod root;
#[cfg(target_os = "wasi")]
mod sign;
#[cfg(target_os = "wasi")]
mod stream;
