//! No text makes a reader panic, loop or grow without bound: files come from anywhere.

use super::document::{Lines, json, yaml};
use super::find::find;
use super::judge::judge;
use super::nginx::load;
use super::source::Source;
use super::{environment::Environment, import};
use proptest::prelude::*;

/// Pieces of all three languages, so that a random text gets past the first character.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        ",",
        ";",
        "\n",
        "\n  ",
        "\n    ",
        " ",
        "\t",
        "\r\n",
        "- ",
        "'",
        "\"",
        "\\",
        "#",
        "&a ",
        "*a",
        "!ignore ",
        "!",
        "|",
        ">",
        "|-\n",
        "? ",
        "---\n",
        "...\n",
        "%",
        "<<",
        "${",
        "}",
        "$",
        "A:-",
        "~",
        "~^/api/1/",
        "/api/1/envelope/",
        "1",
        "0x",
        "010",
        "true",
        "\u{0}",
        "\u{feff}",
        "é",
        "\u{2028}",
        "rum",
        "config",
        "\"rum\": {",
        "vm_config: {code: x}",
        "configuration:",
        "value: ",
        "'@type': x/google.protobuf.StringValue",
        "proxy_wasm sentry_edge_mirror '",
        "map $request_uri $p {",
        "default /rum/sentry/a/b;",
        "location /m {",
        "proxy_pass http://h$p$request_uri;",
        "mirror /m;",
        "include x;",
        "upstream h { server",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn of_no_kind(text in text()) {
        for name in ["x.json", "x.yaml", "x.conf", "-"] {
            let source = Source::new(name, text.clone());
            if let Ok(found) = find(&source) {
                for plugin in &found.plugins {
                    judge(plugin, &Environment::default(), false);
                }
            }
            let mut notes = Vec::new();
            let _ = import::import(&source, super::args::Host::Nginx, &[], &mut notes);
        }
        let lines = text.matches('\n').count() + 1;
        if let Err(error) = json::parse(&text, Lines::From(1)) {
            prop_assert!(error.line >= 1 && error.line <= lines, "{}", error.line);
        }
        if let Err(error) = yaml::parse(&text) {
            prop_assert!(error.line >= 1, "{}", error.line);
        }
        if let Err(error) = load("x.conf", text.as_bytes()) {
            prop_assert!(error.line >= 1 && error.line <= lines, "{}", error.line);
        }
    }

    #[test]
    fn quoted_words_come_back(text in "[ -~\n\t]{0,40}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let loaded = load("x.conf", format!("a \"{quoted}\";").as_bytes()).unwrap();
        prop_assert_eq!(loaded.directives[0].arg(0), Some(text.as_str()));
    }
}
