use super::super::{Entry, Lines, Node, Value};
use super::parse;
use serde_json::Value as Json;

fn value(text: &str) -> Value {
    let mut documents = parse(&format!("v: {text}")).unwrap();
    documents.remove(0).get(&["v"]).unwrap().value.clone()
}

/// What Envoy said, which tests/e2e/test_yaml.py asks it.
const CASES: &str = include_str!("../../../../../../tests/fixtures/yaml.json");

/// Where libyaml and yaml-cpp differ. Envoy or the module refuses most of them later: a line without its colon is a key
/// to yaml-cpp, an unclosed quote ends with the file.
const DIFFERS: [&str; 18] = [
    "anchor colon",
    "colon no space",
    "control",
    "del",
    "empty key",
    "flow comma first",
    "flow empty entry",
    "key colon quote",
    "literal ind col0",
    "ls",
    "nel",
    "plain cont col0",
    "quoted esc",
    "tab in literal",
    "unclosed q",
    "unknown directive",
    "unknown handle",
    "yaml 1.2 no doc",
];

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    text: String,
    value: Option<Json>,
}

/// What is at `node.metadata`, as Envoy would have it.
fn metadata(text: &str) -> Option<Node> {
    let mut stream = super::read(text);
    if stream.documents.is_empty() {
        return None;
    }
    let mut document = stream.documents.remove(0);
    document.keep_last(&mut |_, _| ());
    document.get(&["node"])?.get(&["metadata"]).cloned()
}

fn is_same(node: &Node, json: &Json) -> bool {
    match (&node.value, json) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::Number(a), Json::Number(b)) => Some(*a) == b.as_f64(),
        (Value::String(a), Json::String(b)) => a.text == *b,
        (Value::List(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Map(a), Json::Object(b)) => {
            let is_there = |entry: &Entry| {
                let other = b.get(&entry.key);
                other.is_some_and(|other| is_same(&entry.value, other))
            };
            a.len() == b.len() && a.iter().all(is_there)
        }
        _ => false,
    }
}

#[test]
fn everything_is_read_as_envoy_reads_it() {
    let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 200);
    let differs = cases
        .iter()
        .filter(|case| match (metadata(&case.text), &case.value) {
            (Some(read), Some(value)) => !is_same(&read, value),
            (read, value) => read.is_some() != value.is_some(),
        });
    let differs: Vec<&str> = differs.map(|case| case.name.as_str()).collect();
    assert_eq!(differs, DIFFERS);
}

#[test]
fn lines_of_a_literal_block() {
    for block in ["|\n  a\n  b\n", "|-\n\n\n  a\n"] {
        let Value::String(text) = value(block) else {
            panic!("{block}");
        };
        assert_eq!(text.lines, Lines::From(2), "{block:?}");
    }
}

#[test]
fn aliases_ignored_keys_and_several_documents() {
    let documents = parse("a: &x {b: 1}\nc: *x\n!ignore d: {e: *x}\n---\n- 1\n").unwrap();
    let json = serde_json::to_string(&documents[0]).unwrap();
    assert_eq!(json, r#"{"a":{"b":1.0},"c":{"b":1.0}}"#);
    assert_eq!(documents[1].items().len(), 1);
}

#[test]
fn hostile_documents_end_in_an_error() {
    let bomb: String = (1..40)
        .map(|n| {
            let previous = n - 1;
            format!("a{n}: &a{n} [*a{previous}, *a{previous}]\n")
        })
        .collect();
    let bomb = format!("a0: &a0 [1, 2]\n{bomb}");
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    for text in [
        bomb.as_str(),
        deep.as_str(),
        "a: &x [*x]",
        "a: [1",
        "[1]: 2",
        "a: b: c",
        "a: *none",
    ] {
        assert!(parse(text).is_err(), "{text:.20}");
    }
}

#[test]
fn what_the_parser_panics_at_is_kept_from_it() {
    for (text, json) in [
        ("a: [!x, !y 1]", r#"{"a":["",1.0]}"#),
        ("{a: !, b: 2}", r#"{"a":"","b":2.0}"#),
        ("a: |-\n  x", r#"{"a":"x"}"#),
    ] {
        let documents = parse(text).unwrap();
        assert_eq!(
            serde_json::to_string(&documents[0]).unwrap(),
            json,
            "{text}"
        );
    }
    assert!(parse("a: [!x,").is_err());
    assert!(parse("{!,").is_err());
}
