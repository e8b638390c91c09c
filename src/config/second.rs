//! Second Sentries: the section `sentry`, with one target for each name in it.
//!
//! A target's projects are DSNs. The DSN's key replaces that of the request, so it must be one that the second Sentry knows.
//! Keys are secrets of that Sentry: whatever is found in place of a DSN is never printed.

use super::node::Node;
use super::reader::{Field, Object, Reader};
use super::rum::rules::{self, Place};
use super::rum::{add, authority, exclude, project_id, upstream};
use super::{ENABLED, MAX_PENDING_BYTES, MAX_TIMEOUT_MS, Mode, integer, is_enabled, section};
use crate::copies::rules::Rules;
use crate::copies::settings::{Copies, Destination, Routes, SecondSentry};
use crate::host::HostKind;
use crate::metric::TargetName;
use crate::sentry::dsn::Dsn;
use crate::sentry::project::ProjectId;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Each has its own leg.
const MAX_TARGETS: usize = 4;
/// Half of what RUM and SLS have by default.
const PENDING_BYTES: u64 = 33_554_432;
const IN_FLIGHT: u64 = 64;
const MAX_CALLS: u64 = 65_535;
/// Anything longer is not a key.
const MAX_KEY_BYTES: usize = 64;

/// Reads the section; without it there are none.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: &mut Object<'_>,
    host: Option<HostKind>,
    mode: Option<Mode>,
) -> Option<Vec<SecondSentry>> {
    let is_foreign = mode.is_some_and(|mode| mode != Mode::Tee);
    let field = if is_foreign {
        root.take_foreign("sentry")
    } else {
        root.take("sentry")
    };
    let Some(field) = field else {
        return Some(Vec::new());
    };
    if is_foreign {
        let what = format!(
            "belongs to mode tee, the mode is {}, got {}",
            mode.map_or("another", Mode::name),
            field.node.kind()
        );
        reader.problem(&field.path, what);
        return None;
    }
    let mut object = reader.object_of_secrets(&field)?;
    let targets = object.take_all();
    if targets.len() > MAX_TARGETS {
        let what = format!(
            "expected at most {MAX_TARGETS} targets, got {}",
            targets.len()
        );
        reader.problem(&field.path, what);
        return None;
    }
    let mut sentries = Vec::new();
    let mut is_good = true;
    for (name, field) in targets {
        if !is_enabled(reader, &field) {
            continue;
        }
        let read = target(reader, &field, name, Place { host, mode });
        is_good &= read.is_some();
        sentries.extend(read);
    }
    is_good.then_some(sentries)
}

fn target(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    name: &str,
    place: Place,
) -> Option<SecondSentry> {
    let known = TargetName::new(name);
    if known.is_none() {
        let most = TargetName::MAX_BYTES;
        let what = format!(
            "expected a name of 1 to {most} lower-case letters, digits and `_`, got {name:?}"
        );
        reader.problem(&field.path, what);
    }
    let mut object = reader.object_of_secrets(field)?;
    object.take(ENABLED);
    let upstream = match object.take("upstream") {
        Some(field) => upstream(reader, &field, place.host),
        None => {
            let path = object.path_of("upstream");
            reader.problem(&path, "required: who is called, got nothing");
            None
        }
    };
    let host = object
        .take("authority")
        .map(|field| authority(reader, &field));
    let scheme = match object.take("scheme") {
        Some(field) => reader.choice(&field, &[("http", "http"), ("https", "https")]),
        None => Some("https"),
    };
    let rules = rules::read(reader, &mut object, Rules::default(), place);
    let scrub_keys = match object.take("scrub_keys") {
        Some(field) => super::sls::scrub_keys(reader, &field),
        None => Some(Vec::new()),
    };
    // If the default is bad, the configuration is refused anyway.
    let to = Fallback {
        upstream: upstream.clone().unwrap_or_default(),
        authority: host.clone().flatten(),
        rules,
        place,
    };
    let default = match object.take("default") {
        Some(field) => default(reader, &field, &to),
        None => Some(None),
    };
    let projects = match object.take("projects") {
        Some(field) => projects(reader, &field, &to),
        None => BTreeMap::new(),
    };
    if projects.is_empty() && matches!(default, Some(None)) {
        let path = object.path_of("projects");
        if !reader.has_problem_within(&path) {
            let what = "required: the DSN of each project that this Sentry gets copies of, or a `default`, got nothing";
            reader.problem(&path, what);
        }
    }
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
    let timeout_ms = integer(reader, &mut object, "timeout_ms", 5_000, MAX_TIMEOUT_MS);
    let limits = section(reader, &mut object, "limits", |reader, object| {
        let pending = integer(
            reader,
            object,
            "max_pending_bytes",
            PENDING_BYTES,
            MAX_PENDING_BYTES,
        );
        let in_flight = integer(reader, object, "max_in_flight", IN_FLIGHT, MAX_CALLS);
        Some((
            usize::try_from(pending?).ok()?,
            usize::try_from(in_flight?).ok()?,
        ))
    });
    reader.finish(object);
    if let Some(None) = host {
        return None;
    }
    let (max_pending_bytes, max_in_flight) = limits?;
    upstream?;
    Some(SecondSentry {
        name: known?,
        copies: Copies {
            routes: routes?,
            scheme: scheme?,
            timeout_ms: u32::try_from(timeout_ms?).ok()?,
            default: default?,
            projects,
            exclude,
            scrub_keys: scrub_keys?,
            targets: 1,
        },
        max_pending_bytes,
        max_in_flight,
    })
}

