//! Turns a sealed group into a batch: compresses it, then hashes it, once. So signing it, at each attempt, costs no more than
//! its headers.

use super::super::compress::{Body, Compression};
use super::super::signature::Signature;
use super::super::wire_digest::Hasher;
use super::group::{Batch, Group, Label};
use super::lz4::Encoder;
use crate::deflater::{Deflater, Format};
use crate::meter::Meter;
use std::task::{Poll, ready};

/// Units for each byte hashed, and for the fixed cost of every body.
const MD5: u64 = 19;
const SHA256: u64 = 78;
const FIXED: u64 = 6_000;
/// Bytes hashed at once.
const SLICE: usize = 2_048;

enum Stage {
    Lz4(Encoder),
    Deflate(Deflater),
    /// This many bytes have been hashed.
    Hash(usize),
}

/// Makes a body from a group's bytes.
pub struct Packer {
    /// First the uncompressed bytes, then those to send.
    bytes: Vec<u8>,
    raw_size: usize,
    compression: Compression,
    stage: Stage,
    hasher: Hasher,
    /// Units per byte.
    hashing: u64,
}

impl Packer {
    /// The body will be signed as `signature` says.
    #[must_use]
    pub fn new(raw: Vec<u8>, compression: Compression, signature: &Signature) -> Self {
        Self {
            raw_size: raw.len(),
            bytes: raw,
            compression,
            stage: match compression {
                Compression::Lz4 => Stage::Lz4(Encoder::default()),
                Compression::Deflate => Stage::Deflate(Deflater::new(Format::Zlib)),
                Compression::None => Stage::Hash(0),
            },
            hasher: Hasher::new(signature),
            hashing: match signature {
                Signature::V1 => MD5,
                Signature::V4 { .. } => SHA256,
            },
        }
    }

    /// The memory it holds, in bytes, besides the encoder's own, of which there is only one at a time.
    #[must_use]
    pub fn memory(&self) -> usize {
        let made = match &self.stage {
            Stage::Lz4(encoder) => encoder.memory(),
            Stage::Deflate(deflater) => deflater.memory(),
            Stage::Hash(_) => 0,
        };
        self.bytes.capacity().saturating_add(made)
    }

    /// Continues, and returns the body at the end.
    pub fn step(&mut self, meter: &mut Meter) -> Poll<Body> {
        let packed = match &mut self.stage {
            Stage::Lz4(encoder) => Some(ready!(encoder.step(&self.bytes, meter)).ok()),
            Stage::Deflate(deflater) => Some(ready!(deflater.step(&self.bytes, meter)).ok()),
            Stage::Hash(_) => None,
        };
        if let Some(packed) = packed {
            self.stage = Stage::Hash(0);
            // If there is no memory to compress them, the bytes are sent uncompressed and labelled so.
            match packed {
                Some(packed) => self.bytes = packed,
                None => self.compression = Compression::None,
            }
        }
        if let Stage::Hash(at) = &mut self.stage {
            while let Some(rest) = self.bytes.get(*at..)
                && !rest.is_empty()
            {
                if meter.is_empty() {
                    return Poll::Pending;
                }
                let slice = rest.get(..SLICE).unwrap_or(rest);
                self.hasher.update(slice);
                *at = at.saturating_add(slice.len());
                meter.spend_bytes(slice.len(), self.hashing);
            }
        }
        if meter.is_empty() {
            return Poll::Pending;
        }
        meter.spend(FIXED);
        let mut wire = std::mem::take(&mut self.bytes);
        // It may wait for minutes.
        wire.shrink_to_fit();
        let digest = self.hasher.clone().finish();
        Poll::Ready(Body::new(wire, self.raw_size, self.compression, digest))
    }
}

impl std::fmt::Debug for Packer {
    /// Sizes only: the bytes are payload.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packer({:?}, {} bytes)", self.compression, self.raw_size)
    }
}

/// Makes a batch from a group.
#[derive(Debug)]
pub struct Packing {
    label: Label,
    packer: Packer,
}

impl Packing {
    /// The batch will be signed as `signature` says.
    #[must_use]
    pub fn new(group: Group, compression: Compression, signature: &Signature) -> Self {
        let Group { label, raw } = group;
        let packer = Packer::new(raw, compression, signature);
        Self { label, packer }
    }

