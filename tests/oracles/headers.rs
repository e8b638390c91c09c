//! The headers of a copy, by the table in envoy/README.md ("What a copy carries"): what passes, what never does, and what is made of the rest.

use super::allowed::is_copied;
use super::composed::composed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sentry_edge_mirror::copies::headers::CopyHeaders;
use sentry_edge_mirror::host::HostKind;

/// Copied at most once, and not always.
pub const SINGLE: [&str; 3] = ["authorization", "x-forwarded-for", "x-forwarded-proto"];
/// What must never pass, whatever it holds.
pub const NEVER: [&str; 16] = [
    "cookie",
    "set-cookie",
    "proxy-authorization",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "proxy-connection",
    "host",
    "content-length",
    "expect",
    "x-envoy-external-address",
    "x-api-key",
    "sec-ch-u",
];

pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn lower(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase()
}

/// A request and its copy.
pub struct Case<'a> {
    host: HostKind,
    in_query: bool,
    headers: &'a Pairs,
    scheme: Option<&'a [u8]>,
    copy: CopyHeaders,
}

impl<'a> Case<'a> {
    /// `in_query`: the target has a credential.
    pub fn new(
        host: HostKind,
        in_query: bool,
        headers: &'a Pairs,
        scheme: Option<&'a [u8]>,
    ) -> Self {
        let target: &[u8] = if in_query {
            b"/api/42/envelope/?sentry_key=k"
        } else {
            b"/api/42/envelope/"
        };
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()));
        Self {
            copy: composed(host, target, pairs, scheme),
            host,
            in_query,
            headers,
            scheme,
        }
    }

    pub fn check(&self) {
        self.nothing_but_the_allow_list_and_all_of_it();
        self.what_is_left_out_for_its_bytes_is_counted();
        self.no_foreign_credential_and_no_second_one();
        self.one_forwarded_chain_that_ends_with_the_peer();
        self.at_most_one_forwarded_proto();
    }

    pub fn nothing_but_the_allow_list_and_all_of_it(&self) {
        let list: Vec<(&[u8], &[u8])> = self.copy.list.iter().collect();
        let path: &[u8] = if self.in_query {
            b"/rum/sentry/ws/web@42/api/42/envelope/?sentry_key=k"
        } else {
            b"/rum/sentry/ws/web@42/api/42/envelope/"
        };
        let own: [(&[u8], &[u8]); 4] = [
            (b":method", b"POST"),
            (b":path", path),
            (b":authority", b"rum.example.com"),
            (b"x-sentry-edge-mirror", b"1"),
        ];
        assert_eq!(&list[..4], own);
        let mut received = self.headers.iter();
        let marked = received.any(|(name, _)| lower(name) == "x-sentry-edge-mirror");
        assert_eq!(self.copy.marked, marked);
        for (name, value) in &list[4..] {
            let name = std::str::from_utf8(name).unwrap();
            assert!(is_copied(name) || SINGLE.contains(&name), "{name}");
            assert!(!NEVER.contains(&name), "{name}");
            assert!(std::str::from_utf8(value).is_ok(), "{name}");
        }
        // What is copied is copied whole, in its order, as often as it came.
        let received = self.headers.iter();
        let expected: Vec<(String, &[u8])> = received
            .map(|(name, value)| (lower(name), value.as_slice()))
            .filter(|(name, value)| is_copied(name) && std::str::from_utf8(value).is_ok())
            .collect();
        let found: Vec<(String, &[u8])> = list[4..]
            .iter()
            .map(|(name, value)| (lower(name), *value))
            .filter(|(name, _)| is_copied(name))
            .collect();
        assert_eq!(found, expected);
    }

    pub fn what_is_left_out_for_its_bytes_is_counted(&self) {
        let read = |name: &str| {
            is_copied(name)
                || SINGLE.contains(&name)
                || ["content-length", "transfer-encoding"].contains(&name)
        };
        let received = self.headers.iter();
        let omitted = received
            .filter(|(name, value)| read(&lower(name)) && std::str::from_utf8(value).is_err())
            .count();
        assert_eq!(self.copy.omitted, omitted);
    }

    pub fn no_foreign_credential_and_no_second_one(&self) {
        let authorization = self.all("authorization");
        assert!(authorization.len() <= 1);
        // Relay reads the first line; one that cannot be copied is still the first.
        let mut received = self.headers.iter();
        let first = received.find(|(name, _)| lower(name) == "authorization");
        let first = first
            .map(|(_, value)| value.as_slice())
            .filter(|value| std::str::from_utf8(value).is_ok());
        let scheme = |value: &[u8]| {
            let words = lower(value);
            words.split(' ').next().unwrap_or_default().to_owned()
        };
        let is_sentry = first.is_some_and(|value| lower(value).starts_with("sentry "));
        assert_eq!(authorization.first().copied(), first.filter(|_| is_sentry));
        // `Basic` goes only if it is the request's only credential.
        let other = self.in_query || !self.received("x-sentry-auth").is_empty() || is_sentry;
        if let Some(basic) = &self.copy.basic {
            let received = first.unwrap();
            assert_eq!(scheme(received), "basic");
            let user = |value: &[u8]| {
                let decoded = STANDARD.decode(value[6..].trim_ascii()).unwrap();
                decoded.split(|byte| *byte == b':').next().unwrap().to_vec()
            };
            let key = user(received);
            assert!(key.len() == 32 && key.iter().all(u8::is_ascii_hexdigit));
            // The user, and no password.
            let expected = STANDARD.encode([&key[..], b":"].concat());
            assert_eq!(*basic, format!("Basic {expected}"));
            // Nobody can see whether an encoded envelope has a DSN.
            let encodings = self.headers.iter();
            let mut encodings = encodings.filter(|(name, _)| lower(name) == "content-encoding");
            assert!(encodings.all(|(_, value)| ["", "identity"].contains(&lower(value).trim())));
            assert!(!other);
        }
    }

    pub fn one_forwarded_chain_that_ends_with_the_peer(&self) {
        let lines = self.received("x-forwarded-for");
        let chain = lines.join(&b", "[..]);
        let peer = b"192.0.2.7";
        let line = self.all("x-forwarded-for");
        assert_eq!(line.len(), 1, "the peer is known");
        assert!(line[0].starts_with(&chain));
        let last = |chain: &[u8]| -> Vec<u8> {
            let parts = chain.rsplit(|byte| *byte == b',').next();
            parts.unwrap_or_default().trim_ascii().to_vec()
        };
        let complete = !lines.is_empty() && (self.host == HostKind::Envoy || last(&chain) == peer);
        let expected = match (complete, lines.len()) {
            (true, _) => chain,
            (false, 0) => peer.to_vec(),
            (false, _) => [chain.as_slice(), b", ", peer].concat(),
        };
        assert_eq!(line[0], expected.as_slice());
    }

    pub fn at_most_one_forwarded_proto(&self) {
        let first = self.received("x-forwarded-proto").first().copied();
        let expected: Vec<&[u8]> = first.or(self.scheme).into_iter().collect();
        assert_eq!(self.all("x-forwarded-proto"), expected);
    }

    fn all(&self, name: &str) -> Vec<&[u8]> {
        let list = self.copy.list.iter();
        list.filter(|(other, _)| *other == name.as_bytes())
            .map(|(_, value)| value)
            .collect()
    }

    /// Values of a request's header that can be copied at all.
    fn received(&self, name: &str) -> Vec<&'a [u8]> {
        let headers = self.headers.iter();
        headers
            .filter(|(other, value)| lower(other) == name && std::str::from_utf8(value).is_ok())
            .map(|(_, value)| value.as_slice())
            .collect()
    }
}
