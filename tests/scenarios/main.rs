//! What becomes of traffic: scenarios that run on the core natively and on the compiled module, as Envoy and as nginx
//! would run it.
//!
//! `edge` is what a scenario may do, `native` and `module` do it, `gate` is the same for mode `sign`; the other files are the scenarios, by subject. They
//! assert what was sent and what was counted, never log text. Every scenario ends with the books being checked.

// A test says what is wrong by panicking, and its arithmetic is on small numbers that it chose itself.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

#[path = "../host/mod.rs"]
mod host;
#[path = "../shared/random.rs"]
mod random;
#[path = "../shared/signed.rs"]
mod signed;

mod edge;
mod gate;
mod module;
mod native;
mod target;
mod target_module;
mod target_native;

mod accounts;
mod bodies;
mod delivery;
mod drain;
mod fairness;
mod hostile;
mod lanes;
mod limits;
mod loops;
mod module_only;
mod nginx;
mod rewrite;
mod rewrite_held;
mod routing;
mod sign;
mod sign_large;
mod slow;
mod sls;
mod sls_answers;
mod sls_credential;
mod sls_legs;
