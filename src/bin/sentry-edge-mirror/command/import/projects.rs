//! From what a server does with the envelopes of each project to `rum.projects`, `rum.default` and `rum.exclude`.

use super::super::finding::Finding;
use super::super::nginx::Directive;
use super::candidates::Candidates;
use super::decide::{Decision, Remarks, decide};
use super::follow::Server;
use super::passed::Copy;
use super::variables::World;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Projects<'d> {
    pub(super) projects: BTreeMap<u64, Copy<'d>>,
    pub(super) default: Option<Copy<'d>>,
    pub(super) exclude: BTreeSet<u64>,
    /// What would be mirrored without being meant to, or cannot be told.
    pub(super) problems: BTreeSet<Finding>,
    /// Nobody gets envelopes here, so that none was kept from the mirror.
    pub(super) silent: bool,
}

impl<'d> Projects<'d> {
    /// A server that mirrors nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.default.is_none() && self.projects.is_empty()
    }

    /// The copies, that of most projects first.
    pub(super) fn copies(&self) -> impl Iterator<Item = &Copy<'d>> {
        self.default.iter().chain(self.projects.values())
    }
}

/// Rules that leave projects out, and the projects.
type LeftOut<'d> = BTreeMap<(String, usize, String), (&'d Directive, Vec<u64>)>;

pub(super) fn read<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    candidates: &Candidates<'d>,
    remarks: &mut Remarks,
) -> Projects<'d> {
    let mut found = Projects::default();
    let usual = others(server, world, candidates, &mut found, remarks);
    let mut left_out = LeftOut::new();
    let mut served = matches!(&usual, Some(Decision::Not(_, why)) if why != ANSWERED);
    for id in &candidates.ids {
        match decide(server, world, *id, remarks) {
            Decision::Copy(plain, query) => {
                let copy = chosen(
                    *plain,
                    query.map(|query| *query),
                    found.default.as_ref(),
                    *id,
                    remarks,
                );
                if !found
                    .default
                    .as_ref()
                    .is_some_and(|default| default.same_place(&copy))
                {
                    found.projects.insert(*id, copy);
                }
            }
            Decision::Not(at, why) => {
                served |= why != ANSWERED;
                if found.default.is_some() {
                    found.exclude.insert(*id);
                }
                let key = (at.file.to_string(), at.name.line, why);
                left_out.entry(key).or_insert((at, Vec::new())).1.push(*id);
            }
            Decision::Unclear(at, why) => {
                found.problems.insert(unclear(at, &why));
            }
        }
    }
    found.silent = !served && found.problems.is_empty();
    if found.is_empty() {
        return found;
    }
    if let Some(Decision::Not(at, why)) = &usual {
        remarks.insert(at.finding(format!(
            "not carried over: {}, {why}; projects that are not in rum.projects are not copied",
            at.head()
        )));
    }
    for ((_, _, why), (at, ids)) in left_out.into_iter().filter(|_| found.default.is_some()) {
        let message = format!(
            "{}, {why}: now they are not copied (rum.exclude has {})",
            at.head(),
            list(&ids)
        );
        remarks.insert(at.finding(message));
    }
    endless(
        server,
        world,
        candidates,
        usual.as_ref(),
        &mut found,
        remarks,
    );
    found
}

/// What [`decide`] says of a request that nginx answers.
const ANSWERED: &str = "nginx answers by itself";

/// What becomes of the projects that nothing names. Sets the default.
fn others<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    candidates: &Candidates<'d>,
    found: &mut Projects<'d>,
    remarks: &mut Remarks,
) -> Option<Decision<'d>> {
    let mut usual: Option<Decision<'d>> = None;
    for id in &candidates.others {
        let decision = decide(server, world, *id, remarks);
        match (&usual, &decision) {
            (_, Decision::Unclear(at, why)) => {
                found.problems.insert(unclear(at, why));
                return None;
            }
            (Some(Decision::Copy(first, _)), Decision::Copy(copy, _))
                if !first.same_place(copy) =>
            {
                let message = "not carried over: each project has a place of its own here; list those that exist in rum.projects";
                remarks.insert(copy.entry.finding(message));
                return Some(Decision::Not(
                    copy.entry,
                    "it makes the place of the project's id".to_owned(),
                ));
            }
            (Some(Decision::Not(at, why)), Decision::Copy(..))
            | (Some(Decision::Copy(..)), Decision::Not(at, why)) => {
                found.problems.insert(unclear(
                    at,
                    &format!("{why} for some of the projects that nothing names"),
                ));
                return None;
            }
            _ => {}
        }
        usual = usual.or(Some(decision));
    }
    if let Some(Decision::Copy(plain, query)) = &usual {
        let query = query.as_deref().cloned();
        found.default = Some(match query {
            None => (**plain).clone(),
            Some(query) => {
                remarks.insert(plain.entry.finding(gap("without", "every project")));
                query
            }
        });
    }
    usual
}

/// Of the two places of a project the one that is more its own: not where all others go.
fn chosen<'d>(
    plain: Copy<'d>,
    query: Option<Copy<'d>>,
    default: Option<&Copy<'d>>,
    id: u64,
    remarks: &mut Remarks,
) -> Copy<'d> {
    let Some(query) = query else { return plain };
    let is_default = default.is_some_and(|default| default.same_place(&query));
    let (copy, which) = if is_default {
        (plain, "with")
    } else {
        (query, "without")
    };
    remarks.insert(copy.entry.finding(gap(which, &format!("project {id}"))));
    copy
}

fn gap(which: &str, whose: &str) -> String {
    format!("the entry left out requests {which} a query; now every envelope of {whose} goes there")
}

fn unclear(at: &Directive, why: &str) -> Finding {
    at.finding(format!(
        "expected rules that the module has, too, got {}: {why}",
        at.head()
    ))
}

/// Expressions for more projects than can be listed: said, or refused if more would be copied than was.
fn endless<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    candidates: &Candidates<'d>,
    usual: Option<&Decision<'d>>,
    found: &mut Projects<'d>,
    remarks: &mut Remarks,
) {
    for endless in &candidates.endless {
        let first = endless
            .first
            .iter()
            .filter(|id| !candidates.ids.contains(id));
        let decisions: Vec<Decision<'_>> = first
            .map(|id| decide(server, world, *id, remarks))
            .collect();
        for decision in decisions {
            let message = match (usual, decision) {
                (Some(Decision::Copy(..)), Decision::Not(at, why)) => {
                    found.problems.insert(at.finding(format!(
                        "expected a rule for projects that can be listed in rum.exclude, got {}, {why}: it keeps {} and more \
                         from the mirror",
                        at.head(),
                        endless.projects()
                    )));
                    break;
                }
                (_, Decision::Unclear(at, why)) => {
                    found.problems.insert(unclear(at, &why));
                    break;
                }
                (Some(Decision::Copy(default, _)), Decision::Copy(copy, _))
                    if !copy.same_place(default) =>
                {
                    "until then rum.default takes them"
                }
                (Some(Decision::Not(..)), Decision::Copy(..)) => "until then they are not copied",
                _ => continue,
            };
            remarks.insert(endless.directive.finding(format!(
                "not carried over: it matches {} and more; list those that exist in rum.projects, {message}",
                endless.projects()
            )));
            break;
        }
    }
}

/// Projects for a message.
pub(super) fn list(ids: &[u64]) -> String {
    let shown: Vec<String> = ids.iter().take(10).map(u64::to_string).collect();
    match ids.len().checked_sub(shown.len()) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}
