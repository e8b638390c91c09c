//! The LZ4 block format, both ways, each in steps. SLS accepts one raw block: no frame, and no size before it.
//!
//! ```text
//! block     sequence... ; the last one ends with its literals
//! sequence  token (literals << 4 | match - 4)  [length...]  literals  distance (u16)  [length...]
//! length    a half of the token that is 15 goes on in bytes, until one is not 255
//! ```
//! The last 5 bytes are always literals, and the last match begins at least 12 bytes before the end.

mod common;
mod decode;
mod encode;
mod sequences;

pub use decode::{Corrupt, Decoder};
pub use encode::Encoder;

/// The shortest match.
const MIN_MATCH: usize = 4;
/// The farthest back a match may be.
const MAX_DISTANCE: usize = 65_535;
/// This many bytes at the end are literals.
const LAST_LITERALS: usize = 5;
/// The last match begins at least this far before the end.
const LAST_START: usize = 12;

#[inline(always)]
fn four(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests;
