//! Typed access to the configuration. It continues after a problem, so that all problems are reported at once.
//!
//! serde stops at the first mistake; an operator who has to reload an edge wants the whole list. Each problem reads `path:
//! what is wrong, got X`, where X is the text as written: an environment variable's value is never printed.

use super::env;
use super::node::Node;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

/// One problem in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, as a JSON path: `rum.projects.42.workspace`.
    pub path: String,
    /// What was expected and what is there instead.
    pub message: String,
    /// The environment variable that is not set, if that is the problem: then the value itself was not judged.
    pub unset: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.path.as_str() {
            "" => "configuration",
            path => path,
        };
        write!(f, "{path}: {}", self.message)
    }
}

/// A value and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Field<'n> {
    pub(crate) path: String,
    pub(crate) node: &'n Node,
}

/// An object whose keys are taken one by one; any left at [`Reader::finish`] are unknown.
pub(crate) struct Object<'n> {
    pub(crate) path: String,
    left: Vec<(&'n str, &'n Node)>,
    known: Vec<&'static str>,
    /// What is in here may be a secret, even under a misspelt key.
    secret: bool,
}

impl<'n> Object<'n> {
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    pub(crate) fn take(&mut self, key: &'static str) -> Option<Field<'n>> {
        self.known.push(key);
        let position = self.left.iter().position(|(name, _)| *name == key)?;
        let (_, node) = self.left.remove(position);
        Some(Field {
            path: join(&self.path, key),
            node,
        })
    }

    /// Takes a key that does not belong here, to report it: it is not suggested to whoever misspells another one.
    pub(crate) fn take_foreign(&mut self, key: &'static str) -> Option<Field<'n>> {
        let field = self.take(key);
        self.known.pop();
        field
    }

    /// Takes all remaining keys, for objects whose keys are data.
    pub(crate) fn take_all(&mut self) -> Vec<(&'n str, Field<'n>)> {
        let path = &self.path;
        self.left
            .drain(..)
            .map(|(key, node)| {
                let path = join(path, key);
                (key, Field { path, node })
            })
            .collect()
    }
}

/// Reads values and collects problems.
pub(crate) struct Reader<'e> {
    lookup: &'e dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'e> Reader<'e> {
    pub(crate) fn new(lookup: &'e dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    /// Even a DSN in the wrong place keeps its key secret.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        let problems = self.problems.into_iter().map(|problem| Problem {
            path: without_keys(&problem.path),
            message: without_keys(&problem.message),
            unset: problem.unset,
        });
        problems.collect()
    }

    pub(crate) fn has_problem_at(&self, path: &str) -> bool {
        self.problems.iter().any(|problem| problem.path == path)
    }

    /// Whether there is a problem at this path or below it.
    pub(crate) fn has_problem_within(&self, path: &str) -> bool {
        let rest = |problem: &Problem| problem.path.strip_prefix(path).map(str::to_owned);
        let mut rests = self.problems.iter().filter_map(rest);
        rests.any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }

    pub(crate) fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem {
            path: path.to_owned(),
            message: message.into(),
            unset: None,
        });
    }

    pub(crate) fn expected(&mut self, field: &Field<'_>, what: &str) {
        self.problem(&field.path, format!("expected {what}, got {}", field.node));
    }

    pub(crate) fn object<'n>(&mut self, field: &Field<'n>) -> Option<Object<'n>> {
        let Node::Object(fields) = field.node else {
            self.expected(field, "an object");
            return None;
        };
        let mut left: Vec<(&str, &Node)> = Vec::with_capacity(fields.len());
        // Not searched in `left`: a file may have hundreds of thousands of keys.
        let mut seen = BTreeSet::new();
        for (key, node) in fields {
            if seen.insert(key.as_str()) {
                left.push((key, node));
            } else {
                self.problem(&join(&field.path, key), "the key stands here twice");
            }
        }
        Some(Object {
            path: field.path.clone(),
            left,
            known: Vec::new(),
            secret: false,
        })
    }

    /// An object with secrets in it: only the kind of what is wrong in it is reported.
    pub(crate) fn object_of_secrets<'n>(&mut self, field: &Field<'n>) -> Option<Object<'n>> {
        if !matches!(field.node, Node::Object(_)) {
            let what = format!("expected an object, got {}", field.node.kind());
            self.problem(&field.path, what);
            return None;
        }
        let object = self.object(field)?;
        Some(Object {
            secret: true,
            ..object
        })
    }

    /// A string that is never shown.
    pub(crate) fn secret(&mut self, field: &Field<'_>) -> Option<String> {
        let Node::String(text) = field.node else {
            let what = format!("expected a string, got {}", field.node.kind());
            self.problem(&field.path, what);
            return None;
        };
        match env::expand(text, self.lookup) {
            // `KEY="..."` in a file that no shell reads: Docker's `--env-file`, and systemd's in part.
            Ok(text) if is_quoted(&text) => {
                let what = "begins and ends with a quotation mark: without them, got a string";
                self.problem(&field.path, what);
                None
            }
            Ok(text) => Some(text),
            Err(env::EnvError::Unset(name)) => {
                let what = format!(
                    "environment variable {name} is not set and has no default, got a string"
                );
                self.problems.push(Problem {
                    path: field.path.clone(),
                    message: what,
                    unset: Some(name),
                });
                None
            }
            Err(_) => {
                let what = "`${` without the name of an environment variable and `}`, got a string";
                self.problem(&field.path, what);
                None
            }
        }
    }

    /// Reports every key that was not taken.
    pub(crate) fn finish(&mut self, object: Object<'_>) {
        let known = object.known.join(", ");
        for (key, node) in &object.left {
            let got = if object.secret || is_secret(key) {
                node.kind().to_owned()
            } else {
                node.to_string()
            };
            self.problem(
                &join(&object.path, key),
                format!("unknown key (expected one of {known}), got {got}"),
            );
        }
    }

    pub(crate) fn list<'n>(&mut self, field: &Field<'n>) -> Option<Vec<Field<'n>>> {
        let Node::List(values) = field.node else {
            self.expected(field, "a list");
            return None;
        };
        let fields = values.iter().enumerate().map(|(index, node)| Field {
            path: format!("{}[{index}]", field.path),
            node,
        });
        Some(fields.collect())
    }

    /// A string with its references expanded.
    pub(crate) fn string(&mut self, field: &Field<'_>) -> Option<String> {
        let Node::String(text) = field.node else {
            self.expected(field, "a string");
            return None;
        };
        match env::expand(text, self.lookup) {
            Ok(text) => Some(text),
            Err(error) => {
                self.problems.push(Problem {
                    path: field.path.clone(),
                    message: format!("{error}, got {text:?}"),
                    unset: error.unset(),
                });
                None
            }
        }
    }

    /// An integer, or a string with a reference that expands to one.
    pub(crate) fn integer(&mut self, field: &Field<'_>, range: RangeInclusive<u64>) -> Option<u64> {
        let value = match field.node {
            Node::Number(number) => whole(*number),
            Node::String(text) if env::has_reference(text) => self.string(field)?.parse().ok(),
            _ => None,
        };
        match value {
            Some(value) if range.contains(&value) => Some(value),
            _ => {
                let what = format!("an integer from {} to {}", range.start(), range.end());
                self.expected(field, &what);
                None
            }
        }
    }

    /// A number from 0 to 1, or a string that is one: Envoy makes strings of the fractions in its YAML (measured with 1.40).
    pub(crate) fn part(&mut self, field: &Field<'_>) -> Option<f64> {
        let value = match field.node {
            Node::Number(number) => Some(*number),
            Node::String(_) => self.string(field)?.parse().ok(),
            _ => None,
        };
        let part = value.filter(|value| (0.0..=1.0).contains(value));
        if part.is_none() {
            self.expected(field, "a number from 0 to 1");
        }
        part
    }

    /// `true` or `false`, or a string with a reference that expands to one.
    pub(crate) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        let value = match field.node {
            Node::Bool(value) => Some(*value),
            Node::String(text) if env::has_reference(text) => self.string(field)?.parse().ok(),
            _ => None,
        };
        if value.is_none() {
            self.expected(field, "true or false");
        }
        value
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        field: &Field<'_>,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let text = self.string(field)?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.expected(field, &format!("one of {}", words.join(", ")));
        }
        found.map(|(_, value)| *value)
    }
}

