//! Every request of the fixtures goes through the compiled module, as Envoy and as nginx would hand it over.
//!
//! What has to become of each is said here once more, from the documentation and not from the sources. The primary must
//! not notice anything; what is mirrored must arrive with the received target, body and Content-Encoding and with nothing
//! but the headers of the allow-list; and in the end the books add up.
//!
//! A fixture of a whole connection (`wire`) is used for its request here: taking the connection apart is the proxy's
//! work, and the end-to-end tests send those bytes to a real one.

use oracles::allowed::is_copied;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use test_host::{Call, Guest, Host, Options, Profile, Reply, Request};

/// What a proxy reads from a socket at once, and the usual size of a DATA frame.
const PIECE: usize = 16_384;
const PEER: &[u8] = b"192.0.2.7";

struct Fixture {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    framing: Framing,
    body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Framing {
    None,
    ContentLength,
    Chunked(Vec<usize>),
    Http2,
}

impl Framing {
    fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ContentLength => "content-length",
            Self::Chunked(_) => "chunked",
            Self::Http2 => "h2-data",
        }
    }
}

fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for folder in ["real", "synthetic"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(folder);
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let described = |path: &&std::path::PathBuf| path.to_string_lossy().ends_with(".http.json");
        fixtures.extend(paths.iter().filter(described).map(|path| read(path)));
    }
    fixtures
}

fn read(path: &Path) -> Fixture {
    let meta: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let text = |key: &str| meta[key].as_str().unwrap().to_owned();
    let body = std::fs::read(path.with_file_name(text("body_file"))).unwrap();
    assert_eq!(meta["body_len"], body.len());
    let headers: Vec<(String, Vec<u8>)> = meta["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| {
            // As it was on the wire: one byte a character.
            let value = pair[1]
                .as_str()
                .unwrap()
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap());
            (pair[0].as_str().unwrap().to_owned(), value.collect())
        })
        .collect();
    let name = text("what");
    let has = |name: &str| {
        headers
            .iter()
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    };
    let framing = match meta["body_framing"].as_str() {
        Some("none") => Framing::None,
        Some("content-length") => Framing::ContentLength,
        Some("h2-data") => Framing::Http2,
        Some("chunked") => {
            let sizes = meta["chunk_sizes"].as_array().unwrap().iter();
            Framing::Chunked(
                sizes
                    .map(|size| usize::try_from(size.as_u64().unwrap()).unwrap())
                    .collect(),
            )
        }
        Some(other) => panic!("{other}"),
        None if name.contains("chunked-one-byte") => Framing::Chunked(vec![1; body.len()]),
        None if has("transfer-encoding") || name.contains("chunk") => {
            Framing::Chunked(vec![body.len()])
        }
        None if has("content-length") => Framing::ContentLength,
        None => {
            assert!(body.is_empty(), "{}", path.display());
            Framing::None
        }
    };
    Fixture {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        method: text("method"),
        target: text("path"),
        headers,
        framing,
        body,
    }
}

impl Fixture {
    /// As the proxy hands it over.
    fn request(&self) -> Request {
        let mut request =
            Request::new(&self.method, &self.target).property("source.address", "192.0.2.7:50000");
        for (name, value) in &self.headers {
            // A pseudo header stands there already; so does the authority.
            if !name.starts_with(':') && !name.eq_ignore_ascii_case("host") {
                request = request.header(name, value);
            }
        }
        match &self.framing {
            Framing::None => {}
            Framing::ContentLength if self.body.is_empty() => {}
            Framing::ContentLength => request = request.body_in(&self.body, PIECE),
            Framing::Http2 => {
                request = request
                    .body_in(&self.body, PIECE)
                    .ends_apart()
                    .property("ngx.server_protocol", "HTTP/2.0")
            }
            Framing::Chunked(sizes) => {
                let mut rest = self.body.as_slice();
                for size in sizes {
                    let (chunk, after) = rest.split_at(*size);
                    request = request.chunk(chunk);
                    rest = after;
                }
                assert!(rest.is_empty(), "{}", self.name);
                // The last chunk is empty.
                request = request.ends_apart();
            }
        }
        if self.name.contains("trailers") {
            request = request.trailer("x-checksum", "1");
        }
        request
    }

