//! The lanes of an nginx configuration, seen together: each number once, and as many as the others count on.
//!
//! Lanes belong to all configurations of one module, wherever in the file they stand. A file that is only a part of a
//! configuration says nothing of what is missing.

use super::super::environment::HostEnvironment;
use super::super::find::Plugin;
use super::super::finding::Finding;
use sentry_edge_mirror::config::Role;
use sentry_edge_mirror::worker::lanes::mismatch;
use std::collections::BTreeMap;

/// `complete` says that every configuration of the file is among the `roles`.
pub(super) fn check(roles: &[(&Plugin, Role)], complete: bool) -> Vec<Finding> {
    let mut lanes: BTreeMap<&Option<String>, BTreeMap<u8, &Plugin>> = BTreeMap::new();
    let mut problems = Vec::new();
    for (plugin, role) in roles {
        let Role::Lane(number) = role else { continue };
        let known = lanes.entry(&plugin.name).or_default();
        match known.get(number) {
            Some(first) => {
                let place = format!("{}:{}", first.file, first.line);
                let message = format!("lane {number} stands at {place} already, got {number}");
                problems.push(plugin.finding("lane", &message));
            }
            None => {
                known.insert(*number, plugin);
            }
        }
    }
    for (plugin, role) in roles {
        let Role::Main(config) = role else { continue };
        let whole = matches!(plugin.environment, HostEnvironment::Listed { .. });
        let there = lanes.get(&plugin.name).map_or(0, BTreeMap::len);
        if complete
            && problems.is_empty()
            && whole
            && plugin.host == Some(config.host)
            && let Some(message) = mismatch(config.lanes, there)
        {
            problems.push(plugin.finding("lanes", &message));
        }
    }
    problems
}
