use crate::config::Config;
use crate::copies::settings::Routes;
use crate::sentry::project::ProjectId;

fn parse(root: &str, target: &str) -> Result<Config, Vec<String>> {
    let json = format!(r#"{{{root} "sentry": {{"saas": {{{target}}}}}}}"#);
    let lookup =
        |name: &str| (name == "DSN").then(|| "https://envkey@o1.ingest.example.com/9".to_owned());
    Config::parse(json.as_bytes(), &lookup)
        .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
}

const GOOD: &str = r#""upstream": "second", "projects": {"42": "https://newkey@second.example.com:8443/sentry/7"}"#;

fn id(digits: &str) -> ProjectId {
    ProjectId::parse(digits.as_bytes()).unwrap()
}

#[test]
fn a_target_alone() {
    let config = parse("", GOOD).unwrap();
    let [saas] = config.sentries.as_slice() else {
        panic!()
    };
    assert_eq!(saas.name.to_string(), "saas");
    assert_eq!((saas.max_pending_bytes, saas.max_in_flight), (32 << 20, 64));
    assert_eq!(saas.copies.routes, Routes::Envelope);
    let to = &saas.copies.projects[&id("42")];
    assert_eq!(to.upstream, "second");
    assert_eq!(to.authority, "second.example.com:8443");
    assert_eq!(to.dsn.as_ref().unwrap().public_key, "newkey");
    assert!(to.is_ruled && saas.copies.default.is_none());
    assert!(!format!("{config:?}").contains("newkey"));
}

#[test]
fn with_everything() {
    let more = r#""upstream": "second", "authority": "edge.example.com", "scheme": "http", "default": "${DSN}",
        "projects": {"1": "https://a@h/1", "2": {"dsn": "https://b@h/2", "sample": 0.5, "only_accepted": false}},
        "exclude": [3], "routes": "all", "timeout_ms": 100, "only_accepted": true, "items": ["event"],
        "limits": {"max_pending_bytes": 1000, "max_in_flight": 2}"#;
    let config = parse("", more).unwrap();
    let copies = &config.sentries[0].copies;
    let default = copies.default.as_ref().unwrap();
    assert_eq!(default.dsn.as_ref().unwrap().project, id("9"));
    assert_eq!(default.authority, "edge.example.com");
    assert!(default.rules.only_accepted && default.rules.items.is_some());
    let second = &copies.projects[&id("2")];
    assert!(!second.rules.only_accepted && !second.rules.sample.is_all());
    assert!(copies.projects[&id("1")].rules.only_accepted);
    assert!(copies.exclude.contains(&id("3")));
    assert_eq!(config.sentries[0].max_in_flight, 2);
}

#[test]
fn one_that_is_switched_off_is_not_read() {
    let off = r#""enabled": false, "nonsense": 1"#;
    let rum = r#""rum": {"upstream": "r", "authority": "a", "default": {"workspace": "w", "service_id": "s"}},"#;
    assert!(parse(rum, off).unwrap().sentries.is_empty());
    assert!(parse("", off).unwrap_err()[0].contains("one of rum, sls and sentry is required"));
}

#[test]
fn what_is_wrong_is_named_and_no_key_prints() {
    const DSN: &str = "expected a DSN, https://<key>@<host>/<project id>, with ";
    let projects = |dsn: &str| format!(r#""upstream": "s", "projects": {{"42": {dsn}}}"#);
    let path = "sentry.saas.projects.42";
    for (target, problem) in [
        (
            r#""upstream": "s""#.to_owned(),
            "sentry.saas.projects: required: the DSN of each project that this Sentry gets copies of, or a `default`, got nothing".to_owned(),
        ),
        (
            r#""upstream": "s", "projects": {}, "default": "none""#.to_owned(),
            "sentry.saas.projects: required: the DSN of each project that this Sentry gets copies of, or a `default`, got nothing".to_owned(),
        ),
        (
            r#""projects": {"1": "https://newkey@h/1"}"#.to_owned(),
            "sentry.saas.upstream: required: who is called, got nothing".to_owned(),
        ),
        (
            projects(r#""https://second.example.com/7""#),
            format!("{path}: {DSN}a key before the `@`, got a string"),
        ),
        (
            projects(r#""https://newkey@second.example.com/""#),
            format!("{path}: {DSN}a host, and a project id at the end of its path, got a string"),
        ),
        (
            projects(r#""ftp://newkey@second.example.com/7""#),
            format!("{path}: {DSN}the scheme http or https, got a string"),
        ),
        (
            projects(r#""https://new%20key@second.example.com/7""#),
            format!("{path}: {DSN}a key of letters, digits, `-` and `_`, got a string"),
        ),
        (
            projects(r#""https://newkey@second.example.com/7?x=newkey""#),
            format!("{path}: {DSN}a plain path and nothing behind the project id, got a string"),
        ),
        (
            projects("42"),
            format!("{path}: expected a string, got a number"),
        ),
        (
            projects(r#"{"sample": 1}"#),
            format!("{path}.dsn: required: the project's DSN at this Sentry, got nothing"),
        ),
        (
            projects(r#"{"dsn": "https://newkey@h/7", "sample": 2}"#),
            format!("{path}.sample: expected a number from 0 to 1, got 2"),
        ),
        (
            projects(r#"{"dns": "https://newkey@h/7", "dsn": "https://newkey@h/7"}"#),
            format!("{path}.dns: unknown key (expected one of dsn, client_ip, rate, sample, items, scrub, unscrubbable, encoding, only_accepted), got a string"),
        ),
    ] {
        let found = parse("", &target).unwrap_err();
        assert_eq!(found, [problem]);
        assert!(!found[0].contains("newkey"), "{found:?}");
    }
    // A DSN where none belongs keeps its key too.
    const LOST: &str = "https://newkey@second.example.com/7";
    for target in [
        format!(r#""upstream": "s", "projects": {{"{LOST}": "42"}}"#),
        format!(r#""upstream": "{LOST}", "projects": {{"1": "{LOST}"}}"#),
        format!(r#""upstream": "s", "projects": {{"1": "{LOST}"}}, "authority": "{LOST}""#),
        format!(r#""upstream": "s", "projects": {{"1": "{LOST}"}}, "exclude": ["{LOST}"]"#),
        format!(r#""upstream": "s", "projects": {{"1": "{LOST}"}}, "routes": "{LOST}""#),
        format!(r#""upstream": "s", "projects": {{"1": "{LOST}"}}, "timeout_ms": "{LOST}""#),
        format!(r#""upstream": "s", "projects": {{"1": "{LOST}"}}, "items": ["{LOST}"]"#),
        format!(r#""upstream": "s", "projects": {{"1": "{LOST}"}}, "{LOST}": 1"#),
    ] {
        let found = parse("", &target).unwrap_err().concat();
        assert!(!found.contains("newkey"), "{found}");
        assert!(
            found.contains("https://[redacted]@second.example.com/7"),
            "{found}"
        );
    }
    let named = |name: &str| {
        let json = format!(r#"{{"sentry": {{"{name}": {{{GOOD}}}}}}}"#);
        Config::parse(json.as_bytes(), &|_| None)
            .unwrap_err()
            .problems[0]
            .to_string()
    };
    assert_eq!(
        named("SaaS"),
        r#"sentry.SaaS: expected a name of 1 to 12 lower-case letters, digits and `_`, got "SaaS""#
    );
    let many = (0..5).map(|n| format!(r#""s{n}": {{{GOOD}}}"#));
    let many = many.collect::<Vec<_>>().join(",");
    let many = format!(r#"{{"sentry": {{{many}}}}}"#);
    let found = Config::parse(many.as_bytes(), &|_| None).unwrap_err();
    assert_eq!(
        found.problems[0].to_string(),
        "sentry: expected at most 4 targets, got 5"
    );
}

#[test]
fn only_in_mode_tee() {
    for (mode, name) in [("rewrite", "rewrite"), ("sign", "sign")] {
        let found = parse(&format!(r#""mode": "{mode}","#), GOOD).unwrap_err();
        let text = format!("sentry: belongs to mode tee, the mode is {name}, got an object");
        assert!(found.contains(&text), "{found:?}");
    }
}

#[test]
fn its_budget_and_its_readers_need_memory() {
    let alone = crate::config::memory::needed(&parse("", GOOD).unwrap());
    // Its own, and half of limits.max_pending_bytes for what is being received.
    assert_eq!(alone.sentries, (32 + 32) << 20);
    assert_eq!((alone.decoded, alone.windows), (64 << 20, 16 << 20));
}
