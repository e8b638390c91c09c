//! Mirrors Sentry ingest traffic to Alibaba Cloud RUM, and writes envelopes as signed logs to SLS, at the edge, as a
//! proxy-wasm filter.
//!
//! ```text
//!  client ──request──▶ host ──────────unchanged──────────▶ Sentry (the primary)
//!                        │ headers, chunks (copied once)
//!                   proxy ─▶ worker ─▶ sentry::route ─▶ copies::{decide, headers, capture}
//!                              │ finished copy
//!                   proxy ◀─ effect ◀────── delivery::outbox ◀┘
//!                        │ dispatch: in Envoy at once, retries and on nginx all on ticks
//!                        ▼
//!                  /rum/sentry/<workspace>/<service_id> + the original target at RUM
//! ```
//! A second Sentry is a leg of copies too, with the path and key of a DSN: copies::rekey, and copies::review on ticks.
//! The SLS leg shares the body and nothing else: worker ─▶ sls::intake ─▶ (ticks) sls::leg: sentry::{decode, envelope} ─▶
//! sls::{record, scrub, batch} ─▶ delivery::outbox of its own ─▶ signed when dispatched ─▶ SLS.
//! Mode `sign`: proxy::sign holds a request ─▶ worker::signing ─▶ sls::{wire_digest, write_request} ─▶ it goes on with new
//! headers, or is answered here. A request never goes on unchanged.
//!
//! In mode `rewrite` the request is itself the copy: worker::rewrite decides whether it goes on with the copy's headers in
//! place of its own, or is held, answered and delivered from the outbox.
//!
//! The layers, from the top. Each uses only those below it:
//!
//! | layer | owns |
//! | --- | --- |
//! | `proxy` | the calls to and from a host: the only code that knows the ABI |
//! | [`worker`] | one instance: modes, bodies being received, effects, books, the account |
//! | [`config`] | reading a configuration into the settings that the legs own |
//! | [`copies`], [`sls`] | one leg each: what is sent, and what an answer means |
//! | [`delivery`] | when something is sent, and how often; knows no leg |
//! | [`sentry`] | what SDKs send: routes, credentials, encodings, envelopes, times |
//!
//! Below these are [`host`] (how the proxies differ), [`log`], [`metric`], [`meter`] and small things shared by all.
//!
//! The core (everything but `proxy`) does no I/O: bytes and time in, effects out. Invariants:
//! 1. In mode `tee` the primary exchange is never paused, changed, delayed or failed.
//! 2. Every captured copy, and every log, ends as delivered, failed or dropped:
//!    `captured = delivered + failed + dropped + pending`.
//! 3. Memory stays within `limits.max_pending_bytes` per worker, plus a separate budget for each second Sentry; bodies being
//!    received (worker::collect) stay within half of it, and the host's copy of what is in flight within a quarter.
//! 4. Target, body and Content-Encoding of a copy are the received bytes, unless a rule for copies removes something.
//!    A second Sentry gets another project and key.
//! 5. No cookie, foreign credential or payload reaches the second party in a header, and none ever reaches the proxy's log.
//! 6. Nothing here can panic: the lints below deny whatever could.
//!
//! Units: times are in milliseconds, sizes in bytes; names say so.

// The documentation is for developers: it shows private items.
#![allow(rustdoc::private_intra_doc_links)]
// A panic kills the instance and everything pending in it. Tests may panic.
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

pub mod artefact;
pub mod client_ip;
pub mod config;
pub mod copies;
mod deflater;
pub mod delivery;
#[cfg(not(target_os = "wasi"))]
pub mod drive;
pub mod effect;
pub mod header_list;
pub mod header_map;
pub mod host;
pub mod log;
pub mod meter;
pub mod metric;
pub mod modes;
pub mod outcome;
pub mod pace;
#[cfg(any(target_os = "wasi", test))]
mod pool;
#[cfg(target_os = "wasi")]
mod proxy;

pub mod secret;
pub mod sentry;
pub mod sls;
pub mod time;
pub mod worker;

/// How this is built and changed, and what the proxies, Sentry, RUM and SLS really do.
#[cfg(doc)]
pub mod manual {
    #[doc = include_str!("manual/architecture.md")]
    pub mod architecture {}
    #[doc = include_str!("manual/hosts.md")]
    pub mod hosts {}
    #[doc = include_str!("manual/how-to.md")]
    pub mod how_to {}
    #[doc = include_str!("manual/rum.md")]
    pub mod rum {}
    #[doc = include_str!("manual/scale.md")]
    pub mod scale {}
    #[doc = include_str!("manual/sentry.md")]
    pub mod sentry {}
    #[doc = include_str!("manual/singleton.md")]
    pub mod singleton {}
    #[doc = include_str!("manual/sls.md")]
    pub mod sls {}
}
