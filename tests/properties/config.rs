//! The configuration: no bytes do harm, and no slip goes unnoticed.

use crate::settings;
use oracles::config::{parse, sound, the_same_as_a_struct};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Map, Value, json};

/// Every key of a configuration.
fn good() -> Value {
    json!({
        "host": "envoy",
        "mode": "tee",
        "rum": {
            "upstream": "rum",
            "authority": "rum.example.com",
            "scheme": "https",
            "default": {"workspace": "ws", "service_id": "rest@0"},
            "projects": {
                "42": {"workspace": "ws", "service_id": "web@42"},
                "43": {"workspace": "${WORKSPACE}", "service_id": "${SERVICE:-api@43}", "upstream": "other", "authority": "o.example.com:8443",
                    "client_ip": "none", "rate": {"copies_per_s": 1}, "sample": 0.25, "items": {"not": ["attachment"]}, "scrub": false, "only_accepted": false},
            },
            "exclude": [7, "8"],
            "routes": "all",
            "timeout_ms": 5000,
            "client_ip": "truncated",
            "rate": {"copies_per_s": 100, "bytes_per_s": 1_000_000},
            "sample": 0.5,
            "items": ["event", "transaction"],
            "scrub": true,
            "only_accepted": true,
            "scrub_keys": ["customer_no"],
        },
        "limits": {"max_body_bytes": 1_000_000, "max_pending_bytes": 4_000_000, "max_in_flight": 16},
        "retry": {"max_attempts": 3, "initial_backoff_ms": 500, "max_backoff_ms": 30000, "max_age_ms": 300_000, "ambiguous": false},
    })
}

/// The objects whose keys are fixed.
const SECTIONS: [&str; 8] = [
    "",
    "rum",
    "rum.default",
    "rum.projects.42",
    "rum.projects.43",
    "rum.rate",
    "limits",
    "retry",
];
/// What nothing can stand in for.
const REQUIRED: [&str; 7] = [
    "rum",
    "rum.upstream",
    "rum.authority",
    "rum.default.workspace",
    "rum.default.service_id",
    "rum.projects.42.workspace",
    "rum.projects.43.service_id",
];

/// Where the problems are.
fn paths(value: &Value) -> Vec<String> {
    let error = parse(value.to_string().as_bytes()).unwrap_err();
    error
        .problems
        .into_iter()
        .map(|problem| problem.path)
        .collect()
}

/// Every value in the configuration by its path.
fn values(value: &Value) -> Vec<(String, Value)> {
    fn walk(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
        if !path.is_empty() {
            found.push((path.to_owned(), value.clone()));
        }
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            walk(&path, value, found);
        }
        for (index, value) in value.as_array().into_iter().flatten().enumerate() {
            walk(&format!("{path}[{index}]"), value, found);
        }
    }
    let mut found = Vec::new();
    walk("", value, &mut found);
    found
}

/// `rum.exclude[0]` as a JSON pointer: no key of ours holds a dot.
fn pointer(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!("/{}", path.replace(['.', '['], "/").replace(']', "")),
    }
}

fn at<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    value.pointer_mut(&pointer(path)).unwrap()
}

/// Values that no key takes in the place of `value`.
fn wrong_for(path: &str, value: &Value) -> Vec<Value> {
    let mut wrong = vec![
        Value::Null,
        json!([[]]),
        json!({"x": 1}),
        json!("${UNSET}"),
        json!("${"),
        json!("${1}"),
    ];
    if !value.is_boolean() {
        wrong.extend([json!(true), json!(false)]);
    }
    match value {
        Value::Number(_) | Value::String(_) if path.starts_with("rum.exclude") => {
            wrong.extend([json!(0), json!(1.5), json!("x")])
        }
        Value::Number(_) => {
            wrong.extend([
                0.into(),
                (-1).into(),
                json!(1.5),
                json!(1e300),
                json!(u64::MAX),
                json!("5"),
                json!(""),
            ]);
        }
        Value::String(_) => wrong.extend([json!(5), json!(""), json!("a b"), json!("a/b\r\n")]),
        Value::Bool(_) => wrong.extend([json!(0), json!("true"), json!("")]),
        _ => wrong.extend([json!(5), json!("x")]),
    }
    if path.ends_with("sample") {
        wrong.retain(|value| *value != json!(0));
    }
    if path.starts_with("rum.scrub_keys[") {
        // Any text with a letter is a key.
        wrong.retain(|value| !value.as_str().is_some_and(|text| text.starts_with('a')));
    }
    if path.ends_with("items") {
        // A list of what is no type is a problem in it.
        wrong.retain(|value| !value.is_array());
    }
    if value.is_object() {
        // An object with an unknown key is a problem elsewhere.
        wrong.retain(|value| !value.is_object());
    }
    if value.is_array() {
        wrong.retain(|value| !value.is_array());
    }
    wrong
}

