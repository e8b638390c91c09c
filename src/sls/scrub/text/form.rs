//! Tokens that are known by their form, wherever they stand: those of the clouds and services below, and JSON web tokens.
//!
//! | form | of |
//! | --- | --- |
//! | `AKIA`, `ASIA` and 16 capitals and digits | AWS |
//! | `LTAI` and 12 to 24 letters and digits | Alibaba Cloud |
//! | `ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_`, `github_pat_` | GitHub |
//! | `glpat-` | GitLab |
//! | `sk_live_`, `rk_live_`, `sk_test_`, `rk_test_` | Stripe |
//! | `xoxb-` and the like | Slack |
//! | `AIza` | Google |
//! | `SG.` and two parts | SendGrid |
//! | `npm_` | npm |
//! | `sk-` with a digit | OpenAI, Anthropic |
//! | `sntrys_`, `sntryu_` | Sentry |
//! | `eyJ….eyJ….…`, or `eyJ…` and four more parts | JSON web token, signed or encrypted |

/// The bytes of a token behind its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    Capitals,
    Letters,
    /// And `_`.
    Words,
    /// And `_` and `-`.
    Url,
    /// And `.`.
    Dotted,
    /// And what Base64 has.
    Base64,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Letters => byte.is_ascii_alphanumeric(),
            Self::Words => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Url => byte.is_ascii_alphanumeric() || b"_-".contains(&byte),
            Self::Dotted => byte.is_ascii_alphanumeric() || b"_-.".contains(&byte),
            Self::Base64 => byte.is_ascii_alphanumeric() || b"_-+/=".contains(&byte),
        }
    }
}

/// What a token looks like.
struct Form {
    head: &'static str,
    alphabet: Alphabet,
    least: usize,
    most: usize,
    /// It has a digit: without one it is a name.
    digit: bool,
}

const fn form(head: &'static str, alphabet: Alphabet, least: usize) -> Form {
    Form {
        head,
        alphabet,
        least,
        most: usize::MAX,
        digit: false,
    }
}

const fn of_length(head: &'static str, alphabet: Alphabet, least: usize, most: usize) -> Form {
    Form {
        most,
        ..form(head, alphabet, least)
    }
}

/// `least` is at most [`LONGEST`].
const FORMS: &[Form] = &[
    of_length("AKIA", Alphabet::Capitals, 16, 16),
    of_length("ASIA", Alphabet::Capitals, 16, 16),
    of_length("LTAI", Alphabet::Letters, 12, 24),
    form("ghp_", Alphabet::Letters, 20),
    form("gho_", Alphabet::Letters, 20),
    form("ghu_", Alphabet::Letters, 20),
    form("ghs_", Alphabet::Letters, 20),
    form("ghr_", Alphabet::Letters, 20),
    form("github_pat_", Alphabet::Words, 20),
    form("glpat-", Alphabet::Url, 20),
    form("sk_live_", Alphabet::Letters, 10),
    form("rk_live_", Alphabet::Letters, 10),
    form("sk_test_", Alphabet::Letters, 10),
    form("rk_test_", Alphabet::Letters, 10),
    form("xoxa-", Alphabet::Url, 10),
    form("xoxb-", Alphabet::Url, 10),
    form("xoxe-", Alphabet::Url, 10),
    form("xoxp-", Alphabet::Url, 10),
    form("xoxr-", Alphabet::Url, 10),
    form("xoxs-", Alphabet::Url, 10),
    form("AIza", Alphabet::Url, 30),
    form("SG.", Alphabet::Dotted, 40),
    form("npm_", Alphabet::Letters, 30),
    form("sntrys_", Alphabet::Base64, 20),
    form("sntryu_", Alphabet::Base64, 20),
    Form {
        digit: true,
        ..form("sk-", Alphabet::Url, 32)
    },
];

/// So many bytes behind the head are looked at at once.
const LONGEST: usize = 40;

