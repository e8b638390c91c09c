//! Which requests are mirrored, and to which path.

use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::copies::decide::{Decision, decide};
use sentry_edge_mirror::outcome::SkipReason;
use sentry_edge_mirror::sentry::route::{Route, recognise};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const MAX: u64 = u64::MAX;
/// Longer than a project id can be.
const DIGITS_21: &str = "/api/000000000000000000042/envelope/";

/// Method, target and the project of an envelope request.
const ENVELOPES: &[(&str, u64)] = &[
    ("/api/42/envelope/", 42),
    ("/api/42/envelope/?", 42),
    ("/api/42/envelope/?sentry_key=k&sentry_version=7", 42),
    ("/api/42/envelope/?/api/0/x/", 42),
    ("/api/42/envelope/#x", 42),
    ("/api/0042/envelope/", 42),
    ("/api/00000000000000000042/envelope/", 42),
    ("/api/4504444444444444/envelope/", 4_504_444_444_444_444),
    ("/api/4294967296/envelope/", 4_294_967_296),
    ("/api/18446744073709551615/envelope/", MAX),
    ("//api///42//envelope///", 42),
];

/// Method, target and project of a request under `/api/<id>/` that is no envelope.
const OTHERS: &[(&str, &str, u64)] = &[
    ("GET", "/api/42/envelope/", 42),
    ("PUT", "/api/42/envelope/", 42),
    ("post", "/api/42/envelope/", 42),
    ("POST", "/api/42/envelope", 42),
    ("POST", "/api/42/envelope/extra/", 42),
    ("POST", "/api/42/ENVELOPE/", 42),
    ("POST", "/api/42/envelope%2F", 42),
    ("POST", "/api/42/store/", 42),
    ("POST", "/api/42/", 42),
    ("PATCH", "/api/0042/upload/019d/?x", 42),
    ("GET", "/api/42/cron/nightly/k/?status=ok", 42),
];

/// Method and target of what is no ingest request.
const NEITHER: &[(&str, &str)] = &[
    ("OPTIONS", "/api/42/envelope/"),
    ("HEAD", "/api/42/envelope/"),
    ("POST", "/api/0/envelope/"),
    ("POST", "/api/000/envelope/"),
    ("POST", "/api/0/organizations/x/issues/"),
    ("POST", "/api/store/"),
    ("POST", "/api/42"),
    ("POST", "/api//envelope/"),
    ("POST", "/api/18446744073709551616/envelope/"),
    ("POST", "/api/99999999999999999999/envelope/"),
    ("POST", DIGITS_21),
    ("POST", "/api/%34%32/envelope/"),
    ("POST", "/api/+42/envelope/"),
    ("POST", "/api/-42/envelope/"),
    ("POST", "/api/4 2/envelope/"),
    ("POST", "/api/42.0/envelope/"),
    ("POST", "/api/42;v=1/envelope/"),
    ("POST", "/%61pi/42/envelope/"),
    ("POST", "/Api/42/envelope/"),
    ("POST", "api/42/envelope/"),
    ("POST", "http://edge/api/42/envelope/"),
    ("POST", "/?/api/42/envelope/"),
    ("POST", "/tunnel"),
    ("POST", "*"),
    ("POST", ""),
    ("POST", "/rum/"),
];

const COPIES: &[&str] = &[
    "/rum/sentry/ws/web@42/api/42/envelope/",
    "//rum//sentry/ws/web@42/api/42/envelope/",
    "/rum/sentry/",
];

fn config(routes: &str) -> Config {
    let json = format!(
        r#"{{"rum": {{"upstream": "rum", "authority": "rum.example.com", "routes": "{routes}", "exclude": [7, "18446744073709551615"],
            "projects": {{"42": {{"workspace": "ws", "service_id": "web@42"}}, "4294967296": {{"workspace": "ws", "service_id": "api@4294967296"}}}}}}}}"#
    );
    Config::parse(json.as_bytes(), &|_| None).unwrap()
}

/// Path prefix of the copy, or why there is none; `None` for traffic that is not ours.
fn decided(routes: &str, method: &str, target: &str) -> Option<Result<String, SkipReason>> {
    let config = config(routes);
    let rum = config.rum.as_ref().unwrap();
    match decide(rum, method.as_bytes(), target.as_bytes()) {
        Decision::Ignore => None,
        Decision::Skip(reason, ..) => Some(Err(reason)),
        Decision::Mirror(target) => Some(Ok(target.destination.path_prefix.clone())),
    }
}

#[test]
fn envelope_requests() {
    for (target, id) in ENVELOPES {
        match recognise(b"POST", target.as_bytes()) {
            Some(Route::Envelope(found)) => assert_eq!(found.get(), *id, "{target}"),
            other => panic!("{target}: {other:?}"),
        }
    }
}

