//! Plugin configurations in an Envoy configuration: wherever in the tree a `PluginConfig` stands, be it in a listener, a
//! cluster's filters, an LDS resource, or something around Envoy's own format. Files named by a `ConfigSource` are followed;
//! Envoy takes their paths relative to its working folder, so this does too, and then looks beside the file.

pub(super) mod plugin;
pub(super) mod routes;
mod surroundings;

use super::super::document::Node;
use super::super::finding::Finding;
use super::super::source::Source;
use super::{Found, documents, is_our_name};
use routes::{Disabled, Routes};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use surroundings::{MODULE_BYTES, Surroundings};

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
const PATH_SOURCE: [&str; 2] = ["path_config_source", "pathConfigSource"];
const CDS: [&str; 2] = ["cds_config", "cdsConfig"];
/// Keys whose value is a `ConfigSource`, in which `path` names a file.
const SOURCES: [&str; 6] = [
    "lds_config",
    "ldsConfig",
    "cds_config",
    "cdsConfig",
    "config_source",
    "configSource",
];

/// Whether a document is Envoy's and not the plugin's own.
pub(super) fn is_envoy(root: &Node) -> bool {
    root.get(&TOP).is_some() || !root.items().is_empty() || contains_plugin(root)
}

fn contains_plugin(node: &Node) -> bool {
    plugin::is_plugin(node) || children(node).any(contains_plugin)
}

fn children(node: &Node) -> impl Iterator<Item = &Node> {
    let members = node.entries().iter().map(|entry| &entry.value);
    members.chain(node.items())
}

/// A comment in a file whose clusters are not all in it: Envoy merges `--config-yaml` into a bootstrap.
const OTHER_CLUSTERS: &str = "# sentry-edge-mirror: further clusters";

/// Whether the text says that there are clusters elsewhere.
pub(super) fn has_other_clusters(text: &str) -> bool {
    let mut lines = text.lines();
    lines.any(|line| line.trim_start().starts_with(OTHER_CLUSTERS))
}

/// Looks for plugins in one document: clusters and limits of another one say nothing of them.
pub(super) fn find(file: &str, document: &Node, has_others: bool, found: &mut Found) {
    let mut search = Search {
        found: Found::default(),
        seen: BTreeSet::from([PathBuf::from(file)]),
        around: Surroundings {
            has_others,
            ..Surroundings::default()
        },
        remote: Vec::new(),
        appends_peer: None,
        routes: None,
        disabled: None,
    };
    search.walk(file, document);
    search.finish(found);
}

struct Search {
    found: Found,
    seen: BTreeSet<PathBuf>,
    around: Surroundings,
    /// Numbers of the plugins whose module is fetched, and the lines that say so.
    remote: Vec<(usize, usize)>,
    /// Of the connection manager that is being looked at.
    appends_peer: Option<bool>,
    routes: Option<Routes>,
    /// Of the filter that is being looked at.
    disabled: Option<Disabled>,
}

impl Search {
    fn walk(&mut self, file: &str, node: &Node) {
        if plugin::is_plugin(node) {
            self.plugin(file, node);
            return;
        }
        self.around.visit(file, node);
        for entry in node.entries() {
            let path = entry.value.get(&["path"]);
            let is_source = PATH_SOURCE.contains(&entry.key.as_str())
                || SOURCES.contains(&entry.key.as_str()) && entry.value.get(&PATH_SOURCE).is_none();
            if let Some(path) = path.filter(|_| is_source) {
                self.follow(file, path);
            } else if CDS.contains(&entry.key.as_str()) && entry.value.get(&PATH_SOURCE).is_none() {
                self.around.has_others = true;
            }
        }
        let outer = (
            self.appends_peer,
            self.routes.clone(),
            self.disabled.clone(),
        );
        if node.get(&["http_filters", "httpFilters"]).is_some() {
            let appends = node.is_on(&["use_remote_address", "useRemoteAddress"]);
            let skips = node.is_on(&["skip_xff_append", "skipXffAppend"]);
            self.appends_peer = Some(appends && !skips);
            self.routes = Routes::read(node);
            self.disabled = None;
        }
        let disabled = self
            .routes
            .as_ref()
            .and_then(|routes| routes.disabled(file, node));
        self.disabled = disabled.or(self.disabled.take());
        for child in children(node) {
            self.walk(file, child);
        }
        (self.appends_peer, self.routes, self.disabled) = outer;
    }

    fn follow(&mut self, file: &str, path: &Node) {
        let Some(name) = path.text() else { return };
        let place = place(file, name);
        if !self.seen.insert(place.clone()) {
            return;
        }
        let source = match Source::read(&place) {
            Ok(source) => source,
            Err(error) => {
                // Clusters might have been in it.
                self.around.has_others = true;
                let note =
                    format!("{name} cannot be read ({error}), what is in it was not looked at");
                self.found.notes.push(Finding::new(file, path.line, note));
                return;
            }
        };
        match documents(&source, &mut self.found.notes) {
            Ok(documents) => {
                for document in documents {
                    self.walk(&source.name, &document);
                }
            }
            Err(error) => {
                let problem = Finding::new(&source.name, error.line, error.message);
                self.found.problems.push(problem);
            }
        }
    }

    fn plugin(&mut self, file: &str, node: &Node) {
        let (mut plugin, names) = plugin::read(file, node);
        plugin.appends_peer = self.appends_peer;
        plugin.disabled.clone_from(&self.disabled);
        if names.iter().any(|name| is_our_name(name)) || plugin.has_our_shape() {
            if let Some(remote) = plugin::remote(node) {
                self.remote.push((self.found.plugins.len(), remote.line));
            }
            self.found.plugins.push(plugin);
        } else {
            let note = plugin.is_not_ours();
            self.found.notes.push(note);
        }
    }

    /// Tells the plugins what the whole document says of them.
    fn finish(mut self, found: &mut Found) {
        let around = &self.around;
        if let Some(limit) = around.response_limit.filter(|limit| *limit < MODULE_BYTES) {
            for (number, line) in &self.remote {
                if let Some(plugin) = self.found.plugins.get_mut(*number) {
                    let message = format!(
                        "code.remote: the module has more than {MODULE_BYTES} bytes, and http.async_response_buffer_limit lets Envoy fetch {limit}: use code.local, or raise the limit"
                    );
                    let problem = Finding::new(&plugin.file, *line, message);
                    plugin.around.push(problem);
                }
            }
        }
        self.found.problems.append(&mut self.around.problems);
        if !self.around.clusters.is_empty() && !self.around.has_others {
            let clusters = Rc::new(self.around.clusters);
            for plugin in &mut self.found.plugins {
                plugin.clusters = Some(Rc::clone(&clusters));
            }
        }
        found.append(self.found);
    }
}

/// The file as Envoy would find it, else beside the one that names it: the folders of another machine are not here.
fn place(file: &str, name: &str) -> PathBuf {
    let path = Path::new(name);
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let own_name = path.file_name().map(|own| folder.join(own));
    let beside = [Some(folder.join(path)), own_name];
    let mut beside = beside.into_iter().flatten().filter(|place| place.exists());
    if path.exists() {
        return path.to_owned();
    }
    beside.next().unwrap_or_else(|| folder.join(path))
}
