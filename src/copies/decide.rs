//! Whether a request is mirrored, and where to. Decided from method and target alone: what is not mirrored ends here.

use crate::copies::settings::{Copies, Destination, Routes};
use crate::outcome::SkipReason;
use crate::sentry::category::Category;
use crate::sentry::dot_segment::has_dot_segment;
use crate::sentry::project::ProjectId;
use crate::sentry::route::{MAX_BYTES, Route, behind_project, recognise};
use std::rc::Rc;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not ingest traffic: no outcome, not counted.
    Ignore,
    /// Ingest traffic that a rule excludes, and its project.
    Skip(SkipReason, Option<ProjectId>),
    /// To be copied.
    Mirror(Target),
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The project, whose rate limits apply to this copy.
    pub project: u64,
    /// Path prefix, upstream, authority and rules.
    pub destination: Rc<Destination>,
    /// The body is an envelope.
    pub is_envelope: bool,
    /// The category that a second Sentry's limits may be about, for what is not an envelope. 0 is none in particular.
    pub category: u8,
}

/// Applies the rules. `target` is the request target as received.
#[must_use]
pub fn decide(copies: &Copies, method: &[u8], target: &[u8]) -> Decision {
    let route = recognise(method, target);
    let id = match route {
        None => return Decision::Ignore,
        Some(Route::Mirrored) => return Decision::Skip(SkipReason::Loop, None),
        Some(Route::Other(id)) if copies.routes == Routes::Envelope => {
            return Decision::Skip(SkipReason::Route, Some(id));
        }
        Some(Route::BehindAPath(id)) => return Decision::Skip(SkipReason::Route, Some(id)),
        Some(Route::Envelope(id) | Route::Other(id)) => id,
    };
    let other = matches!(route, Some(Route::Other(_)));
    if !may_follow_the_prefix(method, target, other) {
        return Decision::Skip(SkipReason::Route, Some(id));
    }
    if copies.exclude.contains(&id) {
        return Decision::Skip(SkipReason::Excluded, Some(id));
    }
    match copies.projects.get(&id).or(copies.default.as_ref()) {
        Some(destination) => Decision::Mirror(Target {
            project: id.get(),
            destination: Rc::clone(destination),
            is_envelope: !other,
            category: category(destination, target, other),
        }),
        None => Decision::Skip(SkipReason::Unmapped, Some(id)),
    }
}

/// An envelope's category is known only once it has been read.
fn category(destination: &Destination, target: &[u8], other: bool) -> u8 {
    if destination.dsn.is_none() {
        return 0;
    }
    let category = match behind_project(target).filter(|_| other) {
        Some(path) => Category::of_route(path),
        None => Category::Other,
    };
    category.number()
}

/// The longest registered method has 17 letters.
const MAX_METHOD_BYTES: usize = 32;

/// Whether a target can be the end of the copy's path. White space would end the copy's request line there, and no proxy
/// should pass it on. No client may step out of the prefix, which is the workspace and the service. The path of an envelope
/// contains no such step unless it goes on behind a `#`.
fn may_follow_the_prefix(method: &[u8], target: &[u8], other: bool) -> bool {
    if method.len() > MAX_METHOD_BYTES || target.len() > MAX_BYTES {
        return false;
    }
    let (words, rest) = target.as_chunks::<8>();
    if words.iter().all(is_plain) && rest.iter().all(|byte| *byte > b'#' && *byte < 0x7f) {
        return !(other && has_dot_segment(target));
    }
    let may_step = other || target.contains(&b'#');
    target.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
        && !(may_step && has_dot_segment(target))
}

