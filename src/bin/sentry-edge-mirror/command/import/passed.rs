//! What a mirror subrequest is passed to: a place at RUM, or something else.

use super::super::nginx::Directive;
use super::locations::{Place, place};
use super::variables::{Address, Unknown, Variables};

/// A `mirror` location that passes to RUM, for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy<'d> {
    /// The blocks around the `proxy_pass`, the innermost last.
    pub(super) scope: Vec<&'d Directive>,
    pub(super) pass: &'d Directive,
    pub(super) mirror: &'d Directive,
    pub(super) scheme: &'static str,
    /// Of an upstream, or a host with an optional port.
    pub(super) name: String,
    pub(super) workspace: String,
    pub(super) service_id: String,
    /// What gave the prefix: an entry of a map, or the `proxy_pass`.
    pub(super) entry: &'d Directive,
}

impl Copy<'_> {
    /// Whether they go to the same place, whatever rule says so.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        let key = |copy: &Self| {
            (
                copy.name.clone(),
                copy.workspace.clone(),
                copy.service_id.clone(),
            )
        };
        key(self) == key(other)
    }
}

/// What became of a mirror subrequest.
pub(super) enum Sub<'d> {
    Rum(Box<Copy<'d>>),
    /// Not to RUM, or to no place there.
    Elsewhere(&'d Directive, String),
    Unclear(&'d Directive, String),
}

/// What a location passes a request of ours to.
pub(super) fn passed<'d>(
    scope: &[&'d Directive],
    variables: &mut Variables<'_, 'd>,
    at: &Address,
    mirror: &'d Directive,
) -> Sub<'d> {
    let mut blocks = scope.iter().rev();
    let own = blocks.next().into_iter().chain(
        blocks
            .next()
            .filter(|_| scope.last().is_some_and(|last| last.is("if"))),
    );
    let mut passes =
        own.filter_map(|block| block.inner().iter().find(|inner| inner.is("proxy_pass")));
    let Some(pass) = passes.next() else {
        return Sub::Elsewhere(mirror, "its mirror is not passed on".to_owned());
    };
    let written = pass.arg(0).unwrap_or_default();
    variables.entry = None;
    let url = match variables.expand(written, at) {
        Ok(url) => url,
        Err(Unknown(why)) => {
            return Sub::Unclear(pass, format!("where the copy goes depends on {why}"));
        }
    };
    let (scheme, rest) = match url.split_once("://") {
        Some(("http", rest)) => ("http", rest),
        Some(("https", rest)) => ("https", rest),
        _ => return Sub::Elsewhere(pass, "its mirror goes elsewhere".to_owned()),
    };
    let (name, path) = rest
        .split_at_checked(rest.find('/').unwrap_or(rest.len()))
        .unwrap_or((rest, ""));
    let path = match (path, written.contains('$')) {
        // A `?` in it is a part of the path, and is escaped.
        ("", _) => at.uri.replace('?', "%3F"),
        (path, true) => path.to_owned(),
        (path, false) => {
            // What the location is for is replaced.
            let location = scope.iter().rev().find(|block| block.is("location"));
            let replaced = match location.and_then(|location| place(location)) {
                Some(Place::Exact(text) | Place::Prefix(text, _)) => text.len(),
                _ => 0,
            };
            format!("{path}{}", at.uri.get(replaced..).unwrap_or_default())
        }
    };
    let entry = variables.entry.unwrap_or(pass);
    let path = path.split('?').next().unwrap_or_default();
    match destination(path, &variables.path) {
        Some((workspace, service_id)) => Sub::Rum(Box::new(Copy {
            scope: scope.to_vec(),
            pass,
            mirror,
            scheme,
            name: name.to_owned(),
            workspace: workspace.to_owned(),
            service_id: service_id.to_owned(),
            entry,
        })),
        None => {
            let why = match path.strip_suffix(variables.path.as_str()).unwrap_or(path) {
                "" => "nginx passed these requests without a prefix, which RUM cannot place"
                    .to_owned(),
                prefix => format!(
                    "expected /rum/sentry/<workspace>/<service id> as the prefix of the path, got {prefix:?}"
                ),
            };
            Sub::Elsewhere(entry, why)
        }
    }
}

/// Workspace and service id of `/rum/sentry/<workspace>/<service id>` before the request's own path. A slash at the end of
/// the prefix doubles the one of the request.
fn destination<'p>(path: &'p str, own: &str) -> Option<(&'p str, &'p str)> {
    let prefix = path.strip_suffix(own)?;
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let (workspace, service_id) = prefix.strip_prefix("/rum/sentry/")?.split_once('/')?;
    let whole = !workspace.is_empty() && !service_id.is_empty() && !service_id.contains('/');
    whole.then_some((workspace, service_id))
}