    /// The project that the request belongs to, if it is to be mirrored.
    fn project(&self, all_routes: bool) -> Option<u64> {
        let mut path = self.target.split(['?', '#']).next().unwrap().to_owned();
        while path.contains("//") {
            path = path.replace("//", "/");
        }
        let (digits, rest) = path.strip_prefix("/api/")?.split_once('/')?;
        let wanted = if all_routes {
            self.method != "OPTIONS" && self.method != "HEAD"
        } else {
            self.method == "POST" && rest == "envelope/"
        };
        // Somebody could take it for another path.
        let named = path.to_lowercase().replace("%2e", ".").replace("%2f", "/");
        if named
            .split('/')
            .any(|segment| [".", ".."].contains(&segment))
        {
            return None;
        }
        let plain =
            (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let id: u64 = digits
            .parse()
            .ok()
            .filter(|id| wanted && plain && *id > 0)?;
        Some(id)
    }

    fn values(&self, name: &str) -> Vec<&[u8]> {
        self.headers
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
            .collect()
    }

    /// Headers of the allow-list as (name, value), and how many cannot be read.
    fn allowed(&self) -> (Vec<(String, Vec<u8>)>, usize) {
        let named = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.clone()));
        let listed = named.filter(|(name, _)| is_copied(name));
        let (copied, odd): (Vec<_>, Vec<_>) =
            listed.partition(|(_, value)| std::str::from_utf8(value).is_ok());
        (copied, odd.len())
    }

    /// The first line is an object with a DSN: then a Basic credential is not Sentry's.
    fn has_dsn(&self) -> bool {
        let line = self.body.split(|byte| *byte == b'\n').next().unwrap();
        serde_json::from_slice::<Value>(line).is_ok_and(|line| line["dsn"].is_string())
    }

    fn authorization(&self) -> Option<&[u8]> {
        let value = *self.values("authorization").first()?;
        let text = std::str::from_utf8(value).unwrap().to_lowercase();
        let other = !self.values("x-sentry-auth").is_empty()
            || self.target.contains("sentry_key")
            || self.has_dsn();
        // The only Basic credential of the fixtures has a Sentry key as its user.
        (text.starts_with("sentry ") || text.starts_with("basic ") && !other).then_some(value)
    }

    fn check(&self, call: &Call, profile: Profile, project: u64) {
        let name = &self.name;
        assert_eq!(
            call.path(),
            format!("{}{}", prefix(project), self.target),
            "{name}"
        );
        assert_eq!(call.header(":method").unwrap(), self.method, "{name}");
        assert_eq!(
            call.header(":authority").unwrap(),
            "rum.example.com",
            "{name}"
        );
        assert!(call.body == self.body, "{name}: the body differs");
        assert_eq!(
            call.headers.get("content-encoding"),
            self.values("content-encoding").first().copied(),
            "{name}"
        );

        let own = [
            ":method",
            ":path",
            ":authority",
            ":scheme",
            "x-sentry-edge-mirror",
            "authorization",
            "x-forwarded-for",
            "x-forwarded-proto",
        ];
        let copied: Vec<(String, Vec<u8>)> = call
            .headers
            .iter()
            .map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), value.to_vec()))
            .filter(|(name, _)| !own.contains(&name.as_str()))
            .collect();
        assert_eq!(copied, self.allowed().0, "{name}");
        assert_eq!(
            call.headers.all(b"authorization").collect::<Vec<_>>(),
            Vec::from_iter(self.authorization()),
            "{name}"
        );

        let chain = self.values("x-forwarded-for").join(&b", "[..]);
        let expected = match (chain.is_empty(), profile) {
            (true, _) => PEER.to_vec(),
            // Envoy has appended the peer before any filter runs.
            (false, Profile::Envoy) => chain,
            (false, Profile::Nginx) => [&chain[..], b", ", PEER].concat(),
        };
        assert_eq!(
            call.headers.all(b"x-forwarded-for").collect::<Vec<_>>(),
            [expected.as_slice()],
            "{name}"
        );
        assert!(
            call.headers.all(b"x-forwarded-proto").count() <= 1,
            "{name}"
        );
    }
}