/// A quick check: eight bytes of ASCII, none of them white space or `#`.
fn is_plain(word: &[u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(*word);
    let below = word.wrapping_sub(ONES * 0x24);
    let above = word.wrapping_add(ONES);
    (word | below | above) & (ONES << 7) == 0
}

/// Where a project is in RUM, mirrored or not.
#[must_use]
pub fn destination(copies: &Copies, project: u64) -> Option<Rc<Destination>> {
    let listed = copies.projects.iter().find(|(id, _)| id.get() == project);
    let destination = listed.map(|(_, destination)| destination);
    destination.or(copies.default.as_ref()).map(Rc::clone)
}

#[cfg(test)]
mod tests {
    use super::{Decision, MAX_BYTES, decide};
    use crate::config::Config;
    use crate::outcome::SkipReason;
    use crate::sentry::project::ProjectId;

    fn config(extra: &str) -> Config {
        let json = format!(
            r#"{{"rum": {{"upstream": "rum", "authority": "rum.example.com", "exclude": [7],
                "projects": {{"42": {{"workspace": "w", "service_id": "s", "upstream": "own"}}}} {extra}}}}}"#
        );
        Config::parse(json.as_bytes(), &|_| None).unwrap()
    }

    fn skip(reason: SkipReason, id: &str) -> Decision {
        Decision::Skip(reason, ProjectId::parse(id.as_bytes()))
    }

    fn prefix(decision: &Decision) -> &str {
        match decision {
            Decision::Mirror(target) => &target.destination.path_prefix,
            _ => panic!("{decision:?}"),
        }
    }

    #[test]
    fn by_project_by_default_or_not_at_all() {
        let config = config(r#", "default": {"workspace": "w", "service_id": "d"}"#);
        let decide =
            |target: &str| decide(config.rum.as_ref().unwrap(), b"POST", target.as_bytes());
        assert_eq!(prefix(&decide("/api/42/envelope/")), "/rum/sentry/w/s");
        assert_eq!(prefix(&decide("/api/0042/envelope/")), "/rum/sentry/w/s");
        assert_eq!(prefix(&decide("/api/43/envelope/")), "/rum/sentry/w/d");
        assert_eq!(decide("/api/7/envelope/"), skip(SkipReason::Excluded, "7"));
        assert_eq!(decide("/api/42/store/"), skip(SkipReason::Route, "42"));
        assert_eq!(
            decide("/rum/sentry/w/s/api/42/envelope/"),
            skip(SkipReason::Loop, "")
        );
        assert_eq!(decide("/"), Decision::Ignore);
    }

    #[test]
    fn what_no_request_line_holds_is_not_sent() {
        let config = config("");
        for byte in [0, b'\t', b'\r', b'\n', b' ', 0x7f] {
            let target = [b"/api/42/envelope/?a=", &[byte][..], b"b"].concat();
            let decision = decide(config.rum.as_ref().unwrap(), b"POST", &target);
            assert_eq!(decision, skip(SkipReason::Route, "42"), "{byte:#x}");
        }
        let decision = decide(
            config.rum.as_ref().unwrap(),
            b"POST",
            b"/api/42/envelope/?a=\xffb",
        );
        assert_eq!(prefix(&decision), "/rum/sentry/w/s");
    }

    #[test]
    fn nobody_steps_out_of_the_prefix() {
        let config = config(r#", "routes": "all""#);
        let decide =
            |target: &str| decide(config.rum.as_ref().unwrap(), b"POST", target.as_bytes());
        for target in [
            "/api/42/../../../x/y/api/42/envelope/",
            "/api/42/%2e%2E/x",
            "/api/42/x%2f..%2f",
            "/api/42/x\\..\\..",
            "/api/42/x%5C%2e%2e%5Cy",
            "/api/42/.",
            "/api/42/envelope/#/../x",
        ] {
            assert_eq!(decide(target), skip(SkipReason::Route, "42"), "{target}");
        }
        for target in ["/api/42/x/...", "/api/42/a.b/", "/api/42/x?y=/../z"] {
            assert_eq!(prefix(&decide(target)), "/rum/sentry/w/s", "{target}");
        }
    }

    #[test]
    fn what_is_longer_than_any_sdk_makes_it_is_not_sent() {
        let config = config(r#", "routes": "all""#);
        let rum = config.rum.as_ref().unwrap();
        let target = |bytes: usize| format!("/api/42/{}", "x".repeat(bytes - 8)).into_bytes();
        assert_eq!(
            prefix(&decide(rum, b"POST", &target(MAX_BYTES))),
            "/rum/sentry/w/s"
        );
        let route = skip(SkipReason::Route, "42");
        assert_eq!(decide(rum, b"POST", &target(MAX_BYTES + 1)), route);
        assert_eq!(decide(rum, &[b'X'; 33], b"/api/42/x"), route);
    }

    #[test]
    fn without_a_default_only_listed_projects() {
        let config = config("");
        let decision = decide(config.rum.as_ref().unwrap(), b"POST", b"/api/43/envelope/");
        assert_eq!(decision, skip(SkipReason::Unmapped, "43"));
    }

    #[test]
    fn all_routes_but_preflights_and_head() {
        let config = config(r#", "routes": "all""#);
        for method in ["POST", "GET", "PUT", "PATCH", "DELETE", "BREW"] {
            let decision = decide(
                config.rum.as_ref().unwrap(),
                method.as_bytes(),
                b"/api/42/upload/x",
            );
            assert_eq!(prefix(&decision), "/rum/sentry/w/s", "{method}");
        }
        for method in ["OPTIONS", "HEAD"] {
            let decision = decide(
                config.rum.as_ref().unwrap(),
                method.as_bytes(),
                b"/api/42/upload/x",
            );
            assert_eq!(decision, Decision::Ignore, "{method}");
        }
    }
}
