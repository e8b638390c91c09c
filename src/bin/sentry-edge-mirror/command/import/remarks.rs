//! What means something else now, or never had an effect.

use super::super::nginx::Directive;
use super::candidates::Candidates;
use super::coverage::{Coverage, Others, TARGET, coverage};
use super::decide::Remarks;
use super::follow::Server;
use super::maps::Map;
use super::pattern::Pattern;
use super::projects::Projects;
use super::servers::Site;
use super::variables::World;
use sentry_edge_mirror::sentry::route::{Route, recognise};
use std::collections::BTreeSet;

pub(super) fn add<'d>(
    site: &Site<'d>,
    world: &World<'d>,
    candidates: &Candidates<'d>,
    found: &[(&Server<'d>, Projects<'d>)],
    remarks: &mut Remarks,
) {
    let copies = || found.iter().flat_map(|(_, projects)| projects.copies());
    for copy in copies() {
        if copy.mirror.is("location") {
            let message = "no `mirror` leads to this location; its rules are taken all the same";
            remarks.insert(copy.mirror.finding(message));
        }
        remarks.insert(copy.mirror.finding(
            "nginx mirrored every request of this place; now only envelopes are copied, all that RUM takes (rum.routes: all \
             mirrors every route)",
        ));
        if copy.entry.arg(0).is_some_and(|value| value.ends_with('/'))
            && !copy.entry.is("proxy_pass")
        {
            let message = "the slash at the end is dropped: it doubled the one of the request";
            remarks.insert(copy.entry.finding(message));
        }
    }
    for location in &site.directives {
        let has = |name: &str| location.inner().iter().find(|inner| inner.is(name));
        let answer = has("return").filter(|_| location.is("location") && has("mirror").is_some());
        if let Some(answer) = answer {
            let message = "nginx answers by itself before it mirrors; taken for a stand-in of Sentry, whose requests are mirrored";
            remarks.insert(answer.finding(message));
        }
    }
    // Maps that a copy's place came from, and those that these look up.
    let maps = site
        .directives
        .iter()
        .filter(|directive| directive.is("map"));
    for map in maps.filter(|map| map.inner().iter().any(|entry| world.was_used(entry))) {
        of_map(map, world, candidates, remarks);
    }
    for directive in &site.directives {
        let name = directive.name.text.as_str();
        let refuses = [
            "auth_request",
            "auth_basic",
            "limit_req",
            "limit_conn",
            "allow",
            "satisfy",
        ]
        .contains(&name);
        let is_lua = name.starts_with("access_by_lua") || name.starts_with("rewrite_by_lua");
        let near = || {
            found
                .iter()
                .any(|(server, projects)| !projects.is_empty() && is_in(directive, server))
        };
        if (refuses || is_lua) && near() {
            let what = if is_lua {
                name.to_owned()
            } else {
                directive.head()
            };
            remarks.insert(directive.finding(format!(
                "not carried over: {what}, by which nginx may refuse requests before it mirrors them; refuse them before they \
                 reach the module"
            )));
        }
    }
}

fn of_map<'d>(
    map: &'d Directive,
    world: &World<'d>,
    candidates: &Candidates<'d>,
    remarks: &mut Remarks,
) {
    let known = Map::new(map);
    if ["$uri", "$document_uri"]
        .iter()
        .any(|name| known.source().contains(name))
    {
        remarks.insert(map.finding(
            "in a mirror subrequest $uri is the mirror's own location, not the request's path; the entries are taken as nginx \
             took them ($request_uri is what the client asked for)",
        ));
    }
    for (entry, pattern) in known.patterns() {
        if let Err(reason) = pattern {
            let written = &entry.name.text;
            let message = format!(
                "not carried over: the regular expression {written:?} cannot be read ({reason})"
            );
            remarks.insert(entry.finding(message));
        }
    }
    let readable = |entry: &Directive| {
        !known
            .patterns()
            .any(|(other, pattern)| std::ptr::eq(other, entry) && pattern.is_err())
    };
    let is_endless = |entry: &Directive| {
        candidates
            .endless
            .iter()
            .any(|endless| std::ptr::eq(endless.directive, entry))
    };
    for entry in known
        .entries()
        .filter(|entry| !world.was_used(entry) && readable(entry) && !is_endless(entry))
    {
        let text = entry.name.text.as_str();
        let message = match text {
            "default" => {
                "the default never had an effect on envelopes: other entries cover every project"
            }
            _ if covers_envelopes(text) => {
                "the entry never had an effect on envelopes: others cover its projects before it"
            }
            _ if text.starts_with('~') => {
                "not carried over: no envelope request matches, and RUM takes nothing else"
            }
            _ if matches!(
                recognise(b"POST", text.as_bytes()),
                Some(Route::Envelope(_))
            ) || !text.starts_with('/') =>
            {
                "not carried over: no envelope request gets to this entry"
            }
            _ => {
                "not carried over: it is no envelope request of a project, and RUM takes nothing else"
            }
        };
        remarks.insert(entry.finding(message));
    }
}

/// Whether an expression matches envelope requests.
fn covers_envelopes(text: &str) -> bool {
    let Some(Ok(pattern)) = Pattern::of_map(text) else {
        return false;
    };
    let Coverage { usual, others } = coverage(&pattern, &TARGET);
    usual != 0 || others != Others::Listed(BTreeSet::new())
}

fn is_in(directive: &Directive, server: &Server<'_>) -> bool {
    fn holds(level: &[Directive], directive: &Directive) -> bool {
        level
            .iter()
            .any(|inner| std::ptr::eq(inner, directive) || holds(inner.inner(), directive))
    }
    holds(server.inner, directive)
}
