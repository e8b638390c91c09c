//! The RUM leg of the configuration: which project goes where.
//!
//! A workspace and a service id become part of a path, an authority becomes a Host header. All three are checked here, once,
//! so that no later code has to.

mod listed;
pub(super) mod rules;

pub(super) use rules::warnings;

use super::node::Node;
use super::reader::{Field, Object, Reader};
use super::{ENABLED, MAX_TIMEOUT_MS, Mode, rewrite};
use crate::copies::rules::Rules;
use crate::copies::settings::{Copies, Destination, Routes};
use crate::host::HostKind;
use crate::sentry::project::ProjectId;
use rules::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use url::Url;

/// What a project inherits.
struct Fallback {
    upstream: Option<String>,
    authority: Option<String>,
    /// Whether the requests themselves are forwarded.
    forwards: bool,
    /// The workspace of `rum.default`.
    workspace: Option<String>,
    rules: Rules,
    place: Place,
}

/// The targets so far (upstream and authority), and the number of each.
#[derive(Default)]
struct Targets(BTreeMap<(String, String), usize>);

impl Targets {
    fn destination(
        &mut self,
        upstream: String,
        authority: String,
        workspace: &str,
        service_id: &str,
        rules: Rules,
    ) -> Destination {
        let next = self.0.len();
        let target = (upstream.clone(), authority.clone());
        Destination {
            share: *self.0.entry(target).or_insert(next),
            upstream,
            authority,
            path_prefix: format!("/rum/sentry/{workspace}/{service_id}"),
            dsn: None,
            is_ruled: rules.decide(),
            rules,
        }
    }
}

pub(super) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
    mode: Option<Mode>,
) -> Option<Copies> {
    let mut object = reader.object(field)?;
    object.take(ENABLED);
    let forwards = rewrite::forwards(mode);
    let mut fallback = Fallback {
        upstream: match object.take("upstream") {
            Some(field) => given_upstream(reader, &field, host, forwards),
            // For a mode that could not be read, one problem is enough.
            None => (forwards || mode.is_none()).then(String::new),
        },
        authority: object
            .take("authority")
            .and_then(|field| authority(reader, &field)),
        forwards,
        workspace: None,
        rules: Rules::default(),
        place: Place { host, mode },
    };
    let scheme = match object.take("scheme") {
        Some(field) => reader.choice(&field, &[("http", "http"), ("https", "https")]),
        None => Some("https"),
    };
    fallback.rules = rules::read(reader, &mut object, Rules::default(), fallback.place);
    let scrub_keys = match object.take("scrub_keys") {
        Some(field) => super::sls::scrub_keys(reader, &field),
        None => Some(Vec::new()),
    };
    let mut targets = Targets::default();
    let default = object
        .take("default")
        .map(|field| destination(reader, &field, &fallback, &mut targets, host, false));
    fallback.workspace = default.as_ref().map(|default| {
        // If the default is bad, the configuration is refused anyway.
        let workspace = default.as_ref().map_or("-", |default| default.workspace());
        workspace.to_owned()
    });
    let projects = match object.take("projects") {
        Some(field) => projects(reader, &field, &fallback, &mut targets, host),
        None => BTreeMap::new(),
    };
    let exclude = match object.take("exclude") {
        Some(field) => exclude(reader, &field, &projects),
        None => BTreeSet::new(),
    };
    let routes = match object.take("routes") {
        Some(field) => reader.choice(
            &field,
            &[("envelope", Routes::Envelope), ("all", Routes::All)],
        ),
        None => Some(Routes::Envelope),
    };
    let timeout_ms = match object.take("timeout_ms") {
        Some(field) => reader.integer(&field, 1..=MAX_TIMEOUT_MS),
        None => Some(5_000),
    };
    reader.finish(object);
    Some(Copies {
        routes: routes?,
        scheme: scheme?,
        timeout_ms: u32::try_from(timeout_ms?).ok()?,
        default: match default {
            Some(default) => Some(default?),
            None => None,
        },
        projects,
        exclude,
        scrub_keys: scrub_keys?,
        targets: targets.0.len().max(1),
    })
}

fn projects(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    fallback: &Fallback,
    targets: &mut Targets,
    host: Option<HostKind>,
) -> BTreeMap<ProjectId, Rc<Destination>> {
    if let Node::String(_) = field.node {
        return listed::read(reader, field, fallback, targets);
    }
    let mut projects = BTreeMap::new();
    let Some(mut object) = reader.object(field) else {
        return projects;
    };
    for (key, field) in object.take_all() {
        let id = project_id(reader, &field.path, key);
        let Some(destination) = destination(reader, &field, fallback, targets, host, true) else {
            continue;
        };
        let Some(id) = id else { continue };
        add(reader, &field.path, &mut projects, id, destination);
    }
    projects
}

pub(super) fn add(
    reader: &mut Reader<'_>,
    path: &str,
    projects: &mut BTreeMap<ProjectId, Rc<Destination>>,
    id: ProjectId,
    destination: Rc<Destination>,
) {
    if projects.insert(id, destination).is_some() {
        let message = format!("project {id} is listed twice (leading zeros do not count)");
        reader.problem(path, message);
    }
}

