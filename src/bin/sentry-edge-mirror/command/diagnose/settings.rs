//! What Envoy's dump says of our plugins: budgets, clusters, credentials, policy. Values that may be secret are never kept.

use super::super::document::{Entry, Lines, Node, json};
use super::super::find::{Content, Plugin, find};
use super::super::source::Source;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Of all our plugins together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// Plugins of ours, each once.
    pub(super) plugins: usize,
    /// Clusters that copies go to, by leg as its metrics have it.
    pub(super) clusters: BTreeSet<(String, String)>,
    /// Second Sentries, by leg.
    pub(super) sentries: BTreeMap<String, SecondSentry>,
    /// Clusters that a credential is fetched from.
    pub(super) metadata: BTreeSet<String>,
    /// `limits` of the plugin that has the smallest; the defaults if none says anything.
    pub(super) max_pending_bytes: u64,
    pub(super) max_in_flight: u64,
    /// RUM and SLS share the budgets.
    pub(super) two_legs: bool,
    /// A filter in mode `tee` whose trap would fail requests.
    pub(super) not_fail_open: bool,
    /// Every filter is disabled, and no route turns one on.
    pub(super) off: bool,
    /// Listeners whose last update was refused.
    pub(super) refused: usize,
}

/// What the configuration says of a second Sentry, whose limits are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecondSentry {
    pub(super) max_pending_bytes: u64,
    pub(super) max_in_flight: u64,
    /// A project may be held back here, by `rate`.
    pub(super) has_rate: bool,
    /// Every project goes there, whether it is listed or not.
    pub(super) has_default: bool,
}

impl Default for SecondSentry {
    fn default() -> Self {
        Self {
            max_pending_bytes: 33_554_432,
            max_in_flight: 64,
            has_rate: false,
            has_default: false,
        }
    }
}

const PENDING_BYTES: u64 = 67_108_864;
const IN_FLIGHT: u64 = 128;

impl Settings {
    pub(super) fn read(dump: &str) -> Self {
        let mut settings = Self {
            max_pending_bytes: PENDING_BYTES,
            max_in_flight: IN_FLIGHT,
            ..Self::default()
        };
        let mut seen = BTreeSet::new();
        let found = find(&Source::new("config_dump.json", dump.to_owned()));
        let plugins = found.map(|found| found.plugins).unwrap_or_default();
        let is_off =
            |plugin: &Plugin| matches!(&plugin.disabled, Some(disabled) if !disabled.is_ever_on());
        settings.off = !plugins.is_empty() && plugins.iter().all(is_off);
        for plugin in plugins {
            // A static listener stands in the dump twice.
            if let Content::Json { text, .. } = &plugin.content
                && seen.insert((plugin.name.clone(), text.clone()))
                && let Ok(node) = json::parse(text, Lines::At(1))
            {
                settings.plugin(&node);
            }
        }
        if let Ok(dump) = serde_json::from_str(dump) {
            settings.walk(&dump);
        }
        settings
    }

    fn plugin(&mut self, node: &Node) {
        self.plugins = self.plugins.saturating_add(1);
        let has = |leg: &str| node.get(&[leg]).is_some_and(is_on);
        self.two_legs |= has("rum") && has("sls");
        for leg in ["rum", "sls"] {
            if let Some(section) = node.get(&[leg]) {
                self.upstreams(leg, section);
            }
        }
        let targets = node.get(&["sentry"]).map(Node::entries);
        for target in targets.unwrap_or_default() {
            if is_on(&target.value) {
                let leg = format!("sentry.{}", target.key);
                self.upstreams(&leg, &target.value);
                let known = SecondSentry::read(&target.value);
                self.sentries.insert(leg, known);
            }
        }
        let role = node.get(&["sls"]).and_then(|sls| {
            sls.get(&["credential"])?
                .get(&["ecs_ram_role"])?
                .get(&["upstream"])?
                .text()
        });
        self.metadata.extend(role.map(str::to_owned));
        let limit = |key| limit(node, key);
        self.max_pending_bytes = limit("max_pending_bytes").unwrap_or(self.max_pending_bytes);
        self.max_in_flight = limit("max_in_flight").unwrap_or(self.max_in_flight);
    }

    fn upstreams(&mut self, leg: &str, section: &Node) {
        let own = section.get(&["upstream"]).and_then(Node::text);
        let others = projects(section)
            .iter()
            .filter_map(|project| project.value.get(&["upstream"])?.text());
        let all = own.into_iter().chain(others);
        for name in all.filter(|name| !name.contains("${")) {
            self.clusters.insert((leg.to_owned(), name.to_owned()));
        }
    }

    /// What stands around the plugins.
    fn walk(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item)),
            Value::Object(members) => {
                if members.contains_key("error_state") {
                    self.refused = self.refused.saturating_add(1);
                }
                if let (Some(vm), Some(configuration)) =
                    (members.get("vm_config"), members.get("configuration"))
                    && vm
                        .to_string()
                        .replace('-', "_")
                        .contains("sentry_edge_mirror")
                {
                    let tee = configuration.pointer("/value/mode").is_none();
                    let open = members.get("failure_policy").and_then(Value::as_str)
                        == Some("FAIL_OPEN")
                        || members.get("fail_open") == Some(&Value::Bool(true));
                    self.not_fail_open |= tee && !open;
                }
                members.values().for_each(|member| self.walk(member));
            }
            _ => {}
        }
    }
}

