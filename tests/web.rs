//! The conformance tests of the core on wasm32-unknown-unknown, in Node (`make web`): the core has no host in it, and
//! `usize` has 32 bits as in the module.

#![cfg(all(target_arch = "wasm32", target_os = "unknown"))]

#[path = "conformance/mod.rs"]
mod cases;
