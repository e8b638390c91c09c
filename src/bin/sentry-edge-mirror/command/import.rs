//! `import`: the nginx recipe becomes a plugin configuration that mirrors what the recipe mirrored, and nothing else.
//!
//! Envelope requests are followed through the configuration as nginx would (`follow`, with `locations`, `rewrites`,
//! `variables` and `maps`), for each project that it may treat unlike the others (`candidates`, by `coverage`) and for some
//! that stand for all others. `decide` sums up a project and `projects` a server, `forward` reads what is said of the target,
//! `placeholder` deals with what was never filled in. This file puts it together and lets the core judge the result.

mod candidates;
mod coverage;
mod decide;
mod destination;
mod follow;
mod forward;
mod locations;
mod maps;
mod passed;
mod pattern;
mod placeholder;
mod projects;
mod remarks;
mod rewrites;
mod servers;
mod variables;

use super::Output;
use super::args::{Host, Import};
use super::document::{Lines, json};
use super::environment::Environment;
use super::find::{Content, Plugin};
use super::finding::Finding;
use super::judge::judge;
use super::nginx::load;
use super::source::Source;
use super::status::{Failure, Status};
use candidates::Candidates;
use destination::{Configuration, Destination, Rum};
use follow::Server;
use forward::{Target, target};
use projects::Projects;
use servers::Site;
use std::collections::{BTreeMap, BTreeSet};
use variables::World;

/// As many as `hosts` takes.
const MAX_HOSTS: usize = 100;
/// The name of the cluster in the samples.
const CLUSTER: &str = "rum";

