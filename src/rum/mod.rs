//! The RUM leg: what of an exchange becomes a copy, and what the target's answer means.

pub mod capture;
pub mod copy;
pub mod decide;
pub mod forwarded;
pub mod headers;
pub mod in_place;
pub(crate) mod leg;
mod limiter;
pub mod reply;
mod report;
mod review;
pub mod rules;
pub(crate) mod scrub;
pub mod settings;
mod sorting;
