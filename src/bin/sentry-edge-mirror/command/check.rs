//! `check`: every plugin configuration in the files, every problem.

mod lanes;

use super::args::Check;
use super::environment::Environment;
use super::find::{Plugin, find};
use super::finding::Finding;
use super::judge::judge;
use super::printed::Printed;
use super::source::Source;
use super::status::{Failure, Status};
use sentry_edge_mirror::config::{Config, Mode, Role, memory};

pub(super) fn run(args: &Check, out: &mut Printed) -> Result<Status, Failure> {
    let environment = Environment::new(&args.env.set);
    let mut status = Status::Good;
    for path in &args.files {
        let source = Source::read(path).map_err(|error| Failure::read(path, &error))?;
        let report = check(&source, &environment, args.assume_env);
        if !report.problems.is_empty() {
            status = Status::Problems;
        }
        report.write(&source.name, args.quiet, out);
    }
    Ok(status)
}

#[derive(Default)]
struct Report {
    problems: Vec<Finding>,
    notes: Vec<Finding>,
    valid: Vec<String>,
}

fn check(source: &Source, environment: &Environment, assume: bool) -> Report {
    let mut report = Report::default();
    let found = match find(source) {
        Ok(found) => found,
        Err(problem) => {
            report.problems.push(problem);
            return report;
        }
    };
    report.problems = found.problems;
    report.notes = found.notes;
    // Where nothing was looked at nothing was found to be right.
    if found.plugins.is_empty() && report.problems.is_empty() {
        let message = "expected a plugin configuration, or an Envoy or nginx configuration with the plugin \
                       sentry_edge_mirror in it, got none";
        report.problems.push(Finding::new(&source.name, 1, message));
    }
    let mut roles = Vec::new();
    for plugin in &found.plugins {
        let mut verdict = judge(plugin, environment, assume);
        if verdict.problems.is_empty() {
            report.valid.push(valid(plugin, verdict.role.as_ref()));
        }
        roles.extend(verdict.role.map(|role| (plugin, role)));
        report.problems.append(&mut verdict.problems);
        report.notes.append(&mut verdict.notes);
    }
    let complete = roles.len() == found.plugins.len();
    report.problems.append(&mut lanes::check(&roles, complete));
    report
}

fn valid(plugin: &Plugin, role: Option<&Role>) -> String {
    let name = plugin.name.as_deref().unwrap_or("plugin configuration");
    let place = format!("{}:{}: {name}", plugin.file, plugin.line);
    match role {
        Some(Role::Main(config)) => {
            let mib = memory::needed(config).total().div_ceil(1 << 20);
            let summary = summary(config);
            format!("{place}: valid, {summary}, at most {mib} MiB of memory a worker")
        }
        Some(Role::Lane(number)) => format!("{place}: valid, host nginx, lane {number}"),
        None => format!("{place}: valid, as far as can be told without its environment"),
    }
}

/// Host and mode. The words of the configuration are the names of the hosts.
pub(super) fn summary(config: &Config) -> String {
    let host = format!("{:?}", config.host).to_ascii_lowercase();
    let fast_ack = match config.mode {
        Mode::Rewrite { fast_ack: true } => ", fast_ack",
        _ => "",
    };
    format!("host {host}, mode {}{fast_ack}", config.mode.name())
}

impl Report {
    fn write(&self, name: &str, quiet: bool, out: &mut Printed) {
        for problem in &self.problems {
            let _ = writeln!(out, "{problem}");
        }
        if quiet {
            return;
        }
        for note in &self.notes {
            let Finding {
                file,
                line,
                message,
            } = note;
            let _ = writeln!(out, "{file}:{line}: note: {message}");
        }
        for valid in &self.valid {
            let _ = writeln!(out, "{valid}");
        }
        let count = self.problems.len();
        if count > 0 {
            let noun = if count == 1 { "problem" } else { "problems" };
            let _ = writeln!(out, "{name}: {count} {noun}");
        }
    }
}
