//! Follows an envelope request through a server as nginx would: to its location, through the rules there, into its `mirror`
//! subrequests, and to what they pass to RUM.

use super::super::nginx::Directive;
use super::locations::{Place, place};
use super::passed::{Copy, Sub, passed};
use super::rewrites::{Choices, Flow, run};
use super::variables::{Address, Unknown, Variables, World};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'d> {
    Copied(Box<Copy<'d>>),
    /// It goes on, and no copy of it to RUM: by which rule, and how that says so.
    Passed(&'d Directive, String),
    /// It ends here: nobody gets it.
    Refused(&'d Directive),
    /// It cannot be known from the configuration.
    Unclear(&'d Directive, String),
}

/// Internal redirects of a request, as nginx counts them.
const MAX_REDIRECTS: usize = 10;

/// A server, and the blocks around it.
#[derive(Clone, Debug)]
pub(super) struct Server<'d> {
    /// The block, or the fragment of one.
    pub(super) inner: &'d [Directive],
    /// From the outside to the server itself.
    pub(super) scope: Vec<&'d Directive>,
    /// Something to point at.
    pub(super) head: &'d Directive,
    /// Of a fragment without any `mirror`: the location that one elsewhere leads to.
    pub(super) lone: Option<&'d Directive>,
}

/// Where a request has come to rest.
enum Rest<'d> {
    In(Vec<&'d Directive>, Address),
    Refused(&'d Directive),
    Unclear(&'d Directive, String),
}

/// Follows one request; `choices` are what is taken for what only the client knows.
pub(super) fn follow<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    variables: &mut Variables<'_, 'd>,
    choices: &mut Choices<'d>,
) -> Outcome<'d> {
    let address = variables.request();
    if let Some(location) = server.lone {
        return match passed(&[location], variables, &address, location) {
            Sub::Rum(copy) => Outcome::Copied(copy),
            Sub::Elsewhere(at, why) => Outcome::Passed(at, why),
            Sub::Unclear(at, why) => Outcome::Unclear(at, why),
        };
    }
    let query = address.args.clone();
    let (scope, mirrored_all_the_same) =
        match rest(server, world, variables, choices, address, false) {
            Rest::In(scope, _) => (scope, false),
            // A stand-in for Sentry that somebody tries the recipe with.
            Rest::Refused(answer) if answers_well(answer) => {
                match stand_in(server, world, variables) {
                    Some(scope) => (scope, true),
                    None => return Outcome::Refused(answer),
                }
            }
            Rest::Refused(by) => return Outcome::Refused(by),
            Rest::Unclear(at, why) => return Outcome::Unclear(at, why),
        };
    let last = scope.last().copied().unwrap_or(server.head);
    if let Some(denial) = denial(&scope).filter(|_| !mirrored_all_the_same) {
        return Outcome::Refused(denial);
    }
    let mirrors = inherited(&scope, "mirror");
    let mut gone = None;
    for mirror in mirrors.iter().filter(|mirror| mirror.arg(0) != Some("off")) {
        let uri = mirror.arg(0).unwrap_or_default().to_owned();
        let address = Address {
            uri,
            args: query.clone(),
            rewritten: false,
        };
        match subrequest(server, world, variables, choices, address, mirror) {
            Sub::Rum(copy) => return Outcome::Copied(copy),
            Sub::Elsewhere(at, why) => gone = gone.or(Some((at, why))),
            Sub::Unclear(at, why) => return Outcome::Unclear(at, why),
        }
    }
    match (gone, mirrors.first()) {
        (Some((at, why)), _) => Outcome::Passed(at, why),
        (None, Some(off)) if scope.len() > server.scope.len() => {
            Outcome::Passed(last, format!("`{}`", off.head()))
        }
        (None, _) if is_served(&scope) => Outcome::Passed(last, "no `mirror`".to_owned()),
        (None, _) => Outcome::Refused(last),
    }
}

/// Runs the rules of the server and of the locations until the request stays.
fn rest<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    variables: &mut Variables<'_, 'd>,
    choices: &mut Choices<'d>,
    mut at: Address,
    internal: bool,
) -> Rest<'d> {
    let mut named: Option<&'d Directive> = None;
    let mut from_server = true;
    for _ in 0..MAX_REDIRECTS {
        let mut scope = server.scope.clone();
        if std::mem::take(&mut from_server) {
            match run(server.inner, world, variables, choices, &mut at, &mut scope) {
                Flow::Answered(answer, _) => return Rest::Refused(answer),
                Flow::Unclear(directive, why) => return Rest::Unclear(directive, why),
                Flow::Next | Flow::Stop | Flow::Again => scope = server.scope.clone(),
            }
        }
        match named.take() {
            Some(location) => scope.push(location),
            None => match world.locations.find(server.inner, &at.uri, &mut scope) {
                Ok(captures) if !captures.numbered.is_empty() => variables.captured(captures),
                Ok(_) => {}
                Err(unreadable) => {
                    let why = format!(
                        "its regular expression cannot be read ({})",
                        unreadable.reason
                    );
                    return Rest::Unclear(unreadable.location, why);
                }
            },
        }
        let location = scope
            .last()
            .copied()
            .filter(|location| location.is("location"));
        let Some(location) = location else {
            return Rest::In(scope, at);
        };
        let is_internal = location
            .inner()
            .iter()
            .any(|directive| directive.is("internal"));
        if is_internal && !internal {
            return Rest::Refused(location);
        }
        match run(
            location.inner(),
            world,
            variables,
            choices,
            &mut at,
            &mut scope,
        ) {
            Flow::Next | Flow::Stop => {}
            Flow::Again => continue,
            Flow::Answered(answer, status) => match error_page(server, &scope, status) {
                Some(page) => {
                    named = Some(page);
                    continue;
                }
                None => return Rest::Refused(answer),
            },
            Flow::Unclear(directive, why) => return Rest::Unclear(directive, why),
        }
        let tried = location
            .inner()
            .iter()
            .find(|directive| directive.is("try_files"));
        let Some(tried) = tried else {
            return Rest::In(scope, at);
        };
        // There is no file of that name: the last one counts.
        let fallback = tried
            .args
            .last()
            .map(|word| word.text.as_str())
            .unwrap_or_default();
        if fallback.starts_with('=') {
            return Rest::Refused(tried);
        }
        match named_location(server, fallback) {
            Some(location) => named = Some(location),
            None => match variables.expand(fallback, &at) {
                Ok(uri) => {
                    at.uri = uri.split('?').next().unwrap_or_default().to_owned();
                    from_server = true;
                }
                Err(Unknown(why)) => return Rest::Unclear(tried, why),
            },
        }
    }
    Rest::Unclear(
        server.head,
        format!("more than {MAX_REDIRECTS} internal redirects"),
    )
}

