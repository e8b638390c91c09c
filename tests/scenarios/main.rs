//! What becomes of traffic: scenarios that run on the core natively and on the compiled module, as Envoy and as nginx
//! would run it.
//!
//! `edge` is what a scenario may do, `native` and `module` do it, `everywhere` says where it runs, `seen` what it sees; the
//! other files are the scenarios, by subject. They assert what was sent and what was counted, never log text. Every scenario
//! ends with the books being checked.

// `pub` is what the other files use.
#![allow(unreachable_pub)]

mod edge;
mod everywhere;
mod module;
mod native;
mod seen;

mod accounts;
mod bodies;
mod delivery;
mod drain;
mod fairness;
mod hostile;
mod hosts;
mod lanes;
mod limits;
mod loops;
mod module_only;
mod nginx;
mod rewrite;
mod rewrite_held;
mod routing;
mod rules;
mod second;
mod sign;
mod sign_large;
mod slow;
mod sls;
mod sls_answers;
mod sls_credential;
mod sls_legs;
