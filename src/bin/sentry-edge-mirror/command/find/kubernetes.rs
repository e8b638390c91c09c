//! Plugin configurations in resources for Kubernetes: Istio's and Higress' `WasmPlugin`, Envoy Gateway's
//! `EnvoyExtensionPolicy`, an Envoy or nginx file in a `ConfigMap`. An `EnvoyFilter`, and whatever else there is, holds Envoy's own format.

use super::super::document::{Node, Text, Value};
use super::super::environment::HostEnvironment;
use super::super::finding::Finding;
use super::super::source::Source;
use super::envoy::plugin::numeric;
use super::{Content, Found, Plugin, Stops, embedded, envoy, is_our_name, to_json};
use sentry_edge_mirror::host::HostKind;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a document is a resource.
pub(super) fn is_resource(root: &Node) -> bool {
    let text = |key| root.get(&[key]).and_then(Node::text);
    text("apiVersion").is_some() && text("kind").is_some()
}

pub(super) fn find(file: &str, root: &Node, found: &mut Found) {
    let text = |key| root.get(&[key]).and_then(Node::text).unwrap_or_default();
    let group = text("apiVersion").split('/').next().unwrap_or_default();
    let spec = root.get(&["spec"]);
    match (text("kind"), spec) {
        ("WasmPlugin", Some(spec)) => wasm_plugin(file, root, spec, group, found),
        ("EnvoyExtensionPolicy", Some(spec)) => {
            for wasm in spec.get(&["wasm"]).map(Node::items).unwrap_or_default() {
                let plugin = extension(file, wasm);
                let names = [&["name"][..], &["rootID", "rootId"]];
                let names = names.map(|names| wasm.get(names).and_then(Node::text));
                let names = names.into_iter().chain([image(wasm.get(&["code"]))]);
                keep(plugin, names.chain([name(root)]), found);
            }
        }
        ("ConfigMap", _) => config_map(file, root, found),
        ("List", _) => {
            for item in root.get(&["items"]).map(Node::items).unwrap_or_default() {
                find(file, item, found);
            }
        }
        // Its clusters are those of a mesh.
        _ => envoy::find(file, root, true, found),
    }
}

fn name(root: &Node) -> Option<&str> {
    root.get(&["metadata"])?.get(&["name"])?.text()
}

/// Keeps what is ours, and names the rest.
fn keep<'n>(plugin: Plugin, names: impl Iterator<Item = Option<&'n str>>, found: &mut Found) {
    let mut names = names.flatten();
    if names.any(is_our_name) || plugin.has_our_shape() {
        found.plugins.push(plugin);
    } else {
        found.notes.push(plugin.is_not_ours());
    }
}

fn wasm_plugin(file: &str, root: &Node, spec: &Node, group: &str, found: &mut Found) {
    let is_higress = group.contains("higress");
    let key = if is_higress {
        "defaultConfig"
    } else {
        "pluginConfig"
    };
    let env = spec.get(&["vmConfig"]).and_then(|vm| vm.get(&["env"]));
    let mut plugin = Plugin {
        environment: env_vars(env),
        stops: Stops::Missing {
            line: spec.line,
            what: "a WasmPlugin cannot set allow_on_headers_stop_iteration: use an EnvoyFilter",
        },
        ..plugin(file, root, name(root), spec.get(&[key]))
    };
    if let Some(rules) = spec
        .get(&["matchRules"])
        .filter(|rules| !rules.items().is_empty())
    {
        let message = "matchRules: not supported: write one defaultConfig, which picks by host (hosts) and project (rum.projects, rum.exclude)";
        plugin.around.push(Finding::new(file, rules.line, message));
    }
    let other = if is_higress {
        "pluginConfig"
    } else {
        "defaultConfig"
    };
    if let Some(config) = spec.get(&[other]) {
        let message = format!("{other}: expected {key}, which is what {group} reads");
        plugin.around.push(Finding::new(file, config.line, message));
    }
    let names = [spec.get(&["pluginName"]), spec.get(&["url"])];
    let names = names.map(|node| node.and_then(Node::text));
    keep(plugin, names.into_iter().chain([name(root)]), found);
}

fn extension(file: &str, wasm: &Node) -> Plugin {
    let keys = wasm.get(&["env"]).and_then(|env| env.get(&["hostKeys"]));
    let keys = keys.map(Node::items).unwrap_or_default();
    let own = wasm.get(&["name"]).and_then(Node::text);
    let mut plugin = Plugin {
        environment: HostEnvironment::Listed {
            handed: keys
                .iter()
                .filter_map(Node::text)
                .map(str::to_owned)
                .collect(),
            fixed: BTreeMap::new(),
            hint: "the module sees only what env.hostKeys lists: add it there",
        },
        stops: Stops::Missing {
            line: wasm.line,
            what: "an EnvoyExtensionPolicy cannot set allow_on_headers_stop_iteration: use an EnvoyPatchPolicy, or Envoy itself",
        },
        ..plugin(file, wasm, own, wasm.get(&["config"]))
    };
    let root_id = wasm.get(&["rootID", "rootId"]);
    let problem = root_id.and_then(|root_id| numeric(file, "rootID", root_id));
    plugin.around.extend(problem);
    plugin
}

/// The address of a module.
fn image(code: Option<&Node>) -> Option<&str> {
    let code = code?;
    let source = code.get(&["http", "image"])?;
    source.get(&["url"])?.text()
}

/// A plugin whose configuration stands in the resource as it is.
fn plugin(file: &str, around: &Node, name: Option<&str>, config: Option<&Node>) -> Plugin {
    let node = config.cloned().unwrap_or(Node {
        line: around.line,
        value: Value::Map(Vec::new()),
    });
    let line = node.line;
    let content = match &node.value {
        // Some gateways take JSON in a string, too.
        Value::String(text) => embedded(text),
        _ => Content::Json {
            text: to_json(&node),
            node,
        },
    };
    Plugin::new(
        file,
        line,
        name.map(str::to_owned),
        Some(HostKind::Envoy),
        content,
    )
}

/// `env` of a WasmPlugin: a value, or `valueFrom: HOST`.
fn env_vars(env: Option<&Node>) -> HostEnvironment {
    let mut handed = BTreeSet::new();
    let mut fixed = BTreeMap::new();
    for variable in env.map(Node::items).unwrap_or_default() {
        let text = |key| variable.get(&[key]).and_then(Node::text);
        match (text("name"), text("valueFrom"), text("value")) {
            (Some(name), Some("HOST"), _) => {
                handed.insert(name.to_owned());
            }
            (Some(name), _, Some(value)) => {
                fixed.insert(name.to_owned(), value.to_owned());
            }
            _ => {}
        }
    }
    HostEnvironment::Listed {
        handed,
        fixed,
        hint: "the module sees only what spec.vmConfig.env lists: add it there with valueFrom: HOST",
    }
}

/// Each text is a file of its own. What is no configuration of ours is none of our business.
fn config_map(file: &str, root: &Node, found: &mut Found) {
    for entry in root.get(&["data"]).map(Node::entries).unwrap_or_default() {
        let Value::String(Text { text, lines }) = &entry.value.value else {
            continue;
        };
        let source = Source::new(&entry.key, text.clone());
        let key = &entry.key;
        if !text.contains("wasm") && !super::is_our_name(text) {
            continue;
        }
        match super::find_all(&source) {
            Ok(mut inner) => {
                inner.move_to(key, file, *lines);
                found.append(inner);
            }
            Err(problem) => {
                let message = format!("{key}: {}", problem.message);
                let line = lines.line(problem.line);
                found.problems.push(Finding::new(file, line, message));
            }
        }
    }
}