pub(super) fn exclude(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    projects: &BTreeMap<ProjectId, Rc<Destination>>,
) -> BTreeSet<ProjectId> {
    let mut exclude = BTreeSet::new();
    for field in reader.list(field).unwrap_or_default() {
        // Both spellings are natural: [42] and ["42"].
        let text = match field.node {
            // A larger number has already changed by the time it arrives here.
            Node::Number(_) => match reader.integer(&field, 1..=(1 << 53)) {
                Some(number) => Some(number.to_string()),
                None => continue,
            },
            _ => reader.string(&field),
        };
        let Some(id) = text.and_then(|text| project_id(reader, &field.path, &text)) else {
            continue;
        };
        if projects.contains_key(&id) {
            let section = field.path.split(".exclude").next().unwrap_or_default();
            let message =
                format!("project {id} is excluded and listed in {section}.projects: remove one");
            reader.problem(&field.path, message);
        }
        exclude.insert(id);
    }
    exclude
}

pub(super) fn project_id(reader: &mut Reader<'_>, path: &str, text: &str) -> Option<ProjectId> {
    let id = ProjectId::parse(text.as_bytes());
    if id.is_none() {
        let message = format!(
            "expected a project id (1 to 20 digits, not 0, at most {}), got {text:?}",
            u64::MAX
        );
        reader.problem(path, message);
    }
    id
}

fn destination(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    fallback: &Fallback,
    targets: &mut Targets,
    host: Option<HostKind>,
    overrides: bool,
) -> Option<Rc<Destination>> {
    let mut object = reader.object(field)?;
    let workspace = segment(reader, &mut object, "workspace");
    let service_id = segment(reader, &mut object, "service_id");
    let (mut own_upstream, mut own_authority) = (None, None);
    if overrides {
        own_upstream = object.take("upstream");
        own_authority = object.take("authority");
    }
    let rules = if overrides {
        rules::read(reader, &mut object, fallback.rules.clone(), fallback.place)
    } else {
        fallback.rules.clone()
    };
    let upstream = match own_upstream {
        Some(field) => given_upstream(reader, &field, host, fallback.forwards),
        None => inherit(reader, "rum.upstream", &fallback.upstream, &field.path),
    };
    let authority = match own_authority {
        Some(field) => {
            rewrite::check_authority(reader, &field, host, fallback.forwards);
            authority(reader, &field)
        }
        None => inherit(reader, "rum.authority", &fallback.authority, &field.path),
    };
    reader.finish(object);
    let destination = targets.destination(upstream?, authority?, &workspace?, &service_id?, rules);
    Some(Rc::new(destination))
}

fn inherit(
    reader: &mut Reader<'_>,
    key: &str,
    value: &Option<String>,
    needed_by: &str,
) -> Option<String> {
    if value.is_none() && !reader.has_problem_at(key) {
        reader.problem(key, format!("required by {needed_by}, got nothing"));
    }
    value.clone()
}

const SEGMENT: &str = "letters, digits, `.`, `_`, `@`, `-` (not `.` or `..`)";

/// One segment of a path. The vendor's names use this alphabet; `/`, `%` and `?` would change the path.
fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
}

fn segment(reader: &mut Reader<'_>, object: &mut Object<'_>, key: &'static str) -> Option<String> {
    let Some(field) = object.take(key) else {
        let path = format!("{}.{key}", object.path);
        reader.problem(&path, format!("required: {SEGMENT}, got nothing"));
        return None;
    };
    let text = reader.string(&field)?;
    if !is_segment(&text) {
        reader.expected(&field, SEGMENT);
        return None;
    }
    Some(text)
}

fn given_upstream(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
    forwards: bool,
) -> Option<String> {
    if forwards {
        rewrite::no_upstream(reader, field);
        return None;
    }
    upstream(reader, field, host)
}

/// Where calls go, in the host's notation.
pub(super) fn upstream(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
) -> Option<String> {
    let text = reader.string(field)?;
    let (valid, what) = match host {
        // manual: hosts, "Calls leak memory": on nginx a dispatch to a bad target leaks a connection slot each time.
        Some(HostKind::Nginx) => (is_host_and_port(&text), "`host:port`"),
        _ => (
            // A URL was probably meant for another key, and may contain a DSN's key.
            !text.is_empty()
                && !text.contains("://")
                && !text.contains(|c: char| c.is_whitespace() || c.is_control()),
            "the name of a cluster",
        ),
    };
    if !valid {
        reader.expected(field, what);
        return None;
    }
    Some(text)
}

pub(super) fn authority(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    let text = reader.string(field)?;
    if !is_authority(&text) {
        reader.expected(field, "a host name, with or without a port");
        return None;
    }
    Some(text)
}

/// A host with an optional port and nothing else: `Url` refuses or exposes everything that does not belong there.
fn is_authority(text: &str) -> bool {
    let ascii = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    ascii
        && Url::parse(&format!("http://{text}/"))
            .is_ok_and(|url| url.host().is_some() && url.username().is_empty() && url.path() == "/")
        && !text.ends_with(':')
}

fn is_host_and_port(text: &str) -> bool {
    is_authority(text)
        && text
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse::<u16>().ok())
            .is_some_and(|port| port > 0)
}
