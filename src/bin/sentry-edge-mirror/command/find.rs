//! The plugin configurations in a file: the file itself, or every one in an Envoy or nginx configuration.
//!
//! What is ours, among the wasm plugins of a proxy: a plugin whose name, root id or module file says `sentry_edge_mirror`
//! (`-` counts as `_`), and one whose configuration has a `rum`, `sls` or `sign` object or a `lane`, whatever it is called. The others
//! are named and left alone.

mod envoy;
mod kubernetes;
mod nginx;

use super::document::json::SyntaxError;
use super::document::places::Places;
use super::document::{Lines, Node, Text, json, yaml};
use super::environment::HostEnvironment;
use super::finding::Finding;
use super::nginx as conf;
use super::source::{Format, Source};
use envoy::routes::Disabled;
use sentry_edge_mirror::host::HostKind;
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::rc::Rc;

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
    /// What is wrong with what stands around the configuration.
    pub(super) around: Vec<Finding>,
    /// Whether the module may hold a request.
    pub(super) stops: Stops,
    /// The clusters that there are, if the file tells.
    pub(super) clusters: Option<Rc<BTreeSet<String>>>,
    /// Whether the proxy puts the peer into `X-Forwarded-For` before the module sees it, if the file tells.
    pub(super) appends_peer: Option<bool>,
    /// Of a filter that some routes may turn on, if the file tells.
    pub(super) disabled: Option<Disabled>,
    /// Made when something is to be said.
    places: OnceCell<Places>,
}

/// `allow_on_headers_stop_iteration`: without it Envoy keeps the body of a request that a module holds, and the request hangs.
#[derive(Clone, Debug)]
pub(super) enum Stops {
    /// Not known, or no question for this proxy.
    Unknown,
    Allowed,
    Missing {
        line: usize,
        /// What was expected.
        what: &'static str,
    },
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
    /// A plugin of which no more is known.
    pub(super) fn new(
        file: &str,
        line: usize,
        name: Option<String>,
        host: Option<HostKind>,
        content: Content,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line,
            name,
            host,
            environment: HostEnvironment::All,
            content,
            around: Vec::new(),
            stops: Stops::Unknown,
            clusters: None,
            appends_peer: None,
            disabled: None,
            places: OnceCell::new(),
        }
    }

    fn is_not_ours(&self) -> Finding {
        let name = self.name.as_deref().unwrap_or_default();
        let note = format!("plugin {name:?} is not sentry-edge-mirror, it was not looked at");
        Finding::new(&self.file, self.line, note)
    }

    /// Something about a path in the configuration.
    pub(super) fn finding(&self, path: &str, message: &str) -> Finding {
        let line = match &self.content {
            Content::Json { node, .. } => self.places.get_or_init(|| Places::new(node)).line(path),
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
const OUR_SECTIONS: [&str; 4] = ["rum", "sls", "sentry", "sign"];

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

impl Found {
    fn append(&mut self, mut other: Self) {
        self.plugins.append(&mut other.plugins);
        self.problems.append(&mut other.problems);
        self.notes.append(&mut other.notes);
    }

    /// What was found in a text that stands in `file` at `lines`.
    fn move_to(&mut self, name: &str, file: &str, lines: Lines) {
        let mut move_finding = |finding: &mut Finding| {
            // Not what a file beside it says.
            if finding.file == name {
                file.clone_into(&mut finding.file);
                finding.line = lines.line(finding.line);
            }
        };
        self.problems.iter_mut().for_each(&mut move_finding);
        self.notes.iter_mut().for_each(&mut move_finding);
        for plugin in &mut self.plugins {
            plugin.around.iter_mut().for_each(&mut move_finding);
            if let Some(disabled) = plugin
                .disabled
                .as_mut()
                .filter(|disabled| disabled.file == name)
            {
                file.clone_into(&mut disabled.file);
                disabled.line = lines.line(disabled.line);
            }
            if plugin.file != name {
                continue;
            }
            file.clone_into(&mut plugin.file);
            plugin.line = lines.line(plugin.line);
            if let Stops::Missing { line, .. } = &mut plugin.stops {
                *line = lines.line(*line);
            }
            match &mut plugin.content {
                Content::Json { node, .. } => node.move_to(lines),
                Content::Broken(error) => error.line = lines.line(error.line),
            }
        }
    }
}

/// Looks for plugin configurations in a file that a user names, which may be one itself.
///
/// # Errors
/// The file is neither JSON nor YAML nor an nginx configuration.
pub(super) fn find(source: &Source) -> Result<Found, Finding> {
    if source.format() == Format::Nginx {
        return find_all(source);
    }
    let mut notes = Vec::new();
    let documents = documents(source, &mut notes)
        .map_err(|error| Finding::new(&source.name, error.line, error.message))?;
    match documents.as_slice() {
        [root] if !envoy::is_envoy(root) => Ok(Found {
            plugins: vec![own(source, root)],
            notes,
            ..Found::default()
        }),
        _ => Ok(find_in(source, &documents, notes)),
    }
}

/// Looks for plugin configurations in a file of a proxy.
fn find_all(source: &Source) -> Result<Found, Finding> {
    if source.format() == Format::Nginx {
        return Ok(nginx::find(conf::load(&source.name, source.bytes())?));
    }
    let mut notes = Vec::new();
    let documents = documents(source, &mut notes)
        .map_err(|error| Finding::new(&source.name, error.line, error.message))?;
    Ok(find_in(source, &documents, notes))
}

fn find_in(source: &Source, documents: &[Node], notes: Vec<Finding>) -> Found {
    let mut found = Found {
        notes,
        ..Found::default()
    };
    for document in documents {
        if kubernetes::is_resource(document) {
            kubernetes::find(&source.name, document, &mut found);
        } else {
            let has_others = envoy::has_other_clusters(&source.text);
            envoy::find(&source.name, document, has_others, &mut found);
        }
    }
    found
}

/// The documents of a JSON or YAML file, as who takes it reads them: Kubernetes all, Envoy the first one, and of a key that
/// is repeated the last.
fn documents(source: &Source, notes: &mut Vec<Finding>) -> Result<Vec<Node>, SyntaxError> {
    if source.format() == Format::Json {
        return Ok(vec![json::parse(&source.text, Lines::From(1))?]);
    }
    let mut stream = yaml::read(&source.text);
    let mut documents = stream.documents.iter();
    let is_envoy =
        stream.documents.iter().any(envoy::is_envoy) && !documents.any(kubernetes::is_resource);
    if !is_envoy {
        return match stream.error {
            Some(error) => Err(error),
            None => Ok(stream.documents),
        };
    }
    let second = stream.documents.get(1).map(|second| second.line);
    if let Some(line) = second.or(stream.error.map(|error| error.line)) {
        let note = "Envoy reads the first document of a file, what begins here was not looked at";
        notes.push(Finding::new(&source.name, line, note));
    }
    stream.documents.truncate(1);
    for document in &mut stream.documents {
        document.keep_last(&mut |key, line| {
            let note =
                format!("{key}: the key stands here again below, and Envoy takes the last one");
            notes.push(Finding::new(&source.name, line, note));
        });
    }
    Ok(stream.documents)
}

/// A file that is a plugin configuration.
fn own(source: &Source, root: &Node) -> Plugin {
    let text = match source.format() {
        Format::Json => source.text.clone(),
        Format::Yaml | Format::Nginx => to_json(root),
    };
    let content = Content::Json {
        text,
        node: root.clone(),
    };
    Plugin::new(&source.name, root.line, None, None, content)
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
