use super::Config;
use crate::sls::compress::Compression;
use crate::sls::settings::CredentialSource;
use crate::sls::signature::Signature;

/// A good section, without its braces.
const GOOD: &str = r#""upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "my-project",
    "logstore": "sentry", "credential": {"access_key_id": "LTAIid", "access_key_secret": "${SECRET}"}"#;

fn lookup(name: &str) -> Option<String> {
    match name {
        "SECRET" => Some("hunter2".to_owned()),
        "EMPTY" => Some(String::new()),
        "BAD" => Some("hunter2 with spaces".to_owned()),
        _ => None,
    }
}

fn parse(section: &str, extra: &str) -> Result<Config, Vec<String>> {
    let json = format!(r#"{{"sls": {{{section}}} {extra}}}"#);
    let config = Config::parse(json.as_bytes(), &lookup);
    config.map_err(|error| error.problems.iter().map(ToString::to_string).collect())
}

fn problems(section: &str) -> Vec<String> {
    parse(section, "").expect_err(section)
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = parse(GOOD, "").unwrap();
    assert!(config.rum.is_none());
    assert_eq!(config.limits.max_decoded_bytes, 33_554_432);
    let sls = config.sls.unwrap();
    let destination = &sls.destination;
    assert_eq!(
        destination.host(),
        "my-project.cn-hangzhou.log.aliyuncs.com"
    );
    assert_eq!(destination.path(), "/logstores/sentry/shards/lb");
    assert_eq!(
        destination.trailer().len(),
        8,
        "the topic `sentry`, no source"
    );
    assert_eq!(
        (sls.signature, sls.compression),
        (Signature::V1, Compression::Lz4)
    );
    assert_eq!((sls.payload, sls.spans, sls.scrub), (true, false, true));
    assert_eq!((sls.timeout_ms, sls.scheme), (5_000, "https"));
    assert_eq!(sls.max_item_bytes, 1_048_576);
    assert_eq!(
        (sls.batch.max_bytes(), sls.batch.max_logs()),
        (524_288, 4_096)
    );
    assert_eq!(
        (sls.retry.max_attempts, sls.retry.max_age_ms),
        (20, 300_000)
    );
}

#[test]
fn the_project_stands_in_front_of_the_endpoint_once() {
    let endpoint = |endpoint: &str| GOOD.replace("cn-hangzhou.log.aliyuncs.com", endpoint);
    assert_eq!(
        problems(&endpoint("my-project.cn-hangzhou.log.aliyuncs.com")),
        [
            "sls.endpoint: expected the endpoint alone (cn-hangzhou.log.aliyuncs.com), the project is put in front of it, got \"my-project.cn-hangzhou.log.aliyuncs.com\""
        ]
    );
    assert!(parse(&endpoint("my-project2.log.aliyuncs.com"), "").is_ok());
}

#[test]
fn a_key_has_no_quotation_marks_around_it() {
    for key in ["\\\"LTAIid\\\"", "'LTAIid'"] {
        assert_eq!(
            problems(&GOOD.replace("LTAIid", key)),
            [
                "sls.credential.access_key_id: begins and ends with a quotation mark: without them, got a string"
            ],
        );
    }
}

#[test]
fn an_item_has_a_size_that_can_be_read() {
    let of = |bytes: &str| format!(r#"{GOOD}, "max_item_bytes": {bytes}"#);
    for bytes in [4_096, 4_194_304] {
        let sls = parse(&of(&bytes.to_string()), "").unwrap().sls.unwrap();
        assert_eq!(sls.max_item_bytes, bytes);
    }
    for bytes in ["4095", "4194305", "0", "true"] {
        let expected = "sls.max_item_bytes: expected an integer from 4096 to 4194304, got ";
        assert_eq!(problems(&of(bytes)), [format!("{expected}{bytes}")]);
    }
}

#[test]
fn retries_are_those_of_all_but_for_what_is_said() {
    let all = r#", "retry": {"max_backoff_ms": 1000, "max_age_ms": 7000, "max_attempts": 5}"#;
    let sls = parse(GOOD, all).unwrap().sls.unwrap();
    assert_eq!((sls.retry.max_attempts, sls.retry.max_age_ms), (20, 7_000));
    assert_eq!(sls.retry.backoff.ceiling(99), 1_000);
    let own = format!(r#"{GOOD}, "retry": {{"max_attempts": 2, "initial_backoff_ms": 10}}"#);
    let sls = parse(&own, all).unwrap().sls.unwrap();
    assert_eq!(
        (sls.retry.max_attempts, sls.retry.backoff.ceiling(1)),
        (2, 10)
    );
}

#[test]
fn a_wrong_retry_does_not_hide_what_is_wrong_with_the_legs_own() {
    let own = format!(r#"{GOOD}, "retry": {{"max_attempts": 0}}"#);
    let found = parse(&own, r#", "retry": {"max_attempts": 0}"#).unwrap_err();
    let expected = ["sls.retry.max_attempts", "retry.max_attempts"];
    for path in expected {
        let of = |line: &&String| line.starts_with(&format!("{path}:"));
        assert_eq!(found.iter().filter(of).count(), 1, "{path}: {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn every_problem_at_once() {
    let found = problems(
        r#""endpoint": "https://x", "project": "a/b", "signature": "v4", "compression": "zip", "topik": "t",
           "credential": {"access_key_id": "id"}, "batch": {"max_bytes": 0, "linger": 5}, "scrub_keys": ["-"], "client_ip": "half",
           "retry": {"ambiguous": true}, "timeout_ms": 0"#,
    );
    let paths: Vec<&str> = found
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    let expected = [
        "sls.upstream",
        "sls.endpoint",
        "sls.project",
        "sls.logstore",
        "sls.region",
        "sls.credential.access_key_secret",
        "sls.compression",
        "sls.batch.max_bytes",
        "sls.batch.linger",
        "sls.scrub_keys[0]",
        "sls.client_ip",
        "sls.timeout_ms",
        "sls.retry.ambiguous",
        "sls.topik",
    ];
    assert_eq!(paths, expected, "{found:#?}");
    assert_eq!(
        found[2],
        "sls.project: may hold only a-z, 0-9 and -, has '/', got \"a/b\""
    );
}

#[test]
fn a_secret_is_never_printed_whatever_is_wrong_with_it() {
    let with = |credential: &str| {
        let section = GOOD.split_once(r#""credential""#).unwrap().0;
        format!(r#"{section} "credential": {credential}"#)
    };
    for (section, start) in [
        (
            with(r#""hunter2""#),
            "sls.credential: expected an object, got a string",
        ),
        (
            with(r#"{"access_key_id": 1, "access_key_secret": "hunter2"}"#),
            "sls.credential.access_key_id: expected a string, got a number",
        ),
        (
            with(
                r#"{"access_key_id": "id", "access_key_secret": "x", "access_key_secert": "hunter2"}"#,
            ),
            "sls.credential.access_key_secert: unknown key (expected one of ecs_ram_role, access_key_id, access_key_secret, security_token), got a string",
        ),
        (
            with(r#"{"access_key_id": "id", "access_key_secret": "hunter2 "}"#),
            "sls.credential: access_key_secret holds a character that an access key cannot have, got a string",
        ),
        (
            with(r#"{"access_key_id": "id", "access_key_secret": "${BAD}"}"#),
            "sls.credential: access_key_secret holds",
        ),
        (
            with(r#"{"access_key_id": "id", "access_key_secret": "hunter2${"}"#),
            "sls.credential.access_key_secret: `${` without",
        ),
        (
            with(r#"{"access_key_id": "id", "access_key_secret": "${NOPE}"}"#),
            "sls.credential.access_key_secret: environment variable NOPE is not set",
        ),
        (
            format!(r#"{GOOD}, "access_key_secret": "hunter2""#),
            "sls.access_key_secret: unknown key",
        ),
        (
            with(r#"{"ecs_ram_role": {"upstream": "m", "access_key_secret": "hunter2"}}"#),
            "sls.credential.ecs_ram_role.access_key_secret: unknown key",
        ),
        (
            with(r#"{"ecs_ram_role": {"upstream": "m"}, "access_key_secret": "hunter2"}"#),
            "sls.credential.access_key_secret: unknown key",
        ),
    ] {
        let found = problems(&section);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(start), "{found:?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
    let shown = format!("{:?}", parse(GOOD, "").unwrap());
    assert!(
        !shown.contains("hunter2") && !shown.contains("LTAIid"),
        "{shown}"
    );
    let outside = parse(GOOD, r#", "access_key_secret": "hunter2""#).unwrap_err();
    assert!(!outside.concat().contains("hunter2"), "{outside:?}");
}

#[test]
fn credentials_of_every_kind() {
    let with = |credential: &str| {
        let section = GOOD.split_once(r#""credential""#).unwrap().0;
        let config = parse(&format!(r#"{section} "credential": {credential}"#), "").unwrap();
        config.sls.unwrap().credential
    };
    let token = |token: &str| {
        format!(
            r#"{{"access_key_id": "id", "access_key_secret": "s", "security_token": "{token}"}}"#
        )
    };
    let CredentialSource::Literal(temporary) = with(&token("t0ken")) else {
        panic!("not literal");
    };
    assert!(temporary.security_token().is_some());
    let CredentialSource::Literal(lasting) = with(&token("${EMPTY}")) else {
        panic!("not literal");
    };
    assert!(lasting.security_token().is_none());
    let CredentialSource::EcsRamRole { role, upstream } =
        with(r#"{"ecs_ram_role": {"role": "edge", "upstream": "metadata"}}"#)
    else {
        panic!("not a role");
    };
    assert_eq!(
        (role.as_deref(), upstream.as_str()),
        (Some("edge"), "metadata")
    );
}

#[test]
fn v4_needs_its_region() {
    let v4 = format!(r#"{GOOD}, "signature": "v4", "region": "cn-hangzhou""#);
    let region = "cn-hangzhou".to_owned();
    let sls = parse(&v4, "").unwrap().sls.unwrap();
    assert_eq!(sls.signature, Signature::V4 { region });
    let found = problems(&v4.replace(r#""cn-hangzhou""#, r#""cn hangzhou""#));
    assert!(
        found[0].starts_with("sls.region: may hold only"),
        "{found:?}"
    );
}
