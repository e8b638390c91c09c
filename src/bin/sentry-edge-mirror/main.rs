//! The command beside the module: checks configurations, explains what becomes of a request, imports the nginx recipe,
//! says what is wrong with an Envoy that runs.
//!
//! It decides nothing itself: configurations are read and requests are judged by the core, as in the proxy. In a build
//! for wasm there is nothing of it.

#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(not(target_family = "wasm"))]
mod command;

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    command::run()
}

#[cfg(target_family = "wasm")]
fn main() {}
