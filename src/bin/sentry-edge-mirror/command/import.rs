//! `import`: the nginx recipe becomes a plugin configuration.
//!
//! `forward` finds the locations that pass to RUM, `map` reads their map of projects, `probe` says which projects a pattern
//! covers, `placeholder` deals with what was never filled in; this file puts it together and lets the core judge the result.

mod forward;
mod map;
mod placeholder;
mod probe;

use super::Output;
use super::args::{Host, Import};
use super::document::{Lines, json};
use super::environment::{Environment, HostEnvironment};
use super::find::{Content, Plugin};
use super::finding::Finding;
use super::judge::judge;
use super::nginx::load;
use super::source::Source;
use super::status::{Failure, Status};
use forward::{Forward, forwards};
use map::{Destination, Projects};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The plugin configuration, keys in the order of envoy/README.md.
#[derive(Debug, PartialEq, Serialize)]
struct Configuration {
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'static str>,
    rum: Rum,
}

#[derive(Debug, PartialEq, Serialize)]
struct Rum {
    upstream: String,
    authority: String,
    /// In Envoy the cluster decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    projects: BTreeMap<u64, Destination>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<Destination>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    exclude: BTreeSet<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
}

/// The name of the cluster in the samples.
const CLUSTER: &str = "rum";

pub(super) fn run(args: &Import, output: &mut Output) -> Result<Status, Failure> {
    let source = Source::read(&args.file).map_err(|error| Failure::read(&args.file, &error))?;
    let mut notes = Vec::new();
    let result = import(&source, args.host, &mut notes);
    // In the order of the file; several locations share a map.
    for note in notes.into_iter().collect::<BTreeSet<_>>() {
        let _ = writeln!(output.remarks, "{note}");
    }
    match result {
        Ok(configuration) => {
            output.out.push_str(&configuration);
            Ok(Status::Good)
        }
        Err(problems) => {
            for problem in problems {
                let _ = writeln!(output.remarks, "{problem}");
            }
            Ok(Status::Problems)
        }
    }
}

pub(super) fn import(
    source: &Source,
    host: Host,
    notes: &mut Vec<Finding>,
) -> Result<String, Vec<Finding>> {
    let mut loaded = load(&source.name, &source.text).map_err(|problem| vec![problem])?;
    notes.append(&mut loaded.notes);
    let mut configurations = Vec::new();
    for forward in forwards(&loaded.directives, notes) {
        let configuration = configuration(&forward, host, notes);
        configurations.push((forward, configuration));
    }
    let mut configurations = configurations.into_iter();
    let Some((_, configuration)) = configurations.next() else {
        let message = "expected a location that passes to RUM, as in `proxy_pass \
                       http://rum_forwarder$forwarder_path$request_uri;` with `map $request_uri $forwarder_path {...}` \
                       whose values begin with /rum/sentry/, got none";
        return Err(vec![Finding::new(&source.name, 1, message)]);
    };
    for (other, different) in configurations {
        if different != configuration {
            let message = "not carried over: this location forwards in another way than the first one; a second filter \
                           with its own configuration would be needed";
            notes.push(other.location.finding(message));
        }
    }
    let mut text = serde_json::to_string_pretty(&configuration).unwrap_or_default();
    text.push('\n');
    let problems = problems(source, &text);
    if problems.is_empty() {
        Ok(text)
    } else {
        Err(problems)
    }
}

fn configuration(forward: &Forward<'_>, host: Host, notes: &mut Vec<Finding>) -> Configuration {
    let Projects {
        projects,
        default,
        exclude,
    } = map::read(&forward.prefix, notes);
    let upstream = match host {
        Host::Envoy => {
            let message = format!(
                "rum.upstream is the cluster {CLUSTER:?} of the samples in envoy/: its address is to be {}, {}",
                forward.server,
                match forward.scheme {
                    "https" => "with TLS",
                    _ => "without TLS",
                }
            );
            notes.push(forward.proxy_pass.finding(message));
            CLUSTER.to_owned()
        }
        Host::Nginx => forward.server.clone(),
    };
    Configuration {
        host: (host == Host::Nginx).then_some("nginx"),
        rum: Rum {
            upstream,
            authority: forward.authority.clone(),
            scheme: (host == Host::Nginx).then_some(forward.scheme),
            projects,
            default,
            exclude,
            timeout_ms: forward.timeout_ms,
        },
    }
}

/// What the core says of the result: a workspace may have been written that no path can hold, say.
fn problems(source: &Source, text: &str) -> Vec<Finding> {
    let content = match json::parse(text, Lines::At(1)) {
        Ok(node) => Content::Json {
            text: text.to_owned(),
            node,
        },
        Err(error) => Content::Broken(error),
    };
    let plugin = Plugin {
        file: source.name.clone(),
        line: 1,
        name: None,
        host: None,
        environment: HostEnvironment::All,
        content,
    };
    judge(&plugin, &Environment::default(), true).problems
}
