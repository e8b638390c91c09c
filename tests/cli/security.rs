//! What SECURITY.md refers to is there.

use super::root;

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn every_test_it_names_exists() {
    let security = text("SECURITY.md");
    let quoted = security.split('`').skip(1).step_by(2);
    let tests: Vec<&str> = quoted
        .filter(|name| name.starts_with("tests/") || name.starts_with("src/"))
        .collect();
    assert!(tests.len() > 30, "{tests:?}");
    for name in tests {
        let (path, test) = name.split_once("::").unwrap_or((name, ""));
        let file = text(path);
        let is_there = ["fn ", "def "].iter().any(|keyword| {
            let head = format!("{keyword}{test}");
            file.match_indices(&head).any(|(at, _)| {
                let rest = &file[at + head.len()..];
                rest.starts_with(['(', '<'])
            })
        });
        assert!(test.is_empty() || is_there, "{name} is not there");
    }
}

#[test]
fn the_policy_is_the_one_of_the_set_up() {
    let policy = |path| {
        let text = text(path);
        let start = text.find("\"Statement\"").unwrap();
        let end = start + text[start..].find("```").unwrap();
        text[start..end].split_whitespace().collect::<String>()
    };
    assert_eq!(policy("SECURITY.md"), policy("envoy/sls.md"));
}
