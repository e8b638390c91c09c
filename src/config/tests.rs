mod refused;

use super::{Config, HostKind, Role};
use crate::copies::settings::{Destination, Routes};
use crate::sentry::project::ProjectId;

const GOOD: &str = r#"{
    "rum": {
        "upstream": "rum", "authority": "rum.example.com:8443",
        "default": {"workspace": "${WS:-default-cms-1-cn-hangzhou}", "service_id": "abc@def"},
        "projects": {
            "42": {"workspace": "ws", "service_id": "s42"},
            "0043": {"workspace": "ws", "service_id": "s43", "upstream": "other", "authority": "o.example.com"}
        },
        "exclude": [7, "8"]
    }
}"#;

fn parse(json: &str) -> Result<Config, Vec<String>> {
    let lookup = |name: &str| (name == "TIMEOUT").then(|| "250".to_owned());
    Config::parse(json.as_bytes(), &lookup)
        .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
}

fn problems(json: &str) -> Vec<String> {
    parse(json).expect_err(json)
}

/// A good configuration with one member of `rum` replaced or added.
fn with_rum(member: &str) -> String {
    let (key, _) = member.split_once(':').unwrap();
    let base = [
        (r#""upstream""#, r#""upstream": "rum""#),
        (r#""authority""#, r#""authority": "rum.example.com""#),
        (
            r#""default""#,
            r#""default": {"workspace": "w", "service_id": "s"}"#,
        ),
    ];
    let kept = base
        .iter()
        .filter(|(name, _)| *name != key)
        .map(|(_, text)| *text);
    let members: Vec<&str> = kept.chain([member]).collect();
    format!(r#"{{"rum": {{{}}}}}"#, members.join(", "))
}

#[test]
fn destinations_with_the_same_upstream_and_authority_have_one_share() {
    let with = |number: u32, target: &str| {
        format!(r#""{number}": {{"workspace": "w", "service_id": "s{number}" {target}}}"#)
    };
    let projects = [
        with(1, ""),
        with(2, r#", "upstream": "other""#),
        with(3, r#", "authority": "other""#),
        with(4, r#", "upstream": "other""#),
        with(5, r#", "upstream": "rum""#),
    ];
    let member = format!(r#""projects": {{{}}}"#, projects.join(", "));
    let rum = parse(&with_rum(&member)).unwrap().rum.unwrap();
    assert_eq!(rum.targets, 3);
    let shares: Vec<usize> = rum.projects.values().map(|to| to.share).collect();
    let [first, upstream, authority, again, same] = shares[..] else {
        panic!("{shares:?}")
    };
    assert_eq!((first, upstream), (same, again));
    assert_eq!(rum.default.unwrap().share, first);
    let mut distinct = [first, upstream, authority];
    distinct.sort_unstable();
    assert_eq!(distinct, [0, 1, 2]);
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.host, HostKind::Envoy);
    let rum = config.rum.as_ref().unwrap();
    assert_eq!(rum.routes, Routes::Envelope);
    assert_eq!((rum.timeout_ms, rum.scheme), (5_000, "https"));
    assert!(config.sls.is_none());
    let limits = config.limits;
    assert_eq!(
        (
            limits.max_body_bytes,
            limits.max_pending_bytes,
            limits.max_in_flight
        ),
        (10_485_760, 67_108_864, 128)
    );
    assert_eq!(
        (config.retry.max_attempts, config.retry.max_age_ms),
        (3, 300_000)
    );
    assert_eq!(
        (
            config.retry.backoff.ceiling(1),
            config.retry.backoff.ceiling(99)
        ),
        (500, 30_000)
    );
    assert!(!config.retry.ambiguous);
}

#[test]
fn projects_inherit_and_override() {
    let rum = parse(GOOD).unwrap().rum.unwrap();
    let id = |text: &str| ProjectId::parse(text.as_bytes()).unwrap();
    let default = rum.default.as_deref().unwrap();
    assert_eq!(
        default.path_prefix,
        "/rum/sentry/default-cms-1-cn-hangzhou/abc@def"
    );
    assert_eq!(default.authority, "rum.example.com:8443");
    assert_eq!(rum.projects[&id("42")].upstream, "rum");
    let own = &rum.projects[&id("43")];
    assert_eq!(
        (own.upstream.as_str(), own.authority.as_str()),
        ("other", "o.example.com")
    );
    assert!(rum.exclude.contains(&id("7")) && rum.exclude.contains(&id("8")));
}

#[test]
fn projects_fit_in_a_variable() {
    let listed = |text: &str, default: &str| {
        let json = format!(
            r#"{{"rum": {{"upstream": "rum", "authority": "a.b", "projects": "${{PROJECTS:-{text}}}"{default}}}}}"#
        );
        let config = parse(&json).map(|config| config.rum.unwrap().projects);
        config.map(|projects| {
            let prefix = |(id, to): (&ProjectId, &std::rc::Rc<Destination>)| {
                format!("{id} {}", to.path_prefix)
            };
            projects.iter().map(prefix).collect::<Vec<_>>()
        })
    };
    let default = r#", "default": {"workspace": "w", "service_id": "s"}"#;
    assert_eq!(
        listed("1=web@aaaa, 02 = shop/api@bbbb", default).unwrap(),
        ["1 /rum/sentry/w/web@aaaa", "2 /rum/sentry/shop/api@bbbb"]
    );
    assert!(listed("", default).unwrap().is_empty());
    let found = listed("1=a/b,web@aaaa,x=y,3=,4=a/b/c,5=c,001=d/e,", "").unwrap_err();
    let got = r#", got "${PROJECTS:-1=a/b,web@aaaa,x=y,3=,4=a/b/c,5=c,001=d/e,}""#;
    let entry =
        |what: &str, number: u8| format!("rum.projects: expected {what} in entry {number}{got}");
    let no_workspace = "`<workspace>/<service_id>` (rum.default names no workspace)";
    assert_eq!(
        found,
        [
            entry("`<project>=<service_id>`", 2),
            entry("a project id (1 to 20 digits, not 0) before the `=`", 3),
            entry(no_workspace, 4),
            entry(
                "a service id of letters, digits, `.`, `_`, `@`, `-` (not `.` or `..`)",
                5
            ),
            entry(no_workspace, 6),
            "rum.projects: project 1 is listed twice (leading zeros do not count)".to_owned(),
            entry("`<project>=<service_id>`", 8),
        ]
    );
}

#[test]
fn a_leg_that_is_switched_off_is_not_read() {
    let off = r#""sls": {"enabled": "${SLS_ON:-false}", "project": "${NOT_SET}", "unknown": 1}"#;
    let config = parse(&format!(
        "{}, {off}}}",
        with_rum(r#""enabled": true"#)
            .trim_end_matches('}')
            .to_owned()
            + "}"
    ))
    .unwrap();
    assert!(config.rum.is_some() && config.sls.is_none());
    assert_eq!(
        problems(&format!("{{{off}}}")),
        ["rum: one of rum, sls and sentry is required: nothing would be mirrored, got nothing"]
    );
    assert_eq!(
        problems(&with_rum(r#""enabled": "off""#)),
        [r#"rum.enabled: expected true or false, got "off""#]
    );
}

#[test]
fn on_nginx_an_upstream_is_a_host_and_a_port() {
    let on_nginx = |upstream: &str| {
        let json = with_rum(&format!(r#""upstream": "{upstream}""#));
        parse(&json.replacen('{', r#"{"host": "nginx", "#, 1))
    };
    for upstream in [
        "rum",
        "rum:0",
        "rum:",
        ":80",
        "rum:http",
        "a b:80",
        "",
        "http://rum:80",
    ] {
        let found = on_nginx(upstream).unwrap_err();
        assert!(
            found
                .concat()
                .starts_with("rum.upstream: expected `host:port`, got "),
            "{upstream}"
        );
    }
    for upstream in ["rum.example.com:80", "127.0.0.1:8443", "[::1]:80"] {
        assert!(on_nginx(upstream).is_ok(), "{upstream}");
    }
}

#[test]
fn the_proxy_is_the_one_that_runs_the_module() {
    let role = Role::Main(Box::new(parse(GOOD).unwrap()));
    let found = role.clone().running_in(HostKind::Nginx).unwrap_err();
    assert_eq!(
        found.to_string(),
        "bad plugin configuration, 1 problem; host: expected nginx, which is the proxy here, got envoy"
    );
    assert!(role.running_in(HostKind::Envoy).is_ok());
}

#[test]
fn references_work_for_numbers_and_never_print_a_value() {
    let config = parse(&with_rum(r#""timeout_ms": "${TIMEOUT}""#)).unwrap();
    assert_eq!(config.rum.unwrap().timeout_ms, 250);
    let found = problems(&with_rum(r#""timeout_ms": "x${TIMEOUT}""#));
    assert_eq!(
        found,
        ["rum.timeout_ms: expected an integer from 1 to 600000, got \"x${TIMEOUT}\""]
    );
    assert!(
        problems(&with_rum(r#""timeout_ms": "250""#))
            .concat()
            .contains("expected an integer")
    );
}

#[test]
fn a_problem_names_the_variable_that_is_not_set() {
    let json = with_rum(r#""authority": "${HOST}", "timeout_ms": "${TIMEOUT}${""#);
    let error = Config::parse(json.as_bytes(), &|_| None).unwrap_err();
    let unset: Vec<Option<&str>> = error
        .problems
        .iter()
        .map(|problem| problem.unset.as_deref())
        .collect();
    assert_eq!(unset, [Some("HOST"), Some("TIMEOUT")]);
    let error = Config::parse(with_rum(r#""authority": "${HOST""#).as_bytes(), &|_| None);
    assert_eq!(error.unwrap_err().problems[0].unset, None);
}

#[test]
fn numbers_as_envoys_struct_gives_them() {
    assert_eq!(
        parse(&with_rum(r#""timeout_ms": 250.0"#))
            .unwrap()
            .rum
            .unwrap()
            .timeout_ms,
        250
    );
    assert_eq!(
        parse(&with_rum(r#""timeout_ms": 2.5e2"#))
            .unwrap()
            .rum
            .unwrap()
            .timeout_ms,
        250
    );
    for wrong in ["-1", "1e99", "600001", "null", "[1]"] {
        assert!(
            parse(&with_rum(&format!(r#""timeout_ms": {wrong}"#))).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn a_half_that_no_large_body_fits_is_warned_of() {
    let warned = |extra: &str| {
        let json = GOOD.replacen('{', &format!("{{{extra}, "), 1);
        let warnings = parse(&json).unwrap().warnings();
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let limits = |pending: u32| format!(r#""limits": {{"max_pending_bytes": {pending}}}"#);
    assert!(warned(&limits(2 * 10_485_760)).is_empty());
    assert_eq!(
        warned(&limits(2 * 10_485_760 - 1)),
        [
            "limits.max_pending_bytes: bodies that are being received may hold 10485759 bytes, less than limits.max_body_bytes (10485760): the largest find no room"
        ]
    );
    let fast = format!(r#"{}, "mode": "rewrite", "fast_ack": true"#, limits(5));
    assert!(warned(&fast).is_empty(), "the proxy keeps them");
    // They pass.
    let plain = r#"{"mode": "rewrite", "limits": {"max_pending_bytes": 5},
        "rum": {"authority": "a", "default": {"workspace": "w", "service_id": "s"}}}"#;
    assert!(parse(plain).unwrap().warnings().is_empty());
}

#[test]
fn the_first_wait_is_at_most_the_last() {
    let retry = |retry: &str| parse(&GOOD.replacen('{', &format!(r#"{{"retry": {retry}, "#), 1));
    let found = retry(r#"{"initial_backoff_ms": 200, "max_backoff_ms": 100}"#).unwrap_err();
    assert_eq!(
        found,
        ["retry.initial_backoff_ms: expected at most max_backoff_ms (100), got 200"]
    );
    let config = retry(r#"{"max_backoff_ms": 100}"#).unwrap();
    assert_eq!(config.retry.backoff.ceiling(1), 100);
    assert!(retry(r#"{"ambiguous": true}"#).unwrap().retry.ambiguous);
}

#[test]
fn words_that_are_not_on_the_list() {
    for (member, start) in [
        (
            r#""routes": "some""#,
            "rum.routes: expected one of envelope, all, got \"some\"",
        ),
        (
            r#""scheme": "ftp""#,
            "rum.scheme: expected one of http, https, got \"ftp\"",
        ),
        (
            r#""exclude": {}"#,
            "rum.exclude: expected a list, got an object of 0",
        ),
    ] {
        assert_eq!(problems(&with_rum(member)), [start]);
    }
}

/// What Envoy 1.40 hands over for `value: {rum: {upstream: rum, authority: rum.example.com, default: {...}}}`.
const STRUCT: &[u8] = b"\ns\n\x03rum\x12l*j\n\x11\n\x08upstream\x12\x05\x1a\x03rum\n5\n\x07default\x12**(\n\x13\n\nservice_id\x12\x05\x1a\x03a@b\n\x11\n\tworkspace\x12\x04\x1a\x02ws\n\x1e\n\tauthority\x12\x11\x1a\x0frum.example.com";

#[test]
fn a_struct_is_read_like_the_json_it_stands_for() {
    let rum = Config::parse(STRUCT, &|_| None).unwrap().rum.unwrap();
    assert_eq!(rum.default.unwrap().path_prefix, "/rum/sentry/ws/a@b");
    let cut = STRUCT.get(..STRUCT.len() - 1).unwrap();
    assert!(Config::parse(cut, &|_| None).is_err());
    assert!(
        parse(&format!("\n\n{GOOD}")).is_ok(),
        "JSON after an empty line"
    );
}
