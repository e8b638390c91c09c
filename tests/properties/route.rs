//! Recognition of ingest requests and the path of a copy.

use crate::settings;
use oracles::route::{Kind, check, path_of_copy, reference};
use proptest::prelude::*;

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

/// Dots and separators in every spelling.
fn dotted() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        ".", ".", "..", "%2e", "%2E", "%252e", "%25252E", "/", "/", "\\", "%2f", "%2F", "%5c",
        "%255C", ";", "%3b", "#", "%", "%2", "25", "2e", "x", "envelope", "?",
    ]);
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

/// Targets that are nearly, or quite, ingest paths.
fn target() -> impl Strategy<Value = Vec<u8>> {
    let first = prop::sample::select(vec!["api", "api", "api", "api", "API", "rum", "x", "%61pi"]);
    let second =
        prop_oneof![8 => id(), 1 => Just("sentry".to_owned()), 1 => Just("store".to_owned())];
    let third = prop_oneof![
        6 => Just("envelope".to_owned()),
        2 => dotted(),
        1 => Just("store".to_owned()),
        1 => Just("envelope/extra".to_owned()),
        1 => "[a-zA-Z%0-9]{0,10}",
    ];
    let tail = prop_oneof![4 => Just(String::new()), 1 => "[?#]", 1 => r"[?#][ -~]{0,20}"];
    let before = prop_oneof![9 => Just(""), 1 => Just("/x"), 1 => Just("/rum/y")];
    (
        (before, slashes(), first, slashes(), second),
        (slashes(), third, slashes(), tail),
        prop::option::weighted(0.1, (any::<prop::sample::Index>(), any::<u8>())),
    )
        .prop_map(
            |((before, a, first, b, second), (c, third, d, tail), flip)| {
                let mut target = [
                    before,
                    a.as_str(),
                    first,
                    &b,
                    &second,
                    &c,
                    &third,
                    &d,
                    &tail,
                ]
                .concat()
                .into_bytes();
                if let Some((at, byte)) = flip.filter(|_| !target.is_empty()) {
                    let at = at.index(target.len());
                    target[at] = byte;
                }
                target
            },
        )
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn nearly_ingest_paths(method in method(), target in target()) {
        check(&method, &target);
    }

    #[test]
    fn any_bytes(method: Vec<u8>, target: Vec<u8>) {
        check(&method, &target);
    }

    #[test]
    fn any_query_is_kept_and_changes_nothing(id in 1_u64.., query: Vec<u8>) {
        let target = [format!("/api/{id}/envelope/?").as_bytes(), &query].concat();
        prop_assert_eq!(reference(b"POST", &target), Kind::Envelope(id));
        check(b"POST", &target);
    }

    #[test]
    fn a_copy_is_never_mirrored_again(method in method(), target in target()) {
        if let Some(path) = path_of_copy(&method, &target, true) {
            prop_assert_eq!(reference(&method, &path), Kind::Copy);
            check(&method, &path);
        }
    }
}

/// A generator that never hits what it is for would make the properties above worthless.
#[test]
fn the_generated_targets_are_of_every_kind() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut kinds = [0; 5];
    for _ in 0..1_000 {
        let method = method().new_tree(&mut runner).unwrap().current();
        let target = target().new_tree(&mut runner).unwrap().current();
        kinds[match reference(&method, &target) {
            Kind::Envelope(_) => 0,
            Kind::Other(_) => 1,
            Kind::Copy => 2,
            Kind::Nothing => 3,
            Kind::BehindAPath(_) => 4,
        }] += 1;
    }
    assert!(kinds.iter().all(|count| *count >= 5), "{kinds:?}");
}
