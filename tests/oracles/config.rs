//! Any bytes as the configuration: sound, or with problems, and the same whether it comes as JSON or as a Struct.

use prost::Message as _;
use sentry_edge_mirror::config::{Config, ConfigError, Mode};
use sentry_edge_mirror::host::HostKind;
use serde_json::Value;

/// What the environment has under `SECRET`: nothing that is printed.
pub const SECRET: &str = "s3cr3t-s3cr3t";

fn lookup(name: &str) -> Option<String> {
    match name {
        "WORKSPACE" => Some("ws".to_owned()),
        "SECRET" => Some(SECRET.to_owned()),
        _ => None,
    }
}

pub fn parse(bytes: &[u8]) -> Result<Config, ConfigError> {
    Config::parse(bytes, &lookup)
}

/// A configuration that is taken is sound; one that is not says why.
pub fn sound(bytes: &[u8]) {
    let config = match parse(bytes) {
        Ok(config) => config,
        Err(error) => return assert!(!error.problems.is_empty()),
    };
    match config.mode {
        Mode::Tee => assert!(config.rum.is_some() || config.sls.is_some()),
        Mode::Rewrite { .. } => assert!(config.rum.is_some()),
        Mode::Sign => assert!(config.rum.is_none() && config.sls.is_none()),
    }
    assert_eq!(config.mode == Mode::Sign, config.sign.is_some());
    if let Some(sign) = &config.sign {
        assert!(config.host == HostKind::Envoy && !sign.rules.logstores.is_empty());
    }
    assert!((1..=64).contains(&config.lanes));
    assert!(config.lanes == 1 || config.host == HostKind::Nginx);
    if let Some(rum) = &config.rum {
        for destination in rum.projects.values().chain(&rum.default) {
            let prefix = destination.path_prefix.strip_prefix("/rum/sentry/");
            let segments: Vec<&str> = prefix.unwrap().split('/').collect();
            assert_eq!(segments.len(), 2);
            for segment in segments {
                assert!(!["", ".", ".."].contains(&segment));
                let mut bytes = segment.bytes();
                assert!(bytes.all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b)));
            }
            assert!(!destination.upstream.is_empty() && !destination.authority.is_empty());
        }
        assert!(rum.projects.keys().all(|id| !rum.exclude.contains(id)));
    }
}

/// Wherever the key of a credential comes from, and whatever else is wrong: neither it nor its token is ever shown.
pub fn keeps_its_secret(value: &Value) {
    let text = value.to_string();
    if text.contains("SECRET") || text.contains(SECRET) {
        return;
    }
    for name in ["access_key_secret", "security_token"] {
        for secret in [SECRET, "${SECRET}", "${UNSET:-s3cr3t-s3cr3t}"] {
            let mut value = value.clone();
            let Some(credential) = value.pointer_mut("/sls/credential") else {
                return;
            };
            match credential {
                Value::Object(members) => drop(members.insert(name.to_owned(), secret.into())),
                other => *other = secret.into(),
            }
            let shown = match parse(value.to_string().as_bytes()) {
                Ok(config) => format!("{config:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!shown.contains(SECRET), "{value} shows {shown}");
        }
    }
}

/// As Envoy hands over a `google.protobuf.Struct`.
fn to_struct(value: &Value) -> prost_types::Value {
    use prost_types::value::Kind;
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(*value),
        Value::Number(value) => Kind::NumberValue(value.as_f64().unwrap()),
        Value::String(value) => Kind::StringValue(value.clone()),
        Value::Array(values) => Kind::ListValue(prost_types::ListValue {
            values: values.iter().map(to_struct).collect(),
        }),
        Value::Object(fields) => Kind::StructValue(prost_types::Struct {
            fields: fields
                .iter()
                .map(|(key, value)| (key.clone(), to_struct(value)))
                .collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}

/// What a configuration says, or what is wrong with it in whatever order.
fn outcome(bytes: &[u8]) -> Result<String, Vec<String>> {
    let config = parse(bytes).map_err(|error| {
        // Without the value: a Struct's numbers are binary, and some decimals are printed differently then.
        let text = |problem: String| {
            problem
                .split(", got ")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let problems = error.problems.iter().map(ToString::to_string);
        let mut problems: Vec<String> = problems.map(text).collect();
        problems.sort();
        problems
    })?;
    Ok(format!("{config:?}"))
}

/// A Struct says the same as the JSON it stands for, unless it is so deep that nobody reads it (prost: 100 messages in
/// one another, three for an object in an object).
pub fn the_same_as_a_struct(value: &Value) {
    if let Some(prost_types::value::Kind::StructValue(fields)) = to_struct(value).kind {
        let bytes = fields.encode_to_vec();
        let (by_struct, by_json) = (outcome(&bytes), outcome(value.to_string().as_bytes()));
        match prost_types::Struct::decode(&*bytes) {
            Ok(_) => assert_eq!(by_struct, by_json),
            Err(_) => assert!(by_struct.is_err() && by_json.is_err()),
        }
    }
}
