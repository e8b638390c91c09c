//! Mirrors Sentry ingest traffic to Alibaba Cloud RUM, and writes envelopes as signed logs to SLS, at the edge, as a
//! proxy-wasm filter.
//!
//! ```text
//!  client ──request──▶ proxy ──────────unchanged──────────▶ Sentry (the primary)
//!                        │ headers, chunks (copied once)
//!                   filter::http ─▶ plugin ─▶ sentry::route ─▶ mirror::{decide, headers, capture}
//!                                     │ finished copy
//!                   filter::root ◀─ effects ◀─ delivery::outbox ◀┘
//!                        │ dispatch: in Envoy at once, retries and on nginx all on ticks
//!                        ▼
//!                  /rum/sentry/<workspace>/<service_id> + the original target at RUM
//! ```
//! The SLS leg shares the body and nothing else: plugin ─▶ sls::intake ─▶ (ticks) sls::leg: sentry::{decode, envelope} ─▶
//! sls::{record, scrub, batch} ─▶ delivery::outbox of its own ─▶ signed when dispatched ─▶ SLS.
//! Mode `sign`: filter::sign holds a request ─▶ plugin::signing ─▶ sls::{wire_digest, write_request} ─▶ new headers, and on, or
//! an answer from here. Never the one without the other: a request never goes on as it came.
//!
//! In mode `rewrite` the request is the copy itself: plugin::rewrite says whether it goes on with the copy's headers in
//! place of its own, or is kept, answered and delivered from the outbox.
//!
//! The core (everything but [`filter`]) knows no host: bytes and time in, effects out. Invariants:
//! 1. In mode `tee` the primary exchange is never paused, changed, delayed or failed.
//! 2. Every captured copy, and every log, ends as delivered, failed or dropped: `captured = delivered + failed + dropped + pending`.
//! 3. Memory stays within `limits.max_pending_bytes` per worker, bodies that are being received (collect) within half of
//!    it, and the host's copy of what is in flight within a quarter.
//! 4. Target, body and Content-Encoding of a copy are the received bytes.
//! 5. No cookie, foreign credential or payload reaches the second party by header, or the proxy's log at all.
//! 6. Nothing in here can panic: the lints below deny what could.
//!
//! Units: times in milliseconds, sizes in bytes, both in names.

// A panic kills the instance with everything that is pending. Tests may.
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

pub mod account;
pub mod collect;
pub mod config;
pub mod delivery;
pub mod effect;
pub mod exchange;
#[cfg(any(target_os = "wasi", test))]
mod filter;
pub mod journal;
pub mod lanes;
pub mod meter;
pub mod metric;
pub mod mirror;
pub mod outcome;
pub mod pace;
pub mod plugin;
pub mod secret;
pub mod sentry;
pub mod sls;
pub mod ticker;
pub mod time;