impl SecondSentry {
    fn read(target: &Node) -> Self {
        let defaults = Self::default();
        let rated = |section: &Node| section.get(&["rate"]).is_some();
        let default = target.get(&["default"]).and_then(Node::text);
        Self {
            max_pending_bytes: limit(target, "max_pending_bytes")
                .unwrap_or(defaults.max_pending_bytes),
            max_in_flight: limit(target, "max_in_flight").unwrap_or(defaults.max_in_flight),
            has_rate: rated(target) || projects(target).iter().any(|entry| rated(&entry.value)),
            has_default: default.is_some_and(|default| default != "none"),
        }
    }
}

fn projects(section: &Node) -> &[Entry] {
    section
        .get(&["projects"])
        .map(Node::entries)
        .unwrap_or_default()
}

/// A section that is switched off is not read.
fn is_on(section: &Node) -> bool {
    let enabled = section.get(&["enabled"]);
    let value = enabled.and_then(|node| serde_json::to_value(node).ok());
    !value.is_some_and(|value| value == Value::Bool(false) || value == "false")
}

fn limit(section: &Node, key: &str) -> Option<u64> {
    let value = serde_json::to_value(section.get(&["limits"])?.get(&[key])?).ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let number = value.as_f64().map(|number| number as u64);
    number.filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::{SecondSentry, Settings};

    #[test]
    fn what_the_dump_says() {
        let plugin = r#"{"name": "sentry_edge_mirror", "vm_config": {"runtime": "v8", "code": {"local": {"filename": "sentry_edge_mirror.wasm"}}},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {
            "rum": {"upstream": "rum", "projects": {"1": {"upstream": "other"}}},
            "sls": {"upstream": "sls", "credential": {"ecs_ram_role": {"upstream": "metadata"}, "access_key_secret": "s3cr3t"}},
            "limits": {"max_pending_bytes": 1024}}}}"#;
        let dump = format!(
            r#"{{"configs": [{plugin}, {plugin}, {{"error_state": {{"details": "s3cr3t"}}}}]}}"#
        );
        let settings = Settings::read(&dump);
        assert_eq!((settings.plugins, settings.refused), (1, 1));
        assert_eq!(
            (settings.max_pending_bytes, settings.max_in_flight),
            (1_024, 128)
        );
        assert!(settings.two_legs && settings.not_fail_open);
        let clusters: Vec<&str> = settings
            .clusters
            .iter()
            .map(|(_, name)| name.as_str())
            .collect();
        assert_eq!(clusters, ["other", "rum", "sls"]);
        assert!(settings.metadata.contains("metadata"));
        assert!(!format!("{settings:?}").contains("s3cr3t"));
        assert_eq!(Settings::read("no JSON").plugins, 0);
    }

    #[test]
    fn a_filter_that_no_route_turns_on() {
        let plugin = r#"{"vm_config": {"code": {"local": {"filename": "sentry_edge_mirror.wasm"}}}, "configuration": {
            "@type": "type.googleapis.com/google.protobuf.Struct", "value": {"rum": {"upstream": "rum"}}}}"#;
        let manager = |route: &str| {
            format!(
                r#"{{"route_config": {{"virtual_hosts": [{{"routes": [{{"match": {{"prefix": "/"}}, {route} "route": {{}}}}]}}]}},
                "http_filters": [{{"name": "m", "disabled": true, "typed_config": {{"config": {plugin}}}}}]}}"#
            )
        };
        let on = manager(r#""typed_per_filter_config": {"m": {"config": {}}},"#);
        let off = manager("");
        for (managers, expected) in [
            (vec![&off], true),
            (vec![&off, &on], false),
            (vec![], false),
        ] {
            let managers: Vec<&str> = managers.into_iter().map(String::as_str).collect();
            let dump = format!(r#"{{"configs": [{}]}}"#, managers.join(","));
            assert_eq!(Settings::read(&dump).off, expected, "{dump}");
        }
    }

    #[test]
    fn second_sentries_have_limits_of_their_own() {
        let dump = r#"{"name": "sentry_edge_mirror", "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {
            "rum": {"enabled": "false", "upstream": "rum"}, "sls": {"upstream": "sls"},
            "sentry": {
                "saas": {"upstream": "saas", "projects": {"1": "https://s3cr3t@a/1", "2": {"dsn": "https://s3cr3t@a/2", "rate": 5}},
                    "limits": {"max_pending_bytes": 4096, "max_in_flight": 2}},
                "rest": {"upstream": "saas", "default": "https://s3cr3t@a/3"},
                "off": {"enabled": false, "upstream": "away"}},
            "limits": {"max_pending_bytes": 1024}}}, "vm_config": {"code": {"local": {"filename": "a.wasm"}}}}"#;
        let settings = Settings::read(dump);
        assert_eq!(settings.max_pending_bytes, 1_024);
        assert!(!settings.two_legs);
        let saas = SecondSentry {
            max_pending_bytes: 4_096,
            max_in_flight: 2,
            has_rate: true,
            has_default: false,
        };
        let rest = SecondSentry {
            has_default: true,
            ..SecondSentry::default()
        };
        let expected = [("sentry.rest", rest), ("sentry.saas", saas)];
        let expected = expected.map(|(leg, target)| (leg.to_owned(), target));
        assert_eq!(settings.sentries.into_iter().collect::<Vec<_>>(), expected);
        let pairs = [
            ("rum", "rum"),
            ("sentry.rest", "saas"),
            ("sentry.saas", "saas"),
            ("sls", "sls"),
        ];
        let pairs = pairs.map(|(leg, cluster)| (leg.to_owned(), cluster.to_owned()));
        assert_eq!(settings.clusters.into_iter().collect::<Vec<_>>(), pairs);
    }
}
