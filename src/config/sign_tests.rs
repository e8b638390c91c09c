#![allow(clippy::unwrap_used)]
//! What mode `sign` takes, and what it says of everything else.

use crate::config::{Config, Mode};
use crate::sls::settings::CredentialSource;
use crate::sls::signature::Signature;

const CREDENTIAL: &str = r#"{"access_key_id": "LTAIedge", "access_key_secret": "hunter2"}"#;

fn config(sls: &str, rest: &str) -> String {
    format!(
        r#"{{"mode": "sign", "sign": {{"logstores": ["app-log", "other_log"]}},
            "sls": {{"endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "fake-project", "credential": {CREDENTIAL} {sls}}} {rest}}}"#
    )
}

fn problems(text: &str) -> Vec<String> {
    let error = Config::parse(text.as_bytes(), &|_| None).unwrap_err();
    let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
    for secret in ["LTAIedge", "hunter2"] {
        assert!(
            !problems.iter().any(|line| line.contains(secret)),
            "{problems:?}"
        );
    }
    problems
}

#[test]
fn a_full_configuration() {
    let text = config(
        r#", "signature": "v4", "region": "cn-hangzhou""#,
        r#", "limits": {"max_body_bytes": 1000, "max_pending_bytes": 100000}"#,
    );
    let config = Config::parse(text.as_bytes(), &|_| None).unwrap();
    assert_eq!(config.mode, Mode::Sign);
    assert!(config.rum.is_none() && config.sls.is_none());
    let sign = config.sign.unwrap();
    assert_eq!(sign.rules.logstores, ["app-log", "other_log"]);
    assert_eq!(sign.rules.host, "fake-project.cn-hangzhou.log.aliyuncs.com");
    assert_eq!(sign.rules.max_body_bytes, 1_000);
    let region = "cn-hangzhou".to_owned();
    assert_eq!(sign.rules.signature, Signature::V4 { region });
    assert!(matches!(sign.credential, CredentialSource::Literal(_)));
}

#[test]
fn the_default_is_v1_and_sls_own_limit() {
    let config = Config::parse(config("", "").as_bytes(), &|_| None).unwrap();
    let sign = config.sign.unwrap();
    assert_eq!(sign.rules.signature, Signature::V1);
    assert_eq!(sign.rules.max_body_bytes, 10 << 20);
}

#[test]
fn nginx_is_refused_with_the_reason() {
    let found = problems(&config("", r#", "host": "nginx""#));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("host: mode sign needs envoy: "),
        "{found:?}"
    );
}

#[test]
fn what_belongs_to_the_other_modes_is_said() {
    let sls = r#", "upstream": "sls", "logstore": "x", "batch": {}, "retry": {}"#;
    let rest = r#", "rum": {}, "retry": {}, "limits": {"max_in_flight": 3}"#;
    assert_eq!(
        problems(&config(sls, rest)),
        [
            "limits.max_in_flight: not used in mode sign, got 3",
            "rum: not used in mode sign, got an object",
            "retry: not used in mode sign, got an object",
            "sls.upstream: not used in mode sign (the proxy's route decides it), got a string",
            "sls.logstore: not used in mode sign (sign.logstores lists what may be written), got a string",
            "sls.batch: not used in mode sign, got an object",
            "sls.retry: not used in mode sign, got an object",
        ]
    );
    let text = r#"{"rum": {"upstream": "r", "authority": "a.b", "default": {"workspace": "w", "service_id": "s"}}, "sign": {}}"#;
    assert_eq!(
        problems(text),
        ["sign: belongs to mode sign, the mode is tee, got an object"]
    );
}

#[test]
fn what_is_missing_or_wrong_is_said_at_once() {
    assert_eq!(
        problems(r#"{"mode": "sign"}"#),
        [
            "sign.logstores: required in mode sign (what may be written), got nothing",
            "sls: required in mode sign (endpoint, project, credential), got nothing",
        ]
    );
    assert_eq!(
        problems(r#"{"mode": "sign", "sign": {"logstore": ["a"]}, "sls": {"key": "hunter2"}}"#),
        [
            "sign.logstores: required, got nothing",
            "sign.logstore: unknown key (expected one of logstores), got a list of 1",
            "sls.endpoint: required, got nothing",
            "sls.project: required, got nothing",
            "sls.credential: required, got nothing",
            "sls.key: unknown key (expected one of endpoint, project, signature, region, credential), got a string",
        ]
    );
    let text = config(
        "",
        r#", "limits": {"max_body_bytes": 1000, "max_pending_bytes": 1000}"#,
    );
    assert_eq!(
        problems(&text),
        [
            "limits.max_pending_bytes: in mode sign at least limits.max_body_bytes (1000) and 65536 for the headers, got 1000"
        ]
    );
}

#[test]
fn logstores_are_names_once_each_and_at_least_one() {
    let with = |list: &str| config("", "").replace(r#"["app-log", "other_log"]"#, list);
    assert_eq!(
        problems(&with("[]")),
        ["sign.logstores: expected at least one logstore, got a list of 0"]
    );
    assert_eq!(
        problems(&with(r#"["a/b", "fine-one", "X"]"#)),
        [
            r#"sign.logstores[0]: may hold only a-z, 0-9, _ and -, has '/', got "a/b""#,
            r#"sign.logstores[2]: must have 3 to 63 bytes, has 1, got "X""#,
        ]
    );
    assert_eq!(
        problems(&with(r#"["app-log", "app-log"]"#)),
        [r#"sign.logstores[1]: stands here twice, got "app-log""#]
    );
}
