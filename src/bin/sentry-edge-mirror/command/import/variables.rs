//! nginx's variables, as far as an envelope request and the configuration decide them. What anything else decides is unknown,
//! by name.

use super::super::nginx::Directive;
use super::locations::Locations;
use super::maps::{Found, Map};
use super::pattern::Captures;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// What nginx would have to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown(pub(super) String);

pub(super) type Known = Result<String, Unknown>;

/// What does not change from request to request.
#[derive(Debug, Default)]
pub(super) struct World<'d> {
    pub(super) maps: BTreeMap<&'d str, Map<'d>>,
    /// Made by other means, and by which: `split_clients`, `geo`.
    pub(super) opaque: BTreeMap<&'d str, &'d Directive>,
    pub(super) locations: Locations,
    /// Entries of maps that have decided something.
    used: RefCell<BTreeSet<*const Directive>>,
}

/// Maps that look each other up.
const MAX_DEPTH: usize = 20;

impl<'d> World<'d> {
    pub(super) fn new(http: &[&'d Directive]) -> Self {
        let mut world = Self::default();
        for directive in http {
            match directive.name.text.as_str() {
                "map" => {
                    let map = Map::new(directive);
                    if let Some(variable) = map.variable() {
                        world.maps.insert(variable, map);
                    }
                }
                "split_clients" | "geo" => {
                    let variable = directive
                        .args
                        .last()
                        .and_then(|word| word.text.strip_prefix('$'));
                    if let Some(variable) = variable {
                        world.opaque.insert(variable, directive);
                    }
                }
                _ => {}
            }
        }
        world
    }

    pub(super) fn was_used(&self, entry: &Directive) -> bool {
        self.used.borrow().contains(&std::ptr::from_ref(entry))
    }
}

/// Of one request and its subrequests: they share what was set and what maps gave.
#[derive(Debug)]
pub(super) struct Variables<'w, 'd> {
    world: &'w World<'d>,
    /// The received target.
    pub(super) path: String,
    pub(super) query: &'static str,
    set: BTreeMap<String, Known>,
    mapped: BTreeMap<&'d str, Known>,
    captures: Captures,
    /// The entry that gave the last value of a map.
    pub(super) entry: Option<&'d Directive>,
}

/// What differs between a request and its subrequest.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) uri: String,
    pub(super) args: String,
    /// `rewrite` has changed the URI.
    pub(super) rewritten: bool,
}

impl<'w, 'd> Variables<'w, 'd> {
    pub(super) fn new(world: &'w World<'d>, id: u64, query: &'static str) -> Self {
        Self {
            world,
            path: format!("/api/{id}/envelope/"),
            query,
            set: BTreeMap::new(),
            mapped: BTreeMap::new(),
            captures: Captures::default(),
            entry: None,
        }
    }

    pub(super) fn request(&self) -> Address {
        Address {
            uri: self.path.clone(),
            args: self.query.to_owned(),
            rewritten: false,
        }
    }

    pub(super) fn set(&mut self, name: &str, value: Known) {
        self.set.insert(name.to_owned(), value);
    }

    pub(super) fn captured(&mut self, captures: Captures) {
        for (name, value) in &captures.named {
            self.set.insert(name.clone(), Ok(value.clone()));
        }
        self.captures = captures;
    }

    /// A text with its variables replaced.
    pub(super) fn expand(&mut self, text: &str, at: &Address) -> Known {
        self.expand_in(text, at, 0)
    }

    fn expand_in(&mut self, text: &str, at: &Address, depth: usize) -> Known {
        let mut value = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            value.push_str(before);
            let (name, after) = match after
                .strip_prefix('{')
                .and_then(|braced| braced.split_once('}'))
            {
                Some(parts) => parts,
                None => {
                    let is_name =
                        |character: char| character.is_ascii_alphanumeric() || character == '_';
                    let end = after
                        .find(|character| !is_name(character))
                        .unwrap_or(after.len());
                    // `$1` is one digit, whatever follows.
                    let end = if after.starts_with(|first: char| first.is_ascii_digit()) {
                        1
                    } else {
                        end
                    };
                    after.split_at_checked(end).unwrap_or((after, ""))
                }
            };
            if name.is_empty() {
                value.push('$');
            } else {
                value.push_str(&self.lookup(name, at, depth)?);
            }
            rest = after;
        }
        value.push_str(rest);
        Ok(value)
    }

    fn lookup(&mut self, name: &str, at: &Address, depth: usize) -> Known {
        if let Ok(number) = name.parse::<usize>() {
            return Ok(self
                .captures
                .numbered
                .get(number)
                .cloned()
                .unwrap_or_default());
        }
        let mark = |args: &str| if args.is_empty() { "" } else { "?" };
        Ok(match name {
            "request_uri" => format!("{}{}{}", self.path, mark(self.query), self.query),
            "uri" | "document_uri" => at.uri.clone(),
            "args" | "query_string" => at.args.clone(),
            "is_args" => mark(&at.args).to_owned(),
            "request_method" => "POST".to_owned(),
            _ => {
                if let Some(value) = self.set.get(name) {
                    return value.clone();
                }
                return match self.world.maps.get_key_value(name) {
                    Some((name, map)) => self.mapped(name, map, at, depth),
                    None => Err(self.unknown(name)),
                };
            }
        })
    }

    fn unknown(&self, name: &str) -> Unknown {
        Unknown(match self.world.opaque.get(name) {
            Some(directive) => format!("${name} ({})", directive.name.text),
            None => format!("${name}"),
        })
    }

    fn mapped(&mut self, name: &'d str, map: &'w Map<'d>, at: &Address, depth: usize) -> Known {
        if let Some(value) = self.mapped.get(name) {
            return value.clone();
        }
        if depth >= MAX_DEPTH {
            return Err(Unknown(format!("${name} (a map that needs itself)")));
        }
        let value = self.find(name, map, at, depth.saturating_add(1));
        self.mapped.insert(name, value.clone());
        value
    }

    fn find(&mut self, name: &str, map: &'w Map<'d>, at: &Address, depth: usize) -> Known {
        let looked_up = match self.expand_in(map.source(), at, depth) {
            Ok(value) if !map.has_wildcards() => value,
            Ok(_) => return Err(Unknown(format!("${name} (a map with wildcards)"))),
            Err(Unknown(why)) => {
                let only = map.only_value().map(str::to_owned);
                return only.ok_or(Unknown(format!("{why}, which the map of ${name} looks up")));
            }
        };
        match map.find(&looked_up) {
            Found::Entry(entry, captures) => {
                if !captures.numbered.is_empty() {
                    self.captured(captures);
                }
                self.world
                    .used
                    .borrow_mut()
                    .insert(std::ptr::from_ref(entry));
                let value = self.expand_in(entry.arg(0).unwrap_or_default(), at, depth);
                // Of maps in a row the last one that names the place is the one to show.
                self.entry = Some(entry);
                value
            }
            Found::Nothing => {
                self.entry = Some(map.directive);
                Ok(String::new())
            }
            Found::Unreadable(entry, reason) => {
                let written = &entry.name.text;
                Err(Unknown(format!(
                    "${name}: the regular expression {written:?} cannot be read ({reason})"
                )))
            }
        }
    }
}