/// What a project inherits.
struct Fallback {
    upstream: String,
    authority: Option<String>,
    rules: Rules,
    place: Place,
}

impl Fallback {
    fn destination(&self, dsn: Dsn, rules: Rules) -> Rc<Destination> {
        let authority = self.authority.clone();
        Rc::new(Destination {
            upstream: self.upstream.clone(),
            share: 0,
            authority: authority.unwrap_or_else(|| dsn.authority()),
            path_prefix: String::new(),
            dsn: Some(Rc::new(dsn)),
            rules,
            is_ruled: true,
        })
    }
}

/// `none`, or the DSN of a project that receives all others.
fn default(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    to: &Fallback,
) -> Option<Option<Rc<Destination>>> {
    if matches!(field.node, Node::String(text) if text == "none") {
        return Some(None);
    }
    let dsn = dsn(reader, field)?;
    Some(Some(to.destination(dsn, to.rules.clone())))
}

fn projects(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    to: &Fallback,
) -> BTreeMap<ProjectId, Rc<Destination>> {
    let mut projects = BTreeMap::new();
    let Some(mut object) = reader.object_of_secrets(field) else {
        return projects;
    };
    for (key, field) in object.take_all() {
        let id = project_id(reader, &field.path, key);
        let destination = project(reader, &field, to);
        let (Some(id), Some(destination)) = (id, destination) else {
            continue;
        };
        add(reader, &field.path, &mut projects, id, destination);
    }
    projects
}

/// A DSN, or an object with a DSN and the project's own rules.
fn project(reader: &mut Reader<'_>, field: &Field<'_>, to: &Fallback) -> Option<Rc<Destination>> {
    if !matches!(field.node, Node::Object(_)) {
        let dsn = dsn(reader, field)?;
        return Some(to.destination(dsn, to.rules.clone()));
    }
    let mut object = reader.object_of_secrets(field)?;
    let own = match object.take("dsn") {
        Some(field) => dsn(reader, &field),
        None => {
            let path = object.path_of("dsn");
            reader.problem(
                &path,
                "required: the project's DSN at this Sentry, got nothing",
            );
            None
        }
    };
    let rules = rules::read(reader, &mut object, to.rules.clone(), to.place);
    reader.finish(object);
    Some(to.destination(own?, rules))
}

fn dsn(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Dsn> {
    let text = reader.secret(field)?;
    let lacks = match Dsn::parse(&text) {
        Some(dsn) => match lacks(&dsn) {
            None => return Some(dsn),
            Some(lacks) => lacks,
        },
        None if !text.contains('@') => "a key before the `@`",
        None => "a host, and a project id at the end of its path",
    };
    let what = format!(
        "expected a DSN, https://<key>@<host>/<project id>, with {lacks}, got {}",
        field.node.kind()
    );
    reader.problem(&field.path, what);
    None
}

/// What a readable DSN lacks that a usable one needs.
fn lacks(dsn: &Dsn) -> Option<&'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let named = |byte: u8| byte.is_ascii_graphic() && !b"%\\".contains(&byte);
    if !matches!(dsn.scheme(), "http" | "https") {
        return Some("the scheme http or https");
    }
    if dsn.public_key.len() > MAX_KEY_BYTES || !dsn.public_key.bytes().all(plain) {
        return Some("a key of letters, digits, `-` and `_`");
    }
    if !dsn.path().bytes().all(named) || dsn.has_query() {
        return Some("a plain path and nothing behind the project id");
    }
    None
}

#[cfg(test)]
mod tests;
