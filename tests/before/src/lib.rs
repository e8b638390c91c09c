//! The reader of envelopes as it was at 11d9345. See `Cargo.toml`.
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub, clippy::all)]

pub mod sentry {
    pub mod decode;
    pub mod envelope;
    pub mod timestamp;
}
pub mod sls {
    mod json_string;
    pub mod record;
    pub mod scrub;
}
