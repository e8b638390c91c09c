//! The plugin configurations inside nginx/ are valid. (Those of envoy/ are started by the end-to-end tests.)

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use sentry_edge_mirror::config::{Config, HostKind};

#[test]
fn nginx_samples_hold_valid_configurations() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/nginx");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for part in text.split("proxy_wasm sentry_edge_mirror '").skip(1) {
            let (json, _) = part.split_once("';").expect("a closing quote");
            let config = Config::parse(json.as_bytes(), &|_| None);
            let config = config.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(config.host, HostKind::Nginx, "{}", path.display());
            found += 1;
        }
    }
    assert!(found > 0);
}