fn named_location<'d>(server: &Server<'d>, name: &str) -> Option<&'d Directive> {
    let is_it = |location: &&Directive| place(location) == Some(Place::Named(name));
    server.inner.iter().find(is_it)
}

/// The named location that an answer of this status leads to.
fn error_page<'d>(
    server: &Server<'d>,
    scope: &[&'d Directive],
    status: u16,
) -> Option<&'d Directive> {
    let status = status.to_string();
    let pages = inherited(scope, "error_page");
    let page = pages
        .iter()
        .find(|page| page.args.iter().any(|word| word.text == status))?;
    named_location(server, page.args.last()?.text.as_str())
}

fn answers_well(answer: &Directive) -> bool {
    answer.is("return") && answer.arg(0).is_some_and(|status| status.starts_with('2'))
}

/// The blocks around a location that mirrors by a directive of its own, whatever it answers.
fn stand_in<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    variables: &Variables<'_, 'd>,
) -> Option<Vec<&'d Directive>> {
    let mut scope = server.scope.clone();
    world
        .locations
        .find(server.inner, &variables.path, &mut scope)
        .ok()?;
    let own = scope.last().is_some_and(|location| {
        location.is("location") && location.inner().iter().any(|inner| inner.is("mirror"))
    });
    own.then_some(scope)
}

/// The directive that keeps everybody out.
fn denial<'d>(scope: &[&'d Directive]) -> Option<&'d Directive> {
    let mut rules = scope.iter().rev().map(|block| {
        let is_rule = |inner: &&Directive| inner.is("allow") || inner.is("deny");
        block.inner().iter().filter(is_rule).collect::<Vec<_>>()
    });
    let first = rules.find(|rules| !rules.is_empty())?.into_iter().next()?;
    (first.is("deny") && first.arg(0) == Some("all")).then_some(first)
}

/// Whether somebody gets the request: nginx itself has nothing for a POST.
fn is_served(scope: &[&Directive]) -> bool {
    let Some(last) = scope.last() else {
        return false;
    };
    let serves = |block: &&Directive| {
        block
            .inner()
            .iter()
            .any(|inner| is_handler(&inner.name.text))
    };
    // An `if` takes over what serves its location.
    let outer = scope.iter().rev().nth(1).filter(|_| last.is("if"));
    serves(last) || outer.is_some_and(serves)
}

fn is_handler(name: &str) -> bool {
    name.ends_with("_pass")
        || name.starts_with("content_by_lua")
        || matches!(name, "js_content" | "perl")
}

/// The directives of a name in the innermost block that has any: nginx inherits all of them or none.
pub(super) fn inherited<'d>(scope: &[&'d Directive], name: &str) -> Vec<&'d Directive> {
    let in_block = |block: &&'d Directive| -> Vec<&'d Directive> {
        let inner = block.inner().iter();
        inner.filter(|directive| directive.is(name)).collect()
    };
    let mut blocks = scope.iter().rev().map(in_block);
    blocks.find(|found| !found.is_empty()).unwrap_or_default()
}

/// Follows a mirror subrequest.
fn subrequest<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    variables: &mut Variables<'_, 'd>,
    choices: &mut Choices<'d>,
    address: Address,
    mirror: &'d Directive,
) -> Sub<'d> {
    match rest(server, world, variables, choices, address, true) {
        Rest::In(scope, at) => match denial(&scope) {
            Some(denial) => {
                Sub::Elsewhere(denial, format!("its mirror ends at `{}`", denial.head()))
            }
            None => passed(&scope, variables, &at, mirror),
        },
        Rest::Refused(by) => Sub::Elsewhere(by, format!("its mirror ends at `{}`", by.head())),
        Rest::Unclear(at, why) => Sub::Unclear(at, why),
    }
}
