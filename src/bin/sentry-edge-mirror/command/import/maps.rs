//! The maps of a configuration, as nginx looks a value up: an entry that is the whole value, in whatever case; then the
//! regular expressions in the order of the file; then `default`.

use super::super::nginx::Directive;
use super::pattern::{Captures, Pattern};
use std::collections::BTreeMap;

/// A map.
#[derive(Debug)]
pub(super) struct Map<'d> {
    pub(super) directive: &'d Directive,
    /// By the value in lower case.
    exact: BTreeMap<String, &'d Directive>,
    patterns: Vec<(&'d Directive, Result<Pattern, String>)>,
    default: Option<&'d Directive>,
    /// `*.example.com` and the like are entries.
    hostnames: bool,
}

/// What a value leads to.
pub(super) enum Found<'d> {
    Entry(&'d Directive, Captures),
    /// There is no entry, and no default.
    Nothing,
    /// An expression that cannot be read comes first: why.
    Unreadable(&'d Directive, String),
}

impl<'d> Map<'d> {
    pub(super) fn new(directive: &'d Directive) -> Self {
        let mut map = Self {
            directive,
            exact: BTreeMap::new(),
            patterns: Vec::new(),
            default: None,
            hostnames: false,
        };
        for entry in directive.inner() {
            let text = entry.name.text.as_str();
            match text {
                "default" => map.default = Some(entry),
                "hostnames" if entry.args.is_empty() => map.hostnames = true,
                "volatile" if entry.args.is_empty() => {}
                _ => match Pattern::of_map(text) {
                    Some(pattern) => map.patterns.push((entry, pattern)),
                    None => {
                        // A backslash keeps a word such as `default` or `~x` from being more than text.
                        let text = text.strip_prefix('\\').unwrap_or(text);
                        map.exact.insert(text.to_ascii_lowercase(), entry);
                    }
                },
            }
        }
        map
    }

    /// The value that is looked up.
    pub(super) fn source(&self) -> &'d str {
        self.directive.arg(0).unwrap_or_default()
    }

    /// The name of the variable that it makes.
    pub(super) fn variable(&self) -> Option<&'d str> {
        self.directive.arg(1)?.strip_prefix('$')
    }

    pub(super) fn find(&self, value: &str) -> Found<'d> {
        if let Some(entry) = self.exact.get(&value.to_ascii_lowercase()) {
            return Found::Entry(entry, Captures::default());
        }
        for (entry, pattern) in &self.patterns {
            match pattern {
                Ok(pattern) => {
                    // Most do not match, and captures cost more.
                    if pattern.is_match(value)
                        && let Some(captures) = pattern.captures(value)
                    {
                        return Found::Entry(entry, captures);
                    }
                }
                // It could only send to another place of the same target, which is said.
                Err(_) if is_prefix(entry) => {}
                Err(reason) => return Found::Unreadable(entry, reason.clone()),
            }
        }
        match self.default {
            Some(entry) => Found::Entry(entry, Captures::default()),
            None => Found::Nothing,
        }
    }

    /// The one value of a map that has no other, whatever is looked up.
    pub(super) fn only_value(&self) -> Option<&'d str> {
        let mut values = self.entries().map(|entry| entry.arg(0).unwrap_or_default());
        let first = values.next()?;
        let all = !first.contains('$') && self.default.is_some();
        (all && values.all(|value| value == first)).then_some(first)
    }

    /// Whether names with wildcards may be what matches.
    pub(super) fn has_wildcards(&self) -> bool {
        self.hostnames
            && self
                .exact
                .keys()
                .any(|key| key.starts_with(['.', '*']) || key.ends_with('*'))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &'d Directive> {
        let entries = self.directive.inner().iter();
        entries.filter(|entry| {
            !(entry.args.is_empty() && matches!(entry.name.text.as_str(), "hostnames" | "volatile"))
        })
    }

    pub(super) fn patterns(
        &self,
    ) -> impl Iterator<Item = (&'d Directive, &Result<Pattern, String>)> {
        self.patterns
            .iter()
            .map(|(entry, pattern)| (*entry, pattern))
    }
}

/// Whether an entry leads to a place at RUM.
fn is_prefix(entry: &Directive) -> bool {
    entry
        .arg(0)
        .is_some_and(|value| value.starts_with("/rum/sentry/"))
}
