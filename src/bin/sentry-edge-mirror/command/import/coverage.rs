//! Which projects an expression tells from the others. The expression's automaton is followed digit by digit, so the answer is
//! exact for ids of any length; one that has no automaton (look-around) is tried on ids.

use super::pattern::Pattern;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::{primitives::StateID, start, syntax};
use std::collections::{BTreeMap, BTreeSet};

/// What stands before and after the id. Each `after` is a text of its own.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) before: &'static str,
    pub(super) after: &'static [&'static str],
}

/// An envelope request, as SDKs send it: with the key in a header, and with the key in the query.
pub(super) const TARGET: Frame = Frame {
    before: "/api/",
    after: &[
        "/envelope/",
        "/envelope/?sentry_version=7&sentry_key=0123456789abcdef0123456789abcdef",
    ],
};
/// The id alone, as a map may have cut it out.
pub(super) const ID: Frame = Frame {
    before: "",
    after: &[""],
};

/// More projects than somebody would have written down.
const MAX_LISTED: u64 = 1_000;
/// Ids that are counted for a message. Those of self-hosted Sentry count up from 1.
const LAST: u64 = 99_999;
/// Without an automaton: ids that are tried in a row, and how many of them may be unlike the others.
const TRIED: u64 = 1_099;
const MAX_TRIED: usize = 500;
/// Digits of the largest id.
const MAX_DIGITS: usize = 20;
/// Of one expression. Ordinary ones have ten.
const MAX_STATES: usize = 1_000;
const MAX_AUTOMATON_BYTES: usize = 1 << 22;

/// Which of the texts of a frame match: a bit each.
type Answer = u8;

/// The projects for which an expression says something else than for most.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Coverage {
    /// What it says of most.
    pub(super) usual: Answer,
    pub(super) others: Others,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Others {
    Listed(BTreeSet<u64>),
    /// Too many, or without end: how many up to [`LAST`], and the first of them.
    Endless {
        count: usize,
        first: Vec<u64>,
    },
}

/// What the expression says of a project.
pub(super) fn answer(pattern: &Pattern, frame: &Frame, id: u64) -> Answer {
    let matches = |after: &&str| pattern.is_match(&format!("{}{id}{after}", frame.before));
    frame
        .after
        .iter()
        .rev()
        .fold(0, |bits, after| (bits << 1) | u8::from(matches(after)))
}

pub(super) fn coverage(pattern: &Pattern, frame: &Frame) -> Coverage {
    match Graph::new(pattern, frame) {
        Some(graph) => graph.coverage(),
        None => tried(pattern, frame),
    }
}

/// The automaton, as far as digits lead.
struct Graph {
    states: Vec<State>,
}

#[derive(Default)]
struct State {
    answer: Answer,
    next: [usize; 10],
}

impl Graph {
    fn new(pattern: &Pattern, frame: &Frame) -> Option<Self> {
        let syntax = syntax::Config::new()
            .unicode(false)
            .utf8(false)
            .case_insensitive(pattern.ignore_case);
        let config = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .dfa_size_limit(Some(MAX_AUTOMATON_BYTES))
            .determinize_size_limit(Some(MAX_AUTOMATON_BYTES));
        let dfa = dense::Builder::new()
            .configure(config)
            .syntax(syntax)
            .build(&pattern.written)
            .ok()?;
        let walk = |from: (StateID, bool), text: &[u8]| {
            text.iter().fold(from, |(state, matched), byte| {
                let state = dfa.next_state(state, *byte);
                (state, matched || dfa.is_match_state(state))
            })
        };
        let begin = dfa.start_state(&start::Config::new()).ok()?;
        let begin = walk((begin, dfa.is_match_state(begin)), frame.before.as_bytes());
        let mut known = BTreeMap::from([(begin, 0)]);
        let mut order = vec![begin];
        let mut states = Vec::new();
        while let Some(at) = order.get(states.len()).copied() {
            let accepts = |after: &&str| {
                let (state, matched) = walk(at, after.as_bytes());
                matched || dfa.is_match_state(dfa.next_eoi_state(state))
            };
            let answer = frame
                .after
                .iter()
                .rev()
                .fold(0, |bits, after| (bits << 1) | u8::from(accepts(after)));
            let mut state = State {
                answer,
                ..State::default()
            };
            for (next, digit) in state.next.iter_mut().zip(b'0'..=b'9') {
                let to = walk(at, &[digit]);
                *next = *known.entry(to).or_insert_with(|| {
                    order.push(to);
                    order.len().saturating_sub(1)
                });
            }
            states.push(state);
            if order.len() > MAX_STATES {
                return None;
            }
        }
        Some(Self { states })
    }

    fn state(&self, index: usize) -> Option<&State> {
        self.states.get(index)
    }

