//! Searches for many beginnings at once, with one table look-up per byte: a deterministic automaton, built from patterns at
//! configuration time. `filter.rs` decides what the patterns are.

use std::collections::BTreeMap;

/// The state before the first byte.
pub(super) const START: u8 = 0;
/// A pattern was found. It is never left.
pub(super) const FOUND: u8 = u8::MAX;

/// Bytes processed between two checks of the state; a constant, so that the loop is unrolled.
const STEP: usize = 16;

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set([bool; 256]);

impl Set {
    pub(super) fn none() -> Self {
        Self([false; 256])
    }

    pub(super) fn of(test: impl Fn(u8) -> bool) -> Self {
        let mut set = Self::none();
        for (byte, slot) in (0..=u8::MAX).zip(&mut set.0) {
            *slot = test(byte);
        }
        set
    }

    /// One letter in both cases, or any other byte.
    pub(super) fn letter(letter: u8) -> Self {
        Self::of(|byte| byte.eq_ignore_ascii_case(&letter))
    }

    fn has(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or_default()
    }
}

/// A sequence of sets of bytes.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// One for each byte.
    pub(super) sets: Vec<Set>,
    /// What may occur between two bytes, any number of times.
    pub(super) breaks: Set,
    /// Whether the end of the text counts as the last set.
    pub(super) ends: bool,
}

/// See the module's documentation.
#[derive(Debug, Clone)]
pub(super) struct Automaton {
    /// By state and byte, the state in the high half of the index.
    next: Box<[u8; 65_536]>,
    /// The states in which the end of the text completes a pattern.
    ends: Vec<bool>,
}

/// A place in a pattern: its index, and how many of its sets have been matched, at least one.
type Place = (u16, u16);

impl Automaton {
    /// `None` if there are more states than a byte can count.
    pub(super) fn new(patterns: &[Pattern]) -> Option<Self> {
        let (classes, examples) = classes(patterns);
        // The places where a pattern begins, for a byte of each class.
        let begun: Vec<_> = examples
            .iter()
            .map(|example| begin(patterns, *example))
            .collect();
        let next: Box<[u8]> = vec![FOUND; 65_536].into_boxed_slice();
        let mut automaton = Self {
            next: next.try_into().ok()?,
            ends: Vec::new(),
        };
        // The places of each state, in the order in which the states were found.
        let mut states: Vec<Vec<Place>> = vec![Vec::new()];
        let mut known = BTreeMap::from([(Vec::new(), START)]);
        let mut index = 0_usize;
        // From the first state; and from any other with a byte that moves nothing in it.
        let mut from_start: Vec<u8> = Vec::new();
        while let Some(places) = states.get(index).cloned() {
            let mut targets = Vec::with_capacity(examples.len());
            for (class, (example, begun)) in examples.iter().zip(&begun).enumerate() {
                let moves = places.iter().any(|place| moves(patterns, *place, *example));
                if let Some(target) = from_start.get(class).filter(|_| !moves) {
                    targets.push(*target);
                    continue;
                }
                let target = match step(patterns, &places, *example, begun) {
                    None => FOUND,
                    Some(set) => match known.get(&set) {
                        Some(state) => *state,
                        None => {
                            let state = u8::try_from(states.len())
                                .ok()
                                .filter(|state| *state != FOUND)?;
                            known.insert(set.clone(), state);
                            states.push(set);
                            state
                        }
                    },
                };
                targets.push(target);
            }
            if index == 0 {
                from_start.clone_from(&targets);
            }
            let row = automaton.next.chunks_mut(256).nth(index)?;
            for (slot, class) in row.iter_mut().zip(&classes) {
                *slot = targets.get(*class).copied()?;
            }
            automaton.ends.push(places.iter().any(|(pattern, matched)| {
                patterns.get(usize::from(*pattern)).is_some_and(|pattern| {
                    pattern.ends && usize::from(*matched).saturating_add(1) == pattern.sets.len()
                })
            }));
            index = index.saturating_add(1);
        }
        Some(automaton)
    }

    /// The state after these bytes.
    pub(super) fn run(&self, mut state: u8, bytes: &[u8]) -> u8 {
        let (pieces, rest) = bytes.as_chunks::<STEP>();
        for piece in pieces {
            for byte in piece {
                state = self.next(state, *byte);
            }
            if state == FOUND {
                return state;
            }
        }
        for byte in rest {
            state = self.next(state, *byte);
        }
        state
    }

    #[inline(always)]
    fn next(&self, state: u8, byte: u8) -> u8 {
        let index = u16::from_be_bytes([state, byte]);
        let next = self.next.get(usize::from(index));
        next.copied().unwrap_or(FOUND)
    }