/// Whether two bytes may begin a token, also a web token.
pub(super) fn may_begin(bytes: &[u8], at: usize) -> bool {
    let rest = bytes.get(at..).unwrap_or_default();
    matches!(
        rest,
        [b'A', b'K' | b'S' | b'I', ..]
            | [b'L', b'T', ..]
            | [b'g', b'h' | b'i' | b'l', ..]
            | [b's', b'k' | b'n', ..]
            | [b'r', b'k', ..]
            | [b'x', b'o', ..]
            | [b'S', b'G', ..]
            | [b'n', b'p', ..]
            | [b'e', b'y', ..]
    )
}

/// Which token begins at `at`, behind the byte `before`: its alphabet, and where the part of it ends that is sure.
pub(super) fn token(bytes: &[u8], at: usize, before: Option<u8>) -> Option<(Alphabet, usize)> {
    let rest = bytes.get(at..)?;
    FORMS
        .iter()
        .filter(|form| {
            // What is part of the alphabet has been looked at from further in front.
            !before.is_some_and(|byte| form.alphabet.has(byte))
        })
        .find_map(|form| {
            let body = rest.strip_prefix(form.head.as_bytes())?;
            let body = body.get(..LONGEST).unwrap_or(body);
            let length = body
                .iter()
                .take_while(|byte| form.alphabet.has(**byte))
                .count();
            let fits = (form.least..=form.most).contains(&length)
                && (!form.digit || body.iter().take(length).any(u8::is_ascii_digit));
            let end = at.saturating_add(form.head.len()).saturating_add(length);
            fits.then_some((form.alphabet, end))
        })
}

/// A token goes on from `at` to `limit`. True if it is over.
pub(super) fn run(alphabet: Alphabet, bytes: &[u8], at: &mut usize, limit: usize) -> bool {
    while *at < limit {
        if !bytes.get(*at).is_some_and(|byte| alphabet.has(*byte)) {
            return true;
        }
        *at = at.saturating_add(1);
    }
    false
}

/// The shortest first part of a JSON web token.
const MIN_HEADER: usize = 10;

/// What begins as a JSON web token does.
#[derive(Debug, Clone, Copy)]
pub(super) struct WebToken {
    start: usize,
    dots: u8,
}

/// What it turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not known yet.
    Open,
    Token,
    Other,
}

impl WebToken {
    pub(super) fn at(bytes: &[u8], at: usize) -> Option<Self> {
        let rest = bytes.get(at..)?;
        rest.starts_with(b"eyJ")
            .then_some(Self { start: at, dots: 0 })
    }

    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Goes on from `at` to `limit`.
    pub(super) fn run(&mut self, bytes: &[u8], at: &mut usize, limit: usize) -> Kind {
        while *at < limit {
            let Some(byte) = bytes.get(*at) else { break };
            if !Alphabet::Dotted.has(*byte) {
                return self.end();
            }
            if *byte == b'.' {
                self.dots = self.dots.saturating_add(1);
                let behind = bytes.get(at.saturating_add(1)..).unwrap_or_default();
                if at.saturating_sub(self.start) < MIN_HEADER {
                    return Kind::Other;
                }
                if self.dots == 1 && behind.starts_with(b"eyJ") {
                    return Kind::Token;
                }
            }
            *at = at.saturating_add(1);
        }
        Kind::Open
    }

    /// At the end of the text, or of its bytes.
    pub(super) fn end(&self) -> Kind {
        if self.dots == 4 {
            Kind::Token
        } else {
            Kind::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sls::scrub::text::mark::{MARK, class};

    #[test]
    fn heads_begin_as_promised_and_lengths_can_be_seen() {
        for form in FORMS {
            assert!(
                form.head
                    .bytes()
                    .next()
                    .is_some_and(|first| class(first) & MARK != 0)
            );
            assert!(may_begin(form.head.as_bytes(), 0));
            assert!(form.least <= LONGEST);
            assert!(form.most == usize::MAX || form.most < LONGEST);
        }
        assert!(class(b'e') & MARK != 0 && may_begin(b"eyJ", 0));
    }
}
