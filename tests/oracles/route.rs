//! Which requests are ingest traffic, and the path of their copies: the rules once more.

use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::copies::decide::{Decision, decide};
use sentry_edge_mirror::copies::headers::{Head, compose};
use sentry_edge_mirror::sentry::route::{Route, recognise};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Envelope(u64),
    Other(u64),
    BehindAPath(u64),
    Copy,
    Nothing,
}

/// The most that a target may have.
const MOST: usize = 65_536;

/// Whether anybody could take the path for one that leads up or stays: the rule once more, by replacing text.
fn has_dots(target: &[u8]) -> bool {
    let text: String = target.iter().map(|byte| char::from(*byte)).collect();
    let path = text.split('?').next().unwrap_or_default();
    let mut path = path.to_ascii_lowercase();
    while path.contains("%25") {
        path = path.replace("%25", "%");
    }
    for (code, sign) in [
        ("%2e", "."),
        ("%2f", "/"),
        ("%5c", "/"),
        ("\\", "/"),
        ("%3b", ";"),
        ("#", ";"),
    ] {
        path = path.replace(code, sign);
    }
    let segments = path.split('/');
    let mut names = segments.map(|segment| segment.split(';').next().unwrap_or_default());
    names.any(|name| name == "." || name == "..")
}

/// The rules once more, on folded text instead of segments.
pub fn reference(method: &[u8], target: &[u8]) -> Kind {
    let target = &target[..target.len().min(MOST + 1)];
    // Latin-1: any bytes are text, and every byte is one character.
    let path: String = target
        .iter()
        .map(|byte| char::from(*byte))
        .take_while(|c| *c != '?' && *c != '#')
        .collect();
    let mut folded = path;
    while folded.contains("//") {
        folded = folded.replace("//", "/");
    }
    if folded == "/rum/sentry" || folded.starts_with("/rum/sentry/") {
        return Kind::Copy;
    }
    let Some(path) = folded.strip_prefix("/api/") else {
        // At the end, behind anything.
        let end = folded.strip_suffix("/envelope/");
        let end = end.and_then(|path| path.rsplit_once("/api/"));
        let id = end.map_or(0, |(_, id)| number(id));
        let is_envelope = method == b"POST" && folded.starts_with('/') && id > 0;
        return if is_envelope {
            Kind::BehindAPath(id)
        } else {
            Kind::Nothing
        };
    };
    let Some((id, rest)) = path.split_once('/') else {
        return Kind::Nothing;
    };
    let id = number(id);
    if id == 0 || method == b"OPTIONS" || method == b"HEAD" {
        return Kind::Nothing;
    }
    if method == b"POST" && rest == "envelope/" {
        Kind::Envelope(id)
    } else {
        Kind::Other(id)
    }
}

/// A project's id; 0 is none.
fn number(id: &str) -> u64 {
    let digits = (1..=20).contains(&id.len()) && id.chars().all(|c| "0123456789".contains(c));
    let id: u128 = if digits { id.parse().unwrap() } else { 0 };
    u64::try_from(id).unwrap_or(0)
}

fn recognised(method: &[u8], target: &[u8]) -> Kind {
    match recognise(method, target) {
        Some(Route::Envelope(id)) => Kind::Envelope(id.get()),
        Some(Route::Other(id)) => Kind::Other(id.get()),
        Some(Route::Mirrored) => Kind::Copy,
        Some(Route::BehindAPath(id)) => Kind::BehindAPath(id.get()),
        None => Kind::Nothing,
    }
}

fn config(routes: &str) -> Config {
    let json = format!(
        r#"{{"rum": {{"upstream": "rum", "authority": "rum.example.com", "routes": "{routes}", "exclude": [7],
            "projects": {{"42": {{"workspace": "ws", "service_id": "web@42"}}}}, "default": {{"workspace": "ws", "service_id": "rest@0"}}}}}}"#
    );
    Config::parse(json.as_bytes(), &|_| None).unwrap()
}

/// Prefix + target, when the request is to be mirrored and a request line can hold it.
pub fn path_of_copy(method: &[u8], target: &[u8], all: bool) -> Option<Vec<u8>> {
    let odd = target.iter().any(|byte| matches!(byte, 0..=32 | 127));
    if odd || target.len() > MOST || method.len() > 32 || has_dots(target) {
        return None;
    }
    let id = match reference(method, target) {
        Kind::Envelope(id) => id,
        Kind::Other(id) if all => id,
        _ => return None,
    };
    let prefix = match id {
        7 => return None,
        42 => "/rum/sentry/ws/web@42",
        _ => "/rum/sentry/ws/rest@0",
    };
    Some([prefix.as_bytes(), target].concat())
}

/// Whether the request is recognised, and where its copy goes.
pub fn check(method: &[u8], target: &[u8]) {
    assert_eq!(recognised(method, target), reference(method, target));
    // Read once: a fuzzer asks some ten thousand times a second.
    thread_local! {
        static CONFIGS: [Config; 2] = ["envelope", "all"].map(config);
    }
    CONFIGS.with(|configs| {
        for (config, all) in configs.iter().zip([false, true]) {
            check_path(config, all, method, target);
        }
    });
}

fn check_path(config: &Config, all: bool, method: &[u8], target: &[u8]) {
    let path = match decide(config.rum.as_ref().unwrap(), method, target) {
        Decision::Mirror(destination) => {
            let head = Head {
                method,
                target,
                headers: std::iter::empty(),
                source: &|| None,
                scheme: None,
            };
            let copy = compose(config.host, &destination, &head);
            assert_eq!(copy.list.get(b":method"), Some(method));
            copy.list.get(b":path").map(<[u8]>::to_vec)
        }
        _ => None,
    };
    let expected = path_of_copy(method, target, all);
    assert_eq!(path, expected, "all routes: {all}");
}
