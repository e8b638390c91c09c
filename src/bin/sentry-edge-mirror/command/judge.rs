//! What the core says of a plugin configuration, and what the place where it stands adds to that.

use super::document::{Node, Value};
use super::environment::{Environment, View};
use super::find::{Content, Plugin, Stops};
use super::finding::Finding;
use sentry_edge_mirror::config::{Problem, Role};
use sentry_edge_mirror::host::HostKind;
use std::collections::{BTreeMap, BTreeSet};

/// The outcome for one configuration.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) role: Option<Role>,
    pub(super) problems: Vec<Finding>,
    /// Odd, but valid.
    pub(super) notes: Vec<Finding>,
}

/// Validates a configuration. With `assume`, a variable that is not set is no problem; all else still is.
pub(super) fn judge(plugin: &Plugin, environment: &Environment, assume: bool) -> Verdict {
    let mut verdict = Verdict {
        problems: plugin.around.clone(),
        ..Verdict::default()
    };
    let text = match &plugin.content {
        Content::Json { text, .. } => text,
        Content::Broken(error) => {
            let problem = Finding::new(&plugin.file, error.line, error.message.clone());
            verdict.problems.push(problem);
            return verdict;
        }
    };
    verdict.problems.extend(wrong_host(plugin));
    unknown_clusters(plugin, &mut verdict.problems);
    verdict.problems.extend(hangs(plugin));
    let view = View::new(environment, &plugin.environment);
    let parsed = Role::parse(text.as_bytes(), &|name| view.lookup(name));
    let hidden: BTreeMap<String, &str> = view.hidden().into_iter().collect();
    let hint = |name: &str| hidden.get(name).copied();
    let mut blamed = BTreeSet::new();
    match parsed {
        Ok(role) => {
            if let Role::Main(config) = &role {
                let warnings = config.warnings();
                let warnings = warnings.iter();
                let note = |problem: &Problem| plugin.finding(&problem.path, &problem.message);
                verdict.notes.extend(warnings.map(note));
            }
            verdict.notes.extend(unseen(plugin, &role));
            verdict.role = Some(role);
        }
        Err(error) => {
            for problem in error.problems {
                let unset = problem.unset.as_deref();
                blamed.extend(unset.map(str::to_owned));
                match (unset, unset.and_then(hint)) {
                    (_, Some(hint)) => {
                        let message = format!("{} ({hint})", problem.message);
                        verdict
                            .problems
                            .push(plugin.finding(&problem.path, &message));
                    }
                    (Some(name), None) if assume => {
                        let message = format!("{name} is assumed to be set");
                        verdict.notes.push(plugin.finding(&problem.path, &message));
                    }
                    (_, None) => {
                        let finding = plugin.finding(&problem.path, &problem.message);
                        verdict.problems.push(finding);
                    }
                }
            }
        }
    }
    for (name, hint) in &hidden {
        if !blamed.contains(name) {
            let message = format!("${{{name}}} is always its default: {hint}");
            let note = Finding::new(&plugin.file, plugin.line, message);
            verdict.notes.push(note);
        }
    }
    verdict
}

/// A configuration for the other proxy: in nginx it would make calls that kill the worker.
fn wrong_host(plugin: &Plugin) -> Option<Finding> {
    let Content::Json { node, .. } = &plugin.content else {
        return None;
    };
    let host = node.get(&["host"]);
    let written = host.and_then(Node::text);
    let (expected, got) = match (plugin.host?, host.is_some(), written) {
        (HostKind::Nginx, false, _) => ("nginx", "nothing, which means envoy"),
        (HostKind::Nginx, true, Some("envoy")) => ("nginx", "envoy"),
        (HostKind::Envoy, true, Some("nginx")) => ("envoy", "nginx"),
        _ => return None,
    };
    let message = format!("expected {expected}, whose configuration this is, got {got}");
    Some(plugin.finding("host", &message))
}

/// Requests that the module holds, where Envoy then keeps their bodies to itself: each waits for ever.
fn hangs(plugin: &Plugin) -> Option<Finding> {
    let (Stops::Missing { line, what }, Content::Json { node, .. }) =
        (&plugin.stops, &plugin.content)
    else {
        return None;
    };
    // As it is written: a variable of the proxy may not be known here.
    let text = |key| node.get(&[key]).and_then(Node::text);
    let holds = match text("mode") {
        Some("sign") => "mode sign",
        Some("rewrite") if node.is_on(&["fast_ack"]) => "fast_ack",
        Some("rewrite") if node.get(&["sls"]).is_some_and(leg_is_on) => {
            "the logs of a request that is not copied"
        }
        _ => return None,
    };
    let message = format!("{what} (needed by {holds}: without it such a request hangs)");
    Some(Finding::new(&plugin.file, *line, message))
}

/// A filter that no route turns on where the traffic is. It may be meant: so a mirror is switched off.
fn unseen(plugin: &Plugin, role: &Role) -> Option<Finding> {
    let disabled = plugin.disabled.as_ref()?;
    let Role::Main(config) = role else {
        return None;
    };
    let start = format!("{}/api/", config.ingest.dsn_path);
    let message = if !disabled.is_ever_on() {
        "disabled: true, and no route turns the filter on (typed_per_filter_config): the module sees no request, nothing is mirrored".to_owned()
    } else if config.sign.is_none() && !disabled.may_see_below(&start) {
        format!(
            "disabled: true, and no route turns the filter on for {start}: nothing is mirrored there"
        )
    } else {
        return None;
    };
    Some(Finding::new(&disabled.file, disabled.line, message))
}

/// Upstreams that are none of the clusters of the file. What a variable names is not known here.
fn unknown_clusters(plugin: &Plugin, problems: &mut Vec<Finding>) {
    let (Some(clusters), Content::Json { node, .. }) = (&plugin.clusters, &plugin.content) else {
        return;
    };
    let mut upstreams = Vec::new();
    for section in ["rum", "sls"] {
        if let Some(node) = node.get(&[section]).filter(|node| leg_is_on(node)) {
            add_upstreams(section, node, &mut upstreams);
        }
    }
    // Each of these may be switched off by itself.
    let targets = node.get(&["sentry"]).map_or(&[][..], Node::entries);
    for target in targets.iter().filter(|target| leg_is_on(&target.value)) {
        let path = format!("sentry.{}", target.key);
        add_upstreams(&path, &target.value, &mut upstreams);
    }
    for (path, name) in upstreams {
        // A URL is a problem already, and may hold a key.
        let is_known = clusters.contains(name) || name.contains("${") || name.contains("://");
        if !is_known {
            let known: Vec<&str> = clusters.iter().map(String::as_str).collect();
            let known = known.join(", ");
            let message = format!(
                "expected a cluster of this file ({known}), got {name:?}; of clusters elsewhere a line `# sentry-edge-mirror: further clusters` tells"
            );
            problems.push(plugin.finding(&path, &message));
        }
    }
}

/// A leg that is switched off is not read.
fn leg_is_on(leg: &Node) -> bool {
    !matches!(leg.get(&["enabled"]), Some(node) if node.value == Value::Bool(false))
}

fn add_upstreams<'n>(path: &str, node: &'n Node, upstreams: &mut Vec<(String, &'n str)>) {
    for entry in node.entries() {
        let path = format!("{path}.{}", entry.key);
        match entry.value.text() {
            Some(name) if entry.key == "upstream" => upstreams.push((path, name)),
            _ => add_upstreams(&path, &entry.value, upstreams),
        }
    }
}
