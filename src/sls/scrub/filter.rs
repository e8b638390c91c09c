//! The quick look: whether a string, written as in JSON or not, could contain anything sensitive at all. Most strings of an
//! event cannot. Every byte of every string is looked at, so it is one table look-up per byte.
//!
//! It looks for the beginnings of the sensitive words of `key.rs` and of the tokens of `text/form.rs`, for a letter or a mark
//! after an escape, for an address with `@`, and for the digits of a card number. It says yes too often. It says no where
//! `text.rs` would find something only if a key has breaks within a word, as in `pa_ssword`.

use std::sync::LazyLock;

use super::automaton::{Automaton, Pattern, START, Set};

/// The beginning or the rarest part of the sensitive words of `key.rs`, in any case.
const WORDS: &[&str] = &[
    "pass", "secr", "creden", "token", "bearer", "authori", "cooki", "srf", "jwt", "otp", "pwd",
    "signat",
];

/// The same for those made of two words: there may be a break in between.
const PAIRS: &[(&str, &str)] = &[
    ("pi", "k"),
    ("ate", "key"),
    ("ss", "k"),
    ("wo", "fac"),
    ("unt", "key"),
    ("ing", "key"),
    ("ion", "key"),
];

/// Parts of names of session cookies, and one name that occurs only in a query string.
const NAMES: &[&str] = &[
    "_sess", "ysess", "essid", "sionid", "t.sid", "rysid", "sig=", "sig%",
];

/// Beginnings of tokens, case-sensitive.
const TOKENS: &[&str] = &[
    "AKIA", "ASIA", "LTAI", "_pat_", "k_live", "k_test", "xox", "glpat", "AIza", "SG.", "npm_",
    "eyJ", "sntry", "sk-",
];

/// The shortest card number.
const MIN_DIGITS: usize = 13;

/// How many configured words fit into one automaton.
const WORDS_EACH: usize = 40;
/// How many automata a state has room for; beyond that everything is suspicious.
const MOST: usize = 6;

/// The default words, for text and for keys.
static TEXT: LazyLock<Option<Automaton>> = LazyLock::new(|| Automaton::new(&text_patterns()));
static KEY: LazyLock<Option<Automaton>> = LazyLock::new(|| Automaton::new(&key_patterns()));

/// What is looked for.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    /// The configured words, for text and for keys.
    extra: Vec<Extra>,
    /// There are more configured words than there is room for: everything is suspicious.
    all: bool,
}

/// The automata of some configured words.
#[derive(Debug, Clone)]
struct Extra {
    text: Automaton,
    key: Automaton,
}

/// What has been seen of a string so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspicion {
    default: u8,
    extra: [u8; MOST],
    found: bool,
}

impl Suspicion {
    pub(super) fn new() -> Self {
        Self {
            default: START,
            extra: [START; MOST],
            found: false,
        }
    }

