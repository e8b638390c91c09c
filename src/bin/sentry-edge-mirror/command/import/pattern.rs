//! A regular expression of nginx. PCRE's look-around and back references are understood; what is not, is said.

use fancy_regex::{Regex, RegexBuilder};

/// Steps of the backtracking engine, as PCRE has a limit too. Ordinary expressions do not backtrack at all.
const MAX_STEPS: usize = 100_000;

/// A compiled expression, and how it was written.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) written: String,
    pub(super) ignore_case: bool,
    regex: Regex,
}

/// What the groups of an expression matched: by number, and by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Captures {
    pub(super) numbered: Vec<String>,
    pub(super) named: Vec<(String, String)>,
}

impl Pattern {
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn new(written: &str, ignore_case: bool) -> Result<Self, String> {
        let regex = RegexBuilder::new(written)
            .case_insensitive(ignore_case)
            .backtrack_limit(MAX_STEPS)
            .build()
            .map_err(|error| {
                let error = error.to_string();
                error.lines().last().unwrap_or_default().trim().to_owned()
            })?;
        Ok(Self {
            written: written.to_owned(),
            ignore_case,
            regex,
        })
    }

    /// As an entry of a map has it: `~` or `~*` and the expression.
    pub(super) fn of_map(text: &str) -> Option<Result<Self, String>> {
        let written = text.strip_prefix('~')?;
        Some(match written.strip_prefix('*') {
            Some(written) => Self::new(written, true),
            None => Self::new(written, false),
        })
    }

    /// A text that must stand at the beginning.
    pub(super) fn prefix(text: &str) -> Result<Self, String> {
        Self::new(&format!("^{}", fancy_regex::escape(text)), false)
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text).unwrap_or(false)
    }

    pub(super) fn captures(&self, text: &str) -> Option<Captures> {
        let found = self.regex.captures(text).ok()??;
        let of = |group: Option<fancy_regex::Match<'_>>| {
            group.map_or_else(String::new, |group| group.as_str().to_owned())
        };
        let names = self.regex.capture_names().flatten();
        Some(Captures {
            numbered: found.iter().map(of).collect(),
            named: names
                .map(|name| (name.to_owned(), of(found.name(name))))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn expressions_of_pcre() {
        for (written, matches, not) in [
            (r"^\/api\/(?!7/)\d+/", "/api/8/", "/api/7/"),
            (
                "^/api/(?<id>[1-9]\\d*)/envelope/$",
                "/api/8/envelope/",
                "/api/8/",
            ),
            (r"^/api/(\d)\1/", "/api/11/", "/api/12/"),
            ("^/api/8++/", "/api/88/", "/api/9/"),
        ] {
            let pattern = Pattern::new(written, false).unwrap();
            assert!(
                pattern.is_match(matches) && !pattern.is_match(not),
                "{written}"
            );
        }
        assert!(
            Pattern::of_map("~*^/API/")
                .unwrap()
                .unwrap()
                .is_match("/api/")
        );
        assert!(
            !Pattern::of_map("~^/API/")
                .unwrap()
                .unwrap()
                .is_match("/api/")
        );
        assert!(Pattern::of_map("/api/").is_none());
        assert!(Pattern::new("(", false).is_err());
        assert!(Pattern::prefix("/a.b").unwrap().is_match("/a.b/c"));
    }

    #[test]
    fn groups() {
        let pattern = Pattern::new("^/(?<a>x)(y)?/(z)", false).unwrap();
        let found = pattern.captures("/x/z").unwrap();
        assert_eq!(found.numbered, ["/x/z", "x", "", "z"]);
        assert_eq!(found.named, [("a".to_owned(), "x".to_owned())]);
        assert_eq!(pattern.captures("/y"), None);
    }
}