/// Numbers that a configuration may contain lose nothing in an `f64`: they stay below 2^53.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && (0.0..EXACT).contains(&number)).then_some(number as u64)
}

/// Whether it still has quotation marks around it.
fn is_quoted(text: &str) -> bool {
    let quoted = |mark| text.len() > 1 && text.starts_with(mark) && text.ends_with(mark);
    quoted('"') || quoted('\'')
}

/// Whether the key was meant for a section with secrets.
fn is_secret(key: &str) -> bool {
    ["secret", "token", "access", "credential"]
        .iter()
        .any(|word| key.to_ascii_lowercase().contains(word))
}

/// The text with `[redacted]` in place of whatever comes before the host in its URLs.
fn without_keys(text: &str) -> String {
    let mut parts = text.split("://");
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        written.push_str("://");
        let end = part
            .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'' | '\\') || c.is_whitespace());
        let (authority, rest) = part
            .split_at_checked(end.unwrap_or(part.len()))
            .unwrap_or((part, ""));
        match authority.rsplit_once('@') {
            // Our own text about the form of a DSN is not a key.
            Some((key, host)) if !key.starts_with('<') => {
                written.push_str("[redacted]@");
                written.push_str(host);
            }
            _ => written.push_str(authority),
        }
        written.push_str(rest);
    }
    written
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