    /// The verdict at the end of the string.
    pub(super) fn is_suspicious(self) -> bool {
        self.found
            || TEXT
                .as_ref()
                .is_none_or(|automaton| automaton.found(self.default))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl Filter {
    /// For the default words and the first words of configured keys, in lower case.
    pub(super) fn new<'w>(extra: impl Iterator<Item = &'w [u8]>) -> Self {
        // Now, and not at the first request.
        LazyLock::force(&TEXT);
        LazyLock::force(&KEY);
        let words: Vec<&[u8]> = extra.collect();
        let mut filter = Self {
            extra: Vec::new(),
            all: words.len() > WORDS_EACH.saturating_mul(MOST),
        };
        for words in words.chunks(WORDS_EACH) {
            // When escaped, letters that are not ASCII look like any others.
            let foreign = words.iter().any(|word| !word.is_ascii());
            let escape = foreign.then(|| exact(br"\u"));
            let text = words.iter().map(|word| beginning(word, breaks_in_text()));
            let text: Vec<_> = text.chain(escape).collect();
            let key = words.iter().map(|word| beginning(word, breaks_in_keys()));
            match (
                Automaton::new(&text),
                Automaton::new(&key.collect::<Vec<_>>()),
            ) {
                (Some(text), Some(key)) => filter.extra.push(Extra { text, key }),
                _ => filter.all = true,
            }
        }
        filter
    }

    /// Looks at the next piece of a string.
    pub(super) fn look(&self, state: &mut Suspicion, piece: &[u8]) {
        if state.found {
            return;
        }
        state.found = self.all;
        match TEXT.as_ref() {
            Some(automaton) => state.default = automaton.run(state.default, piece),
            None => state.found = true,
        }
        for (extra, state_of) in self.extra.iter().zip(&mut state.extra) {
            *state_of = extra.text.run(*state_of, piece);
            state.found |= extra.text.found(*state_of);
        }
    }

    /// How many automata look at each byte.
    pub(super) fn automata(&self) -> usize {
        self.extra.len().saturating_add(1)
    }

    /// Whether a key may be sensitive, by its first and last bytes. What is between its letters and digits does not count, as
    /// in `key.rs`.
    pub(super) fn suspects_key(&self, head: &[u8], tail: &[u8]) -> bool {
        let suspects = |automaton: &Automaton| {
            let state = automaton.run(START, head);
            automaton.found(automaton.run(state, tail))
        };
        self.all
            || KEY.as_ref().is_none_or(suspects)
            || self.extra.iter().any(|extra| suspects(&extra.key))
    }
}

fn text_patterns() -> Vec<Pattern> {
    let words = WORDS.iter().chain(NAMES).map(|word| any_case(word));
    let tokens = TOKENS.iter().map(|token| exact(token.as_bytes()));
    let mut patterns: Vec<_> = words.chain(tokens).collect();
    for (first, second) in PAIRS {
        let joined = [*first, second].concat();
        patterns.push(any_case(&joined));
        let mut broken = any_case(&joined);
        let between = Set::of(|byte| b"_-. ".contains(&byte));
        broken.sets.insert(first.len(), between);
        patterns.push(broken);
    }
    // `auth`, but not `author`.
    let mut auth = any_case("auth");
    auth.sets.push(Set::of(|byte| byte != b'o'));
    auth.ends = true;
    patterns.push(auth);
    let mut github = exact(b"gh._");
    if let Some(kind) = github.sets.get_mut(2) {
        *kind = Set::of(|byte| b"pousr".contains(&byte));
    }
    patterns.push(github);
    // Escapes: of letters, of `@` and what else may stand in a key, of an escape.
    patterns.extend([b"%4", b"%6"].map(|head| escape(head, |digit| digit.is_ascii_hexdigit())));
    let letters = |digit: u8| b"0123456789AaFf".contains(&digit);
    patterns.extend([b"%5", b"%7"].map(|head| escape(head, letters)));
    patterns.push(escape(b"%2", |digit| b"5DdEe".contains(&digit)));
    patterns.push(escape(br"\u00", |digit| matches!(digit, b'2'..=b'7')));
    patterns.push(escape(br"\x", |digit| matches!(digit, b'2'..=b'7')));
    // A name before `@`, but not a decorator or a package.
    let name = Set::of(|byte| !byte.is_ascii_whitespace() && !b"/?#\"'<>\\(@".contains(&byte));
    let mut at = exact(b"@");
    at.sets.insert(0, name);
    patterns.push(at);
    let mut digits = exact(b"");
    digits.sets = vec![Set::of(|byte| byte.is_ascii_digit()); MIN_DIGITS];
    digits.breaks = Set::of(|byte| matches!(byte, b' ' | b'-'));
    patterns.push(digits);
    patterns
}

/// What is between letters and digits does not count, and an escape may be anything.
fn key_patterns() -> Vec<Pattern> {
    let pairs = PAIRS
        .iter()
        .map(|(first, second)| any_case(&[*first, second].concat()));
    let words = WORDS.iter().chain(&["auth", "sess", "sid"]);
    let escapes = ["%", "\\"].iter().map(|mark| exact(mark.as_bytes()));
    // As the last word.
    let mut sig = any_case("sig");
    sig.sets.push(Set::none());
    sig.ends = true;
    words
        .map(|word| any_case(word))
        .chain(pairs)
        .map(|pattern| with_breaks(pattern, breaks_in_keys()))
        .chain(escapes)
        .chain([sig])
        .collect()
}

/// What may occur between the letters of a configured key in text.
fn breaks_in_text() -> Set {
    Set::of(|byte| b"_-.".contains(&byte))
}

/// What may occur between the letters of a key.
fn breaks_in_keys() -> Set {
    Set::of(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
}

fn any_case(word: &str) -> Pattern {
    pattern(word.bytes().map(Set::letter).collect())
}

/// The first three bytes of a word.
fn beginning(word: &[u8], breaks: Set) -> Pattern {
    let sets = word.iter().take(3).copied().map(Set::letter);
    with_breaks(pattern(sets.collect()), breaks)
}

fn exact(text: &[u8]) -> Pattern {
    let sets = text.iter().map(|own| Set::of(|byte| byte == *own));
    pattern(sets.collect())
}

fn pattern(sets: Vec<Set>) -> Pattern {
    Pattern {
        sets,
        breaks: Set::none(),
        ends: false,
    }
}

fn with_breaks(pattern: Pattern, breaks: Set) -> Pattern {
    Pattern { breaks, ..pattern }
}

fn escape(head: &[u8], last: impl Fn(u8) -> bool) -> Pattern {
    let mut pattern = exact(head);
    pattern.sets.push(Set::of(last));
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspects(filter: &Filter, text: &str) -> bool {
        let mut whole = Suspicion::new();
        filter.look(&mut whole, text.as_bytes());
        let mut pieces = Suspicion::new();
        for piece in text.as_bytes().chunks(2) {
            filter.look(&mut pieces, piece);
        }
        assert_eq!(pieces.is_suspicious(), whole.is_suspicious(), "{text}");
        whole.is_suspicious()
    }

    #[test]
    fn the_default_words_fit() {
        let states = TEXT.as_ref().map(Automaton::states);
        assert!(states.is_some_and(|states| states > 100), "{states:?}");
        assert!(KEY.is_some());
    }

    #[test]
    fn beginnings_anywhere_in_any_case() {
        let filter = Filter::new([b"zy".as_slice(), "身份".as_bytes()].into_iter());
        for text in [
            "password",
            "x-Api-Key",
            "theSecret",
            "x-account.key",
            "mail@host",
            "a%40b",
            "p%61ss",
            r"\u0041",
            r"\u8eab",
            "1234567890123",
            "4111 1111-1111 1",
            "auth",
            "x-auth: y",
            "AUTHORIZATION",
            "key AKIA",
            "eyJhbGci",
            "BEGIN PRIVATE KEY-----",
            "zy",
            "x_Z-y",
            "身份",
        ] {
            assert!(suspects(&filter, text), "{text}");
        }
        for text in [
            "",
            "p",
            "filename",
            "context_line",
            "z",
            "author",
            "authors",
            "@app.route",
            "node_modules/@sentry/node",
            "a%20b%3D",
            r"line\n",
            "123456789012",
            "2026-11-21T03:34:36.146039631Z",
            "f3a1c9d2-4b5e-4c7a-9d3f-1a2b3c4d5e6f",
            "pa ss",
            "createKnob, gasoline",
        ] {
            assert!(!suspects(&filter, text), "{text}");
        }
    }

    #[test]
    fn more_words_than_there_is_room_for() {
        let words: Vec<_> = (0..250_u8)
            .map(|index| {
                [
                    b'q',
                    b'a'.wrapping_add(index % 26),
                    b'a'.wrapping_add(index / 26),
                ]
            })
            .collect();
        let filter = |words: &[[u8; 3]]| Filter::new(words.iter().map(<[u8; 3]>::as_slice));
        assert!(suspects(&filter(&words), "filename"));
        assert!(!suspects(&filter(&words[..90]), "filename"));
        assert!(suspects(&filter(&words[..90]), "QLD"));
    }
}
