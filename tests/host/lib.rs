//! A proxy-wasm host for tests: it loads the compiled module into wasmtime and plays Envoy or nginx around it.
//!
//! ```text
//!   test ── Request, advance, reply ──►  Host  ── proxy_on_* ──►  guest (the .wasm)
//!        ◄── Exchange, Call, metric, log ──      ◄── proxy_* ──
//! ```
//!
//! It is deterministic: no thread, no socket, no sleep, no real time and no real randomness. A scenario takes
//! milliseconds, says exactly when each thing happens and sees everything that leaves the guest.
//!
//! * [`Profile::Envoy`] follows proxy-wasm-cpp-host and Envoy's `Context`: chunked bodies, ticks that may be changed
//!   at any time, reload into the same VM with `on_done` and `proxy_done`.
//! * [`Profile::Nginx`] follows ngx_wasm_module and *fails the test* when the guest breaks one of the rules that
//!   would cost a real worker its life ([`Rule`] has their texts).
//!
//! What a test usually needs, in this order: [`Guest`] (what runs), [`Options`] (where), [`Host`] (the instance = one
//! worker), [`Request`] and [`Exchange`] (what the primary sees), [`Call`] and [`Reply`] (what the guest sends),
//! [`Cost`] (what it costs), [`When`] and [`What`] (a host that misbehaves).
//!
//! ```ignore
//! let mut host = Host::new(Profile::Envoy, Guest::sentry_edge_mirror(), Options::new(CONFIG));
//! host.send(&Request::post("/api/42/envelope/").chunk(b"{}\n")).assert_untouched();
//! host.advance(5);
//! let call = host.only_call();
//! host.reply(call.token, &Reply::status(200));
//! assert_eq!(host.metric("sentry_edge_mirror.rum.delivered"), 1);
//! ```
//!
//! Sources: proxy-wasm ABI 0.2.1, proxy-wasm-cpp-host (`exports.cc`, `context.cc`, `wasm.cc`), Envoy
//! (`extensions/common/wasm/context.cc`), ngx_wasm_module (`ngx_proxy_wasm*.c`), and measurements of both hosts.
//! Not modelled: gRPC, network (stream) contexts, foreign functions, shared queues, several filters in one chain.

// Only tests read it: what a name says is not said again.
#![allow(missing_docs)]

mod abi;
mod clock;
mod cost;
mod dispatch;
mod exchange;
mod fault;
mod guest;
mod headers;
mod instance;
mod leg;
mod lifecycle;
mod memory;
mod metrics;
mod nginx_uri;
mod options;
mod property;
mod request;
mod rules;
mod show;
mod state;
mod stream;
mod trace;
mod trap;
mod wasi;
mod wat;

pub use cost::Cost;
pub use dispatch::{Call, Reply};
pub use exchange::{Action, Exchange, LocalResponse, Passed, Step};
pub use fault::{Hits, What, When};
pub use guest::{Guest, copies_are_free};
pub use headers::Headers;
pub use instance::{Host, StartError};
pub use options::{Options, Profile};
pub use request::{Request, Response};
pub use rules::Rule;
pub use state::{ContextId, Log};
pub use trap::Trap;