fn anything() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        3 => prop::sample::select(vec!["envoy", "nginx", "tee", "all", "https", "42", "7", "a", "rum:80", "${A:-b}", "${", "..", "/"])
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let number = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|n| json!(f64::from(n) / 8.0)),
        (0_u64..70_000).prop_map(Value::from)
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        text.prop_map(Value::from)
    ];
    let key = prop_oneof![
        9 => prop::sample::select(vec![
            "host", "mode", "rum", "limits", "retry", "upstream", "authority", "scheme", "default", "projects", "exclude", "routes",
            "timeout_ms", "sample", "rate", "client_ip", "workspace", "service_id", "max_body_bytes", "max_attempts", "ambiguous", "42", "042", "",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(5, 40, 8, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::btree_map(key.clone(), inner, 0..8)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn any_bytes(bytes: Vec<u8>) {
        let _ = parse(&bytes);
        let _ = parse(&[&b"\n"[..], &bytes].concat());
        let _ = parse(&[&b"{\"rum\":"[..], &bytes, b"}"].concat());
    }

    #[test]
    fn any_json_gives_a_sound_configuration_or_problems(value in anything()) {
        sound(value.to_string().as_bytes());
    }

    #[test]
    fn any_struct_says_the_same_as_the_json_it_stands_for(value in anything()) {
        the_same_as_a_struct(&value);
    }

    #[test]
    fn one_wrong_value_is_one_problem_at_its_path(which: prop::sample::Index, wrong: prop::sample::Index) {
        let mut config = good();
        let values = values(&config);
        let (path, value) = which.get(&values);
        let wrongs = wrong_for(path, value);
        *at(&mut config, path) = wrong.get(&wrongs).clone();
        prop_assert_eq!(paths(&config), [path.as_str()], "{}", config);
    }

    #[test]
    fn one_unknown_key_is_one_problem_at_its_path(which: prop::sample::Index, key in "x[a-z_]{1,12}", value in anything()) {
        let mut config = good();
        let section = *which.get(&SECTIONS);
        let object = at(&mut config, section).as_object_mut().unwrap();
        object.insert(key.clone(), value);
        let path = if section.is_empty() { key } else { format!("{section}.{key}") };
        prop_assert_eq!(paths(&config), [path]);
    }

    #[test]
    fn one_misspelt_key_is_noticed(which: prop::sample::Index, letter in "[A-Z0-9-]", at_letter: prop::sample::Index) {
        let mut config = good();
        let section = *which.get(&SECTIONS);
        let object = at(&mut config, section).as_object_mut().unwrap();
        let keys: Vec<String> = object.keys().cloned().collect();
        let key = which.get(&keys);
        let position = at_letter.index(key.len());
        let mut misspelt = key.clone();
        misspelt.replace_range(position..=position, &letter);
        let value = object.remove(key).unwrap();
        object.insert(misspelt.clone(), value);
        let path = if section.is_empty() { misspelt } else { format!("{section}.{misspelt}") };
        prop_assert!(paths(&config).contains(&path));
    }

    #[test]
    fn what_is_no_project_id_is_one_problem(key in "[0-9]{0,2}[a-z+% -]|0{0,20}|[0-9]{21}") {
        let mut config = good();
        let projects = at(&mut config, "rum.projects").as_object_mut().unwrap();
        projects.insert(key.clone(), json!({"workspace": "ws", "service_id": "s"}));
        prop_assert_eq!(paths(&config), [format!("rum.projects.{key}")]);
    }
}

#[test]
fn the_good_one_is_good() {
    assert!(parse(good().to_string().as_bytes()).is_ok());
}

#[test]
fn what_is_required_is_missed_at_its_path() {
    for path in REQUIRED {
        let mut config = good();
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        let removed = at(&mut config, section)
            .as_object_mut()
            .unwrap()
            .remove(key);
        assert!(removed.is_some());
        assert_eq!(paths(&config), [path]);
    }
}

#[test]
fn every_wrong_value_of_every_key() {
    for (path, value) in values(&good()) {
        for wrong in wrong_for(&path, &value) {
            let mut config = good();
            *at(&mut config, &path) = wrong.clone();
            assert_eq!(paths(&config), [path.as_str()], "{wrong}");
        }
    }
}

/// Found by the fuzz target `config`: JSON may be nested deeper than a Struct.
#[test]
fn deep_nesting_says_the_same_or_nothing() {
    for depth in 1..=100 {
        let nested = (0..depth).fold(json!({}), |inner, _| json!({"rum": inner}));
        the_same_as_a_struct(&nested);
        the_same_as_a_struct(
            &json!({"rum": (0..depth).fold(json!([]), |inner, _| json!([inner]))}),
        );
    }
}

#[test]
fn nesting_without_end_is_a_problem_and_no_overflow() {
    for open in ["[", "{\"rum\":", "{\"a\":["] {
        assert!(parse(open.repeat(100_000).as_bytes()).is_err());
    }
    let mut nested = prost_types::Value { kind: None };
    for _ in 0..90 {
        nested = prost_types::Value {
            kind: Some(prost_types::value::Kind::ListValue(
                prost_types::ListValue {
                    values: vec![nested],
                },
            )),
        };
    }
    let fields = [("rum".to_owned(), nested)].into_iter().collect();
    assert!(parse(&prost_types::Struct { fields }.encode_to_vec()).is_err());
}
