//! Recognises an ingest request from the method and the request target alone, without copying either.
//!
//! Runs of `/` count as one, as in Relay's own router, but only for recognition: the target itself is never changed. The
//! query and a fragment are not looked at, nor anything beyond [`MAX_BYTES`].

use super::project::ProjectId;

/// An ingest request, by its method and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// POST `/api/<id>/envelope/`.
    Envelope(ProjectId),
    /// Anything else under `/api/<id>/` that is not a preflight or HEAD.
    Other(ProjectId),
    /// The path begins with `/rum/sentry/`: a copy, ours or another's.
    Mirrored,
    /// An envelope under a path that is not `dsn_path`.
    BehindAPath(ProjectId),
}

/// Only the beginning of a longer target is read, and no copy is made: no SDK's target is a tenth as long.
pub const MAX_BYTES: usize = 65_536;

/// Recognises an ingest request, or `None` for all other traffic.
#[must_use]
pub fn recognise(method: &[u8], target: &[u8]) -> Option<Route> {
    if let Some(id) = as_sdks_write_it(target).filter(|_| method == b"POST") {
        return Some(Route::Envelope(id));
    }
    // One byte more: a path cut there is not whole.
    let path = target
        .get(..MAX_BYTES.saturating_add(1))
        .unwrap_or(target)
        .split(|byte| matches!(byte, b'?' | b'#'))
        .next()
        .unwrap_or_default();
    let mut segments = Segments(path);
    match segments.next()? {
        b"api" => {}
        b"rum" if segments.next() == Some(b"sentry") => return Some(Route::Mirrored),
        _ => return behind_a_path(method, path),
    }
    let id = ProjectId::parse(segments.next()?)?;
    // `/api/42` is not an ingest path; `/api/42/` and what follows is.
    let rest = segments.0;
    if rest.is_empty() || matches!(method, b"OPTIONS" | b"HEAD") {
        return None;
    }
    let envelope = method == b"POST" && segments.next() == Some(b"envelope");
    if envelope && !segments.0.is_empty() && segments.next().is_none() {
        return Some(Route::Envelope(id));
    }
    Some(Route::Other(id))
}

/// What follows the project id in the target of an ingest request: a path that begins with `/`, and the query.
#[must_use]
pub fn behind_project(target: &[u8]) -> Option<&[u8]> {
    let path = target.split(|byte| matches!(byte, b'?' | b'#')).next()?;
    let mut segments = Segments(path);
    (segments.next()? == b"api").then_some(())?;
    ProjectId::parse(segments.next()?)?;
    target.get(path.len().saturating_sub(segments.0.len())..)
}

/// The project of an envelope's target, if nothing in it is unusual. Nearly every target is like this.
fn as_sdks_write_it(target: &[u8]) -> Option<ProjectId> {
    let rest = target.strip_prefix(b"/api/")?;
    let digits = rest.iter().position(|byte| *byte == b'/')?;
    let (id, rest) = rest.split_at_checked(digits)?;
    let query = rest.strip_prefix(b"/envelope/")?;
    let is_whole = target.len() <= MAX_BYTES && matches!(query.first(), None | Some(b'?'));
    ProjectId::parse(id).filter(|_| is_whole)
}

/// An SDK's DSN may have a path. Under a path that was not configured, only what is certainly an envelope is recognised.
fn behind_a_path(method: &[u8], path: &[u8]) -> Option<Route> {
    if method != b"POST" || !path.starts_with(b"/") || !path.ends_with(b"/") {
        return None;
    }
    let segments = path.rsplit(|byte| *byte == b'/');
    let mut segments = segments.filter(|segment| !segment.is_empty());
    if segments.next()? != b"envelope" {
        return None;
    }
    let id = ProjectId::parse(segments.next()?)?;
    (segments.next()? == b"api").then_some(Route::BehindAPath(id))
}