pub(super) fn run(args: &Import, output: &mut Output) -> Result<Status, Failure> {
    let source = Source::read(&args.file).map_err(|error| Failure::read(&args.file, &error))?;
    let mut notes = Vec::new();
    let result = import(&source, args.host, &args.server, &mut notes);
    // In the order of the file; several locations share a map.
    for note in notes.into_iter().collect::<BTreeSet<_>>() {
        let _ = writeln!(output.remarks, "{note}");
    }
    match result {
        Ok(configuration) => {
            output.out.push_raw(&configuration);
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

/// `servers` are those that are meant, all if none is named.
pub(super) fn import(
    source: &Source,
    host: Host,
    servers: &[String],
    notes: &mut Vec<Finding>,
) -> Result<String, Vec<Finding>> {
    let mut loaded = load(&source.name, source.bytes()).map_err(|problem| vec![problem])?;
    notes.append(&mut loaded.notes);
    let site = Site::new(&loaded.directives);
    let (meant, others): (Vec<&Server<'_>>, Vec<&Server<'_>>) =
        site.servers.iter().partition(|server| {
            servers.is_empty() || servers.iter().any(|name| server.is_called(name))
        });
    for name in servers {
        if !meant.iter().any(|server| server.is_called(name)) {
            let message = format!(
                "expected a server with the name or the port that --server gives, got none with {name:?}"
            );
            return Err(vec![Finding::new(&source.name, 1, message)]);
        }
    }
    let world = World::new(&site.directives);
    let candidates = Candidates::new(&site.directives);
    let mut remarks = BTreeSet::new();
    let mut found = Vec::new();
    for server in meant {
        let projects = projects::read(server, &world, &candidates, &mut remarks);
        found.push((server, projects));
    }
    let configuration = together(source, &site, &found, host, notes)?;
    for server in others {
        let ignored = projects::read(server, &world, &candidates, &mut BTreeSet::new());
        if !ignored.silent || !ignored.is_empty() {
            let message = format!(
                "--server leaves out {}: let none of its requests reach the module",
                server.title()
            );
            notes.push(server.head.finding(message));
        }
    }
    remarks::add(&site, &world, &candidates, &found, &mut remarks);
    notes.extend(remarks);
    let mut text = serde_json::to_string_pretty(&configuration).unwrap_or_default();
    text.push('\n');
    let problems = problems(source, &text);
    if problems.is_empty() {
        Ok(text)
    } else {
        Err(problems)
    }
}

/// One configuration for all servers that are meant: they must agree.
fn together<'d>(
    source: &Source,
    site: &Site<'d>,
    found: &[(&Server<'d>, Projects<'d>)],
    host: Host,
    notes: &mut Vec<Finding>,
) -> Result<Configuration, Vec<Finding>> {
    let mirrors = |projects: &Projects<'_>| !projects.is_empty();
    let any = found.iter().any(|(_, projects)| mirrors(projects));
    // What is unclear about a server that mirrors nothing does not matter: it is not one that is meant.
    let asked = found
        .iter()
        .filter(|(_, projects)| mirrors(projects) || !any);
    let mut problems: BTreeSet<Finding> = asked
        .flat_map(|(_, projects)| projects.problems.iter().cloned())
        .collect();
    if !problems.is_empty() {
        return Err(problems.into_iter().collect());
    }
    let mut first: Option<(&Server<'_>, Configuration)> = None;
    for (server, projects) in found.iter().filter(|(_, projects)| !projects.is_empty()) {
        let configuration = configuration(site, projects, host, notes)?;
        match &first {
            None => first = Some((server, configuration)),
            Some((_, other)) if *other == configuration => {}
            Some((other, _)) => {
                problems.insert(server.head.finding(format!(
                    "expected a server that mirrors as {} does, got another way for {}: name one of them (--server), and keep \
                     the requests of the other from the module",
                    other.title(),
                    server.title()
                )));
            }
        }
    }
    let Some((first, mut configuration)) = first else {
        let message = "expected a location whose `mirror` leads to RUM, as in `proxy_pass \
                       http://rum_forwarder$forwarder_path$request_uri;` with `map $request_uri $forwarder_path {...}` \
                       whose values begin with /rum/sentry/, got none";
        return Err(vec![Finding::new(&source.name, 1, message)]);
    };
    let silent = |projects: &Projects<'_>| !projects.is_empty() || projects.silent;
    for (server, _) in found.iter().filter(|(_, projects)| !silent(projects)) {
        problems.insert(server.head.finding(format!(
            "expected a server that mirrors, got {}, whose envelopes go on without a copy: name the one that is meant \
             (--server, such as {}), and keep the requests of this one from the module",
            server.title(),
            first.title().split(' ').next().unwrap_or_default(),
        )));
    }
    configuration.hosts = hosts(found);
    if problems.is_empty() {
        Ok(configuration)
    } else {
        Err(problems.into_iter().collect())
    }
}

/// The hosts of the servers that mirror. None when one of them is for every host.
fn hosts(found: &[(&Server<'_>, Projects<'_>)]) -> BTreeSet<String> {
    let mirrors = found.iter().filter(|(_, projects)| !projects.is_empty());
    let hosts: Option<Vec<_>> = mirrors.map(|(server, _)| server.hosts()).collect();
    let hosts: BTreeSet<String> = hosts.unwrap_or_default().into_iter().flatten().collect();
    if hosts.len() > MAX_HOSTS {
        BTreeSet::new()
    } else {
        hosts
    }
}

fn configuration(
    site: &Site<'_>,
    found: &Projects<'_>,
    host: Host,
    notes: &mut Vec<Finding>,
) -> Result<Configuration, Vec<Finding>> {
    let mut targets: Vec<Target> = Vec::new();
    let mut numbers = Vec::new();
    for copy in found.copies() {
        let target = target(copy, &site.directives, notes).map_err(|problem| vec![problem])?;
        let number = targets
            .iter()
            .position(|other| *other == target)
            .unwrap_or_else(|| {
                if host == Host::Envoy {
                    let tls = if target.scheme == "https" {
                        "with TLS"
                    } else {
                        "without TLS"
                    };
                    let name = cluster(targets.len());
                    let whose = if targets.is_empty() {
                        format!("rum.upstream is the cluster {name:?} of the samples in envoy/")
                    } else {
                        format!("a further cluster {name:?} is needed")
                    };
                    notes.push(copy.pass.finding(format!(
                        "{whose}: its address is to be {}, {tls}",
                        target.server
                    )));
                }
                targets.push(target);
                targets.len().saturating_sub(1)
            });
        numbers.push(number);
    }
    let Some(main) = targets.first().cloned() else {
        return Err(Vec::new());
    };
    if let Some(other) = targets
        .iter()
        .find(|target| target.scheme != main.scheme && host == Host::Nginx)
    {
        let message = format!(
            "expected one scheme for all, got {} for {} and {} for {}",
            main.scheme, main.server, other.scheme, other.server
        );
        return Err(found
            .copies()
            .next()
            .map(|copy| copy.pass.finding(message))
            .into_iter()
            .collect());
    }
    let upstream = |number: usize, target: &Target| match host {
        Host::Envoy => cluster(number),
        Host::Nginx => target.server.clone(),
    };
    let mut destinations = found.copies().zip(numbers).map(|(copy, number)| {
        let mut destination = Destination::new(copy, notes);
        if let Some(target) = targets.get(number).filter(|_| number > 0) {
            destination.upstream =
                Some(upstream(number, target)).filter(|own| *own != upstream(0, &main));
            destination.authority =
                Some(target.authority.clone()).filter(|own| *own != main.authority);
        }
        destination
    });
    let default = found.default.as_ref().and_then(|_| destinations.next());
    let projects: BTreeMap<u64, Destination> =
        found.projects.keys().copied().zip(destinations).collect();
    Ok(Configuration {
        host: (host == Host::Nginx).then_some("nginx"),
        hosts: BTreeSet::new(),
        rum: Rum {
            upstream: upstream(0, &main),
            authority: main.authority.clone(),
            scheme: (host == Host::Nginx).then_some(main.scheme),
            projects,
            default,
            exclude: found.exclude.clone(),
            timeout_ms: targets.iter().filter_map(|target| target.timeout_ms).max(),
        },
    })
}

fn cluster(number: usize) -> String {
    match number {
        0 => CLUSTER.to_owned(),
        number => format!("{CLUSTER}_{}", number.saturating_add(1)),
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
    let plugin = Plugin::new(&source.name, 1, None, None, content);
    judge(&plugin, &Environment::default(), true).problems
}
