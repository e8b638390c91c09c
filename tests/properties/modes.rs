//! The other modes: any story ends every request in one outcome.

use crate::settings;
use oracles::passages::Passages;
use oracles::writes::Writes;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sentry_edge_mirror::metric::{Kind, Leg, Metric, Series};
use sentry_edge_mirror::outcome::SkipReason;

fn story() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..1_000)
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn a_write_is_signed_or_denied_or_breaks_off(story in story()) {
        Writes::play(&story);
    }

    #[test]
    fn a_copy_goes_on_in_place_or_is_delivered_from_here(story in story()) {
        Passages::play(&story);
    }
}

/// What a counter came to in many stories.
fn totals(leg: Leg, shown: impl Fn(&[u8]) -> Box<dyn Fn(Metric) -> i64>) -> Vec<(Metric, i64)> {
    let mut runner = TestRunner::deterministic();
    let counters = Series::of(leg).map(|series| series.metric);
    let counters = counters.filter(|metric| metric.kind() == Kind::Counter);
    let mut totals: Vec<(Metric, i64)> = counters.map(|metric| (metric, 0)).collect();
    for _ in 0..900 {
        let story = story().new_tree(&mut runner).unwrap().current();
        let shown = shown(&story);
        for (metric, total) in &mut totals {
            *total += shown(*metric);
        }
    }
    totals
}

/// Stories that never meet a full budget or a missing key would be worthless.
#[test]
fn the_stories_of_writes_lead_to_every_outcome() {
    let shown = |story: &[u8]| -> Box<dyn Fn(Metric) -> i64> {
        let writes = Writes::play(story);
        Box::new(move |metric| writes.shown(metric))
    };
    for (metric, total) in totals(Leg::Sign, shown) {
        assert!(total >= 20, "{metric:?}: {total}");
    }
}

#[test]
fn the_stories_of_copies_lead_to_every_outcome() {
    let shown = |story: &[u8]| -> Box<dyn Fn(Metric) -> i64> {
        let passages = Passages::play(story);
        Box::new(move |metric| passages.shown(Leg::Rum, metric))
    };
    for (metric, total) in totals(Leg::Rum, shown) {
        // Requests of other routes and copies that came back are not in them, nor headers that are not UTF-8; and what
        // cannot be read here goes on.
        let elsewhere = [
            Metric::Skipped(SkipReason::Unreadable),
            Metric::Skipped(SkipReason::Route),
            Metric::Skipped(SkipReason::Host),
            Metric::Skipped(SkipReason::Loop),
            // Rules are not for this mode.
            Metric::Skipped(SkipReason::Sampled),
            Metric::Skipped(SkipReason::Items),
            Metric::Skipped(SkipReason::Unscrubbable),
            Metric::Skipped(SkipReason::Limited),
            Metric::Skipped(SkipReason::Refused),
            Metric::HeadersOmitted,
        ];
        assert!(
            total >= 20 || elsewhere.contains(&metric),
            "{metric:?}: {total}"
        );
    }
}
