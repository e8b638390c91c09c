//! The body of a write, made in steps.

pub mod lz4;
#[cfg(test)]
mod samples;
