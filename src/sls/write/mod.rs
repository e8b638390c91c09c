//! The body of a write, made in steps: a sealed [`Group`] is packed ([`Packing`]: compressed, hashed) into a [`Batch`], and a
//! batch that SLS refuses is cut in two ([`Dividing`]).
//!
//! Nothing here takes longer than its meter allows, whatever the group contains. What waits for the target, and what an
//! answer leads to, is not decided here.

mod dividing;
mod group;
mod inflate;
pub mod lz4;
mod packing;
mod queue;
#[cfg(test)]
mod samples;
mod unpacking;

pub use dividing::{Dividing, Indivisible};
pub use group::{Batch, EXTRA_REQUESTS, Group};
pub use packing::{Packer, Packing};
pub(super) use queue::{Done, Queue, Refusal};
pub use unpacking::Unpacker;
