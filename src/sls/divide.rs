//! What is done with a batch that SLS refuses as a whole. A request is all or nothing, so a batch that is too large,
//! or that holds a log which SLS cannot take (poison), is cut in half and both halves are sent; a refused half is cut
//! again, until the bad log stands alone and is dropped alone.
//!
//! The bound: a batch and all its parts share [`super::batch::EXTRA_REQUESTS`]. A cut takes two of them; when there are
//! none left, the part that was refused is dropped whole. So a target that refuses everything costs at most 32 further
//! requests per batch, and one bad log among 4096 is found with 24. Logs are made acceptable before they enter a
//! batch ([`super::repair`]), so this is for rules that we do not know.
//!
//! Nothing is kept for it: the logs of a group are found again by their length prefixes, in the raw bytes that come
//! back from the compressed ones.

use std::rc::Rc;

use super::batch::Batch;
use super::compress::Body;
use super::log_group;

/// What is left of a refused batch.
#[derive(Debug)]
pub enum Divided {
    /// Both halves, to be sent in this order.
    Halves(Batch, Batch),
    /// One log: it is the bad one. Drop it.
    Single(Batch),
    /// No further requests are allowed for it, or its bytes did not come back: drop it whole.
    Spent(Batch),
}

impl Batch {
    /// Cuts the batch in half by its number of logs.
    pub fn divide(self) -> Divided {
        if self.logs <= 1 {
            return Divided::Single(self);
        }
        let Some(left) = self.extra.get().checked_sub(2) else {
            return Divided::Spent(self);
        };
        let first_logs = self.logs / 2;
        let halves = self
            .body
            .unpack()
            .and_then(|raw| cut(&raw, first_logs, self.logs));
        let Some((first, second)) = halves else {
            return Divided::Spent(self);
        };
        self.extra.set(left);
        let half = |raw: Vec<u8>, logs: usize| Batch {
            destination: Rc::clone(&self.destination),
            body: Body::pack(raw, self.body.compression()),
            logs,
            opened_ms: self.opened_ms,
            extra: Rc::clone(&self.extra),
        };
        Divided::Halves(
            half(first, first_logs),
            half(second, self.logs.saturating_sub(first_logs)),
        )
    }
}

/// The first `first` of `logs` logs and the others, each with the trailer.
fn cut(raw: &[u8], first: usize, logs: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut middle = 0_usize;
    let mut end = 0_usize;
    for index in 0..logs {
        if index == first {
            middle = end;
        }
        end = log_group::log_end(raw, end)?;
    }
    let trailer = raw.get(end..)?;
    Some((
        [raw.get(..middle)?, trailer].concat(),
        [raw.get(middle..end)?, trailer].concat(),
    ))
}

#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic
)]
mod tests {
    use std::borrow::Cow;
    use std::collections::VecDeque;

    use super::super::batch::{Batcher, EXTRA_REQUESTS, Limits};
    use super::super::compress::Compression;
    use super::super::put_logs::Destination;
    use super::super::repair::Log;
    use super::*;

    const NOW: u64 = 1_709_190_489_000;

    fn batch(logs: usize, compression: Compression) -> Batch {
        let to =
            Rc::new(Destination::new("abc", "localhost", "abc", "t", "s", &[("a", "b")]).unwrap());
        let mut batcher = Batcher::new(Limits::new(usize::MAX, usize::MAX, 0), compression);
        for n in 0..logs {
            let contents = vec![(Cow::Borrowed("n"), Cow::Owned(format!("<{n}>")))];
            assert!(
                batcher
                    .push(
                        &to,
                        Log {
                            time_ns: NOW * 1_000_000,
                            contents
                        },
                        NOW
                    )
                    .unwrap()
                    .sealed
                    .is_empty()
            );
        }
        batcher.seal_all().pop().unwrap()
    }

    fn holds(batch: &Batch, n: usize) -> bool {
        let raw = batch.body().unpack().unwrap();
        String::from_utf8_lossy(&raw).contains(&format!("<{n}>"))
    }

    /// A target that refuses every batch with one of `poison`: requests made, logs delivered, logs dropped.
    fn send_all(whole: Batch, poison: &[usize]) -> (usize, usize, usize) {
        let (mut requests, mut delivered, mut dropped) = (0, 0, 0);
        let mut queue = VecDeque::from([whole]);
        while let Some(batch) = queue.pop_front() {
            requests += 1;
            if !poison.iter().any(|n| holds(&batch, *n)) {
                delivered += batch.logs();
                continue;
            }
            match batch.divide() {
                Divided::Halves(first, second) => queue.extend([first, second]),
                Divided::Single(one) => dropped += one.logs(),
                Divided::Spent(part) => dropped += part.logs(),
            }
        }
        (requests, delivered, dropped)
    }

    #[test]
    fn halves_are_groups_of_their_own() {
        for compression in [Compression::Lz4, Compression::Deflate, Compression::None] {
            let whole = batch(5, compression).body().unpack().unwrap();
            let Divided::Halves(first, second) = batch(5, compression).divide() else {
                panic!("not halved")
            };
            assert_eq!((first.logs(), second.logs()), (2, 3));
            assert_eq!(
                (first.opened_ms(), first.body().compression()),
                (NOW, compression)
            );
            let trailer = b"\x1A\x01t\x22\x01s\x32\x06\x0A\x01a\x12\x01b";
            let (first, second) = (
                first.body().unpack().unwrap(),
                second.body().unpack().unwrap(),
            );
            assert!(first.ends_with(trailer) && second.ends_with(trailer));
            assert_eq!(
                [&first[..first.len() - trailer.len()], &second[..]].concat(),
                whole
            );
        }
    }

    #[test]
    fn one_bad_log_is_found_and_only_it_is_lost() {
        for bad in [0, 1, 2_047, 2_048, 4_095] {
            assert_eq!(
                send_all(batch(4_096, Compression::Lz4), &[bad]),
                (25, 4_095, 1)
            );
        }
        assert_eq!(send_all(batch(1, Compression::Lz4), &[0]), (1, 0, 1));
        assert_eq!(send_all(batch(10, Compression::Lz4), &[3, 7]).1, 8);
    }

    #[test]
    fn a_target_that_refuses_everything_costs_a_bounded_number_of_requests() {
        let all: Vec<usize> = (0..1_000).collect();
        let (requests, delivered, dropped) = send_all(batch(1_000, Compression::Lz4), &all);
        assert_eq!(
            (requests, delivered, dropped),
            (1 + usize::from(EXTRA_REQUESTS), 0, 1_000)
        );
    }

    #[test]
    fn bytes_that_are_no_group_are_not_cut() {
        assert_eq!(cut(b"", 1, 2), None);
        assert_eq!(cut(b"\x1A\x01t", 1, 2), None);
        assert_eq!(cut(b"\x0A\x05ab", 1, 2), None);
    }
}