    fn of(&self, id: u64) -> Answer {
        let digits = id.to_string();
        let end = digits.bytes().fold(0, |at, byte| {
            let digit = usize::from(byte.wrapping_sub(b'0'));
            self.state(at)
                .and_then(|state| state.next.get(digit))
                .copied()
                .unwrap_or(0)
        });
        self.state(end).map_or(0, |state| state.answer)
    }

    fn coverage(&self) -> Coverage {
        let answers: BTreeSet<Answer> = self.states.iter().map(|state| state.answer).collect();
        let counted = answers.iter().map(|answer| {
            let counts = self.counts(&|state| state.answer == *answer);
            (self.ids(&counts, MAX_DIGITS), *answer)
        });
        let usual = counted.max().map_or(0, |(_, answer)| answer);
        let counts = self.counts(&|state| state.answer != usual);
        let others = if self.ids(&counts, MAX_DIGITS) <= MAX_LISTED {
            let mut listed = BTreeSet::new();
            self.list(&counts, usual, 0, 0, MAX_DIGITS, &mut listed);
            Others::Listed(listed)
        } else {
            let ids = (1..=LAST).filter(|id| self.of(*id) != usual);
            Others::Endless {
                count: ids.clone().count(),
                first: ids.take(12).collect(),
            }
        };
        Coverage { usual, others }
    }

    /// For each number of digits that may follow, and each state: how many ids there are of the wanted kind, itself included.
    fn counts(&self, wanted: &dyn Fn(&State) -> bool) -> Vec<Vec<u64>> {
        let own: Vec<u64> = self
            .states
            .iter()
            .map(|state| u64::from(wanted(state)))
            .collect();
        let mut counts = vec![own.clone()];
        for _ in 0..MAX_DIGITS {
            let last = counts.last().map(Vec::as_slice).unwrap_or_default();
            let with_next = self.states.iter().zip(&own).map(|(state, own)| {
                let next = state.next.iter().filter_map(|next| last.get(*next));
                next.fold(*own, |sum, count| sum.saturating_add(*count))
            });
            let with_next = with_next.collect();
            counts.push(with_next);
        }
        counts
    }