#[test]
fn other_requests_of_a_project() {
    for (method, target, id) in OTHERS {
        match recognise(method.as_bytes(), target.as_bytes()) {
            Some(Route::Other(found)) => assert_eq!(found.get(), *id, "{method} {target}"),
            other => panic!("{method} {target}: {other:?}"),
        }
    }
}

/// Nobody told us of the path: counted, and no copy.
#[test]
fn envelopes_behind_a_path() {
    for target in ["/x/api/42/envelope/", "/rum/sentryx/ws/s/api/42/envelope/"] {
        match recognise(b"POST", target.as_bytes()) {
            Some(Route::BehindAPath(found)) => assert_eq!(found.get(), 42, "{target}"),
            other => panic!("{target}: {other:?}"),
        }
        for routes in ["envelope", "all"] {
            let decided = decided(routes, "POST", target);
            assert_eq!(decided, Some(Err(SkipReason::Route)), "{target}");
        }
    }
}

#[test]
fn all_other_traffic() {
    for (method, target) in NEITHER {
        assert_eq!(
            recognise(method.as_bytes(), target.as_bytes()),
            None,
            "{method} {target}"
        );
    }
    assert_eq!(recognise(b"POST", b"/api/4\xff2/envelope/"), None);
    assert_eq!(recognise(b"POST", b"/api/42\0/envelope/"), None);
    assert_eq!(
        recognise(b"POST", "/api/\u{664}\u{662}/envelope/".as_bytes()),
        None
    );
}

#[test]
fn our_own_copies() {
    for target in COPIES {
        assert_eq!(
            recognise(b"POST", target.as_bytes()),
            Some(Route::Mirrored),
            "{target}"
        );
        assert_eq!(
            decided("all", "POST", target),
            Some(Err(SkipReason::Loop)),
            "{target}"
        );
    }
}

/// What some proxy takes for a step out of the prefix, and what none does.
const DOTS: &[(&str, bool)] = &[
    ("/api/42/../x/", true),
    ("/api/42/../../other/service/api/42/envelope/", true),
    ("/api/42/./envelope/", true),
    ("/api/42/..", true),
    ("/api/42/%2e%2e/x", true),
    ("/api/42/.%2E/x", true),
    ("/api/42/x%2f..%2fy", true),
    ("/api/42/x\\..\\y", true),
    ("/api/42/x%5c%2e%2e%5Cy", true),
    ("/api/42/%252e%252e/x", true),
    ("/api/42/..;x=y/z", true),
    ("/api/42/envelope/#/../x", true),
    ("/api/42/x?y=/../z", false),
    ("/api/42/...", false),
    ("/api/42/.env", false),
    ("/api/42/x..y/", false),
    ("/api/42/x%20y%2fz/", false),
];

#[test]
fn no_target_leads_out_of_the_prefix() {
    for (target, dots) in DOTS {
        let expected = if *dots {
            Err(SkipReason::Route)
        } else {
            Ok("/rum/sentry/ws/web@42".to_owned())
        };
        for method in ["POST", "GET", "PATCH"] {
            assert_eq!(
                decided("all", method, target),
                Some(expected.clone()),
                "{target}"
            );
        }
        let envelope = decided("envelope", "POST", target);
        assert_eq!(envelope, Some(Err(SkipReason::Route)), "{target}");
    }
}

#[test]
fn where_a_request_goes() {
    let web = || Some(Ok("/rum/sentry/ws/web@42".to_owned()));
    let envelope = |target: &str| decided("envelope", "POST", target);
    assert_eq!(envelope("/api/42/envelope/"), web());
    assert_eq!(envelope("/api/0042/envelope/"), web());
    assert_eq!(
        envelope("/api/4294967296/envelope/"),
        Some(Ok("/rum/sentry/ws/api@4294967296".to_owned()))
    );
    assert_eq!(
        envelope("/api/43/envelope/"),
        Some(Err(SkipReason::Unmapped))
    );
    assert_eq!(
        envelope("/api/7/envelope/"),
        Some(Err(SkipReason::Excluded))
    );
    assert_eq!(
        envelope("/api/18446744073709551615/envelope/"),
        Some(Err(SkipReason::Excluded))
    );
    assert_eq!(envelope("/api/42/store/"), Some(Err(SkipReason::Route)));
    assert_eq!(envelope("/"), None);
    for (method, target, _) in OTHERS {
        assert_eq!(
            decided("envelope", method, target),
            Some(Err(SkipReason::Route)),
            "{method} {target}"
        );
        assert_eq!(decided("all", method, target), web(), "{method} {target}");
    }
    for (method, target) in NEITHER {
        assert_eq!(decided("all", method, target), None, "{method} {target}");
    }
}
