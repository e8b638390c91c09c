//! A small fleet through an outage: nothing is lost that no counter names, and what comes back is no herd.

use fleet::edge::Edge;
use fleet::fleet::{Fleet, Size};
use fleet::measure::Measure;
use fleet::reply::State;
use fleet::scenario::{Scenario, Settings};
use fleet::summary::{self, Summary};
use sentry_edge_mirror::metric::{Leg, Metric};

const SIZE: Size = Size {
    workers: 20,
    quiet: 0.3,
    before_ms: 20_000,
    outage_ms: 120_000,
    after_ms: 60_000,
    seed: 7,
};

/// Four times the usual load, and some for the size of the fleet: a single busy worker is a tenth of it.
const QUOTA: f64 = 4.0;

fn scenario(rum: State, sls: State) -> Scenario {
    Scenario {
        name: "test",
        title: "",
        rum,
        says_until: rum == State::Throttles,
        sls,
        quota: [QUOTA; 2],
        settings: Settings::Outlast,
    }
}

fn run(scenario: &Scenario) -> ([Summary; 2], Measure) {
    let (edges, measure) = Fleet::run(scenario, SIZE);
    for edge in &edges {
        check_books(edge);
    }
    (summary::of(&edges, &measure, SIZE), measure)
}

/// Each worker's counters add up, and nothing is pending.
fn check_books(edge: &Edge) {
    for leg in [Leg::Rum, Leg::Sls] {
        let of = |metric| edge.count(leg, metric);
        let ends = of(Metric::Delivered) + of(Metric::Failed) + of(Metric::Dropped);
        assert_eq!(of(Metric::Captured), ends + of(Metric::Pending), "{leg:?}");
        assert_eq!(
            (of(Metric::Pending), of(Metric::PendingBytes)),
            (0, 0),
            "{leg:?}"
        );
    }
}

/// Everything offered is delivered once, or a counter says why not.
fn check_ends(legs: &[Summary; 2]) {
    for leg in legs {
        assert_eq!(
            leg.offered,
            leg.delivered + leg.failed + leg.dropped,
            "{leg:?}"
        );
        assert_eq!((leg.taken, leg.doubles), (leg.delivered, 0), "{leg:?}");
        assert!(
            leg.in_outage > 500 && leg.delivered > leg.in_outage,
            "{leg:?}"
        );
    }
}

/// After its end the target is within its quota in every second, and gets no more than three times the usual load.
fn check_load(legs: &[Summary; 2]) {
    for leg in legs {
        assert!(leg.peak <= 1.0, "above the quota: {leg:?}");
        assert!(leg.first <= 2.0 * leg.usual, "all at once: {leg:?}");
    }
}

/// Workers come back one by one: what came before the end is not delivered in a moment.
fn check_spread(legs: &[Summary; 2]) {
    for leg in legs {
        assert!(leg.until_half_s > 10.0, "{leg:?}");
        assert!(
            leg.until_all_s > leg.until_half_s && leg.until_all_s < 200.0,
            "{leg:?}"
        );
    }
}

#[test]
fn an_outage_is_outlasted_and_its_end_is_no_herd() {
    let (legs, measure) = run(&scenario(State::Refuses, State::Refuses));
    check_ends(&legs);
    check_load(&legs);
    check_spread(&legs);
    for leg in &legs {
        assert_eq!((leg.failed, leg.dropped), (0, 0), "{leg:?}");
        let each = leg.attempts as f64 / leg.delivered as f64;
        assert!(each < 1.3, "an outage costs few calls: {leg:?}");
    }
    // While nobody is there, it is called less and less.
    let [early, late] =
        [20..50, 110..140].map(|seconds| measure.rum.attempts[seconds].iter().sum::<u64>());
    assert!(late < early / 2 && late <= 20 * 6, "{early}, then {late}");
}

#[test]
fn a_moment_that_is_named_to_all_is_not_when_all_come_back() {
    let (legs, _) = run(&scenario(State::Throttles, State::Throttles));
    check_ends(&legs);
    check_load(&legs);
}

#[test]
fn a_target_that_is_too_busy_gets_less_and_not_more() {
    let (legs, measure) = run(&scenario(State::Busy, State::Busy));
    check_ends(&legs);
    check_load(&legs);
    for (leg, seen) in legs.iter().zip([&measure.rum, &measure.sls]) {
        let usual: u64 = seen.attempts[..20].iter().sum();
        let last: u64 = seen.attempts[120..140].iter().sum();
        assert!(last <= usual, "{last} calls, usually {usual}: {leg:?}");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let short = Size {
        workers: 4,
        outage_ms: 20_000,
        after_ms: 20_000,
        ..SIZE
    };
    let scenario = scenario(State::Refuses, State::Hangs);
    let [once, again] = [0; 2].map(|_| {
        let (edges, measure) = Fleet::run(&scenario, short);
        format!("{:?}", summary::of(&edges, &measure, short))
    });
    assert_eq!(once, again);
}
