//! The legs that send copies: what part of an exchange becomes one, what rules do to it, and what the target's answer means.
//!
//! There are two kinds: copies for RUM, under the path of a workspace and a service, and copies for a second Sentry.

pub mod capture;
pub mod copy;
pub mod decide;
pub mod forwarded;
pub mod headers;
pub mod in_place;
pub(crate) mod leg;
mod limiter;
pub mod rekey;
pub mod reply;
mod report;
mod review;
pub mod rules;
pub(crate) mod scrub;
pub mod settings;
mod sorting;
mod splice;
