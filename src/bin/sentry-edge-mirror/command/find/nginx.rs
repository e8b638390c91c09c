//! Plugin configurations in an nginx configuration: `proxy_wasm <module> '<json>'` of ngx_wasm_module, wherever it stands.

use super::super::document::{Lines, Node, Text, Value};
use super::super::environment::HostEnvironment;
use super::super::nginx::{Directive, Loaded};
use super::{Content, Found, Plugin, embedded, is_our_name};
use sentry_edge_mirror::host::HostKind;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn find(loaded: Loaded) -> Found {
    let mut search = Search {
        found: Found {
            notes: loaded.notes,
            ..Found::default()
        },
        modules: modules(&loaded.directives),
        environment: environment(&loaded.directives),
    };
    search.walk(&loaded.directives);
    search.found
}

struct Search<'d> {
    found: Found,
    /// Modules by name, and their files.
    modules: BTreeMap<&'d str, &'d str>,
    environment: HostEnvironment,
}

impl Search<'_> {
    fn walk(&mut self, directives: &[Directive]) {
        for directive in directives {
            if directive.is("proxy_wasm") {
                self.plugin(directive);
            }
            self.walk(directive.inner());
        }
    }

    fn plugin(&mut self, directive: &Directive) {
        let name = directive.arg(0).unwrap_or_default();
        let json = directive.args.get(1);
        let content = match json {
            Some(word) => embedded(&Text {
                text: word.text.clone(),
                lines: Lines::From(word.line),
            }),
            None => Content::Json {
                text: "{}".to_owned(),
                node: Node {
                    line: directive.name.line,
                    value: Value::Map(Vec::new()),
                },
            },
        };
        let plugin = Plugin {
            environment: self.environment.clone(),
            ..Plugin::new(
                directive.file.as_ref(),
                directive.name.line,
                Some(name.to_owned()),
                Some(HostKind::Nginx),
                content,
            )
        };
        let file = self
            .modules
            .get(name)
            .and_then(|path| path.rsplit('/').next());
        if is_our_name(name) || file.is_some_and(is_our_name) || plugin.has_our_shape() {
            self.found.plugins.push(plugin);
        } else {
            let note = format!("plugin {name:?} is not sentry-edge-mirror, it was not looked at");
            self.found.notes.push(directive.finding(note));
        }
    }
}

/// The modules of the `wasm` block.
fn modules(directives: &[Directive]) -> BTreeMap<&str, &str> {
    directives
        .iter()
        .filter(|directive| directive.is("wasm"))
        .flat_map(Directive::inner)
        .filter(|directive| directive.is("module"))
        .filter_map(|module| Some((module.arg(0)?, module.arg(1)?)))
        .collect()
}

/// What of nginx's environment the module sees: what `env` names. A file without `events` and `http` is a part of a
/// configuration, whose `env` stands elsewhere.
fn environment(directives: &[Directive]) -> HostEnvironment {
    let is_main = |directive: &Directive| directive.is("events") || directive.is("http");
    if !directives.iter().any(is_main) {
        return HostEnvironment::All;
    }
    let mut handed = BTreeSet::new();
    let mut fixed = BTreeMap::new();
    for directive in directives.iter().filter(|directive| directive.is("env")) {
        let Some(variable) = directive.arg(0) else {
            continue;
        };
        match variable.split_once('=') {
            Some((name, value)) => {
                fixed.insert(name.to_owned(), value.to_owned());
            }
            None => {
                handed.insert(variable.to_owned());
            }
        }
    }
    HostEnvironment::Listed {
        handed,
        fixed,
        hint: "the module sees only what `env NAME;` at the top of the configuration names",
    }
}
