//! Is this request mirrored, and where to? From method and target alone: whatever is not mirrored ends here.

use crate::config::{Destination, Routes, Rum};
use crate::outcome::SkipReason;
use crate::sentry::project::ProjectId;
use crate::sentry::route::{Route, recognise};
use std::rc::Rc;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Not ingest traffic: no outcome, no count.
    Ignore,
    /// Ingest traffic that a rule keeps out, and its project.
    Skip(SkipReason, Option<ProjectId>),
    /// To be copied.
    Mirror(Target),
}

/// Where a copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The project, whose rate limits count for this copy.
    pub project: u64,
    /// Path prefix, upstream and authority.
    pub destination: Rc<Destination>,
}

/// Applies the rules. `target` is the request target as received.
#[must_use]
pub fn decide(rum: &Rum, method: &[u8], target: &[u8]) -> Decision {
    let id = match recognise(method, target) {
        None => return Decision::Ignore,
        Some(Route::Mirrored) => return Decision::Skip(SkipReason::Loop, None),
        Some(Route::Other(id)) if rum.routes == Routes::Envelope => {
            return Decision::Skip(SkipReason::Route, Some(id));
        }
        Some(Route::Envelope(id) | Route::Other(id)) => id,
    };
    // No request line can hold it: the copy's would end there. No proxy should hand it over.
    if target.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
        return Decision::Skip(SkipReason::Route, Some(id));
    }
    if rum.exclude.contains(&id) {
        return Decision::Skip(SkipReason::Excluded, Some(id));
    }
    match rum.projects.get(&id).or(rum.default.as_ref()) {
        Some(destination) => Decision::Mirror(Target {
            project: id.get(),
            destination: Rc::clone(destination),
        }),
        None => Decision::Skip(SkipReason::Unmapped, Some(id)),
    }
}

/// Where RUM has a project, mirrored or not.
#[must_use]
pub fn destination(rum: &Rum, project: u64) -> Option<Rc<Destination>> {
    let listed = rum.projects.iter().find(|(id, _)| id.get() == project);
    let destination = listed.map(|(_, destination)| destination);
    destination.or(rum.default.as_ref()).map(Rc::clone)
}

#[cfg(test)]
mod tests {
    use super::{Decision, decide};
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
