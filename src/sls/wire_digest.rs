//! The digest of a body as sent, which a signature covers: MD5 for v1 (UPPER-case hex), SHA-256 for v4 (lower-case hex).
//!
//! It is fed piece by piece, so a body that the host holds need not be held here as well, nor hashed all at once.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::digest;
use super::signature::Signature;

/// A digest in progress.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    len: u64,
}

#[derive(Clone, Debug)]
enum State {
    Md5(Md5),
    Sha256(Sha256),
}

/// What a signature needs to know about a body. None of it is on the heap: thousands may be waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireDigest {
    hex: [u8; MAX_HEX],
    digits: usize,
    len: u64,
}

/// Digits of a SHA-256.
const MAX_HEX: usize = 64;

impl Hasher {
    /// A digest with no bytes yet.
    pub fn new(signature: &Signature) -> Self {
        let state = match signature {
            Signature::V1 => State::Md5(Md5::new()),
            Signature::V4 { .. } => State::Sha256(Sha256::new()),
        };
        Self { state, len: 0 }
    }

    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.state {
            State::Md5(md5) => md5.update(piece),
            State::Sha256(sha256) => sha256.update(piece),
        }
        let piece = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.len = self.len.saturating_add(piece);
    }

    /// What a byte costs, in the units of a [`Meter`](crate::meter::Meter).
    pub fn per_byte(&self) -> u64 {
        match self.state {
            State::Md5(_) => 18,
            State::Sha256(_) => 78,
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The body is complete.
    pub fn finish(self) -> WireDigest {
        let hex = match self.state {
            State::Md5(md5) => digest::hex_upper(&md5.finalize()),
            State::Sha256(sha256) => digest::hex_lower(&sha256.finalize()),
        };
        let mut digest = WireDigest {
            hex: [0; MAX_HEX],
            digits: hex.len(),
            len: self.len,
        };
        for (to, from) in digest.hex.iter_mut().zip(hex.bytes()) {
            *to = from;
        }
        digest
    }
}

impl WireDigest {
    /// The digest of a body that is here as a whole.
    pub fn of(signature: &Signature, wire: &[u8]) -> Self {
        let mut hasher = Hasher::new(signature);
        hasher.update(wire);
        hasher.finish()
    }

    /// The digest in the form its header needs.
    pub fn hex(&self) -> &str {
        let digits = self.hex.get(..self.digits).unwrap_or_default();
        // They are ASCII.
        std::str::from_utf8(digits).unwrap_or_default()
    }

    /// Bytes of the body.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no body.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_digest_of_the_whole() {
        let v4 = Signature::V4 {
            region: "cn-hangzhou".to_owned(),
        };
        let body: Vec<u8> = (0..=255).cycle().take(1_000).collect();
        for (signature, expected) in [
            (&Signature::V1, digest::content_md5(&body)),
            (&v4, digest::sha256_hex(&body)),
        ] {
            for size in [1, 63, 64, 999, 1_000] {
                let mut hasher = Hasher::new(signature);
                assert!(hasher.is_empty());
                for piece in body.chunks(size) {
                    hasher.update(piece);
                }
                assert_eq!(hasher.len(), 1_000);
                let digest = hasher.finish();
                assert_eq!((digest.hex(), digest.len()), (expected.as_str(), 1_000));
                assert_eq!(digest, WireDigest::of(signature, &body));
            }
            assert!(WireDigest::of(signature, b"").is_empty());
        }
    }
}