    /// The logs of the batch.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.label.logs
    }

    /// The memory that it holds, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.packer.memory()
    }

    /// Continues, and returns the batch at the end.
    pub fn step(&mut self, meter: &mut Meter) -> Poll<Batch> {
        let body = ready!(self.packer.step(meter));
        let label = self.label.clone();
        Poll::Ready(Batch { label, body })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Unpacker;
    use super::super::samples::{noise, samples, small_meters};
    use super::*;
    use crate::sls::wire_digest::WireDigest;

    const ALL: [Compression; 3] = [Compression::Lz4, Compression::Deflate, Compression::None];

    fn pack(packer: &mut Packer, mut meter: impl FnMut() -> Meter) -> Body {
        loop {
            let mut meter = meter();
            if let Poll::Ready(body) = packer.step(&mut meter) {
                return body;
            }
            assert!(meter.is_empty());
        }
    }

    fn unpack(body: &Body, mut meter: impl FnMut() -> Meter) -> Option<Vec<u8>> {
        let mut unpacker = Unpacker::new(body);
        loop {
            let mut meter = meter();
            if let Poll::Ready(raw) = unpacker.step(body, &mut meter) {
                return raw;
            }
            assert!(meter.is_empty());
        }
    }

    fn v4() -> Signature {
        Signature::V4 {
            region: "cn-hangzhou".to_owned(),
        }
    }

    #[test]
    fn every_body_comes_back_and_has_its_digest_wherever_it_stops() {
        for raw in samples() {
            for compression in ALL {
                for signature in [Signature::V1, v4()] {
                    let new = || Packer::new(raw.clone(), compression, &signature);
                    let body = pack(&mut new(), Meter::unlimited);
                    assert_eq!(pack(&mut new(), small_meters(1)), body);
                    assert_eq!(body.digest(), &WireDigest::of(&signature, body.wire()));
                    assert_eq!(
                        (body.raw_size(), body.compression()),
                        (raw.len(), compression)
                    );
                    assert_eq!(
                        unpack(&body, small_meters(2)).as_ref(),
                        Some(&raw),
                        "{body:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn formats() {
        let wire = |raw: Vec<u8>, compression| {
            let mut packer = Packer::new(raw, compression, &Signature::V1);
            pack(&mut packer, Meter::unlimited).wire().to_vec()
        };
        assert_eq!(wire(Vec::new(), Compression::Lz4), [0]);
        assert_eq!(wire(vec![b'x'], Compression::Lz4), [0x10, b'x']);
        assert_eq!(wire(vec![b'x'], Compression::Deflate)[0], 0x78);
        let hello = b"hello ".repeat(1_000);
        assert!(wire(hello.clone(), Compression::Lz4).len() < 100);
        assert!(wire(hello, Compression::Deflate).len() < 100);
        let mut read = Vec::new();
        let noise = noise(100_000);
        let stream = wire(noise.clone(), Compression::Deflate);
        let mut decoder = flate2::read::ZlibDecoder::new(stream.as_slice());
        std::io::Read::read_to_end(&mut decoder, &mut read).unwrap();
        assert_eq!(read, noise);
    }

    #[test]
    fn a_wrong_size_does_not_come_back() {
        for compression in [Compression::Lz4, Compression::Deflate] {
            let raw = b"hello ".repeat(1_000);
            let mut packer = Packer::new(raw, compression, &Signature::V1);
            let body = pack(&mut packer, Meter::unlimited);
            for wrong in [0, 5_999, 6_001] {
                let (wire, digest) = (body.wire().to_vec(), body.digest().clone());
                let body = Body::new(wire, wrong, compression, digest);
                assert_eq!(unpack(&body, Meter::unlimited), None, "{body:?}");
            }
        }
    }

    #[test]
    fn what_it_holds_is_charged() {
        let bounds = [[115_000, 165_000], [150_000, 190_000], [100_000, 100_000]];
        for (compression, [least, most]) in ALL.into_iter().zip(bounds) {
            let mut raw = Vec::with_capacity(100_000);
            raw.extend_from_slice(&noise(60_000));
            let mut packer = Packer::new(raw, compression, &Signature::V1);
            let mut charged = vec![packer.memory()];
            while packer.step(&mut Meter::new(10_000)).is_pending() {
                charged.push(packer.memory());
            }
            let highest = charged.iter().copied().max().unwrap();
            assert_eq!(charged[0], 100_000);
            assert!(
                (least..=most).contains(&highest),
                "{compression:?}: {highest}"
            );
        }
    }

    #[test]
    fn debug_shows_no_payload() {
        let mut packer = Packer::new(b"secret".to_vec(), Compression::None, &Signature::V1);
        assert_eq!(format!("{packer:?}"), "Packer(None, 6 bytes)");
        let body = pack(&mut packer, Meter::unlimited);
        assert_eq!(format!("{body:?}"), "Body(None, 6 -> 6 bytes)");
    }
}
