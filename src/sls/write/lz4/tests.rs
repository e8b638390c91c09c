use super::{Corrupt, Decoder, Encoder, LAST_LITERALS, LAST_START};
use crate::meter::Meter;
use crate::sls::write::samples::{noise, samples, small_meters};
use std::task::Poll;

fn pack(raw: &[u8], mut meter: impl FnMut() -> Meter) -> Vec<u8> {
    let mut encoder = Encoder::default();
    loop {
        let mut meter = meter();
        if let Poll::Ready(block) = encoder.step(raw, &mut meter) {
            return block.unwrap();
        }
        assert!(meter.is_empty(), "it stopped although there was work");
    }
}

fn unpack(block: &[u8], size: usize, mut meter: impl FnMut() -> Meter) -> Result<Vec<u8>, Corrupt> {
    let mut decoder = Decoder::new(size);
    loop {
        let mut meter = meter();
        if let Poll::Ready(raw) = decoder.step(block, &mut meter) {
            return raw;
        }
        assert!(meter.is_empty());
        assert!(decoder.memory() <= size);
    }
}

/// Walks the sequences of a block: where the last match begins in the output, and the literals behind it.
fn end_of(block: &[u8]) -> (Option<usize>, usize) {
    let (mut at, mut out, mut last) = (0, 0, None);
    let length = |at: &mut usize, half: u8| {
        let mut length = usize::from(half);
        let mut more = half == 15;
        while more {
            length += usize::from(block[*at]);
            more = block[*at] == 255;
            *at += 1;
        }
        length
    };
    loop {
        let token = block[at];
        at += 1;
        let literals = length(&mut at, token >> 4);
        at += literals;
        out += literals;
        if at == block.len() {
            return (last, literals);
        }
        at += 2;
        last = Some(out);
        out += length(&mut at, token & 15) + 4;
    }
}

#[test]
fn everybody_reads_our_blocks_and_they_end_as_they_must() {
    for raw in samples() {
        let block = pack(&raw, Meter::unlimited);
        let theirs = lz4_flex::block::decompress(&block, raw.len());
        assert_eq!(theirs.unwrap(), raw, "{} bytes", raw.len());
        assert_eq!(unpack(&block, raw.len(), Meter::unlimited), Ok(raw.clone()));
        let (last, literals) = end_of(&block);
        if let Some(last) = last {
            assert!(literals >= LAST_LITERALS && last + LAST_START <= raw.len());
        }
    }
}

#[test]
fn where_it_stops_does_not_matter() {
    for raw in samples() {
        let whole = pack(&raw, Meter::unlimited);
        assert_eq!(pack(&raw, || Meter::new(1)), whole);
        assert_eq!(pack(&raw, small_meters(7)), whole);
        assert_eq!(unpack(&whole, raw.len(), || Meter::new(1)).unwrap(), raw);
        assert_eq!(unpack(&whole, raw.len(), small_meters(8)).unwrap(), raw);
    }
}

#[test]
fn it_packs_as_well_as_the_library_does() {
    for raw in samples() {
        let (ours, theirs) = (
            pack(&raw, Meter::unlimited),
            lz4_flex::block::compress(&raw),
        );
        let most = theirs.len() + theirs.len() / 25 + 64;
        assert!(
            ours.len() <= most,
            "{} bytes: {}, the library {}",
            raw.len(),
            ours.len(),
            theirs.len()
        );
    }
}

#[test]
fn blocks_of_the_library_come_back() {
    for raw in samples() {
        let block = lz4_flex::block::compress(&raw);
        assert_eq!(unpack(&block, raw.len(), small_meters(9)).unwrap(), raw);
        let wrong = [raw.len() + 1, raw.len().wrapping_sub(1).min(1 << 20)];
        for size in wrong {
            assert_eq!(unpack(&block, size, Meter::unlimited), Err(Corrupt));
        }
    }
}

#[test]
fn long_blocks_in_steps_of_a_tick() {
    // Longer than a match may be found at once, and than literals are copied at once.
    for raw in [
        vec![0; 300_000],
        noise(1_500_000),
        b"ab".repeat(200_000),
        [noise(60_000), noise(60_000), noise(60_000)].concat(),
    ] {
        let block = pack(&raw, || Meter::new(100_000));
        assert_eq!(lz4_flex::block::decompress(&block, raw.len()).unwrap(), raw);
        assert_eq!(
            unpack(&block, raw.len(), || Meter::new(50_000)).unwrap(),
            raw
        );
    }
    assert!(pack(&vec![0; 1_000_000], Meter::unlimited).len() < 4_100);
    assert!(pack(&noise(1_000_000), Meter::unlimited).len() < 1_004_000);
    let again = [noise(60_000), noise(60_000)].concat();
    assert!(
        pack(&again, Meter::unlimited).len() < 61_000,
        "a match is found to its beginning"
    );
}

#[test]
fn every_edge_of_a_block_is_judged_as_the_library_does() {
    let judge = |block: &[u8], size: usize| {
        let theirs = lz4_flex::block::decompress(block, size);
        let theirs = theirs.ok().filter(|raw| raw.len() == size);
        let ours = unpack(block, size, small_meters(3)).ok();
        assert_eq!(ours, theirs, "{block:?} of {size}");
    };
    for (block, size) in [
        (&b""[..], 0),
        (b"\x00", 0),
        (b"\x00", 1),
        (b"\x10x", 1),
        (b"\x20x", 2),
        // A distance of 0, and one beyond the beginning.
        (b"\x10x\x00\x00\x00", 5),
        (b"\x10x\x02\x00\x00", 5),
        (b"\x10x\x01\x00\x00", 5),
        (b"\x10x\x01\x00", 5),
        (b"\x10x\x01", 5),
        (b"\x1Fx\x01\x00\x00\x10y", 21),
        (b"\x1Fx\x01\x00\xFF", 275),
        (b"\xF0", 15),
        (b"\xF0\xFF", 15),
    ] {
        judge(block, size);
    }
    let raw = b"abcabcabcabcabcabcabcabcabcabcabc-0123456789-0123456789-xyz".repeat(3);
    let block = pack(&raw, Meter::unlimited);
    for index in 0..block.len() {
        judge(&block[..index], raw.len());
        for bit in 0..8 {
            let mut bad = block.clone();
            bad[index] ^= 1 << bit;
            judge(&bad, raw.len());
        }
    }
}
