use super::super::samples::small_meters;
use super::super::{EXTRA_REQUESTS, Packing};
use super::*;
use crate::sls::batch::{Batcher, Limits};
use crate::sls::compress::Compression;
use crate::sls::log_time::LogTime;
use crate::sls::put_logs::Destination;
use crate::sls::signature::Signature;
use std::collections::VecDeque;
use std::rc::Rc;

const NOW: u64 = 1_709_190_489_000;
const TIME: LogTime = LogTime {
    seconds: 1_709_190_489,
    nanos: 0,
};
const ALL: [Compression; 3] = [Compression::Lz4, Compression::Deflate, Compression::None];

fn group(logs: usize) -> Group {
    let to = Destination::new("abc", "localhost", "abc", "t", "s", &[("a", "b")]);
    let to = Rc::new(to.unwrap());
    let mut batcher = Batcher::new(to, Limits::new(usize::MAX, usize::MAX, 0));
    for n in 0..logs {
        let value = format!("<{n}>");
        let contents = [(&b"n"[..], value.as_bytes())].into_iter();
        assert!(batcher.push(TIME, contents, NOW).sealed.is_empty());
    }
    batcher.seal().unwrap()
}

fn pack(group: Group, compression: Compression) -> Batch {
    let mut packing = Packing::new(group, compression, &Signature::V1);
    match packing.step(&mut Meter::unlimited()) {
        Poll::Ready(batch) => batch,
        Poll::Pending => panic!("an endless meter was empty"),
    }
}

fn halves(mut dividing: Dividing, mut meter: impl FnMut() -> Meter) -> Option<[Group; 2]> {
    loop {
        let mut meter = meter();
        if let Poll::Ready(halves) = dividing.step(&mut meter) {
            return halves;
        }
        assert!(meter.is_empty());
    }
}

/// A target that refuses every batch with one of `poison`: requests made, logs delivered, logs dropped.
fn send_all(whole: Batch, poison: &[usize]) -> (usize, usize, usize) {
    let (mut requests, mut delivered, mut dropped) = (0, 0, 0);
    let mut queue = VecDeque::from([whole]);
    while let Some(batch) = queue.pop_front() {
        requests += 1;
        let raw = String::from_utf8_lossy(batch.body().wire()).into_owned();
        if !poison.iter().any(|n| raw.contains(&format!("<{n}>"))) {
            delivered += batch.logs();
            continue;
        }
        let logs = batch.logs();
        match batch.divide() {
            Ok(dividing) => {
                let halves = halves(dividing, Meter::unlimited).unwrap();
                queue.extend(halves.map(|half| pack(half, Compression::None)));
            }
            Err(_) => dropped += logs,
        }
    }
    (requests, delivered, dropped)
}

#[test]
fn halves_are_groups_of_their_own_wherever_it_stops() {
    let whole = group(50).raw().to_vec();
    for compression in ALL {
        for seed in 0..4 {
            let dividing = pack(group(50), compression).divide().unwrap();
            assert_eq!(dividing.logs(), 50);
            let [first, second] = halves(dividing, small_meters(seed)).unwrap();
            assert_eq!((first.logs(), second.logs()), (25, 25));
            assert_eq!((first.opened_ms(), second.opened_ms()), (NOW, NOW));
            assert_eq!(
                (first.bytes(), second.bytes()),
                (first.raw().len(), second.raw().len()),
                "no room is left over"
            );
            let trailer = b"\x1A\x01t\x22\x01s\x32\x06\x0A\x01a\x12\x01b";
            let (first, second) = (first.raw(), second.raw());
            assert!(first.ends_with(trailer) && second.ends_with(trailer));
            let first = &first[..first.len() - trailer.len()];
            assert_eq!([first, second].concat(), whole);
        }
    }
}

#[test]
fn one_bad_log_is_found_and_only_it_is_lost() {
    let batch = |logs| pack(group(logs), Compression::None);
    for bad in [0, 1, 2_047, 2_048, 4_095] {
        assert_eq!(send_all(batch(4_096), &[bad]), (25, 4_095, 1));
    }
    assert_eq!(send_all(batch(1), &[0]), (1, 0, 1));
    assert_eq!(send_all(batch(10), &[3, 7]).1, 8);
}

#[test]
fn a_target_that_refuses_everything_costs_a_bounded_number_of_requests() {
    let all: Vec<usize> = (0..1_000).collect();
    let (requests, delivered, dropped) = send_all(pack(group(1_000), Compression::None), &all);
    assert_eq!(
        (requests, delivered, dropped),
        (1 + usize::from(EXTRA_REQUESTS), 0, 1_000)
    );
}

#[test]
fn bytes_that_are_no_group_are_not_cut() {
    for raw in [&b""[..], b"\x1A\x01t", b"\x0A\x05ab"] {
        let to = Rc::clone(group(1).destination());
        let group = Group::new(to, raw.to_vec(), 2, NOW);
        let dividing = pack(group, Compression::Lz4).divide().unwrap();
        assert!(halves(dividing, Meter::unlimited).is_none(), "{raw:?}");
    }
}
