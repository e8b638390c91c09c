//! Where a request carries its Sentry credential (manual: sentry, "Authentication").
//!
//! If there is more than one source, Relay answers 401, so a copy must carry exactly the sources that the request had. An
//! `Authorization` that is not Sentry's belongs to somebody else and must not reach the second party.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The length of a public key.
pub const KEY_BYTES: usize = 32;
/// Anything longer is not a key with a password that somebody typed.
const MAX_CREDENTIAL_BYTES: usize = 1_024;

/// What an `Authorization` value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// `Sentry sentry_key=...`.
    Sentry,
    /// `Basic` with a Sentry public key as its user: a credential if nothing else in the request is.
    BasicKey([u8; KEY_BYTES]),
    /// Somebody else's.
    Foreign,
}

impl Authorization {
    /// Reads a header value.
    #[must_use]
    pub fn of(value: &[u8]) -> Self {
        let Some(space) = value.iter().position(|byte| *byte == b' ') else {
            return Self::Foreign;
        };
        let Some((scheme, credential)) = value.split_at_checked(space) else {
            return Self::Foreign;
        };
        if scheme.eq_ignore_ascii_case(b"sentry") {
            return Self::Sentry;
        }
        match public_key(credential) {
            Some(key) if scheme.eq_ignore_ascii_case(b"basic") => Self::BasicKey(key),
            _ => Self::Foreign,
        }
    }
}

/// `Basic` with this key as the user and no password: the password is nobody's business, and Relay does not read it.
#[must_use]
pub fn basic(key: &[u8]) -> String {
    let user = [key, b":"].concat();
    format!("Basic {}", STANDARD.encode(user))
}

/// Relay takes the user part as the public key: 32 characters, in practice hexadecimal digits. Anything else is somebody's
/// user name.
fn public_key(credential: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let credential = credential.trim_ascii();
    if credential.len() > MAX_CREDENTIAL_BYTES {
        return None;
    }
    let decoded = STANDARD.decode(credential).ok()?;
    let user = decoded.split(|byte| *byte == b':').next()?;
    let key: [u8; KEY_BYTES] = user.try_into().ok()?;
    key.iter().all(u8::is_ascii_hexdigit).then_some(key)
}

/// Whether Relay would look for a credential in the query: it contains `sentry_` anywhere, undecoded.
#[must_use]
pub fn in_query(target: &[u8]) -> bool {
    let query = target.iter().position(|byte| *byte == b'?');
    query
        .and_then(|start| target.get(start..))
        .is_some_and(|query| query.windows(7).any(|window| window == b"sentry_"))
}

#[cfg(test)]
mod tests {
    use super::{Authorization, basic as without_password, in_query};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn schemes() {
        let basic = |user: &str| format!("Basic {}", STANDARD.encode(user));
        let key = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";
        let found = Authorization::BasicKey(key.as_bytes().try_into().unwrap());
        let long = basic(&format!("{key}:{}", "x".repeat(1_000)));
        for (value, kind) in [
            ("Sentry sentry_key=k", Authorization::Sentry),
            ("sentry sentry_key=k", Authorization::Sentry),
            ("Sentry", Authorization::Foreign),
            ("Bearer abc", Authorization::Foreign),
            (&basic(&format!("{key}:")), found),
            (&basic(&format!("{key}:password")), found),
            (&basic(key), found),
            (&long, Authorization::Foreign),
            (&basic("admin:secret"), Authorization::Foreign),
            (
                &basic("thirty-two-characters-user-name!:"),
                Authorization::Foreign,
            ),
            ("Basic !!!", Authorization::Foreign),
            ("", Authorization::Foreign),
        ] {
            assert_eq!(Authorization::of(value.as_bytes()), kind, "{value}");
        }
        let key = key.as_bytes();
        let value = "Basic NWNhMWFiMWU1Y2ExYWIxZTVjYTFhYjFlNWNhMWFiMWU6";
        assert_eq!(without_password(key), value);
    }

    #[test]
    fn the_query_counts_wherever_sentry_stands_in_it() {
        for (target, found) in [
            ("/api/1/envelope/?sentry_key=k", true),
            ("/api/1/envelope/?utm=sentry_x", true),
            ("/api/1/envelope/?sentry%5Fkey=k", false),
            ("/api/1/sentry_/", false),
            ("/api/1/envelope/?", false),
        ] {
            assert_eq!(in_query(target.as_bytes()), found, "{target}");
        }
    }
}