    /// Whether a text that ends in this state contains one of the patterns.
    pub(super) fn found(&self, state: u8) -> bool {
        state == FOUND
            || self
                .ends
                .get(usize::from(state))
                .copied()
                .unwrap_or_default()
    }

    #[cfg(test)]
    pub(super) fn states(&self) -> usize {
        self.ends.len()
    }
}

/// The patterns that begin with this byte; `None` if one of them is complete.
fn begin(patterns: &[Pattern], byte: u8) -> Option<Vec<Place>> {
    let mut begun = Vec::new();
    for (index, pattern) in (0..u16::MAX).zip(patterns) {
        if pattern.sets.first().is_some_and(|set| set.has(byte)) {
            if pattern.sets.len() == 1 {
                return None;
            }
            begun.push((index, 1));
        }
    }
    Some(begun)
}

/// Whether a byte continues a pattern or is in one of its breaks.
fn moves(patterns: &[Pattern], (index, matched): Place, byte: u8) -> bool {
    patterns.get(usize::from(index)).is_some_and(|pattern| {
        let next = pattern.sets.get(usize::from(matched));
        next.is_some_and(|set| set.has(byte)) || pattern.breaks.has(byte)
    })
}

/// The places after one more byte; `None` if a pattern is complete.
fn step(
    patterns: &[Pattern],
    places: &[Place],
    byte: u8,
    begun: &Option<Vec<Place>>,
) -> Option<Vec<Place>> {
    let mut next = begun.clone()?;
    for (index, matched) in places {
        let pattern = patterns.get(usize::from(*index))?;
        let fits = pattern
            .sets
            .get(usize::from(*matched))
            .is_some_and(|set| set.has(byte));
        if fits {
            let matched = matched.saturating_add(1);
            if usize::from(matched) == pattern.sets.len() {
                return None;
            }
            next.push((*index, matched));
        } else if pattern.breaks.has(byte) {
            next.push((*index, *matched));
        }
    }
    next.sort_unstable();
    next.dedup();
    Some(next)
}

/// Bytes that no pattern tells apart: the class of each byte, and a byte of each class.
fn classes(patterns: &[Pattern]) -> (Vec<usize>, Vec<u8>) {
    let mut known = BTreeMap::new();
    let mut examples = Vec::new();
    let mut classes = Vec::with_capacity(256);
    for byte in 0..=u8::MAX {
        let mut signature = vec![0_u64; 16];
        let sets = patterns
            .iter()
            .flat_map(|pattern| pattern.sets.iter().chain([&pattern.breaks]));
        for (index, set) in sets.enumerate() {
            signature.resize(
                signature.len().max(index.div_euclid(64).saturating_add(1)),
                0,
            );
            if let Some(bits) = signature.get_mut(index.div_euclid(64)) {
                *bits |= u64::from(set.has(byte)) << (index % 64);
            }
        }
        let class = *known.entry(signature).or_insert_with(|| {
            examples.push(byte);
            examples.len().saturating_sub(1)
        });
        classes.push(class);
    }
    (classes, examples)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn pattern(word: &str, breaks: Set, ends: bool) -> Pattern {
        Pattern {
            sets: word.bytes().map(Set::letter).collect(),
            breaks,
            ends,
        }
    }

    #[test]
    fn patterns_wherever_they_begin_and_over_pieces() {
        let patterns = [
            pattern("aab", Set::none(), false),
            pattern("xy", Set::of(|byte| byte == b'_'), false),
            pattern("end.", Set::none(), true),
        ];
        let automaton = Automaton::new(&patterns).unwrap();
        for (text, expected) in [
            ("aab", true),
            ("..aaaAB..", true),
            ("ab aa b", false),
            ("x__y", true),
            ("x__z_y", false),
            ("_xx_y", true),
            ("the end", true),
            ("the end.", true),
            ("the ends", false),
            ("en", false),
            ("", false),
        ] {
            let whole = automaton.run(START, text.as_bytes());
            assert_eq!(automaton.found(whole), expected, "{text}");
            let pieces = text
                .as_bytes()
                .chunks(1)
                .fold(START, |state, piece| automaton.run(state, piece));
            assert_eq!(pieces, whole, "{text}");
        }
    }

    #[test]
    fn too_many_states_make_none() {
        let patterns: Vec<_> = (0..200_u8)
            .map(|index| Pattern {
                sets: [index, index, index]
                    .iter()
                    .map(|own| Set::of(|byte| byte == *own))
                    .collect(),
                breaks: Set::none(),
                ends: false,
            })
            .collect();
        assert!(Automaton::new(&patterns).is_none());
        assert!(Automaton::new(&patterns[..100]).is_some());
    }
}
