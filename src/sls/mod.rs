//! The SLS leg: what to send. Logs become log groups, batches, compressed bodies and signed requests.
//!
//! The path of a log: [`record`] (with [`scrub`]) makes it from an item -> [`batch::Batcher::push`] ([`log_time`] moves its time into the window, [`log_group`] lays it out) ->
//! [`write::Group`] (sealed) -> [`write::Batch`] (compressed and hashed) -> [`put_logs::build`] ([`canonical`], [`sign`]) ->
//! the target -> [`response::classify`] -> done, retry, [`write::Dividing`], refresh ([`keys`], [`credential`], [`metadata`]) or drop.
//! Mode `sign` takes its own path: [`wire_digest`] as the body arrives, [`write_request`] when it is complete.
//!
//! [`leg`] drives all of this: from an envelope in the [`intake`] to an outcome for each log.
//!
//! Everything here is sans-IO: time comes in as unix milliseconds, randomness as a value, replies as bytes.
//! Units: times in ms, sizes in bytes, unless a name says otherwise.

pub mod batch;
pub mod canonical;
pub mod clock;
pub mod compress;
pub mod credential;
pub mod credentials;
pub mod date;
pub mod digest;
pub mod headers;
pub mod intake;
mod json;
pub mod keys;
pub(crate) mod leg;
pub mod log_group;
pub mod log_time;
pub mod metadata;
pub mod names;
pub mod put_logs;
pub mod query;
mod reader;
pub(crate) mod readers;
pub mod record;
mod report;
pub mod response;
pub mod scrub;
pub mod settings;
pub mod sign;
pub mod signature;
pub mod wire_digest;
pub mod write;
pub mod write_request;
