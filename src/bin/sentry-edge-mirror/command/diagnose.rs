//! `diagnose`: what a running Envoy says about the module, in the words of the runbook (envoy/metrics.md).
//!
//! `admin` asks Envoy, `stats` and `settings` understand its answers, `rules` and `leg` know what they mean. Nothing of
//! Envoy's answers is printed but numbers, names of clusters and versions: its configuration may hold secrets.

mod admin;
mod facts;
mod leg;
mod rules;
mod settings;
mod stats;

use super::Output;
use super::args::Diagnose;
use super::status::{Failure, Status};
use admin::Admin;
use facts::Facts;
use settings::Settings;
use stats::Stats;
use std::time::Duration;

/// How long a counter of the module may be on its way, and more.
const PUBLISHED: Duration = Duration::from_secs(2);

/// Something to tell the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    kind: Kind,
    /// What is seen, and what it means.
    what: String,
    /// What to do.
    todo: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Something is lost or wrong.
    Problem,
    /// Worth knowing.
    Note,
}

impl Remark {
    fn problem(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            kind: Kind::Problem,
            what: what.into(),
            todo: todo.into(),
        }
    }

    fn note(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self {
            kind: Kind::Note,
            ..Self::problem(what, todo)
        }
    }
}

pub(super) fn run(args: &Diagnose, output: &mut Output) -> Result<Status, Failure> {
    let admin = Admin::new(&args.url)?;
    let before = Stats::read(&admin)?;
    let server = admin.optional("/server_info");
    let settings = admin
        .optional("/config_dump")
        .map(|answer| Settings::read(&answer.text));
    std::thread::sleep(Duration::from_secs(args.seconds));
    let mut after = Stats::read(&admin)?;
    let passed = after.requests().saturating_sub(before.requests());
    if passed > 0 {
        // The module publishes its counters in ticks: what has passed is to be in them.
        std::thread::sleep(PUBLISHED);
        after = Stats::read(&admin)?;
    }
    let facts = Facts {
        before: &before,
        after: &after,
        passed,
        seconds: args.seconds,
        recent: args.recent,
        server: server.as_ref(),
        settings: settings.as_ref(),
    };
    let remarks = rules::apply(&facts);
    let out = &mut output.out;
    let _ = writeln!(out, "{}", facts.title());
    for line in facts.books() {
        let _ = writeln!(out, "{line}");
    }
    for remark in &remarks {
        let word = match remark.kind {
            Kind::Problem => "problem",
            Kind::Note => "note",
        };
        let _ = writeln!(out, "{word}: {}", remark.what);
        if !remark.todo.is_empty() {
            let _ = writeln!(out, "  do: {}", remark.todo);
        }
    }
    let problems = remarks
        .iter()
        .filter(|remark| remark.kind == Kind::Problem)
        .count();
    let _ = match problems {
        0 => writeln!(out, "nothing is wrong"),
        1 => writeln!(out, "1 problem; envoy/metrics.md has the runbook"),
        count => writeln!(out, "{count} problems; envoy/metrics.md has the runbook"),
    };
    Ok(if problems == 0 {
        Status::Good
    } else {
        Status::Problems
    })
}