    /// How many ids, none of which begins with 0.
    fn ids(&self, counts: &[Vec<u64>], digits: usize) -> u64 {
        let begin = self.state(0).map(|state| state.next.iter().skip(1));
        let Some(counts) = counts.get(digits.saturating_sub(1)) else {
            return 0;
        };
        let next = begin
            .into_iter()
            .flatten()
            .filter_map(|next| counts.get(*next));
        next.fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn list(
        &self,
        counts: &[Vec<u64>],
        usual: Answer,
        at: usize,
        id: u64,
        left: usize,
        found: &mut BTreeSet<u64>,
    ) {
        let Some(state) = self.state(at) else { return };
        if id > 0 && state.answer != usual {
            found.insert(id);
        }
        let Some(left) = left.checked_sub(1) else {
            return;
        };
        for (next, digit) in state.next.iter().zip(0_u64..) {
            let any = counts.get(left).and_then(|counts| counts.get(*next)) != Some(&0);
            let longer = id.checked_mul(10).and_then(|id| id.checked_add(digit));
            if let Some(longer) = longer.filter(|longer| any && *longer > 0) {
                self.list(counts, usual, *next, longer, left, found);
            }
        }
    }
}

/// By trying the ids that are likely, those that stand in the expression with their neighbours, and some of every length.
fn tried(pattern: &Pattern, frame: &Frame) -> Coverage {
    let named = numbers(&pattern.written);
    let near = named
        .iter()
        .flat_map(|id| [*id, *id / 10, id.saturating_add(1)]);
    let long = (4..=16).flat_map(|length| {
        (1..=9).map(move |first: u64| {
            (1..length).fold(first, |id, _| {
                id.saturating_mul(10)
                    .saturating_add(10_u64.saturating_sub(first))
            })
        })
    });
    let ids: BTreeSet<u64> = (1..=TRIED)
        .chain(near)
        .chain(long)
        .filter(|id| *id > 0)
        .collect();
    let answers: BTreeMap<u64, Answer> = ids
        .iter()
        .map(|id| (*id, answer(pattern, frame, *id)))
        .collect();
    let mut counts: BTreeMap<Answer, usize> = BTreeMap::new();
    for answer in answers.values() {
        let count = counts.entry(*answer).or_default();
        *count = count.saturating_add(1);
    }
    let usual = counts.into_iter().max_by_key(|(_, count)| *count);
    let usual = usual.map_or(0, |(answer, _)| answer);
    let others: BTreeSet<u64> = ids
        .into_iter()
        .filter(|id| answers.get(id) != Some(&usual))
        .collect();
    // Longer ones than were tried in a row are known only when they were written down.
    let goes_on = |id: &u64| {
        let mut longer = (0..10).map(|digit| id.saturating_mul(10).saturating_add(digit));
        *id > TRIED && !named.contains(id)
            || *id > TRIED / 10
                && longer.any(|longer| {
                    !named.contains(&longer) && answer(pattern, frame, longer) != usual
                })
    };
    if others.iter().any(goes_on) || others.len() > MAX_TRIED {
        return Coverage {
            usual,
            others: Others::Endless {
                count: others.len(),
                first: others.into_iter().take(12).collect(),
            },
        };
    }
    Coverage {
        usual,
        others: Others::Listed(others),
    }
}

/// The numbers that stand in a text.
pub(super) fn numbers(text: &str) -> BTreeSet<u64> {
    let runs = text.split(|character: char| !character.is_ascii_digit());
    runs.filter_map(|run| run.parse().ok())
        .filter(|id| *id > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Coverage, ID, Others, TARGET, coverage};
    use crate::command::import::pattern::Pattern;

    fn covered(pattern: &str) -> Coverage {
        coverage(&Pattern::new(pattern, false).unwrap(), &TARGET)
    }

    fn listed(usual: u8, ids: impl IntoIterator<Item = u64>) -> Coverage {
        Coverage {
            usual,
            others: Others::Listed(ids.into_iter().collect()),
        }
    }

    #[test]
    fn projects_by_every_spelling() {
        for (pattern, ids) in [
            ("^/api/1/envelope/", vec![1]),
            ("^/api/1/", vec![1]),
            ("/api/1/envelope", vec![1]),
            (r"^\/api\/(1|22|333)\/", vec![1, 22, 333]),
            ("^/api/(?:4|5)/envelope/", vec![4, 5]),
            ("^/api/[1-3]/", vec![1, 2, 3]),
            ("^/api/4505000000000001/", vec![4_505_000_000_000_001]),
            (r"^/api/1\d/envelope", (10..20).collect()),
            (r"^/api/\d{1,2}/", (1..100).collect()),
            ("^/api/0*7/", vec![7]),
            ("^/api/1/store/", vec![]),
            ("^/api/0/", vec![]),
        ] {
            assert_eq!(covered(pattern), listed(0, ids), "{pattern}");
        }
        for pattern in [r"^/api/\d+/envelope/", r"^/api/[1-9]\d*/", "^/api/", "."] {
            assert_eq!(covered(pattern), listed(0b11, []), "{pattern}");
        }
        assert_eq!(covered(r"^/api/\d{3,}/"), listed(0b11, 1..100));
        assert_eq!(covered(r"^/api/[1-9]\d{3}"), listed(0b11, 1..1_000));
        assert_eq!(covered("^/api/(1[0-9]*|[2-9])/").usual, 0);
        for pattern in ["^/api/1", "^/api/12345", r"^/api/\d*1/", r"^/api/1\d*/"] {
            assert!(
                matches!(covered(pattern).others, Others::Endless { .. }),
                "{pattern}: {:?}",
                covered(pattern)
            );
        }
        let Others::Endless { count, first } = covered("^/api/7").others else {
            panic!()
        };
        assert_eq!((count, &first[..4]), (11_111, &[7, 70, 71, 72][..]));
    }

    #[test]
    fn with_a_query_and_without() {
        assert_eq!(covered("^/api/1/envelope/$"), listed(0, [1]));
        assert_eq!(covered(r"^/api/\d+/envelope/$"), listed(0b01, []));
        assert_eq!(covered(r"^/api/\d+/envelope/\?"), listed(0b10, []));
    }

    #[test]
    fn what_has_no_automaton_is_tried() {
        assert_eq!(covered(r"^/api/(?!7/)\d+/"), listed(0b11, [7]));
        assert_eq!(
            covered(r"^/api/(?!4505000000000001/|9/)\d+/"),
            listed(0b11, [9, 4_505_000_000_000_001])
        );
        assert_eq!(covered(r"^/api/(?=7/)\d+/"), listed(0, [7]));
        for endless in [
            r"^/api/(?!7)\d+/",
            r"^/api/(?!123)\d+/",
            r"^/api/(?!\d{6}/)\d+/",
        ] {
            assert!(
                matches!(covered(endless).others, Others::Endless { .. }),
                "{endless}"
            );
        }
    }

    #[test]
    fn ids_alone() {
        let of = |text: &str| coverage(&Pattern::new(text, false).unwrap(), &ID);
        assert_eq!(of("^(1|20)$"), listed(0, [1, 20]));
        assert_eq!(of("^/api/1/"), listed(0, []));
    }
}