/// The segments of a path, with runs of `/` folded. The rest starts with the `/` after the last segment, so an empty rest
/// means that no slash followed.
struct Segments<'a>(&'a [u8]);

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let start = self.0.iter().position(|byte| *byte != b'/')?;
        if start == 0 {
            return None;
        }
        let (_, from) = self.0.split_at_checked(start)?;
        let end = from
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(from.len());
        let (segment, rest) = from.split_at_checked(end)?;
        self.0 = rest;
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_BYTES, Route, recognise};
    use crate::sentry::project::ProjectId;

    fn envelope(id: &[u8]) -> Option<Route> {
        ProjectId::parse(id).map(Route::Envelope)
    }

    #[test]
    fn envelopes() {
        for target in [
            "/api/42/envelope/",
            "/api/42/envelope/?sentry_key=k&sentry_version=7",
            "/api/42/envelope/?",
            "/api/0042/envelope/",
            "//api///42//envelope//",
            "/api/42/envelope/#x",
        ] {
            assert_eq!(
                recognise(b"POST", target.as_bytes()),
                envelope(b"42"),
                "{target}"
            );
        }
    }

    #[test]
    fn other_ingest_routes() {
        for (method, target) in [
            ("GET", "/api/42/envelope/"),
            ("PUT", "/api/42/envelope/"),
            ("POST", "/api/42/envelope"),
            ("POST", "/api/42/envelope/x"),
            ("POST", "/api/42/Envelope/"),
            ("POST", "/api/42/envelop%65/"),
            ("POST", "/api/42/store/"),
            ("POST", "/api/42/"),
            ("PATCH", "/api/42/upload/abc/"),
        ] {
            let route = ProjectId::parse(b"42").map(Route::Other);
            assert_eq!(
                recognise(method.as_bytes(), target.as_bytes()),
                route,
                "{target}"
            );
        }
    }

    #[test]
    fn everything_else_is_none_of_our_business() {
        for (method, target) in [
            ("OPTIONS", "/api/42/envelope/"),
            ("HEAD", "/api/42/envelope/"),
            ("POST", "/api/0/envelope/"),
            ("POST", "/api/0/relays/projectconfigs/"),
            ("POST", "/api/store/"),
            ("POST", "/api/42"),
            ("POST", "/api/%34%32/envelope/"),
            ("POST", "/api/+42/envelope/"),
            ("POST", "/api/-1/envelope/"),
            ("POST", "/api/42a/envelope/"),
            ("POST", "/api/18446744073709551616/envelope/"),
            ("POST", "/API/42/envelope/"),
            ("POST", "api/42/envelope/"),
            ("POST", "/?/api/42/envelope/"),
            ("GET", "/"),
            ("GET", ""),
            ("GET", "*"),
            ("GET", "/rum/other/"),
        ] {
            assert_eq!(
                recognise(method.as_bytes(), target.as_bytes()),
                None,
                "{target}"
            );
        }
    }

    #[test]
    fn what_stands_behind_the_project() {
        for (target, behind) in [
            ("/api/42/envelope/?x#y", Some("/envelope/?x#y")),
            ("//api//0042//store", Some("//store")),
            ("/api/42?x", Some("?x")),
            ("/api/x/envelope/", None),
            ("/x?/api/42/", None),
        ] {
            let behind = behind.map(str::as_bytes);
            assert_eq!(super::behind_project(target.as_bytes()), behind, "{target}");
        }
    }

    #[test]
    fn envelopes_behind_a_path() {
        for target in [
            "/sentry/api/42/envelope/",
            "/a/b/api/0042/envelope/?x",
            "//x//api//42//envelope//#y",
            "/rum/x/api/42/envelope/",
        ] {
            let id = ProjectId::parse(b"42").map(Route::BehindAPath);
            assert_eq!(recognise(b"POST", target.as_bytes()), id, "{target}");
        }
        for target in [
            "/sentry/api/42/envelope",
            "/sentry/api/x/envelope/",
            "/sentry/api/0/envelope/",
            "/sentry/api/42/store/",
            "/sentryapi/42/envelope/",
            "/sentry/42/envelope/",
            "/x?/sentry/api/42/envelope/",
        ] {
            assert_eq!(recognise(b"POST", target.as_bytes()), None, "{target}");
        }
        assert_eq!(recognise(b"GET", b"/sentry/api/42/envelope/"), None);
    }

    #[test]
    fn a_long_target_is_known_by_its_beginning() {
        let long = |start: &str, fill: &str| format!("{start}{}", fill.repeat(MAX_BYTES));
        let of = |target: String| recognise(b"POST", target.as_bytes());
        assert_eq!(of(long("/api/42/envelope/?", "x")), envelope(b"42"));
        let other = ProjectId::parse(b"42").map(Route::Other);
        assert_eq!(of(long("/api/42/", "/") + "envelope/"), other);
        assert_eq!(of(long("/api/42/", "x/")), other);
        assert_eq!(of(long("/rum/sentry/", "x")), Some(Route::Mirrored));
        assert_eq!(of(long("/", "/") + "api/42/envelope/"), None);
        assert_eq!(of(long("/", "x")), None);
    }

    #[test]
    fn copies_are_recognised() {
        let target = b"//rum/sentry/ws/svc/api/42/envelope/";
        assert_eq!(recognise(b"POST", target), Some(Route::Mirrored));
    }
}
