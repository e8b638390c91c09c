//! What a server does with the envelopes of a project, whatever else the client sends.

use super::super::finding::Finding;
use super::super::nginx::Directive;
use super::follow::{Outcome, Server, follow};
use super::passed::Copy;
use super::rewrites::Choices;
use super::variables::{Variables, World};
use std::collections::BTreeSet;

/// The envelopes of a project, those with a query and those without.
#[derive(Clone, Debug)]
pub(super) enum Decision<'d> {
    /// Where they go; and where those with a query go, if that is another place.
    Copy(Box<Copy<'d>>, Option<Box<Copy<'d>>>),
    Not(&'d Directive, String),
    /// It depends on what the configuration does not tell.
    Unclear(&'d Directive, String),
}

/// As SDKs send them: with the key in a header, and with the key in the query.
const QUERIES: [&str; 2] = [
    "",
    "sentry_version=7&sentry_key=0123456789abcdef0123456789abcdef",
];
/// Ways that a request may go by what only the client knows.
const MAX_WAYS: usize = 64;

/// What is told about a decision, once.
pub(super) type Remarks = BTreeSet<Finding>;

pub(super) fn decide<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    id: u64,
    remarks: &mut Remarks,
) -> Decision<'d> {
    let [plain, query] = QUERIES.map(|query| ways(server, world, id, query, remarks));
    match (plain, query) {
        (Outcome::Unclear(at, why), _) | (_, Outcome::Unclear(at, why)) => {
            Decision::Unclear(at, why)
        }
        (Outcome::Copied(plain), Outcome::Copied(query)) => {
            let other = (!plain.same_place(&query)).then_some(query);
            Decision::Copy(plain, other)
        }
        (Outcome::Copied(_), other) => not(other, " for requests with a query"),
        (other, Outcome::Copied(_)) => not(other, " for requests without a query"),
        (Outcome::Refused(_), other) | (other, _) => not(other, ""),
    }
}

fn not<'d>(outcome: Outcome<'d>, which: &str) -> Decision<'d> {
    match outcome {
        Outcome::Passed(at, why) => Decision::Not(at, format!("{why}{which}")),
        Outcome::Refused(at) => Decision::Not(at, format!("nginx answers by itself{which}")),
        Outcome::Unclear(at, why) => Decision::Unclear(at, why),
        Outcome::Copied(copy) => Decision::Copy(copy, None),
    }
}

/// Every way that a request may take.
fn ways<'d>(
    server: &Server<'d>,
    world: &World<'d>,
    id: u64,
    query: &'static str,
    remarks: &mut Remarks,
) -> Outcome<'d> {
    let mut left = vec![Vec::new()];
    let mut asked: Option<(&Directive, String)> = None;
    let mut found: Vec<Outcome<'_>> = Vec::new();
    let mut ways = 0_usize;
    while let Some(given) = left.pop() {
        ways = ways.saturating_add(1);
        if ways > MAX_WAYS {
            return Outcome::Unclear(server.head, "there are too many conditions".to_owned());
        }
        let mut choices = Choices {
            given,
            asked: Vec::new(),
        };
        let mut variables = Variables::new(world, id, query);
        let outcome = follow(server, world, &mut variables, &mut choices);
        for more in choices.given.len()..choices.asked.len() {
            let mut given = choices.given.clone();
            given.resize(more, false);
            given.push(true);
            left.push(given);
        }
        asked = asked.or(choices.asked.into_iter().next());
        if !found.contains(&outcome) {
            found.push(outcome);
        }
    }
    together(&found, asked, server, remarks)
}

/// One outcome of several.
fn together<'d>(
    found: &[Outcome<'d>],
    asked: Option<(&'d Directive, String)>,
    server: &Server<'d>,
    remarks: &mut Remarks,
) -> Outcome<'d> {
    let (condition, why) = match (found, asked) {
        ([only], _) => return only.clone(),
        (_, Some(asked)) => asked,
        (_, None) => return Outcome::Unclear(server.head, "it has no one outcome".to_owned()),
    };
    if let Some(unclear) = found
        .iter()
        .find(|outcome| matches!(outcome, Outcome::Unclear(..)))
    {
        return unclear.clone();
    }
    let passed = found
        .iter()
        .find(|outcome| matches!(outcome, Outcome::Passed(..)));
    let mut copies = found.iter().filter_map(|outcome| match outcome {
        Outcome::Copied(copy) => Some(copy),
        _ => None,
    });
    let Some(first) = copies.next() else {
        return passed.cloned().unwrap_or(Outcome::Refused(condition));
    };
    if passed.is_some() {
        return Outcome::Unclear(
            condition,
            format!("whether a request is mirrored depends on {why}"),
        );
    }
    if copies.any(|copy| !copy.same_place(first)) {
        return Outcome::Unclear(condition, format!("where the copy goes depends on {why}"));
    }
    if found
        .iter()
        .any(|outcome| matches!(outcome, Outcome::Refused(_)))
    {
        remarks.insert(condition.finding(format!(
            "not carried over: {}, by which nginx refused requests before it mirrored them; refuse them before they reach the \
             module",
            condition.head()
        )));
    }
    Outcome::Copied(first.clone())
}
