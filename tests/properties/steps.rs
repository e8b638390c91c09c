//! Where the steps of the reader end does not matter.

use std::collections::BTreeMap;
use std::task::Poll;

use crate::records::{envelopes, mutated};
use crate::settings;
use proptest::prelude::*;
use sentry_edge_mirror::meter::Meter;
use sentry_edge_mirror::sls::record::{Context, EnvelopeReader, Options, Record, Summary};
use sentry_edge_mirror::sls::scrub::Scrubber;

type Fields = BTreeMap<String, String>;

/// The records of an envelope, read in steps that each have as many units as `units` says.
fn read(bytes: &[u8], options: Options<'_>, units: impl Fn() -> u64) -> (Vec<Fields>, Summary) {
    let context = Context {
        project_id: "42",
        app_id: Some("app@1"),
        received_ms: 1_795_240_000_000,
        options,
    };
    let mut all = Vec::new();
    let mut reader = EnvelopeReader::default();
    loop {
        let mut sink = |record: &Record| {
            let mut fields: Fields = record
                .fields()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            fields.insert(
                "time".to_owned(),
                format!("{}.{:09}", record.time_s, record.time_ns),
            );
            all.push(fields);
        };
        let mut meter = Meter::new(units());
        if let Poll::Ready(summary) = reader.step(bytes, &context, &mut meter, &mut sink) {
            return (all, summary);
        }
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn every_step_gives_the_same(
        bytes in mutated(envelopes()),
        units in prop::collection::vec(1_u64..20_000, 1..8),
        scrub in any::<bool>(),
    ) {
        let scrubber = Scrubber::default();
        let options = Options {
            scrub: scrub.then_some(&scrubber),
            spans: true,
            payload: true,
            max_payload: 300,
            ..Options::default()
        };
        let next = std::cell::Cell::new(0_usize);
        let stepwise = read(&bytes, options, || {
            next.set(next.get() + 1);
            units[next.get() % units.len()]
        });
        prop_assert_eq!(stepwise, read(&bytes, options, || u64::MAX));
    }
}
