//! Which projects a pattern of the map covers: found by trying it, so that every way to write a regular expression means
//! here what it means in nginx. Only envelope requests are tried, all that RUM accepts.

use regex::bytes::{Regex, RegexBuilder};
use std::collections::BTreeSet;

/// Project ids that are tried, besides every number that stands in the pattern. Ids of self-hosted Sentry count up from 1.
const LAST: u64 = 99_999;
/// More projects than somebody would have written down.
const MAX_LISTED: usize = 1_000;

/// What a pattern covers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Coverage {
    pub(super) projects: Covered,
    /// Envelope requests of a covered project that it does not cover.
    pub(super) gap: Option<&'static str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Covered {
    /// Every project.
    All,
    /// These and, beyond what was tried, no other.
    Listed(BTreeSet<u64>),
    /// These and more: a part that cannot be listed.
    Part(BTreeSet<u64>),
}

/// Compiles a regular expression of nginx.
pub(super) fn compile(pattern: &str, ignore_case: bool) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .case_insensitive(ignore_case)
        .build()
}

/// Tries a regular expression.
pub(super) fn probe(regex: &Regex) -> Coverage {
    let covers = |id: u64| {
        let plain = format!("/api/{id}/envelope/");
        let with_query =
            format!("{plain}?sentry_version=7&sentry_key=0123456789abcdef0123456789abcdef");
        [plain, with_query].map(|target| regex.is_match(target.as_bytes()))
    };
    let mut projects = BTreeSet::new();
    let mut gap = None;
    for id in (1..=LAST).chain(numbers(regex.as_str())) {
        match covers(id) {
            [true, true] => {}
            [true, false] => gap = Some("with a query"),
            [false, true] => gap = Some("without a query"),
            [false, false] => continue,
        }
        projects.insert(id);
    }
    let all = (1..=LAST).all(|id| projects.contains(&id));
    // A pattern without an end, such as `^/api/12345`.
    let goes_on = |id: &u64| {
        let longer = id.saturating_mul(10);
        longer > LAST
            && covers(longer).contains(&true)
            && !numbers(regex.as_str()).contains(&longer)
    };
    let projects = if all {
        Covered::All
    } else if projects.len() > MAX_LISTED || projects.iter().any(goes_on) {
        Covered::Part(projects)
    } else {
        Covered::Listed(projects)
    };
    Coverage { projects, gap }
}

/// The numbers that stand in a pattern.
fn numbers(pattern: &str) -> Vec<u64> {
    let runs = pattern.split(|character: char| !character.is_ascii_digit());
    runs.filter_map(|run| run.parse().ok())
        .filter(|id| *id > LAST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Coverage, Covered, compile, probe};

    fn covered(pattern: &str) -> Coverage {
        probe(&compile(pattern, false).unwrap())
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
            ("^/api/0*7/", vec![7]),
            ("^/api/1/store/", vec![]),
            ("^/api/0/", vec![]),
        ] {
            let listed = Covered::Listed(ids.into_iter().collect());
            assert_eq!(covered(pattern).projects, listed, "{pattern}");
        }
        for pattern in [r"^/api/\d+/envelope/", r"^/api/[1-9]\d*/", "^/api/", "."] {
            assert_eq!(covered(pattern).projects, Covered::All, "{pattern}");
        }
        for pattern in [
            "^/api/1",
            r"^/api/[1-9]\d{3}",
            "^/api/12345",
            r"^/api/\d*1/",
        ] {
            let projects = covered(pattern).projects;
            assert!(
                matches!(projects, Covered::Part(_)),
                "{pattern}: {projects:?}"
            );
        }
    }

    #[test]
    fn what_it_leaves_out() {
        assert_eq!(covered("^/api/1/envelope/$").gap, Some("with a query"));
        assert_eq!(covered(r"^/api/1/envelope/\?").gap, Some("without a query"));
        assert_eq!(covered("^/api/1/").gap, None);
        assert!(compile("^/api/(?!1)", false).is_err());
        assert!(compile("^/API/1/", true).unwrap().is_match(b"/api/1/"));
    }
}
