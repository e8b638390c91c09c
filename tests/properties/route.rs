//! Recognition of ingest requests and the path of a copy.

use crate::settings;
use proptest::prelude::*;
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::mirror::decide::{Decision, decide};
use sentry_edge_mirror::mirror::headers::{Head, compose};
use sentry_edge_mirror::sentry::route::{Route, recognise};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Envelope(u64),
    Other(u64),
    Copy,
    Nothing,
}

/// The rules once more, on folded text instead of segments.
fn reference(method: &[u8], target: &[u8]) -> Kind {
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
    let Some((id, rest)) = folded
        .strip_prefix("/api/")
        .and_then(|path| path.split_once('/'))
    else {
        return Kind::Nothing;
    };
    let digits = (1..=20).contains(&id.len()) && id.chars().all(|c| "0123456789".contains(c));
    let id = if digits {
        id.parse::<u128>().unwrap()
    } else {
        0
    };
    if id == 0 || id > u128::from(u64::MAX) || method == b"OPTIONS" || method == b"HEAD" {
        return Kind::Nothing;
    }
    let id = u64::try_from(id).unwrap();
    if method == b"POST" && rest == "envelope/" {
        Kind::Envelope(id)
    } else {
        Kind::Other(id)
    }
}

fn recognised(method: &[u8], target: &[u8]) -> Kind {
    match recognise(method, target) {
        Some(Route::Envelope(id)) => Kind::Envelope(id.get()),
        Some(Route::Other(id)) => Kind::Other(id.get()),
        Some(Route::Mirrored) => Kind::Copy,
        None => Kind::Nothing,
    }
}

fn method() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => Just(b"POST".to_vec()),
        3 => prop::sample::select(vec!["GET", "PUT", "OPTIONS", "HEAD", "post", ""]).prop_map(Vec::from),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ]
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<u64>().prop_map(|id| id.to_string()),
        4 => (0_u64..100).prop_map(|id| id.to_string()),
        1 => (0_u64..100, 0_usize..25).prop_map(|(id, width)| format!("{id:0width$}")),
        // 20 digits, about half of them over 64 bits.
        1 => "[0-3][0-9]{19}",
        2 => "[0-9]{0,22}[a-z+%. -]?[0-9]{0,3}",
    ]
}

fn slashes() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just("/".to_owned()), 1 => "/{0,4}"]
}

/// Targets that are nearly, or quite, ingest paths.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec!["api", "api", "api", "api", "API", "rum", "x", "%61pi"]);
    let second =
        prop_oneof![8 => id(), 1 => Just("sentry".to_owned()), 1 => Just("store".to_owned())];
    let third = prop_oneof![
        6 => Just("envelope".to_owned()),
        1 => Just("store".to_owned()),
        1 => Just("envelope/extra".to_owned()),
        1 => "[a-zA-Z%0-9]{0,10}",
    ];
    let tail = prop_oneof![4 => Just(String::new()), 1 => "[?#]", 1 => r"[?#][ -~]{0,20}"];
    (
        (slashes(), first, slashes(), second),
        (slashes(), third, slashes(), tail),
        prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>())),
    )
        .prop_map(|((a, first, b, second), (c, third, d, tail), flip)| {
            let mut target = [a.as_str(), first, &b, &second, &c, &third, &d, &tail]
                .concat()
                .into_bytes();
            if let Some((at, byte)) = flip.filter(|_| !target.is_empty()) {
                let at = at.index(target.len());
                target[at] = byte;
            }
            target
        })
}

fn config(routes: &str) -> Config {
    let json = format!(
        r#"{{"rum": {{"upstream": "rum", "authority": "rum.example.com", "routes": "{routes}", "exclude": [7],
            "projects": {{"42": {{"workspace": "ws", "service_id": "web@42"}}}}, "default": {{"workspace": "ws", "service_id": "rest@0"}}}}}}"#
    );
    Config::parse(json.as_bytes(), &|_| None).unwrap()
}

/// Prefix + target, when the request is to be mirrored and a request line can hold it.
fn path_of_copy(method: &[u8], target: &[u8], all: bool) -> Option<Vec<u8>> {
    if target.iter().any(|byte| matches!(byte, 0..=32 | 127)) {
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

fn check_path(method: &[u8], target: &[u8]) -> Result<(), TestCaseError> {
    for (routes, all) in [("envelope", false), ("all", true)] {
        let config = config(routes);
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
                prop_assert_eq!(copy.list.get(b":method"), Some(method));
                copy.list.get(b":path").map(<[u8]>::to_vec)
            }
            _ => None,
        };
        prop_assert_eq!(path, path_of_copy(method, target, all), "routes {}", routes);
    }
    Ok(())
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn nearly_ingest_paths(method in method(), target in target()) {
        prop_assert_eq!(recognised(&method, &target), reference(&method, &target));
        check_path(&method, &target)?;
    }

    #[test]
    fn any_bytes(method: Vec<u8>, target: Vec<u8>) {
        prop_assert_eq!(recognised(&method, &target), reference(&method, &target));
        check_path(&method, &target)?;
    }

    #[test]
    fn any_query_is_kept_and_changes_nothing(id in 1_u64.., query: Vec<u8>) {
        let target = [format!("/api/{id}/envelope/?").as_bytes(), &query].concat();
        prop_assert_eq!(recognised(b"POST", &target), Kind::Envelope(id));
        check_path(b"POST", &target)?;
    }

    #[test]
    fn a_copy_is_never_mirrored_again(method in method(), target in target()) {
        if let Some(path) = path_of_copy(&method, &target, true) {
            prop_assert_eq!(recognised(&method, &path), Kind::Copy);
            prop_assert_eq!(path_of_copy(&method, &path, true), None);
            check_path(&method, &path)?;
        }
    }
}

/// A generator that never hits what it is for would make the properties above worthless.
#[test]
fn the_generated_targets_are_of_every_kind() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut kinds = [0; 4];
    for _ in 0..1_000 {
        let method = method().new_tree(&mut runner).unwrap().current();
        let target = target().new_tree(&mut runner).unwrap().current();
        kinds[match reference(&method, &target) {
            Kind::Envelope(_) => 0,
            Kind::Other(_) => 1,
            Kind::Copy => 2,
            Kind::Nothing => 3,
        }] += 1;
    }
    assert!(kinds.iter().all(|count| *count >= 5), "{kinds:?}");
}
