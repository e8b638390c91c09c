//! The headers of a request that is itself the copy: what must be changed in the proxy so that it carries what a copy
//! carries, and nothing else.
//!
//! Envoy: the whole map is replaced in one call. Two of the request's headers stay, because they belong to the connection and
//! not to the copy: `:scheme`, which the router needs, and `content-length`, without which the body would become chunked.
//!
//! nginx: header lines are shared with the mirrored request, and a removed one is still sent (manual: hosts, "Removed headers
//! are still sent"). So only the path is set, and the allow-list is up to nginx (`proxy_pass_request_headers off` in the
//! samples). In case that is missing, credentials are blanked: by then the original has been serialised for its own target. A
//! second line of the same name cannot be reached; such a request cannot leave.

use crate::header_list::HeaderList;
use crate::header_map::Pair;

/// What could be used to do harm, and what no copy carries unless the rules for copies say so.
const CREDENTIALS: [&str; 3] = ["cookie", "authorization", "proxy-authorization"];

/// The header map for Envoy.
#[must_use]
pub fn whole_map<'a>(copy: &HeaderList, request: impl Iterator<Item = Pair<'a>>) -> HeaderList {
    let mut map =
        HeaderList::with_capacity(copy.len().saturating_add(2), copy.size().saturating_add(64));
    for (name, value) in copy.iter() {
        map.push(name, value);
    }
    for (name, value) in request {
        if matches!(name, b":scheme" | b"content-length") {
            map.push(name, value);
        }
    }
    map
}

/// A request that cannot be changed so that it may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// Replacements for nginx, in order.
///
/// # Errors
/// A credential is in a line that cannot be changed.
pub fn replacements<'a, I>(copy: &HeaderList, request: I) -> Result<HeaderList, Unreachable>
where
    I: Iterator<Item = Pair<'a>> + Clone,
{
    let path = copy.get(b":path").ok_or(Unreachable)?;
    let mut replacements = HeaderList::default();
    replacements.push(b":path", path);
    for name in CREDENTIALS {
        let mut lines = request
            .clone()
            .filter(|(own, _)| own.eq_ignore_ascii_case(name.as_bytes()));
        let Some((_, value)) = lines.next() else {
            continue;
        };
        if lines.next().is_some() {
            return Err(Unreachable);
        }
        let wanted = copy.get(name.as_bytes()).unwrap_or_default();
        if wanted != value {
            replacements.push(name.as_bytes(), wanted);
        }
    }
    Ok(replacements)
}

#[cfg(test)]
mod tests {
    use super::{Unreachable, replacements, whole_map};
    use crate::header_list::HeaderList;
    use crate::header_map::Pair;

    fn copy(authorization: Option<&[u8]>) -> HeaderList {
        let mut list = HeaderList::default();
        list.push(b":path", b"/rum/sentry/w/s/api/1/envelope/");
        list.push(b"user-agent", b"sdk");
        if let Some(value) = authorization {
            list.push(b"authorization", value);
        }
        list
    }

    #[test]
    fn envoys_map_is_the_copy_and_what_is_the_connections() {
        let request: [Pair<'_>; 4] = [
            (b":path", b"/api/1/envelope/"),
            (b":scheme", b"http"),
            (b"cookie", b"secret"),
            (b"content-length", b"5"),
        ];
        let map = whole_map(&copy(None), request.into_iter());
        let names: Vec<&[u8]> = map.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [&b":path"[..], b"user-agent", b":scheme", b"content-length"]
        );
        assert_eq!(
            map.get(b":path"),
            Some(&b"/rum/sentry/w/s/api/1/envelope/"[..])
        );
    }

    #[test]
    fn nginx_sets_the_path_and_blanks_credentials() {
        let request: [Pair<'_>; 3] = [
            (b"Cookie", b"secret"),
            (b"Authorization", b"Bearer x"),
            (b"X-Other", b"y"),
        ];
        let copy = copy(None);
        let replaced = replacements(&copy, request.into_iter()).unwrap();
        let expected: [Pair<'_>; 3] = [
            (b":path", b"/rum/sentry/w/s/api/1/envelope/"),
            (b"cookie", b""),
            (b"authorization", b""),
        ];
        assert!(replaced.iter().eq(expected));
    }

    #[test]
    fn a_credential_of_the_copy_stays() {
        let sentry: &[u8] = b"Sentry sentry_key=k";
        let copy = copy(Some(sentry));
        let request: [Pair<'_>; 1] = [(b"authorization", sentry)];
        assert_eq!(replacements(&copy, request.into_iter()).unwrap().len(), 1);
    }

    #[test]
    fn a_second_line_cannot_be_reached() {
        let request: [Pair<'_>; 2] = [(b"cookie", b"a"), (b"Cookie", b"b")];
        assert_eq!(
            replacements(&copy(None), request.into_iter()),
            Err(Unreachable)
        );
        assert_eq!(
            replacements(&HeaderList::default(), std::iter::empty()),
            Err(Unreachable)
        );
    }
}
