//! The directives that nginx runs in their order: `set`, `if`, `rewrite`, `return`, `break`.

use super::super::nginx::Directive;
use super::variables::{Address, Unknown, Variables, World};

/// What they came to.
pub(super) enum Flow<'d> {
    /// The request goes on in this place.
    Next,
    /// So it does, and nothing more is to be run: `break`.
    Stop,
    /// The URI is another one: the location is looked for again.
    Again,
    /// Answered here, with this status.
    Answered(&'d Directive, u16),
    Unclear(&'d Directive, String),
}

/// Answers that nobody but the client knows, asked in the order of the request.
#[derive(Debug, Default)]
pub(super) struct Choices<'d> {
    /// What is to be answered, as far as it was decided.
    pub(super) given: Vec<bool>,
    /// What was asked.
    pub(super) asked: Vec<(&'d Directive, String)>,
}

impl<'d> Choices<'d> {
    /// The same question has the same answer.
    fn ask(&mut self, condition: &'d Directive, why: &str) -> bool {
        let same = |(other, _): &(&Directive, String)| other.args == condition.args;
        let index = self.asked.iter().position(same).unwrap_or_else(|| {
            self.asked.push((condition, why.to_owned()));
            self.asked.len().saturating_sub(1)
        });
        self.given.get(index).copied().unwrap_or(false)
    }
}

/// Runs them. The last `if` that holds is added to `scope`: its directives are in force.
pub(super) fn run<'d>(
    block: &'d [Directive],
    world: &World<'d>,
    variables: &mut Variables<'_, 'd>,
    choices: &mut Choices<'d>,
    at: &mut Address,
    scope: &mut Vec<&'d Directive>,
) -> Flow<'d> {
    let depth = scope.len();
    for directive in block {
        match directive.name.text.as_str() {
            "set" => {
                let name = directive.arg(0).and_then(|name| name.strip_prefix('$'));
                if let Some(name) = name {
                    let value = variables.expand(directive.arg(1).unwrap_or_default(), at);
                    variables.set(name, value);
                }
            }
            // What it sets is known to Lua.
            name if name.starts_with("set_by_lua") => {
                let name = directive.arg(0).and_then(|name| name.strip_prefix('$'));
                if let Some(name) = name {
                    variables.set(name, Err(Unknown(format!("${name} (Lua)"))));
                }
            }
            "if" => {
                let holds = match condition(directive, world, variables, at) {
                    Ok(holds) => holds,
                    Err(Unknown(why)) => choices.ask(directive, &why),
                };
                if holds {
                    scope.truncate(depth);
                    scope.push(directive);
                    match run(directive.inner(), world, variables, choices, at, scope) {
                        Flow::Next => {}
                        flow => return flow,
                    }
                }
            }
            "break" => return Flow::Stop,
            "return" => return returned(directive),
            "rewrite" => match rewrite(directive, world, variables, at) {
                Ok(None) => {}
                Ok(Some(flow)) => return flow,
                Err(Unknown(why)) => return Flow::Unclear(directive, why),
            },
            _ => {}
        }
    }
    Flow::Next
}

fn returned(directive: &Directive) -> Flow<'_> {
    // `return URL` is a redirect.
    let status = directive.arg(0).and_then(|status| status.parse().ok());
    Flow::Answered(directive, status.unwrap_or(302))
}

/// What follows from it, if it is more than another URI.
fn rewrite<'d>(
    directive: &'d Directive,
    world: &World<'d>,
    variables: &mut Variables<'_, 'd>,
    at: &mut Address,
) -> Result<Option<Flow<'d>>, Unknown> {
    let (written, replacement) = (
        directive.arg(0).unwrap_or_default(),
        directive.arg(1).unwrap_or_default(),
    );
    let pattern = world.locations.pattern(written, false);
    let pattern = pattern
        .as_ref()
        .as_ref()
        .map_err(|reason| unreadable(written, reason))?;
    let Some(captures) = pattern.captures(&at.uri) else {
        return Ok(None);
    };
    variables.captured(captures);
    let flag = directive.arg(2);
    let moved = ["http://", "https://", "$scheme"]
        .iter()
        .any(|start| replacement.starts_with(start));
    if moved || matches!(flag, Some("redirect" | "permanent")) {
        return Ok(Some(Flow::Answered(directive, 302)));
    }
    // What a variable brings is no query, whatever is in it.
    let (uri, args) = match replacement.split_once('?') {
        Some((uri, args)) => (uri, Some(args)),
        None => (replacement, None),
    };
    let uri = variables.expand(uri, at)?;
    let old = at.args.clone();
    at.args = match args {
        None => old,
        // A `?` at the end drops the query.
        Some("") => String::new(),
        Some(args) => match variables.expand(args, at)? {
            args if old.is_empty() => args,
            args => match args.strip_suffix('?') {
                Some(args) => args.to_owned(),
                None => format!("{args}&{old}"),
            },
        },
    };
    at.uri = uri;
    at.rewritten = true;
    match flag {
        Some("break") => Ok(Some(Flow::Stop)),
        // Without `last` only after the other directives: nothing that is asked for here depends on that.
        _ => Ok(Some(Flow::Again)),
    }
}

fn unreadable(written: &str, reason: &str) -> Unknown {
    Unknown(format!(
        "the regular expression {written:?}, which cannot be read ({reason})"
    ))
}

/// Whether the condition of an `if` holds.
fn condition<'d>(
    directive: &'d Directive,
    world: &World<'d>,
    variables: &mut Variables<'_, 'd>,
    at: &Address,
) -> Result<bool, Unknown> {
    let words: Vec<&str> = directive
        .args
        .iter()
        .map(|word| word.text.as_str())
        .collect();
    let text = words.join(" ");
    let inside = text
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'))
        .unwrap_or(&text)
        .trim();
    let (left, rest) = inside.split_once(' ').unwrap_or((inside, ""));
    let (operator, right) = rest.split_once(' ').unwrap_or((rest, ""));
    if !left.starts_with('$') {
        // `-f $file` and its kind.
        return Err(Unknown(inside.to_owned()));
    }
    let value = variables.expand(left, at)?;
    Ok(match operator {
        "" => !value.is_empty() && value != "0",
        "=" => value == variables.expand(right, at)?,
        "!=" => value != variables.expand(right, at)?,
        "~" | "~*" | "!~" | "!~*" => {
            let pattern = world.locations.pattern(right, operator.ends_with('*'));
            let pattern = pattern
                .as_ref()
                .as_ref()
                .map_err(|reason| unreadable(right, reason))?;
            let found = pattern.captures(&value);
            let holds = found.is_some() != operator.starts_with('!');
            if let Some(found) = found {
                variables.captured(found);
            }
            holds
        }
        _ => return Err(Unknown(inside.to_owned())),
    })
}