/// One project is mapped, the others go to the default.
fn config(profile: Profile, all_routes: bool) -> String {
    let host = if profile == Profile::Envoy {
        "envoy"
    } else {
        "nginx"
    };
    let routes = if all_routes { "all" } else { "envelope" };
    format!(
        r#"{{"host": "{host}", "rum": {{"upstream": "rum.test:80", "authority": "rum.example.com", "routes": "{routes}",
            "projects": {{"4504444444444444": {{"workspace": "default-cms-1-cn-hangzhou", "service_id": "web@4504"}}}},
            "default": {{"workspace": "default-cms-1-cn-hangzhou", "service_id": "rest@0"}}}}}}"#
    )
}

fn prefix(project: u64) -> &'static str {
    match project {
        4_504_444_444_444_444 => "/rum/sentry/default-cms-1-cn-hangzhou/web@4504",
        _ => "/rum/sentry/default-cms-1-cn-hangzhou/rest@0",
    }
}

/// All of them through one instance, one after another.
fn through(profile: Profile, all_routes: bool) {
    let mut host = Host::new(
        profile,
        Guest::sentry_edge_mirror(),
        Options::new(config(profile, all_routes)),
    );
    let (mut mirrored, mut bytes, mut omitted) = (0, 0, 0);
    for fixture in fixtures() {
        let name = &fixture.name;
        host.send(&fixture.request()).assert_untouched();
        host.advance(5);
        let calls = host.take_calls();
        let project = fixture.project(all_routes);
        assert_eq!(
            calls.len(),
            usize::from(project.is_some()),
            "{name}: {} {}",
            fixture.method,
            fixture.target
        );
        if let (Some(project), [call]) = (project, calls.as_slice()) {
            fixture.check(call, profile, project);
            mirrored += 1;
            bytes += fixture.body.len();
            omitted += fixture.allowed().1;
            host.reply(call.token, &Reply::status(200));
        }
    }
    host.advance(1_000);
    assert!(host.take_calls().is_empty());
    let rum = |what: &str| host.metric(&format!("sentry_edge_mirror.rum.{what}"));
    for (what, expected) in [
        ("captured", mirrored),
        ("delivered", mirrored),
        ("attempts", mirrored),
        ("bytes", bytes),
        ("headers_omitted", omitted),
        ("failed", 0),
        ("dropped", 0),
        ("retries", 0),
        ("pending", 0),
        ("pending_bytes", 0),
        ("in_flight", 0),
        ("unexpected_replies", 0),
        ("skipped.too_large", 0),
        ("skipped.aborted", 0),
        ("skipped.unreadable", 0),
        ("skipped.unmapped", 0),
    ] {
        assert_eq!(rum(what), i64::try_from(expected).unwrap(), "{what}");
    }
    // Guards against a test that passes because it selects nothing.
    assert!(mirrored > if all_routes { 380 } else { 300 }, "{mirrored}");
}

#[test]
fn envelopes_in_envoy() {
    through(Profile::Envoy, false);
}

#[test]
fn envelopes_in_nginx() {
    through(Profile::Nginx, false);
}

#[test]
fn all_routes_in_envoy() {
    through(Profile::Envoy, true);
}

#[test]
fn all_routes_in_nginx() {
    through(Profile::Nginx, true);
}

#[test]
fn the_fixtures_are_of_every_framing_and_some_are_not_mirrored() {
    let fixtures = fixtures();
    let framings: BTreeSet<&str> = fixtures
        .iter()
        .map(|fixture| fixture.framing.name())
        .collect();
    assert_eq!(
        framings,
        BTreeSet::from(["none", "content-length", "chunked", "h2-data"])
    );
    for all_routes in [false, true] {
        let left = fixtures
            .iter()
            .filter(|fixture| fixture.project(all_routes).is_none());
        assert!(left.count() > 10);
    }
}
