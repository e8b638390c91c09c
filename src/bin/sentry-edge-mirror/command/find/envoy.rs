//! Plugin configurations in an Envoy configuration: wherever in the tree a `PluginConfig` stands, be it in a listener, a
//! cluster's filters, an LDS resource, or something around Envoy's own format. Files named by `path_config_source` are
//! followed; Envoy takes their paths relative to its working folder, so this does too, and then looks beside the file.

use super::super::document::json::SyntaxError;
use super::super::document::{Lines, Node, Text, Value};
use super::super::environment::HostEnvironment;
use super::super::finding::Finding;
use super::super::source::Source;
use super::{Content, Found, Plugin, documents, embedded, is_our_name, to_json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_edge_mirror::host::HostKind;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Keys at the top of Envoy's files (a bootstrap, a discovery response, one resource) or of what wraps them.
const TOP: [&str; 12] = [
    "static_resources",
    "staticResources",
    "dynamic_resources",
    "dynamicResources",
    "resources",
    "admin",
    "node",
    "filter_chains",
    "filterChains",
    "http_filters",
    "apiVersion",
    "@type",
];
const VM_CONFIG: [&str; 2] = ["vm_config", "vmConfig"];

/// Whether a document is Envoy's and not the plugin's own.
pub(super) fn is_envoy(root: &Node) -> bool {
    root.get(&TOP).is_some() || !root.items().is_empty() || contains_plugin(root)
}

fn contains_plugin(node: &Node) -> bool {
    is_plugin(node) || children(node).any(contains_plugin)
}

fn children(node: &Node) -> impl Iterator<Item = &Node> {
    let members = node.entries().iter().map(|entry| &entry.value);
    members.chain(node.items())
}

/// A `PluginConfig`: it says where the module is, or has a configuration that says its own type.
fn is_plugin(node: &Node) -> bool {
    let typed = |node: &Node| node.get(&["@type"]).is_some();
    node.get(&VM_CONFIG)
        .is_some_and(|vm| vm.get(&["code", "runtime"]).is_some())
        || node.get(&["configuration"]).is_some_and(typed)
}

pub(super) fn find(file: &str, documents: &[Node]) -> Found {
    let mut search = Search {
        found: Found::default(),
        seen: BTreeSet::from([PathBuf::from(file)]),
    };
    for document in documents {
        search.walk(file, document);
    }
    search.found
}

struct Search {
    found: Found,
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn walk(&mut self, file: &str, node: &Node) {
        if is_plugin(node) {
            self.plugin(file, node);
            return;
        }
        if let Some(source) = node.get(&["path_config_source", "pathConfigSource"])
            && let Some(path) = source.get(&["path"])
        {
            self.follow(file, path);
        }
        for child in children(node) {
            self.walk(file, child);
        }
    }

    fn follow(&mut self, file: &str, path: &Node) {
        let Some(name) = path.text() else { return };
        let beside = Path::new(file).parent().unwrap_or(Path::new("")).join(name);
        let place = if Path::new(name).exists() {
            PathBuf::from(name)
        } else {
            beside
        };
        if !self.seen.insert(place.clone()) {
            return;
        }
        let place = place.to_string_lossy();
        let text = match std::fs::read_to_string(&*place) {
            Ok(text) => text,
            Err(error) => {
                let note = format!(
                    "path_config_source: {name} cannot be read ({error}), what is in it was not looked at"
                );
                self.found.notes.push(Finding::new(file, path.line, note));
                return;
            }
        };
        match documents(&Source::new(&place, text)) {
            Ok(documents) => {
                for document in documents {
                    self.walk(&place, &document);
                }
            }
            Err(error) => {
                let problem = Finding::new(&place, error.line, error.message);
                self.found.problems.push(problem);
            }
        }
    }

    fn plugin(&mut self, file: &str, node: &Node) {
        let vm = node.get(&VM_CONFIG);
        let name = node.get(&["name"]).and_then(Node::text);
        let root_id = node.get(&["root_id", "rootId"]).and_then(Node::text);
        let module = vm.and_then(module_name);
        let configuration = node.get(&["configuration"]);
        let plugin = Plugin {
            file: file.to_owned(),
            line: configuration.map_or(node.line, |configuration| configuration.line),
            name: name.or(root_id).map(str::to_owned),
            host: Some(HostKind::Envoy),
            environment: environment(vm),
            content: content(configuration, node.line),
        };
        let named = [name, root_id, module.as_deref()];
        if named.into_iter().flatten().any(is_our_name) || plugin.has_our_shape() {
            self.found.plugins.push(plugin);
        } else {
            let name = plugin.name.unwrap_or_default();
            let note = format!("plugin {name:?} is not sentry-edge-mirror, it was not looked at");
            self.found.notes.push(Finding::new(file, plugin.line, note));
        }
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

/// What of Envoy's environment the module sees: only what is listed.
fn environment(vm: Option<&Node>) -> HostEnvironment {
    let listed = vm.and_then(|vm| vm.get(&["environment_variables", "environmentVariables"]));
    let keys = listed.and_then(|listed| listed.get(&["host_env_keys", "hostEnvKeys"]));
    let values = listed.and_then(|listed| listed.get(&["key_values", "keyValues"]));
    let text = |node: &Node| node.text().map(str::to_owned);
    HostEnvironment::Listed {
        handed: keys
            .map(|keys| keys.items().iter().filter_map(text).collect())
            .unwrap_or_default(),
        fixed: values
            .map(|values| {
                let entries = values.entries().iter();
                entries
                    .filter_map(|entry| Some((entry.key.clone(), text(&entry.value)?)))
                    .collect()
            })
            .unwrap_or_default(),
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
