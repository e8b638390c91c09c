//! The samples in envoy/ and nginx/ hold good configurations.

use crate::{root, run};
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found)
        } else {
            found.push(path)
        }
    }
}

/// Whether there is a plugin in a file, outside comments.
fn has_plugin(path: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else {
        return false;
    };
    let is_code = |line: &&str| !line.trim_start().starts_with('#');
    text.lines().filter(is_code).any(|line| {
        let line = line.trim_start();
        let starts = |what: &str| line.starts_with(what);
        starts("vm_config:")
            || starts("proxy_wasm ")
            || starts("kind: WasmPlugin")
            || starts("kind: EnvoyExtensionPolicy")
    })
}

#[test]
fn every_sample_is_valid() {
    for folder in ["envoy", "nginx"] {
        let mut found = Vec::new();
        files(&root().join(folder), &mut found);
        found.retain(|path| has_plugin(path));
        assert!(!found.is_empty(), "{folder}");
        for path in found {
            let ran = run(&["check", "--assume-env", path.to_str().unwrap()]);
            assert_eq!(ran.status, 0, "{ran:?}");
            assert!(ran.out.contains(": valid, "), "{ran:?}");
        }
    }
}

#[test]
fn the_bootstrap_names_its_listener_file() {
    let ran = run(&["check", "envoy/tee-lds/bootstrap.yaml"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.out.starts_with("envoy/tee-lds/listeners/edge.yaml:"),
        "{ran:?}"
    );
}
