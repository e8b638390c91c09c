//! A DSN: where an SDK sends, and with which key.
//!
//! `<scheme>://<public key>[:<secret>]@<host>[:<port>][/<path>]/<project id>`. Relay no longer asks for the secret, and
//! nothing here keeps it.

use super::project::ProjectId;
use std::fmt;
use url::Url;

/// Longer ones are not read: parsing is expensive.
const MAX_BYTES: usize = 2_048;

/// A DSN.
#[derive(Clone, PartialEq, Eq)]
pub struct Dsn {
    /// Identifies the sender.
    pub public_key: String,
    /// The project.
    pub project: ProjectId,
    url: Url,
}

/// Keys are meant only for the second party.
impl fmt::Debug for Dsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dsn([redacted], project {})", self.project)
    }
}

impl Dsn {
    /// Reads a DSN, as Relay does.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let mut url = Url::parse(text).ok()?;
        let project = url.path_segments()?.rfind(|segment| !segment.is_empty())?;
        let project = ProjectId::parse(project.as_bytes())?;
        if url.username().is_empty() || url.host().is_none() {
            return None;
        }
        // The URL has a host, so removing the password cannot fail.
        let _ = url.set_password(None);
        Some(Self {
            public_key: url.username().to_owned(),
            project,
            url,
        })
    }

    /// `http` or `https`, or whatever else is there.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.url.scheme()
    }

    /// The host, with its port unless that is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// What comes before the project id in the path, without a trailing `/`: usually nothing.
    #[must_use]
    pub fn path(&self) -> &str {
        let path = self.url.path().trim_end_matches('/');
        let path = path.rsplit_once('/').map_or("", |(before, _)| before);
        path.trim_end_matches('/')
    }

    /// Whether it has more than a DSN should have.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.url.query().is_some() || self.url.fragment().is_some()
    }

    /// The text, without a secret. Only for its owner.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::Dsn;

    #[test]
    fn its_parts() {
        for (text, key, authority, path, project) in [
            (
                "https://k@o1.ingest.example.com/42",
                "k",
                "o1.ingest.example.com",
                "",
                42,
            ),
            (
                "http://k:secret@[::1]:9000/a/b/42/",
                "k",
                "[::1]:9000",
                "/a/b",
                42,
            ),
            ("https://k@host:443//0042", "k", "host", "", 42),
        ] {
            let dsn = Dsn::parse(text).unwrap();
            assert_eq!(dsn.public_key, key);
            assert_eq!((dsn.authority().as_str(), dsn.path()), (authority, path));
            assert_eq!(dsn.project.get(), project);
            assert!(!dsn.expose().contains("secret") && !dsn.has_query());
            assert!(!format!("{dsn:?}").contains(authority));
        }
        assert!(Dsn::parse("https://k@host/42?x").unwrap().has_query());
        for bad in [
            "",
            "42",
            "https://host/42",
            "https://k@host/",
            "https://k@host/x",
            "mailto:k@host/1",
        ] {
            assert_eq!(Dsn::parse(bad), None, "{bad}");
        }
    }
}
