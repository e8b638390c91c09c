use super::super::Unpacker;
use super::super::samples::{small_meters, text};
use super::*;
use crate::sls::log_group::{LogGroup, Trailer};
use crate::sls::put_logs::Destination;
use std::rc::Rc;

const REFUSAL: Refusal = Refusal {
    reason: Reason::TooLarge,
    status: 413,
};

fn group(logs: usize, name: &str) -> Group {
    let to = Rc::new(Destination::new("abc", "localhost", "abc", "t", "", &[]).unwrap());
    let mut group = LogGroup::new();
    let value = text(3_000);
    for _ in 0..logs {
        let contents = [(name.as_bytes(), value.as_slice())];
        group.push(1, None, contents.into_iter());
    }
    Group::new(to, group.seal(&Trailer::default()), logs, 0)
}

fn queue(compression: Compression) -> Queue {
    Queue::new(compression, Signature::V1)
}

/// What it does until there is nothing left; whatever happens, its books are right.
fn run(queue: &mut Queue, mut meter: impl FnMut() -> Meter) -> Vec<String> {
    let mut seen = Vec::new();
    while !queue.is_empty() {
        let mut meter = meter();
        while let Poll::Ready(Some(done)) = queue.step(&mut meter) {
            seen.push(match done {
                Done::Packed { batch, created } => {
                    let raw =
                        Unpacker::new(batch.body()).step(batch.body(), &mut Meter::unlimited());
                    let Poll::Ready(Some(raw)) = raw else {
                        panic!("it does not come back")
                    };
                    let raw = String::from_utf8_lossy(&raw).into_owned();
                    let name = ["first", "second", "third"]
                        .into_iter()
                        .find(|name| raw.contains(name));
                    format!("{} {} {}", name.unwrap(), batch.logs(), created.0)
                }
                Done::Divided(logs, refusal) => format!("cut {logs} {}", refusal.status),
                Done::Lost(logs, refusal) => format!("lost {logs} {}", refusal.status),
            });
        }
        let tasks = queue.tasks.iter();
        let charged = tasks.map(|task| [task.work.memory() + OVERHEAD, task.work.logs()]);
        let sum = charged.fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
        assert_eq!([queue.bytes(), queue.logs()], sum);
    }
    assert_eq!((queue.bytes(), queue.logs()), (0, 0));
    seen
}

#[test]
fn one_after_the_other_and_halves_stand_where_their_batch_stood() {
    for compression in [Compression::Lz4, Compression::Deflate, Compression::None] {
        for seed in 0..3 {
            let mut queue = queue(compression);
            let mut batch = Packing::new(group(5, "second"), compression, &Signature::V1);
            let Poll::Ready(batch) = batch.step(&mut Meter::unlimited()) else {
                panic!("an endless meter was empty")
            };
            queue.pack(group(3, "first"), Millis(30));
            queue.divide(batch.divide().unwrap(), REFUSAL, Millis(10));
            queue.pack(group(1, "third"), Millis(40));
            assert_eq!(queue.logs(), 9);
            let expected = [
                "first 3 30",
                "cut 5 413",
                "second 2 10",
                "second 3 10",
                "third 1 40",
            ];
            assert_eq!(run(&mut queue, small_meters(seed)), expected);
        }
    }
}

#[test]
fn what_does_not_come_back_is_said_to_be_lost() {
    let mut queue = queue(Compression::Lz4);
    let to = Rc::clone(group(1, "first").destination());
    let broken = Group::new(to, b"no group".to_vec(), 7, 0);
    let mut packing = Packing::new(broken, Compression::Lz4, &Signature::V1);
    let Poll::Ready(batch) = packing.step(&mut Meter::unlimited()) else {
        panic!("an endless meter was empty")
    };
    queue.divide(batch.divide().unwrap(), REFUSAL, Millis(10));
    queue.pack(group(1, "third"), Millis(40));
    assert_eq!(
        run(&mut queue, small_meters(1)),
        ["lost 7 413", "third 1 40"]
    );
}

#[test]
fn what_waits_is_charged_with_what_it_came_with() {
    let mut queue = queue(Compression::Lz4);
    for _ in 0..3 {
        queue.pack(group(4, "first"), Millis(0));
    }
    let one = group(4, "first").bytes() + OVERHEAD;
    assert_eq!(queue.bytes(), 3 * one);
    assert!(queue.step(&mut Meter::new(1_000)).is_pending());
    assert!(queue.bytes() > 3 * one, "what is made is charged too");
    assert!(queue.bytes() < 4 * one, "of the first one only");
    queue.clear();
    assert_eq!(
        (queue.bytes(), queue.logs(), queue.is_empty()),
        (0, 0, true)
    );
}
