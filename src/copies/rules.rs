//! The operator's rules for the copies of a project: whether they are sent, how many, and what they tell of the client.
//!
//! A project without rules is mirrored in full. The rules are applied in this order: the primary's answer, the sample, the
//! items, scrubbing, the rate. Only items and scrubbing change the body of a copy.

use crate::client_ip::ClientIp;
use sha2::{Digest as _, Sha256};
use std::rc::Rc;

/// The rules of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// How much of the client's address is sent with a copy.
    pub client_ip: ClientIp,
    /// How many copies per second.
    pub rate: Option<Rate>,
    /// Which part of all traces.
    pub sample: Sample,
    /// Which items of an envelope are sent.
    pub items: Option<Rc<Items>>,
    /// Sensitive values are removed from its items.
    pub scrub: bool,
    /// What cannot be scrubbed is sent as received.
    pub sends_unscrubbable: bool,
    /// What is rebuilt is sent as gzip.
    pub gzip: bool,
    /// A copy waits for the primary's answer and is sent only if that is not a refusal.
    pub only_accepted: bool,
}

impl Rules {
    /// Whether they decide which copies are sent.
    #[must_use]
    pub fn decide(&self) -> bool {
        self.only_accepted || self.rate.is_some() || self.read()
    }

    /// Whether they have to look into envelopes.
    #[must_use]
    pub fn read(&self) -> bool {
        self.touch() || !self.sample.is_all()
    }

    /// Whether they may change a body.
    #[must_use]
    pub fn touch(&self) -> bool {
        self.items.is_some() || self.scrub
    }
}

/// Items by type, as given in each item's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Only these are sent.
    Only(Vec<String>),
    /// All but these are sent.
    Not(Vec<String>),
}

impl Items {
    /// Whether an item of this type is sent.
    #[must_use]
    pub fn has(&self, ty: &str) -> bool {
        match self {
            Self::Only(types) => types.iter().any(|known| known == ty),
            Self::Not(types) => !types.iter().any(|known| known == ty),
        }
    }

    /// The types it names.
    #[must_use]
    pub fn types(&self) -> &[String] {
        match self {
            Self::Only(types) | Self::Not(types) => types,
        }
    }
}

/// What a project may send per second, per worker. At least one of the two is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Copies.
    pub copies_per_s: Option<u32>,
    /// Bytes of their bodies.
    pub bytes_per_s: Option<u32>,
}

/// A part of all traces, decided by a hash of the trace id: the same on every edge.
///
/// The hash of an id is the first four bytes, as a big-endian number, of the SHA-256 of its 32 lower-case hex digits. A trace
/// is in the sample if its hash is below `sample * 2^32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u64);

/// One more than the largest hash.
const HASHES: f64 = 4_294_967_296.0;

impl Default for Sample {
    fn default() -> Self {
        Self::ALL
    }
}

impl Sample {
    /// Every trace.
    pub const ALL: Self = Self(1 << 32);

    /// A part from 0 to 1.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn new(part: f64) -> Option<Self> {
        // In range, so nothing is lost.
        (0.0..=1.0)
            .contains(&part)
            .then(|| Self((part * HASHES).round() as u64))
    }

    /// Whether it is every trace: then nothing has to be read.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::ALL
    }

    /// Whether it is no trace.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the trace is in the sample; its id as 32 lower-case hex digits.
    #[must_use]
    pub fn has(self, id: &str) -> bool {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(id.as_bytes()));
        u64::from(u32::from_be_bytes([a, b, c, d])) < self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn the_hash_is_the_documented_one() {
        // printf %s 771a43a4192642f0b136d5159a501700 | sha256sum
        let id = "771a43a4192642f0b136d5159a501700";
        let hash = f64::from(HASH);
        let sample = |part: f64| Sample::new(part / super::HASHES).unwrap();
        assert!(!sample(hash).has(id) && sample(hash + 1.0).has(id));
    }

    const HASH: u32 = 0x4a82_93ac;

    #[test]
    fn all_and_none() {
        let ids = (0..1_000).map(|n| format!("{n:032x}"));
        for id in ids {
            assert!(Sample::ALL.has(&id) && !Sample::new(0.0).unwrap().has(&id));
        }
        assert!(Sample::new(1.0).unwrap().is_all() && Sample::new(0.0).unwrap().is_none());
        for bad in [-0.1, 1.000_001, f64::NAN, f64::INFINITY] {
            assert_eq!(Sample::new(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_part_is_the_part() {
        for part in [0.01, 0.1, 0.5, 0.9] {
            let sample = Sample::new(part).unwrap();
            let kept = (0..20_000)
                .filter(|n| sample.has(&format!("{n:032x}")))
                .count();
            let share = f64::from(u32::try_from(kept).unwrap()) / 20_000.0;
            assert!((share - part).abs() < 0.02, "{part}: {share}");
        }
    }
}
