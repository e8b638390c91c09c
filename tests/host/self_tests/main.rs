//! The test host tested: what Envoy and nginx do, shown on guests of a few lines.
//!
//! The scenarios of the filter are worth as much as this host is strict, so each rule of nginx is broken here once and
//! must fail with its text, and each behaviour of Envoy that the filter relies on is seen from the guest's side.

mod envoy;
mod faults;
mod nginx;
mod streams;

use test_host::{Guest, Host, Options, Profile};

/// A host with this guest in it.
fn run(profile: Profile, functions: &str) -> Host {
    Host::new(profile, &Guest::wat(functions), Options::new("config"))
}

/// What the guest logged.
fn said(host: &Host) -> Vec<String> {
    host.logs().iter().map(|log| log.text.clone()).collect()
}
