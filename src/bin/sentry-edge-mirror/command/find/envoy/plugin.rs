//! A `PluginConfig` of Envoy, and what is wrong with it besides the module's own configuration.

use super::super::super::document::json::SyntaxError;
use super::super::super::document::{Lines, Node, Text, Value};
use super::super::super::environment::HostEnvironment;
use super::super::super::finding::Finding;
use super::super::{Content, Plugin, Stops, embedded, to_json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_edge_mirror::host::HostKind;
use std::collections::{BTreeMap, BTreeSet};

const VM_CONFIG: [&str; 2] = ["vm_config", "vmConfig"];
const STOPS: [&str; 2] = [
    "allow_on_headers_stop_iteration",
    "allowOnHeadersStopIteration",
];

/// A `PluginConfig`: it says where the module is, or has a configuration that says its own type.
pub(super) fn is_plugin(node: &Node) -> bool {
    let typed = |node: &Node| node.get(&["@type"]).is_some();
    node.get(&VM_CONFIG)
        .is_some_and(|vm| vm.get(&["code", "runtime"]).is_some())
        || node.get(&["configuration"]).is_some_and(typed)
}

/// A plugin, and the names by which it may be known as ours.
pub(super) fn read(file: &str, node: &Node) -> (Plugin, Vec<String>) {
    let vm = node.get(&VM_CONFIG);
    let name = node.get(&["name"]).and_then(Node::text);
    let root_id = node.get(&["root_id", "rootId"]);
    let module = vm.and_then(module_name);
    let configuration = node.get(&["configuration"]);
    let mut around = Vec::new();
    let environment = environment(file, vm, &mut around);
    around.extend(root_id.and_then(|root_id| numeric(file, "root_id", root_id)));
    let names = [("name", node.get(&["name"])), ("root_id", root_id)];
    for (key, value) in names {
        if let Some(Node { line, value }) = value
            && !matches!(value, Value::String(_) | Value::Null | Value::Number(_))
        {
            let message = format!("{key}: expected a string, got something else: quote it");
            around.push(Finding::new(file, *line, message));
        }
    }
    let root_id = root_id.and_then(Node::text);
    let plugin = Plugin {
        environment,
        around,
        stops: stops(node),
        ..Plugin::new(
            file,
            configuration.map_or(node.line, |configuration| configuration.line),
            name.or(root_id).map(str::to_owned),
            Some(HostKind::Envoy),
            content(configuration, node.line),
        )
    };
    let names = [name, root_id, module.as_deref()];
    let names = names.into_iter().flatten().map(str::to_owned).collect();
    (plugin, names)
}

/// Where the module comes from by HTTP, if it does.
pub(super) fn remote(node: &Node) -> Option<&Node> {
    node.get(&VM_CONFIG)?.get(&["code"])?.get(&["remote"])
}

/// nginx numbers its root contexts, and that is how the module knows it.
pub(in super::super) fn numeric(file: &str, key: &str, root_id: &Node) -> Option<Finding> {
    let is_number = match &root_id.value {
        Value::Number(_) => true,
        Value::String(Text { text, .. }) => {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    let message = format!(
        "{key}: expected a name, got a number: by that the module takes its host for nginx, and mirrors nothing"
    );
    is_number.then(|| Finding::new(file, root_id.line, message))
}

fn stops(node: &Node) -> Stops {
    match node.get(&STOPS).map(|node| (&node.value, node.line)) {
        Some((Value::Bool(true), _)) => Stops::Allowed,
        Some((_, line)) => Stops::Missing {
            line,
            what: "expected allow_on_headers_stop_iteration: true beside vm_config, got something else",
        },
        None => Stops::Missing {
            line: node.line,
            what: "expected allow_on_headers_stop_iteration: true beside vm_config, got nothing",
        },
    }
}

/// The file or URL of the module.
fn module_name(vm: &Node) -> Option<String> {
    let code = vm.get(&["code"])?;
    let local = code
        .get(&["local"])
        .and_then(|local| local.get(&["filename"]));
    let remote = code
        .get(&["remote"])
        .and_then(|remote| remote.get(&["http_uri", "httpUri"])?.get(&["uri"]));
    let path = local.or(remote)?.text()?;
    path.rsplit('/').next().map(str::to_owned)
}

/// What of Envoy's environment the module sees: only what is listed. Envoy refuses a list that is not right.
fn environment(file: &str, vm: Option<&Node>, around: &mut Vec<Finding>) -> HostEnvironment {
    let listed = vm.and_then(|vm| vm.get(&["environment_variables", "environmentVariables"]));
    let keys = listed.and_then(|listed| listed.get(&["host_env_keys", "hostEnvKeys"]));
    let values = listed.and_then(|listed| listed.get(&["key_values", "keyValues"]));
    let mut handed = BTreeSet::new();
    for key in keys.map(Node::items).unwrap_or_default() {
        match key.text() {
            Some(name) if !handed.insert(name.to_owned()) => {
                let message = format!("host_env_keys: {name} stands here twice");
                around.push(Finding::new(file, key.line, message));
            }
            Some(_) => {}
            None => {
                let message = "host_env_keys: expected the name of a variable, got something else";
                around.push(Finding::new(file, key.line, message));
            }
        }
    }
    let mut fixed = BTreeMap::new();
    for entry in values.map(Node::entries).unwrap_or_default() {
        let name = &entry.key;
        let problem = match entry.value.text() {
            Some(_) if handed.contains(name) => {
                format!("key_values: {name} stands in host_env_keys too")
            }
            Some(text) => {
                fixed.insert(name.clone(), text.to_owned());
                continue;
            }
            None => format!("key_values.{name}: expected a string, got something else: quote it"),
        };
        around.push(Finding::new(file, entry.line, problem));
    }
    HostEnvironment::Listed {
        handed,
        fixed,
        hint: "the module sees only what vm_config.environment_variables lists: add it to host_env_keys",
    }
}

/// What Envoy makes of `configuration`, an Any.
fn content(configuration: Option<&Node>, line: usize) -> Content {
    let Some(configuration) = configuration else {
        let value = Value::Map(Vec::new());
        return Content::Json {
            text: "{}".to_owned(),
            node: Node { line, value },
        };
    };
    let broken = |line: usize, message: String| Content::Broken(SyntaxError { line, message });
    let kind = configuration.get(&["@type"]).and_then(Node::text);
    let kind = kind.and_then(|kind| kind.rsplit(['/', '.']).next());
    let absent = Node {
        line: configuration.line,
        value: Value::Null,
    };
    let value = configuration.get(&["value"]).unwrap_or(&absent);
    match (kind, &value.value) {
        (Some("Struct"), Value::Map(_)) => Content::Json {
            text: to_json(value),
            node: value.clone(),
        },
        (Some("Struct"), _) => broken(
            value.line,
            "configuration.value: expected the object of a google.protobuf.Struct".to_owned(),
        ),
        (Some("StringValue"), Value::String(text)) => embedded(text),
        (Some("BytesValue"), Value::String(text)) => match decode(text) {
            Some(text) => embedded(&text),
            None => broken(
                value.line,
                "configuration.value: expected a google.protobuf.BytesValue in Base64".to_owned(),
            ),
        },
        (Some("StringValue" | "BytesValue"), _) => broken(
            value.line,
            "configuration.value: expected a string that holds JSON".to_owned(),
        ),
        (kind, _) => broken(
            configuration.line,
            format!(
                "configuration.@type: expected type.googleapis.com/google.protobuf.Struct or StringValue, got {}",
                kind.unwrap_or("nothing")
            ),
        ),
    }
}

fn decode(text: &Text) -> Option<Text> {
    let bytes = STANDARD.decode(text.text.trim()).ok()?;
    let line = text.lines.line(1);
    Some(Text {
        text: String::from_utf8(bytes).ok()?,
        lines: Lines::At(line),
    })
}
