//! An account as text: `sentry_edge_mirror/1 <id> <gauge>=<number> ...`, with the gauges that are not 0. Without any, the
//! slot is free, and the id is that of the instance that freed it.
//!
//! Gauges are written by name, because the instance that reads the record may run another version of the module.

use super::Held;
use crate::metric::{GAUGES, Leg};
use std::fmt::Write as _;

const MAGIC: &str = "sentry_edge_mirror/1";
/// No record is longer than this.
const MAX_BYTES: usize = 4_096;

/// The key of a slot.
pub(super) fn key(slot: u16) -> String {
    format!("sentry_edge_mirror/account/{slot}")
}

/// The record of what an instance holds.
pub(super) fn text(id: u64, held: &Held) -> String {
    let mut text = format!("{MAGIC} {id:016x}");
    for (series, amount) in held.iter() {
        let (leg, word) = (series.leg, series.metric.word());
        // Writing to a string does not fail.
        let _ = write!(text, " {leg}.{word}={amount}");
    }
    text
}

/// Whether this is the record of a free slot. `false` for anything that is not a record.
pub(super) fn is_free(value: &[u8]) -> bool {
    value.len() == MAGIC.len().saturating_add(17) && value.starts_with(MAGIC.as_bytes())
}

/// A parsed record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) id: u64,
    pub(super) held: Held,
    /// It holds nothing, not even gauges that this version does not know.
    pub(super) is_free: bool,
}

impl Record {
    /// `None` if it is not a record.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value.get(..value.len().min(MAX_BYTES))?).ok()?;
        let mut words = text.split(' ');
        let (magic, id) = (words.next()?, words.next()?);
        if magic != MAGIC || id.len() != 16 || value.len() > MAX_BYTES {
            return None;
        }
        let id = u64::from_str_radix(id, 16).ok()?;
        let (mut held, mut is_free) = (Held::default(), true);
        for word in words {
            let (name, amount) = word.split_once('=')?;
            let amount: usize = amount.parse().ok()?;
            is_free = false;
            if let Some((leg, index)) = find(name) {
                held.change(leg, |gauges| {
                    if let Some(gauge) = gauges.get_mut(index) {
                        *gauge = amount;
                    }
                });
            }
        }
        Some(Self { id, held, is_free })
    }
}

/// A gauge, by its leg and its place among the gauges.
fn find(name: &str) -> Option<(Leg, usize)> {
    let (leg, word) = name.rsplit_once('.')?;
    let index = GAUGES.iter().position(|metric| metric.word() == word)?;
    Some((Leg::named(leg)?, index))
}

#[cfg(test)]
mod tests {
    use super::{Record, text};
    use crate::metric::{Leg, Metric, TargetName};
    use crate::worker::account::Held;

    fn held() -> Held {
        let mut held = Held::default();
        held.set(Leg::Rum, std::array::from_fn(|index| index));
        held.set(Leg::Sls, std::array::from_fn(|index| index + 7));
        let saas = Leg::Sentry(TargetName::new("saas").unwrap());
        held.set(saas, std::array::from_fn(|index| index + 1));
        held
    }

    #[test]
    fn what_is_written_is_read() {
        for held in [held(), Held::default()] {
            let text = text(0xfeed, &held);
            let is_free = held.is_nothing();
            let id = 0xfeed;
            let record = Record { id, held, is_free };
            assert_eq!(Record::parse(text.as_bytes()), Some(record), "{text}");
            assert_eq!(super::is_free(text.as_bytes()), is_free);
        }
    }

    #[test]
    fn a_gauge_of_another_version_is_passed_over() {
        let text = "sentry_edge_mirror/1 000000000000feed rum.pending=20 rum.new=3";
        let record = Record::parse(text.as_bytes()).unwrap();
        assert_eq!(record.held.of(Leg::Rum, Metric::Pending), 20);
        assert_eq!(record.held.iter().count(), 1);
        let text = "sentry_edge_mirror/1 000000000000feed rum.new=3";
        let record = Record::parse(text.as_bytes()).unwrap();
        assert!(record.held.is_nothing() && !record.is_free);
    }

    #[test]
    fn what_is_no_record_is_none() {
        let good = text(1, &held());
        let long = format!("{good} {}", "rum.pending=1 ".repeat(300));
        for bad in [
            "",
            "sentry_edge_mirror/1",
            "sentry_edge_mirror/2 0000000000000001",
            "sentry_edge_mirror/1 1",
            "sentry_edge_mirror/1 000000000000000g",
            "sentry_edge_mirror/1 0000000000000001 rum.pending",
            "sentry_edge_mirror/1 0000000000000001 rum.pending=-1",
            "sentry_edge_mirror/1 0000000000000001 rum.pending=99999999999999999999",
            long.as_str(),
        ] {
            assert_eq!(Record::parse(bad.as_bytes()), None, "{bad}");
            assert!(!super::is_free(bad.as_bytes()) || bad.ends_with('g'));
        }
        assert_eq!(Record::parse(&[0xff; 2_000_000]), None);
        for size in 0..good.len() {
            if let Some(record) = Record::parse(&good.as_bytes()[..size]) {
                assert_eq!(record.id, 1);
            }
        }
    }
}
