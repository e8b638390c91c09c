//! Nothing of a file acts on the terminal or the CI system that shows the output; no file takes long.

use crate::{Folder, run};
use std::time::{Duration, Instant};

const HOSTILE: &str = "a\u{1b}[31mb\n::error::c\r\u{202e}";

fn is_harmless(out: &str) {
    assert!(!out.contains(['\u{1b}', '\r', '\u{202e}']), "{out:?}");
    assert!(
        !out.lines().any(|line| line.trim_start().starts_with("::")),
        "{out}"
    );
}

#[test]
fn keys_values_and_names_are_escaped() {
    let folder = Folder::new("printed");
    let text = serde_json::to_string(HOSTILE).unwrap();
    let plugin = folder.file(
        "plugin.json",
        &format!("{{{text}: {text}, \"rum\": {{\"upstream\": {text}}}}}"),
    );
    let envoy = folder.file(
        "envoy.json",
        &format!(
            "{{\"a\": {{\"name\": {text}, \"vm_config\": {{\"runtime\": \"x\"}}}}, \"node\": {{}}}}"
        ),
    );
    for args in [
        vec!["check", &plugin, &envoy],
        vec!["explain", &plugin, "POST", HOSTILE],
        vec![
            "explain",
            "envoy/tee.yaml",
            "POST",
            "/api/1/envelope/",
            "-H",
            "X\u{1b}: y",
        ],
        vec![
            "explain",
            "envoy/tee.yaml",
            "POST",
            "/api/1/envelope/\u{1b}\n::error::",
        ],
        vec!["check", "::error::no such file"],
    ] {
        let ran = run(&args);
        is_harmless(&ran.out);
        is_harmless(&ran.err);
    }
    let ran = run(&["check", &plugin]);
    assert!(ran.out.contains("a\\u{1b}[31mb\\n::error::c"), "{ran:?}");
}

#[test]
fn only_regular_files_are_read() {
    let folder = Folder::new("regular");
    let plugin = folder.file("plugin.json", "{}");
    for args in [
        vec!["check", "/dev/zero"],
        vec!["explain", "/dev/zero", "POST", "/"],
        vec!["explain", &plugin, "POST", "/", "--data-file", "/dev/zero"],
    ] {
        let ran = run(&args);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains("expected a regular file"), "{ran:?}");
    }
}

#[test]
fn many_keys_take_as_long_as_they_are_many() {
    let folder = Folder::new("many");
    let keys: Vec<String> = (0..100_000)
        .map(|number| format!("\"k{number}\": 1"))
        .collect();
    let keys = keys.join(",");
    let place = r#"{"workspace": "w", "service_id": "s"}"#;
    let projects: Vec<String> = (1..50_000).map(|id| format!("\"{id}\": {place}")).collect();
    let projects = projects.join(",");
    let rum =
        format!(r#""rum": {{"upstream": "rum", "authority": "a", "projects": {{{projects}}}}}"#);
    for (name, text) in [
        ("json.json", format!("{{{keys}}}")),
        ("yaml.yaml", format!("{{{keys}}}\n")),
        ("projects.json", format!("{{{rum}}}")),
    ] {
        let file = folder.file(name, &text);
        let begun = Instant::now();
        let ran = run(&["check", "--quiet", &file]);
        // Ten times what it takes here, unoptimised; a square of it would be minutes.
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{name}: {:?}",
            begun.elapsed()
        );
        assert_eq!(
            ran.status,
            i32::from(!name.starts_with("projects")),
            "{name} {}",
            ran.err
        );
    }
}
