//! The plugin configurations in a file: the file itself, or every one in an Envoy or nginx configuration.
//!
//! What is ours, among the wasm plugins of a proxy: a plugin whose name, root id or module file says `sentry_edge_mirror`
//! (`-` counts as `_`), and one whose configuration has a `rum`, `sls` or `sign` object or a `lane`, whatever it is called. The others
//! are named and left alone.

mod envoy;
mod nginx;

use super::document::json::SyntaxError;
use super::document::{Lines, Node, Text, json, yaml};
use super::environment::HostEnvironment;
use super::finding::Finding;
use super::nginx as conf;
use super::source::{Format, Source};
use sentry_edge_mirror::host::HostKind;

/// A plugin configuration and the place where it stands.
#[derive(Debug)]
pub(super) struct Plugin {
    pub(super) file: String,
    pub(super) line: usize,
    /// As the proxy's configuration calls it.
    pub(super) name: Option<String>,
    /// The proxy whose configuration holds it.
    pub(super) host: Option<HostKind>,
    /// What of the environment the proxy hands to it.
    pub(super) environment: HostEnvironment,
    pub(super) content: Content,
}

/// What the proxy would hand to the module.
#[derive(Debug)]
pub(super) enum Content {
    Json {
        text: String,
        node: Node,
    },
    /// Nothing that could be read: why not.
    Broken(SyntaxError),
}

impl Plugin {
    /// Something about a path in the configuration.
    pub(super) fn finding(&self, path: &str, message: &str) -> Finding {
        let line = match &self.content {
            Content::Json { node, .. } => node.locate(path),
            Content::Broken(_) => self.line,
        };
        let path = match path {
            "" => "configuration",
            path => path,
        };
        Finding::new(&self.file, line, format!("{path}: {message}"))
    }

    /// Whether the configuration looks like one of ours.
    fn has_our_shape(&self) -> bool {
        let Content::Json { node, .. } = &self.content else {
            return false;
        };
        let is_lane = node.get(&["lane"]).is_some();
        let mut sections = OUR_SECTIONS
            .iter()
            .filter_map(|section| node.get(&[section]));
        is_lane || sections.any(|section| !section.entries().is_empty())
    }
}

/// The sections that only our configurations have.
const OUR_SECTIONS: [&str; 3] = ["rum", "sls", "sign"];

/// Whether a plugin's name or a module's file name is ours.
fn is_our_name(name: &str) -> bool {
    name.replace('-', "_").contains("sentry_edge_mirror")
}

/// All that was found in a file and in those that it names.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) plugins: Vec<Plugin>,
    /// Files that are named and cannot be understood.
    pub(super) problems: Vec<Finding>,
    /// Other plugins, files that could not be read.
    pub(super) notes: Vec<Finding>,
}

/// Looks for plugin configurations.
///
/// # Errors
/// The file is neither JSON nor YAML nor an nginx configuration.
pub(super) fn find(source: &Source) -> Result<Found, Finding> {
    if source.format() == Format::Nginx {
        return Ok(nginx::find(conf::load(&source.name, source.bytes())?));
    }
    let documents =
        documents(source).map_err(|error| Finding::new(&source.name, error.line, error.message))?;
    Ok(match documents.as_slice() {
        [root] if !envoy::is_envoy(root) => Found {
            plugins: vec![own(source, root)],
            ..Found::default()
        },
        documents => envoy::find(&source.name, documents),
    })
}

/// The documents of a JSON or YAML file.
fn documents(source: &Source) -> Result<Vec<Node>, SyntaxError> {
    match source.format() {
        Format::Json => Ok(vec![json::parse(&source.text, Lines::From(1))?]),
        Format::Yaml | Format::Nginx => yaml::parse(&source.text),
    }
}

/// A file that is a plugin configuration.
fn own(source: &Source, root: &Node) -> Plugin {
    let text = match source.format() {
        Format::Json => source.text.clone(),
        Format::Yaml | Format::Nginx => to_json(root),
    };
    Plugin {
        file: source.name.clone(),
        line: root.line,
        name: None,
        host: None,
        environment: HostEnvironment::All,
        content: Content::Json {
            text,
            node: root.clone(),
        },
    }
}

/// JSON in a string of the document.
fn embedded(text: &Text) -> Content {
    match json::parse(&text.text, text.lines) {
        Ok(node) => Content::Json {
            text: text.text.clone(),
            node,
        },
        Err(error) => Content::Broken(SyntaxError {
            line: error.line,
            message: format!("configuration: {}", error.message),
        }),
    }
}

/// A node as JSON text. It cannot fail: there is no key but strings, no number that is not finite.
fn to_json(node: &Node) -> String {
    serde_json::to_string(node).unwrap_or_default()
}
