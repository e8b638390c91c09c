//! What the core says of a plugin configuration, and what the place where it stands adds to that.

use super::environment::{Environment, View};
use super::find::{Content, Plugin};
use super::finding::Finding;
use sentry_edge_mirror::config::{Problem, Role};
use sentry_edge_mirror::host::HostKind;

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
    let mut verdict = Verdict::default();
    let text = match &plugin.content {
        Content::Json { text, .. } => text,
        Content::Broken(error) => {
            let problem = Finding::new(&plugin.file, error.line, error.message.clone());
            verdict.problems.push(problem);
            return verdict;
        }
    };
    if let Some(problem) = wrong_host(plugin) {
        verdict.problems.push(problem);
    }
    let view = View::new(environment, &plugin.environment);
    let parsed = Role::parse(text.as_bytes(), &|name| view.lookup(name));
    let hidden = view.hidden();
    let hint = |name: &str| {
        let found = hidden.iter().find(|(hidden, _)| hidden == name);
        found.map(|(_, hint)| *hint)
    };
    let mut blamed = Vec::new();
    match parsed {
        Ok(role) => {
            if let Role::Main(config) = &role {
                let warnings = config.warnings();
                let warnings = warnings.iter();
                let note = |problem: &Problem| plugin.finding(&problem.path, &problem.message);
                verdict.notes.extend(warnings.map(note));
            }
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
    let written = host.and_then(super::document::Node::text);
    let (expected, got) = match (plugin.host?, host.is_some(), written) {
        (HostKind::Nginx, false, _) => ("nginx", "nothing, which means envoy"),
        (HostKind::Nginx, true, Some("envoy")) => ("nginx", "envoy"),
        (HostKind::Envoy, true, Some("nginx")) => ("envoy", "nginx"),
        _ => return None,
    };
    let message = format!("expected {expected}, whose configuration this is, got {got}");
    Some(plugin.finding("host", &message))
}
