//! The configuration, as JSON and as the `google.protobuf.Struct` that Envoy hands over.

use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::copies::settings::Routes;
use sentry_edge_mirror::host::HostKind;
use serde_json::Value as Json;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const GOOD: &str = r#"{
    "host": "nginx",
    "rum": {
        "upstream": "rum.example.com:443",
        "authority": "rum.example.com",
        "default": {"workspace": "${WS:-default-cms-1-cn-hangzhou}", "service_id": "${SERVICE}"},
        "projects": {"0042": {"workspace": "ws", "service_id": "web@42", "authority": "o.example.com:8443"}},
        "exclude": [7, "18446744073709551615"],
        "routes": "all",
        "timeout_ms": 250
    },
    "limits": {"max_body_bytes": 1048576, "max_pending_bytes": 805306368, "max_in_flight": 16},
    "retry": {"max_attempts": 5, "initial_backoff_ms": 100, "max_backoff_ms": 1000, "max_age_ms": 86400000, "ambiguous": true}
}"#;

/// A configuration and every problem in it, as an operator reads them.
const BAD: &[(&str, &[&str])] = &[
    (
        "{}",
        &["rum: one of rum, sls and sentry is required: nothing would be mirrored, got nothing"],
    ),
    (
        r#"{"rum": []}"#,
        &["rum: expected an object, got a list of 0"],
    ),
    (
        r#"{"rum": {"upstream": "", "authority": "a b", "time_out_ms": 1}, "limits": {"max_in_flight": 0}}"#,
        &[
            "rum.upstream: expected the name of a cluster, got \"\"",
            "rum.authority: expected a host name, with or without a port, got \"a b\"",
            "rum.time_out_ms: unknown key (expected one of enabled, upstream, authority, scheme, client_ip, rate, sample, items, scrub, unscrubbable, encoding, only_accepted, scrub_keys, default, projects, exclude, routes, timeout_ms), got 1",
            "limits.max_in_flight: expected an integer from 1 to 65535, got 0",
        ],
    ),
    (
        r#"{"rum": {"upstream": "u", "authority": "a", "projects": {"18446744073709551616": {"workspace": "..", "service_id": "${UNSET}"}}}}"#,
        &[
            "rum.projects.18446744073709551616: expected a project id (1 to 20 digits, not 0, at most 18446744073709551615), got \"18446744073709551616\"",
            "rum.projects.18446744073709551616.workspace: expected letters, digits, `.`, `_`, `@`, `-` (not `.` or `..`), got \"..\"",
            "rum.projects.18446744073709551616.service_id: environment variable UNSET is not set and has no default, got \"${UNSET}\"",
        ],
    ),
    // Beyond what a 32-bit instance can hold.
    (
        r#"{"rum": {}, "limits": {"max_pending_bytes": 4294967297, "max_body_bytes": 2147483649}}"#,
        &[
            "limits.max_body_bytes: expected an integer from 1 to 268435456, got 2147483649",
            "limits.max_pending_bytes: expected an integer from 1 to 805306368, got 4294967297",
        ],
    ),
    (
        "[]",
        &["configuration: expected an object, got a list of 0"],
    ),
];

fn parse(bytes: &[u8]) -> Result<Config, Vec<String>> {
    let lookup = |name: &str| (name == "SERVICE").then(|| "rest@0".to_owned());
    Config::parse(bytes, &lookup)
        .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
}

fn to_struct(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(value) => Kind::NumberValue(value.as_f64().unwrap()),
        Json::String(value) => Kind::StringValue(value.clone()),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_struct).collect(),
        }),
        Json::Object(_) => Kind::StructValue(fields(json)),
    };
    Value { kind: Some(kind) }
}

fn fields(json: &Json) -> Struct {
    let fields = json.as_object().unwrap().iter();
    Struct {
        fields: fields
            .map(|(key, value)| (key.clone(), to_struct(value)))
            .collect(),
    }
}

fn struct_bytes(json: &str) -> Vec<u8> {
    fields(&serde_json::from_str(json).unwrap()).encode_to_vec()
}

fn check(config: &Config) {
    let rum = config.rum.as_ref().unwrap();
    assert_eq!(
        (config.host, rum.routes, rum.scheme, rum.timeout_ms),
        (HostKind::Nginx, Routes::All, "https", 250)
    );
    assert_eq!(
        rum.default.as_ref().unwrap().path_prefix,
        "/rum/sentry/default-cms-1-cn-hangzhou/rest@0"
    );
    let projects: Vec<_> = rum
        .projects
        .iter()
        .map(|(id, to)| (id.get(), to.path_prefix.as_str(), to.authority.as_str()))
        .collect();
    assert_eq!(
        projects,
        [(42, "/rum/sentry/ws/web@42", "o.example.com:8443")]
    );
    assert_eq!(
        rum.exclude.iter().map(|id| id.get()).collect::<Vec<_>>(),
        [7, u64::MAX]
    );
    let limits = config.limits;
    assert_eq!(
        (
            limits.max_body_bytes,
            limits.max_pending_bytes,
            limits.max_in_flight
        ),
        (1_048_576, 805_306_368, 16)
    );
    let retry = config.retry;
    assert_eq!(
        (
            retry.max_attempts,
            retry.backoff.ceiling(9),
            retry.max_age_ms,
            retry.ambiguous
        ),
        (5, 1_000, 86_400_000, true)
    );
}

#[test]
fn a_good_one_as_json_and_as_a_struct() {
    check(&parse(GOOD.as_bytes()).unwrap());
    check(&parse(format!("\n{GOOD}\n").as_bytes()).unwrap());
    check(&parse(&struct_bytes(GOOD)).unwrap());
}

#[test]
fn bad_ones_name_every_problem() {
    for (json, problems) in BAD {
        assert_eq!(parse(json.as_bytes()).unwrap_err(), *problems, "{json}");
        if json.starts_with('{') {
            let mut found = parse(&struct_bytes(json)).unwrap_err();
            let mut expected = problems.to_vec();
            found.sort();
            expected.sort_unstable();
            assert_eq!(found, expected, "as a struct: {json}");
        }
    }
}

#[test]
fn what_is_neither_json_nor_a_struct() {
    let whole = struct_bytes(GOOD);
    for bytes in [
        &b"{"[..],
        b"\xff",
        b"\0",
        b"\n",
        b"\n\xff\xff\xff\xff\xff",
        &whole[..whole.len() - 1],
        &whole[1..],
    ] {
        let problems = parse(bytes).unwrap_err();
        assert!(problems[0].starts_with("configuration: "), "{problems:?}");
    }
    assert_eq!(
        parse(b"").unwrap_err(),
        parse(b"{}").unwrap_err(),
        "an empty Struct has no bytes"
    );
}
