//! Which requests are for this Sentry: on a gateway that serves others too, their `/api/42/...` is not ours.

/// Where Sentry is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ingest {
    /// Its hosts. If empty, every host is.
    pub hosts: Vec<HostPattern>,
    /// The path of its DSNs before `/api/`, without a trailing `/`; usually empty.
    pub dsn_path: String,
}

/// A host, or all hosts below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// In lower case, without a port, without a dot at either end.
    name: String,
    /// `*.name`
    is_wildcard: bool,
}

/// A DNS name has at most this many bytes.
pub const MAX_HOST_BYTES: usize = 253;

impl HostPattern {
    /// `sentry.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`, without a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, is_wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_address = name.starts_with('[') && name.ends_with(']');
        let good = if is_address {
            let inner = name.trim_start_matches('[').trim_end_matches(']');
            !is_wildcard && inner.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            name.split('.').all(is_label)
        };
        (good && name.len() <= MAX_HOST_BYTES).then(|| Self {
            name: name.to_ascii_lowercase(),
            is_wildcard,
        })
    }

    fn matches(&self, host: &[u8]) -> bool {
        let name = self.name.as_bytes();
        if !self.is_wildcard {
            return host.eq_ignore_ascii_case(name);
        }
        // At least one more label.
        let Some(at) = host.len().checked_sub(name.len()) else {
            return false;
        };
        let Some((labels, end)) = host.split_at_checked(at) else {
            return false;
        };
        end.eq_ignore_ascii_case(name) && labels.len() > 1 && labels.ends_with(b".")
    }
}

fn is_label(label: &str) -> bool {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !label.is_empty() && label.len() <= 63 && label.bytes().all(named)
}

impl Ingest {
    /// Whether a request for this authority (`host`, or `host:port`) is for this Sentry.
    #[must_use]
    pub fn serves(&self, authority: &[u8]) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let host = host(authority);
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// The target after the path of the DSN. A target that does not begin with that path is unchanged.
    #[must_use]
    pub fn target<'t>(&self, target: &'t [u8]) -> &'t [u8] {
        if self.dsn_path.is_empty() {
            return target;
        }
        let mut rest = target;
        for segment in self.dsn_path.split('/').skip(1) {
            // Runs of `/` count as one, as everywhere in paths.
            let from = rest.iter().position(|byte| *byte != b'/');
            let Some(after) = from
                .filter(|from| *from > 0)
                .and_then(|from| rest.get(from..)?.strip_prefix(segment.as_bytes()))
            else {
                return target;
            };
            rest = after;
        }
        if rest.starts_with(b"/") { rest } else { target }
    }
}

/// The host of an authority, without its port and trailing dot.
fn host(authority: &[u8]) -> &[u8] {
    let host = match authority {
        // IPv6 in brackets.
        [b'[', ..] => {
            let end = authority.iter().position(|byte| *byte == b']');
            end.and_then(|end| authority.get(..=end))
        }
        _ => authority.split(|byte| *byte == b':').next(),
    };
    let host = host.unwrap_or(authority);
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, Ingest};

    fn ingest(hosts: &[&str], dsn_path: &str) -> Ingest {
        let hosts = hosts.iter().map(|host| HostPattern::parse(host).unwrap());
        Ingest {
            hosts: hosts.collect(),
            dsn_path: dsn_path.to_owned(),
        }
    }

    #[test]
    fn hosts_by_name_without_port_case_and_last_dot() {
        let ingest = ingest(
            &["Sentry.Example.com", "*.apps.example.com", "[2001:DB8::1]"],
            "",
        );
        for own in [
            "sentry.example.com",
            "SENTRY.example.COM",
            "sentry.example.com:8443",
            "sentry.example.com.",
            "sentry.example.com.:80",
            "a.apps.example.com",
            "a.b.apps.example.com:1",
            "[2001:db8::1]",
            "[2001:db8::1]:443",
        ] {
            assert!(ingest.serves(own.as_bytes()), "{own}");
        }
        for other in [
            "",
            ":80",
            "example.com",
            "xsentry.example.com",
            "sentry.example.com.evil.test",
            "apps.example.com",
            ".apps.example.com",
            "xapps.example.com",
            "[2001:db8::2]",
            "[2001:db8::1",
            "sentry.example.com..",
            "sentry.example.com/",
            "user@sentry.example.com",
        ] {
            assert!(!ingest.serves(other.as_bytes()), "{other}");
        }
        assert!(self::ingest(&[], "").serves(b"anything"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            ".",
            "a..b",
            "a b",
            "*.*.a",
            "a.*",
            "a:80",
            "http://a",
            "a/b",
            "[::1",
            "[x]",
            "*.[::1]",
            "ä.example.com",
        ] {
            assert_eq!(HostPattern::parse(bad), None, "{bad}");
        }
        assert_eq!(HostPattern::parse(&"a.".repeat(128)), None);
    }

    #[test]
    fn the_dsns_path_is_taken_off() {
        let ingest = ingest(&[], "/sentry/eu");
        for (target, behind) in [
            ("/sentry/eu/api/1/envelope/?a=/b", "/api/1/envelope/?a=/b"),
            ("//sentry//eu//api/1/envelope/", "//api/1/envelope/"),
            ("/api/1/envelope/", "/api/1/envelope/"),
            ("/sentry/eux/api/1/envelope/", "/sentry/eux/api/1/envelope/"),
            ("/sentry/api/1/envelope/", "/sentry/api/1/envelope/"),
            ("/sentry/eu", "/sentry/eu"),
            ("sentry/eu/api", "sentry/eu/api"),
            ("/Sentry/eu/api/1/", "/Sentry/eu/api/1/"),
            ("", ""),
        ] {
            assert_eq!(
                ingest.target(target.as_bytes()),
                behind.as_bytes(),
                "{target}"
            );
        }
    }
}
