//! The examples of the documents are what the command prints.

use crate::root;
use fancy_regex::Regex;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Line numbers of the samples may change; nothing else.
fn normalised(text: &str) -> String {
    let line = Regex::new(r"((?:envoy|nginx)/[a-z-]+\.(?:yaml|conf)):\d+:").unwrap();
    line.replace_all(text.trim_end(), "$1:N:").into_owned()
}

/// What users read: every Markdown file of these folders.
fn pages() -> Vec<PathBuf> {
    ["", "envoy", "envoy/deploy", "envoy/self-hosted", "nginx"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn every_example_is_real() {
    let text: String = pages()
        .iter()
        .map(|page| std::fs::read_to_string(page).unwrap())
        .collect();
    let program = Path::new(env!("CARGO_BIN_EXE_sentry-edge-mirror"));
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let mut examples = 0;
    for block in text.split("```console\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        for example in block.split("$ ").skip(1) {
            let (command, expected) = example.split_once('\n').unwrap();
            assert!(command.starts_with("sentry-edge-mirror "), "{command}");
            let output = Command::new("bash")
                .args(["-c", &format!("{command} 2>&1")])
                .current_dir(root())
                .env_clear()
                .env("PATH", &path)
                .output()
                .unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            assert_eq!(normalised(&printed), normalised(expected), "{command}");
            examples += 1;
        }
    }
    assert!(examples >= 4, "{examples}");
}
