//! Which location takes a URI, by nginx's own rules (its `ngx_http_core_find_location`): the exact one; the longest prefix,
//! with what is nested in it; then, unless that prefix has `^~`, the first regular expression that matches, with what is nested
//! in that.

use super::super::nginx::Directive;
use super::pattern::{Captures, Pattern};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// How a location is chosen.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'d> {
    Exact(&'d str),
    /// Whether it has `^~`.
    Prefix(&'d str, bool),
    /// Whether it ignores the case.
    Regex(&'d str, bool),
    Named(&'d str),
}

/// The place that a location is for; nothing for all else.
pub(super) fn place(location: &Directive) -> Option<Place<'_>> {
    if !location.is("location") {
        return None;
    }
    let (modifier, text) = match (location.arg(0)?, location.arg(1)) {
        (modifier, Some(text)) => (modifier, text),
        // `location =/x`: nginx takes the two for one word, too.
        (word, None) => {
            let modifiers = ["^~", "~*", "~", "="];
            let joined = modifiers
                .iter()
                .find_map(|modifier| Some((*modifier, word.strip_prefix(modifier)?)));
            joined.unwrap_or(("", word))
        }
    };
    Some(match modifier {
        "=" => Place::Exact(text),
        "^~" => Place::Prefix(text, true),
        "~" => Place::Regex(text, false),
        "~*" => Place::Regex(text, true),
        _ if text.starts_with('@') => Place::Named(text),
        _ => Place::Prefix(text, false),
    })
}

/// Or why it cannot be read.
type Compiled = Rc<Result<Pattern, String>>;

/// Locations, and their expressions once compiled.
#[derive(Debug, Default)]
pub(super) struct Locations {
    patterns: RefCell<BTreeMap<(String, bool), Compiled>>,
}

/// A location whose expression cannot be read stands before the one that was looked for.
#[derive(Debug)]
pub(super) struct Unreadable<'d> {
    pub(super) location: &'d Directive,
    pub(super) reason: String,
}

impl Locations {
    /// Adds to `chain` the locations that the URI leads to, the innermost last. Tells what the last expression captured.
    pub(super) fn find<'d>(
        &self,
        level: &'d [Directive],
        uri: &str,
        chain: &mut Vec<&'d Directive>,
    ) -> Result<Captures, Unreadable<'d>> {
        let mut captures = Captures::default();
        self.descend(level, uri, chain, &mut captures)?;
        Ok(captures)
    }

    /// Whether the search ends here: an exact location, or an expression.
    fn descend<'d>(
        &self,
        level: &'d [Directive],
        uri: &str,
        chain: &mut Vec<&'d Directive>,
        captures: &mut Captures,
    ) -> Result<bool, Unreadable<'d>> {
        let base = chain.len();
        let mut longest: Option<(&Directive, &str, bool)> = None;
        for location in level {
            match place(location) {
                Some(Place::Exact(text)) if text == uri => {
                    chain.push(location);
                    return Ok(true);
                }
                Some(Place::Prefix(text, last))
                    if uri.starts_with(text)
                        && longest.is_none_or(|(_, other, _)| text.len() > other.len()) =>
                {
                    longest = Some((location, text, last));
                }
                _ => {}
            }
        }
        let mut no_regex = false;
        if let Some((location, _, last)) = longest {
            no_regex = last;
            chain.push(location);
            if self.descend(location.inner(), uri, chain, captures)? {
                return Ok(true);
            }
        }
        if no_regex {
            return Ok(false);
        }
        for location in level {
            let Some(Place::Regex(written, ignore_case)) = place(location) else {
                continue;
            };
            let pattern = self.pattern(written, ignore_case);
            let pattern = match pattern.as_ref() {
                Ok(pattern) => pattern,
                Err(reason) => {
                    return Err(Unreadable {
                        location,
                        reason: reason.clone(),
                    });
                }
            };
            if let Some(found) = pattern.captures(uri) {
                *captures = found;
                chain.truncate(base);
                chain.push(location);
                self.descend(location.inner(), uri, chain, captures)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A compiled expression.
    pub(super) fn pattern(&self, written: &str, ignore_case: bool) -> Compiled {
        let key = (written.to_owned(), ignore_case);
        let mut patterns = self.patterns.borrow_mut();
        let pattern = patterns
            .entry(key)
            .or_insert_with(|| Rc::new(Pattern::new(written, ignore_case)));
        Rc::clone(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::nginx::load;
    use super::Locations;

    /// What is chosen, as it is written, from the outside to the inside.
    fn chosen(locations: &str, uri: &str) -> String {
        let loaded = load("x.conf", locations.as_bytes()).unwrap();
        let mut chain = Vec::new();
        Locations::default()
            .find(&loaded.directives, uri, &mut chain)
            .unwrap();
        let heads: Vec<String> = chain
            .iter()
            .map(|location| location.args.iter().map(|word| word.text.clone()).collect())
            .collect();
        heads.join(" > ")
    }

    /// What Debian's nginx answers (tests/e2e/test_import.py asks it too).
    #[test]
    fn as_nginx_chooses() {
        let text = "location / {} location /api/ {} location ^~ /api/7/ { location ~ x$ {} location = /api/7/y {} }
            location ~ ^/api/\\d+/ { location ~ ^/api/5/ {} } location ~* ^/API/ {} location = /api/8/z {}
            location /nest/ { location ~ in {} } location ~ nest {} location @named {} location =/tight {}";
        for (uri, expected) in [
            ("/", "/"),
            ("/x", "/"),
            ("/api/7/envelope/", "^~/api/7/"),
            ("/api/7/x", "^~/api/7/ > ~x$"),
            ("/api/7/y", "^~/api/7/ > =/api/7/y"),
            ("/api/1/envelope/", "~^/api/\\d+/"),
            ("/api/5/envelope/", "~^/api/\\d+/ > ~^/api/5/"),
            ("/api/8/z", "=/api/8/z"),
            ("/api/x", "~*^/API/"),
            ("/nest/in", "/nest/ > ~in"),
            ("/nest/out", "~nest"),
            ("/tight", "=/tight"),
        ] {
            assert_eq!(chosen(text, uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_cannot_be_read_stands_in_the_way_of_what_comes_after() {
        let loaded = load(
            "x.conf",
            b"location ^~ /a {} location ~ ( {} location ~ /b {}",
        )
        .unwrap();
        let find = |uri| Locations::default().find(&loaded.directives, uri, &mut Vec::new());
        assert!(find("/a").is_ok());
        assert_eq!(find("/b").unwrap_err().location.args.len(), 2);
    }
}
