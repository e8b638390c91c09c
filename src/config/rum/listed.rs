//! `rum.projects` as one line, so that it fits in an environment variable: `1=web@aaaa,2=shop/api@bbbb`.
//!
//! `<project>=<service_id>` in the workspace of `rum.default`, or `<project>=<workspace>/<service_id>`; separated by commas.
//! An empty line lists nothing. Problems refer to an entry by its number: the value of a variable is never printed.

use super::{Destination, Fallback, SEGMENT, Targets, add, inherit, is_segment};
use crate::config::reader::{Field, Reader};
use crate::sentry::project::ProjectId;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    fallback: &Fallback,
    targets: &mut Targets,
) -> BTreeMap<ProjectId, Rc<Destination>> {
    let mut projects = BTreeMap::new();
    let Some(text) = reader.string(field) else {
        return projects;
    };
    if text.trim().is_empty() {
        return projects;
    }
    let upstream = inherit(reader, "rum.upstream", &fallback.upstream, &field.path);
    let authority = inherit(reader, "rum.authority", &fallback.authority, &field.path);
    let (Some(upstream), Some(authority)) = (upstream, authority) else {
        return projects;
    };
    for (index, entry) in text.split(',').enumerate() {
        match parse(entry, fallback.workspace.as_deref()) {
            Ok((id, workspace, service_id)) => {
                let (upstream, authority) = (upstream.clone(), authority.clone());
                let rules = fallback.rules.clone();
                let destination =
                    targets.destination(upstream, authority, workspace, service_id, rules);
                add(reader, &field.path, &mut projects, id, Rc::new(destination));
            }
            Err(what) => {
                let number = index.saturating_add(1);
                reader.expected(field, &format!("{what} in entry {number}"));
            }
        }
    }
    projects
}

type Entry<'a> = (ProjectId, &'a str, &'a str);

fn parse<'a>(entry: &'a str, default_workspace: Option<&'a str>) -> Result<Entry<'a>, String> {
    let Some((id, target)) = entry.split_once('=') else {
        return Err("`<project>=<service_id>`".to_owned());
    };
    let id = ProjectId::parse(id.trim().as_bytes())
        .ok_or("a project id (1 to 20 digits, not 0) before the `=`")?;
    let target = target.trim();
    let (workspace, service_id) = match (target.split_once('/'), default_workspace) {
        (Some(both), _) => both,
        (None, Some(workspace)) => (workspace, target),
        (None, None) => {
            return Err("`<workspace>/<service_id>` (rum.default names no workspace)".to_owned());
        }
    };
    if !is_segment(workspace) || !is_segment(service_id) {
        return Err(format!("a service id of {SEGMENT}"));
    }
    Ok((id, workspace, service_id))
}
