//! The map from request URI to path prefix, as projects.
//!
//! nginx's order: an entry without `~` that is the whole URI, then the regular expressions in the order of the file, then
//! `default`. An entry of a project therefore wins over every later one that covers it too.

use super::super::finding::Finding;
use super::super::nginx::Directive;
use super::placeholder::replace;
use super::probe::{Coverage, Covered, compile, probe};
use sentry_edge_mirror::sentry::route::{Route, recognise};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Where the copies of a project go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Destination {
    workspace: String,
    service_id: String,
}

/// Where a path prefix comes from.
#[derive(Debug)]
pub(super) enum Prefix<'d> {
    /// A map.
    Map(&'d Directive),
    /// The same for every project, written by this directive.
    Fixed(&'d Directive, String),
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Projects {
    pub(super) projects: BTreeMap<u64, Destination>,
    pub(super) default: Option<Destination>,
    pub(super) exclude: BTreeSet<u64>,
}

/// What an entry of the map does with a project.
type Outcome = Option<Destination>;

pub(super) fn read(prefix: &Prefix<'_>, notes: &mut Vec<Finding>) -> Projects {
    let mut projects = Projects::default();
    match prefix {
        Prefix::Fixed(directive, value) => {
            projects.default = destination(directive, value, notes).flatten();
        }
        Prefix::Map(map) => {
            let mut rules = Rules::default();
            rules.read(map, notes);
            for (id, outcome) in rules.projects {
                match outcome {
                    Some(destination) => {
                        projects.projects.insert(id, destination);
                    }
                    None if rules.default.is_some() => {
                        projects.exclude.insert(id);
                    }
                    // What no rule names is not mirrored anyway.
                    None => {}
                }
            }
            projects.default = rules.default;
        }
    }
    projects
}

#[derive(Default)]
struct Rules {
    projects: BTreeMap<u64, Outcome>,
    default: Outcome,
    /// A regular expression covers all projects that came to it.
    complete: bool,
}

impl Rules {
    fn read(&mut self, map: &Directive, notes: &mut Vec<Finding>) {
        let source = map.arg(0).unwrap_or_default();
        if source != "$request_uri" {
            let message = format!(
                "map: its patterns are taken as those of $request_uri, they are matched against {source}"
            );
            notes.push(map.finding(message));
        }
        let (mut patterns, mut exact, mut default) = (Vec::new(), Vec::new(), None);
        for entry in map.inner() {
            match entry.name.text.as_str() {
                "default" => default = Some(entry),
                "hostnames" | "volatile" if entry.args.is_empty() => {}
                text if text.starts_with('~') => patterns.push(entry),
                _ => exact.push(entry),
            }
        }
        for entry in patterns {
            self.pattern(entry, notes);
        }
        for entry in exact {
            self.exact(entry, notes);
        }
        self.fallback(map, default, notes);
    }

    fn pattern(&mut self, entry: &Directive, notes: &mut Vec<Finding>) {
        let written = entry.name.text.strip_prefix('~').unwrap_or_default();
        let (pattern, ignore_case) = match written.strip_prefix('*') {
            Some(pattern) => (pattern, true),
            None => (written, false),
        };
        if self.complete {
            let message = "the entry never had an effect: an earlier one covers every project";
            notes.push(entry.finding(message));
            return;
        }
        let regex = match compile(pattern, ignore_case) {
            Ok(regex) => regex,
            Err(error) => {
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                let message = format!(
                    "not carried over: the regular expression {pattern:?} cannot be read ({reason})"
                );
                notes.push(entry.finding(message));
                return;
            }
        };
        let Coverage { projects, gap } = probe(&regex);
        let Some(outcome) = outcome(entry, notes) else {
            return;
        };
        if let Some(gap) = gap {
            let message = format!(
                "the entry left out requests {gap}; they go the same way as the others of their project now"
            );
            notes.push(entry.finding(message));
        }
        match projects {
            Covered::All => {
                self.complete = true;
                self.default = outcome;
            }
            Covered::Listed(ids) if ids.is_empty() => {
                let message =
                    "not carried over: no envelope request matches, and RUM takes nothing else";
                notes.push(entry.finding(message));
            }
            Covered::Listed(ids) => {
                for id in ids {
                    self.projects.entry(id).or_insert_with(|| outcome.clone());
                }
            }
            Covered::Part(ids) => {
                let examples: Vec<String> = ids.iter().take(4).map(u64::to_string).collect();
                let message = format!(
                    "not carried over: it matches {} of the projects 1 to 99999 ({}, ...) and more; list those that exist \
                     in rum.projects, until then rum.default takes them",
                    ids.len(),
                    examples.join(", ")
                );
                notes.push(entry.finding(message));
            }
        }
    }

    fn exact(&mut self, entry: &Directive, notes: &mut Vec<Finding>) {
        let text = entry.name.text.as_str();
        // A backslash keeps a word such as `default` or `~x` from being more than text.
        let text = text.strip_prefix('\\').unwrap_or(text);
        let Some(Route::Envelope(id)) = recognise(b"POST", text.as_bytes()) else {
            let message = "not carried over: it is no envelope request of a project, and RUM takes nothing else";
            notes.push(entry.finding(message));
            return;
        };
        let Some(outcome) = outcome(entry, notes) else {
            return;
        };
        match self.projects.get(&id.get()) {
            Some(other) if *other != outcome => {
                let message = format!(
                    "not carried over: another entry of project {id} covers more requests than this one URI"
                );
                notes.push(entry.finding(message));
            }
            Some(_) => {}
            None => {
                let message = format!(
                    "the entry was for this one URI; now every envelope of project {id} goes there, also those with \
                     another query"
                );
                notes.push(entry.finding(message));
                self.projects.insert(id.get(), outcome);
            }
        }
    }

    fn fallback(&mut self, map: &Directive, default: Option<&Directive>, notes: &mut Vec<Finding>) {
        match default {
            Some(entry) if self.complete => {
                let message =
                    "the default never had an effect on envelopes: an entry covers every project";
                notes.push(entry.finding(message));
            }
            Some(entry) => self.default = outcome(entry, notes).flatten(),
            None if self.complete => {}
            None => {
                let message = "there is no default: nginx passed other projects without a prefix, now they are not copied";
                notes.push(map.finding(message));
            }
        }
    }
}

/// What an entry stands for; nothing when it could not be carried over, which is noted.
fn outcome(entry: &Directive, notes: &mut Vec<Finding>) -> Option<Outcome> {
    destination(entry, entry.arg(0).unwrap_or_default(), notes)
}

fn destination(directive: &Directive, value: &str, notes: &mut Vec<Finding>) -> Option<Outcome> {
    if value.is_empty() {
        let message = "nginx passed these requests without a prefix, which RUM cannot place; now they are not copied";
        notes.push(directive.finding(message));
        return Some(None);
    }
    let segments: Vec<&str> = value.split('/').collect();
    let (workspace, service_id) = match segments.as_slice() {
        ["", "rum", "sentry", workspace, service_id] => (workspace, service_id),
        ["", "rum", "sentry", workspace, service_id, ""] => {
            let message = "the slash at the end is dropped: it doubled the one of the request";
            notes.push(directive.finding(message));
            (workspace, service_id)
        }
        _ => {
            let message = format!(
                "not carried over: expected /rum/sentry/<workspace>/<service id>, got {value:?}"
            );
            notes.push(directive.finding(message));
            return None;
        }
    };
    if value.contains('$') {
        let message =
            format!("not carried over: a variable in {value:?}, the prefix of a project is fixed");
        notes.push(directive.finding(message));
        return None;
    }
    let mut fill = |text: &str| {
        let (text, variables) = replace(text);
        for variable in variables {
            let message =
                format!("still to be filled in: {value}; set the environment variable {variable}");
            notes.push(directive.finding(message));
        }
        text
    };
    Some(Some(Destination {
        workspace: fill(workspace),
        service_id: fill(service_id),
    }))
}
