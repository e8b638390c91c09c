//! The conformance tests of the core, run natively. `tests/web.rs` runs the same on wasm32-unknown-unknown.

#[path = "conformance/mod.rs"]
mod cases;
