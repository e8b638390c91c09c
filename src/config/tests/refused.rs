//! What is wrong with a configuration is said, all of it, by its path.

use super::{parse, problems, with_rum};

#[test]
fn every_problem_is_reported_at_once() {
    let found = problems(
        r#"{
            "hots": "envoy",
            "rum": {
                "upstream": "rum", "authority": "rum.example.com", "time_out": 5,
                "default": {"workspace": "a/b", "service_id": "${NOPE}"},
                "projects": {"42": {"workspace": "w", "service_id": "s"}, "x": {"workspace": "w"}},
                "exclude": ["42"],
                "timeout_ms": 0
            },
            "limits": {"max_in_flight": "many", "max_body_bytes": 1.5},
            "retry": {"max_attempts": true}
        }"#,
    );
    let segment = "letters, digits, `.`, `_`, `@`, `-` (not `.` or `..`)";
    assert_eq!(
        found,
        [
            format!("rum.default.workspace: expected {segment}, got \"a/b\""),
            "rum.default.service_id: environment variable NOPE is not set and has no default, got \"${NOPE}\"".to_owned(),
            "rum.projects.x: expected a project id (1 to 20 digits, not 0, at most 18446744073709551615), got \"x\"".to_owned(),
            format!("rum.projects.x.service_id: required: {segment}, got nothing"),
            "rum.exclude[0]: project 42 is excluded and listed in rum.projects: remove one".to_owned(),
            "rum.timeout_ms: expected an integer from 1 to 600000, got 0".to_owned(),
            "rum.time_out: unknown key (expected one of enabled, upstream, authority, scheme, client_ip, rate, sample, items, scrub, unscrubbable, encoding, only_accepted, scrub_keys, default, projects, exclude, routes, timeout_ms), got 5".to_owned(),
            "limits.max_body_bytes: expected an integer from 1 to 268435456, got 1.5".to_owned(),
            "limits.max_in_flight: expected an integer from 1 to 65535, got \"many\"".to_owned(),
            "retry.max_attempts: expected an integer from 1 to 100, got true".to_owned(),
            "hots: unknown key (expected one of host, lanes, mode, fast_ack, hosts, dsn_path, rum, sls, sentry, limits, retry), got \"envoy\"".to_owned(),
        ]
    );
}

#[test]
fn the_rules_of_higress_are_refused_in_every_mode() {
    let said = "_rules_: matchRules of Higress are not supported: write one defaultConfig, which picks by project (rum.projects, rum.exclude), got a list";
    let rules = r#""_rules_": [{"_match_domain_": ["sentry.example.com"], "rum": {}}]"#;
    // With `defaultConfigDisable` there is nothing else.
    assert_eq!(problems(&format!("{{{rules}}}"))[0], said);
    for mode in ["tee", "rewrite", "sign"] {
        let found = problems(&format!(r#"{{"mode": "{mode}", {rules}}}"#));
        assert_eq!(found[0], said, "{mode}");
    }
}

#[test]
fn without_a_leg_there_is_nothing_to_do() {
    assert_eq!(problems(""), problems("{}"), "an empty Struct");
    assert_eq!(
        problems("{}"),
        ["rum: one of rum, sls and sentry is required: nothing would be mirrored, got nothing"]
    );
}

#[test]
fn not_json_and_not_an_object() {
    assert!(
        problems("{")
            .concat()
            .starts_with("configuration: expected a JSON object, got a syntax error: ")
    );
    assert_eq!(
        problems("[]"),
        ["configuration: expected an object, got a list of 0"]
    );
    assert_eq!(
        problems(r#"{"rum": 5}"#),
        ["rum: expected an object, got 5"]
    );
}

#[test]
fn a_key_that_stands_twice_is_a_problem() {
    let found = problems(&with_rum(r#""exclude": [], "exclude": [1]"#));
    assert_eq!(found, ["rum.exclude: the key stands here twice"]);
    let found = problems(&with_rum(
        r#""projects": {"42": {"workspace": "w", "service_id": "s"}, "042": {"workspace": "w", "service_id": "s"}}"#,
    ));
    assert_eq!(
        found,
        ["rum.projects.042: project 42 is listed twice (leading zeros do not count)"]
    );
}

#[test]
fn upstream_and_authority_are_required_where_they_are_needed() {
    let found = problems(r#"{"rum": {"default": {"workspace": "w", "service_id": "s"}}}"#);
    assert_eq!(
        found,
        [
            "rum.upstream: required by rum.default, got nothing",
            "rum.authority: required by rum.default, got nothing"
        ]
    );
    let own = r#"{"rum": {"projects": {"1": {"workspace": "w", "service_id": "s", "upstream": "u", "authority": "a"}}}}"#;
    assert!(parse(own).is_ok());
}

#[test]
fn names_that_would_change_a_path_or_a_header_are_refused() {
    for workspace in [
        "",
        ".",
        "..",
        "a/b",
        "a?b",
        "a#b",
        "a b",
        "a%2fb",
        "a\\u0000",
        "ä",
        "a\\r\\nX: y",
    ] {
        let json = with_rum(&format!(
            r#""default": {{"workspace": "{workspace}", "service_id": "s"}}"#
        ));
        assert!(
            problems(&json)
                .concat()
                .starts_with("rum.default.workspace: "),
            "{workspace}"
        );
    }
    for authority in [
        "",
        "a/b",
        "a@b",
        "a b",
        "a:99999",
        "a:",
        "a\\r\\nX: y",
        "ä.example",
        "[::1",
        "http://a",
    ] {
        let json = with_rum(&format!(r#""authority": "{authority}""#));
        assert!(
            problems(&json).concat().starts_with("rum.authority: "),
            "{authority}"
        );
    }
    for authority in [
        "a",
        "a.example.com",
        "a:80",
        "127.0.0.1:8080",
        "[::1]:80",
        "[::1]",
        "proj-xtrace-1-cn.cn-hangzhou.log.aliyuncs.com",
    ] {
        assert!(
            parse(&with_rum(&format!(r#""authority": "{authority}""#))).is_ok(),
            "{authority}"
        );
    }
}

#[test]
fn what_is_no_host_and_no_path_of_a_dsn() {
    let with = |member: &str| {
        let rum = r#""rum": {"upstream": "rum", "authority": "a.example.com", "default": {"workspace": "w", "service_id": "s"}}"#;
        problems(&format!("{{{rum}, {member}}}"))
    };
    assert_eq!(
        with(r#""hosts": ["a.example.com:80", "*.b.example.com", "*"]"#),
        [
            r#"hosts[0]: expected a host without a port, such as sentry.example.com or *.example.com, got "a.example.com:80""#,
            r#"hosts[2]: expected a host without a port, such as sentry.example.com or *.example.com, got "*""#,
        ]
    );
    assert_eq!(
        with(r#""hosts": []"#),
        ["hosts: expected 1 to 100 hosts (without the key it is every host), got 0"]
    );
    for path in [
        "sentry", "/a//b", "/a?b", "/api", "/rum/x", "/a/../b", "/a b",
    ] {
        let problem = format!(
            "dsn_path: expected the path of the DSN before the project id, such as /sentry, and not /api or /rum, got {path:?}"
        );
        assert_eq!(with(&format!(r#""dsn_path": "{path}""#)), [problem]);
    }
}
