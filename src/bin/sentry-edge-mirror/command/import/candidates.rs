//! The projects that a configuration may treat unlike the others: those whose ids stand in it, or that an expression tells from
//! the rest. All others are treated alike, and a few of them stand for all.

use super::super::nginx::Directive;
use super::coverage::{Coverage, Frame, ID, Others, TARGET, answer, coverage, numbers};
use super::locations::{Place, place};
use super::maps::Map;
use super::pattern::Pattern;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Candidates<'d> {
    pub(super) ids: BTreeSet<u64>,
    /// Expressions for more projects than can be listed.
    pub(super) endless: Vec<Endless<'d>>,
    /// Projects that nothing names.
    pub(super) others: Vec<u64>,
}

/// An expression for more projects than can be listed.
#[derive(Debug)]
pub(super) struct Endless<'d> {
    pub(super) directive: &'d Directive,
    /// How many of the projects 1 to 99999, and the first of them.
    pub(super) count: usize,
    pub(super) first: Vec<u64>,
    pattern: Pattern,
    frame: &'static Frame,
    usual: u8,
}

impl Endless<'_> {
    fn is_usual(&self, id: u64) -> bool {
        answer(&self.pattern, self.frame, id) == self.usual
    }

    /// For a message.
    pub(super) fn projects(&self) -> String {
        let first: Vec<String> = self.first.iter().take(4).map(u64::to_string).collect();
        format!(
            "{} of the projects 1 to 99999 ({}, ...)",
            self.count,
            first.join(", ")
        )
    }
}

/// More projects than a configuration would name.
const MAX_IDS: usize = 2_000;
/// As many stand for all.
const OTHERS: usize = 5;

impl<'d> Candidates<'d> {
    pub(super) fn new(directives: &[&'d Directive]) -> Self {
        let mut candidates = Self::default();
        for directive in directives {
            candidates.add(directive);
        }
        let likely = [
            42,
            7,
            123,
            999,
            5_001,
            12_345,
            77_777,
            4_505_000_000_000_001,
        ];
        let unnamed = likely.into_iter().chain(1..=3_000).filter(|id| {
            !candidates.ids.contains(id)
                && candidates
                    .endless
                    .iter()
                    .all(|endless| endless.is_usual(*id))
        });
        candidates.others = unnamed.take(OTHERS).collect();
        candidates
    }

    fn add(&mut self, directive: &'d Directive) {
        if let Some(place) = place(directive) {
            return match place {
                Place::Exact(text) => self.ids.extend(numbers(text)),
                // A prefix that ends before the id says the same of all.
                Place::Prefix(text, _) if numbers(text).is_empty() => {}
                Place::Prefix(text, _) => {
                    self.pattern(directive, Pattern::prefix(text), &[&TARGET])
                }
                Place::Regex(text, ignore_case) => {
                    self.pattern(directive, Pattern::new(text, ignore_case), &[&TARGET])
                }
                Place::Named(_) => {}
            };
        }
        match directive.name.text.as_str() {
            "map" => {
                let map = Map::new(directive);
                // What another map or `set` has cut out of the request is an id, most likely.
                let frames: &[&'static Frame] = match map.source() {
                    "$request_uri" | "$uri" | "$document_uri" => &[&TARGET],
                    _ => &[&TARGET, &ID],
                };
                for entry in map.entries() {
                    match Pattern::of_map(&entry.name.text) {
                        Some(pattern) => self.pattern(entry, pattern, frames),
                        None => self.ids.extend(numbers(&entry.name.text)),
                    }
                }
            }
            "if" => {
                let words: Vec<&str> = directive
                    .args
                    .iter()
                    .map(|word| word.text.as_str())
                    .collect();
                let operator = words
                    .iter()
                    .position(|word| word.trim_start_matches('!').starts_with('~'));
                match operator.and_then(|at| Some((words.get(at)?, words.last()?))) {
                    Some((operator, last)) => {
                        let text = last.strip_suffix(')').unwrap_or(last);
                        self.pattern(
                            directive,
                            Pattern::new(text, operator.ends_with('*')),
                            &[&TARGET, &ID],
                        );
                    }
                    None => self.ids.extend(words.iter().flat_map(|word| numbers(word))),
                }
            }
            "rewrite" => {
                let text = directive.arg(0).unwrap_or_default();
                self.pattern(directive, Pattern::new(text, false), &[&TARGET]);
            }
            _ => {}
        }
    }

    fn pattern(
        &mut self,
        directive: &'d Directive,
        pattern: Result<Pattern, String>,
        frames: &[&'static Frame],
    ) {
        // Whoever comes to it says that it cannot be read.
        let Ok(pattern) = pattern else { return };
        for frame in frames {
            let Coverage { usual, others } = coverage(&pattern, frame);
            match others {
                Others::Listed(ids) if self.ids.union(&ids).count() <= MAX_IDS => {
                    self.ids.extend(ids);
                }
                Others::Listed(ids) => {
                    let count = ids.len();
                    let first = ids.into_iter().take(12).collect();
                    self.endless(directive, &pattern, frame, usual, count, first);
                }
                Others::Endless { count, first } => {
                    self.endless(directive, &pattern, frame, usual, count, first);
                }
            }
        }
    }

    fn endless(
        &mut self,
        directive: &'d Directive,
        pattern: &Pattern,
        frame: &'static Frame,
        usual: u8,
        count: usize,
        first: Vec<u64>,
    ) {
        if let Ok(pattern) = Pattern::new(&pattern.written, pattern.ignore_case) {
            self.endless.push(Endless {
                directive,
                count,
                first,
                pattern,
                frame,
                usual,
            });
        }
    }
}
