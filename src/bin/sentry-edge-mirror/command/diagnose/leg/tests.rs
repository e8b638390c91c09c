//! What is said of a second Sentry: all that is said of RUM, by the target's own name, and what only it has.

use super::super::admin::Answer;
use super::super::facts::Facts;
use super::super::settings::{SecondSentry, Settings};
use super::super::stats::Stats;
use super::super::{Kind, Remark};
use super::{Leg, Whose};
use sentry_edge_mirror::metric::TargetName;

type Numbers<'n> = &'n [(&'n str, u64)];

/// Of the leg, and of its cluster, which has its name.
fn stats(leg: &str, numbers: Numbers<'_>) -> Stats {
    let cluster = leg.trim_start_matches("sentry.");
    let entries = numbers
        .iter()
        .map(|(name, value)| match name.strip_prefix("cluster.") {
            Some(rest) => format!(r#"{{"name": "cluster.{cluster}.{rest}", "value": {value}}}"#),
            None => format!(
                r#"{{"name": "wasmcustom.sentry_edge_mirror.{leg}.{name}", "value": {value}}}"#
            ),
        });
    let entries: Vec<String> = entries
        .chain([r#"{"name": "server.concurrency", "value": 2}"#.to_owned()])
        .collect();
    let text = format!(r#"{{"stats": [{}]}}"#, entries.join(","));
    Stats::parse(&Answer { text, clocks: None }).unwrap()
}

fn saas() -> Whose {
    Whose::Sentry(TargetName::new("saas").unwrap())
}

fn settings() -> Settings {
    let mut settings = Settings::read("{}");
    for (leg, cluster) in [("rum", "rum"), ("sentry.saas", "saas"), ("sls", "sls")] {
        let pair = (leg.to_owned(), cluster.to_owned());
        settings.clusters.insert(pair);
    }
    settings
        .sentries
        .insert("sentry.saas".to_owned(), SecondSentry::default());
    settings
}

fn said(whose: Whose, settings: &Settings, before: Numbers<'_>, after: Numbers<'_>) -> Vec<Remark> {
    let name = whose.to_string();
    let (before, after) = (stats(&name, before), stats(&name, after));
    let facts = Facts {
        before: &before,
        after: &after,
        passed: 0,
        seconds: 5,
        recent: false,
        server: None,
        settings: Some(settings),
    };
    Leg::new(&facts, whose).remarks()
}

/// Of the target `saas`, since the start.
fn of_saas(after: Numbers<'_>) -> Vec<Remark> {
    said(saas(), &settings(), &[], after)
}

fn one(remarks: &[Remark], kind: Kind, what: &str, todo: &str) {
    let found = remarks.iter().any(|remark| {
        remark.kind == kind && remark.what.contains(what) && remark.todo.contains(todo)
    });
    assert!(found, "{kind:?} {what:?} {todo:?} in {remarks:#?}");
}

#[test]
fn what_is_said_of_rum_is_said_of_each_target_by_its_name() {
    // Before and after; budgets of a target are half of RUM's.
    let cases: [(&str, Numbers<'_>, Numbers<'_>); 17] = [
        (
            "refused",
            &[],
            &[
                ("captured", 3),
                ("failed", 3),
                ("cluster.upstream_rq_418", 3),
            ],
        ),
        (
            "away",
            &[],
            &[
                ("captured", 3),
                ("failed", 3),
                ("cluster.upstream_cx_connect_fail", 9),
            ],
        ),
        (
            "over budget",
            &[],
            &[
                ("captured", 9),
                ("dropped", 4),
                ("pending", 5),
                ("pending_bytes", 134_217_728),
            ],
        ),
        (
            "slow bodies",
            &[],
            &[
                ("captured", 4),
                ("dropped", 4),
                ("collecting_bytes", 67_108_864),
            ],
        ),
        ("ended", &[], &[("captured", 4), ("dropped", 4)]),
        (
            "waits",
            &[("captured", 3), ("pending", 3)],
            &[("captured", 3), ("pending", 3), ("retries", 2)],
        ),
        (
            "at its limit",
            &[],
            &[
                ("captured", 300),
                ("delivered", 1),
                ("pending", 299),
                ("in_flight", 256),
            ],
        ),
        (
            "limits",
            &[],
            &[
                ("captured", 1),
                ("delivered", 1),
                ("cluster.upstream_rq_429", 2),
            ],
        ),
        (
            "held",
            &[],
            &[
                ("captured", 9),
                ("dropped", 4),
                ("pending", 5),
                ("pending_bytes", 90_000_000),
                ("cluster.upstream_rq_429", 1),
            ],
        ),
        ("loop", &[], &[("skipped.loop", 1)]),
        ("unmapped", &[], &[("skipped.unmapped", 1)]),
        (
            "sizes",
            &[],
            &[
                ("skipped.too_large", 1),
                ("skipped.slow", 1),
                ("skipped.unreadable", 1),
            ],
        ),
        (
            "others",
            &[],
            &[
                ("skipped.route", 1),
                ("skipped.aborted", 1),
                ("skipped.unscrubbable", 1),
            ],
        ),
        (
            "odd",
            &[],
            &[("headers_omitted", 1), ("unexpected_replies", 1)],
        ),
        (
            "shaky",
            &[("captured", 1), ("retries", 1), ("delivered", 1)],
            &[("captured", 3), ("retries", 2), ("delivered", 3)],
        ),
        (
            "queued",
            &[("queued", 40), ("captured", 0)],
            &[("queued", 50), ("captured", 10), ("delivered", 10)],
        ),
        ("books", &[("captured", 5)], &[("captured", 5)]),
    ];
    for (case, before, after) in cases {
        let rum = said(Whose::Rum, &settings(), before, after);
        let second = said(saas(), &settings(), before, after);
        assert!(!rum.is_empty(), "{case}");
        let kinds =
            |remarks: &[Remark]| remarks.iter().map(|remark| remark.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&rum), kinds(&second), "{case}: {rum:#?} {second:#?}");
        for remark in second {
            assert!(remark.what.starts_with("sentry.saas"), "{case}: {remark:?}");
            let all = format!("{remark:?}");
            assert!(
                !all.contains("RUM") && !all.contains("rum.") && !all.contains('<'),
                "{case}: {all}"
            );
        }
        let all = format!("{rum:?}");
        assert!(
            !all.contains("sentry.") && !all.contains('<'),
            "{case}: {all}"
        );
    }
}

#[test]
fn nothing_is_said_where_all_is_well() {
    let before = [("captured", 9), ("delivered", 9), ("skipped.sampled", 3)];
    assert_eq!(said(saas(), &settings(), &before, &before), []);
    // What is decided at once may be on its way at any moment.
    let before = [("captured", 9), ("delivered", 9), ("queued", 1)];
    let later = [("captured", 99), ("delivered", 99), ("queued", 2)];
    assert_eq!(said(saas(), &settings(), &before, &later), []);
}

#[test]
fn what_a_second_sentry_refuses_by_status() {
    for (status, todo) in [
        ("401", "sentry.saas.projects, and the client keys"),
        ("403", "sentry.saas.projects, and the client keys"),
        (
            "404",
            "the path or the project of a DSN: sentry.saas.projects",
        ),
        ("413", "larger than it takes"),
        ("400", "who sends them"),
        ("500", "attempts or age ran out"),
    ] {
        let answers = format!("cluster.upstream_rq_{status}");
        let remarks = of_saas(&[("captured", 2), ("failed", 2), (&answers, 2)]);
        let seen = format!("cluster saas: 2 answers with {status}");
        one(&remarks, Kind::Problem, &seen, todo);
        let key = remarks[0]
            .what
            .contains("sentry.saas does not accept the key of a copy");
        assert_eq!(key, matches!(status, "401" | "403"), "{remarks:?}");
    }
    // RUM has no keys.
    let rum = said(
        Whose::Rum,
        &settings(),
        &[],
        &[("failed", 2), ("cluster.upstream_rq_401", 2)],
    );
    one(&rum, Kind::Problem, "RUM refuses for good", "workspace");
}

#[test]
fn what_a_second_sentry_limits() {
    let waits = [
        ("captured", 2),
        ("pending", 2),
        ("retries", 1),
        ("cluster.upstream_rq_429", 3),
    ];
    let remarks = of_saas(&waits);
    one(
        &remarks,
        Kind::Problem,
        "sentry.saas limits: it answered 429 to 3 calls",
        "sentry.saas.items",
    );
    one(
        &remarks,
        Kind::Problem,
        "sentry.saas limits, is slow or away",
        "",
    );
    // Without a rate of the operator's only the target can have closed a category.
    let closed = [("skipped.limited", 20)];
    one(
        &of_saas(&closed),
        Kind::Problem,
        "takes no more of some categories",
        "sentry.saas.items",
    );
    let mut rated = settings();
    let target = rated.sentries.get_mut("sentry.saas").unwrap();
    target.has_rate = true;
    let note = "projects over their rate, or categories that sentry.saas takes no more of";
    one(
        &said(saas(), &rated, &[], &closed),
        Kind::Note,
        note,
        "sentry.saas.rate",
    );
    rated.sentries.clear();
    one(
        &said(saas(), &rated, &[], &closed),
        Kind::Note,
        note,
        "sentry.saas.rate",
    );
}

#[test]
fn a_second_sentry_has_limits_of_its_own() {
    let mut small = settings();
    small.two_legs = true;
    let target = small.sentries.get_mut("sentry.saas").unwrap();
    (target.max_pending_bytes, target.max_in_flight) = (1_000, 2);
    let full = [
        ("captured", 5),
        ("dropped", 1),
        ("pending", 4),
        ("pending_bytes", 1_700),
        ("in_flight", 4),
    ];
    let remarks = said(saas(), &small, &[], &full);
    one(
        &remarks,
        Kind::Problem,
        "the budget is full (1700 of 2000 bytes)",
        "sentry.saas.limits.max_pending_bytes",
    );
    one(
        &remarks,
        Kind::Problem,
        "in_flight is at its limit",
        "sentry.saas.limits.max_in_flight",
    );
    // Bodies that are being received hold what RUM and SLS have.
    let bodies = [
        ("captured", 1),
        ("dropped", 1),
        ("collecting_bytes", 33_554_432),
    ];
    one(
        &said(saas(), &small, &[], &bodies),
        Kind::Problem,
        "(33554432 of 67108864 bytes)",
        "",
    );
}

#[test]
fn a_cluster_of_two_is_named_so() {
    let mut both = settings();
    let pair = ("sentry.next".to_owned(), "saas".to_owned());
    both.clusters.insert(pair);
    let after = [
        ("captured", 2),
        ("failed", 2),
        ("cluster.upstream_rq_403", 2),
    ];
    let remarks = said(saas(), &both, &[], &after);
    one(
        &remarks,
        Kind::Problem,
        "2 answers with 403 (cluster saas is also that of sentry.next)",
        "",
    );
}
