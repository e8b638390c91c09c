//! `check` and `explain` read what gateways in Kubernetes are configured with.

use crate::{Folder, run};

const RUM: &str =
    "rum: { upstream: rum, authority: rum.example.com, default: { workspace: w, service_id: s } }";

fn wasm_plugin(group: &str, key: &str, config: &str) -> String {
    format!(
        "apiVersion: extensions.{group}/v1alpha1
kind: WasmPlugin
metadata: {{ name: sentry-edge-mirror, namespace: gateway }}
spec:
  url: oci://registry.example.com/sentry_edge_mirror:1
  vmConfig: {{ env: [{{ name: A, valueFrom: HOST }}, {{ name: B, value: b }}] }}
  {key}: {{ {config} }}
"
    )
}

fn extension_policy(config: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {{ name: mirror }}
spec:
  wasm:
  - name: sentry_edge_mirror
    rootID: sentry_edge_mirror
    code: {{ type: HTTP, http: {{ url: https://www.example.com/sentry_edge_mirror.wasm, sha256: abc }} }}
    env: {{ hostKeys: [A] }}
    config: {{ {config} }}
"
    )
}

/// Status and output of `check` for one file.
fn check(text: &str) -> (i32, String) {
    // Tests run at the same time.
    let test = std::thread::current().name().unwrap().replace("::", "-");
    let folder = Folder::new(&test);
    let file = folder.file("x.yaml", text);
    let ran = run(&["check", &file]);
    let out = ran.out.replace(&file, "x.yaml");
    (ran.status, out)
}

#[test]
fn wasm_plugins_of_both_kinds_and_extension_policies() {
    let bad = "rum: { upstream: rum, authority: a, default: { workspace: w } }";
    for (good, bad, line) in [
        (
            wasm_plugin("istio.io", "pluginConfig", RUM),
            wasm_plugin("istio.io", "pluginConfig", bad),
            7,
        ),
        (
            wasm_plugin("higress.io", "defaultConfig", RUM),
            wasm_plugin("higress.io", "defaultConfig", bad),
            7,
        ),
        (extension_policy(RUM), extension_policy(bad), 10),
    ] {
        let (status, out) = check(&good);
        assert_eq!(status, 0, "{out}");
        assert!(out.contains(": valid, host envoy, mode tee"), "{out}");
        let (status, out) = check(&bad);
        assert_eq!(status, 1, "{out}");
        let problem = format!("x.yaml:{line}: rum.default.service_id: required");
        assert!(out.starts_with(&problem), "{out}");
    }
}

#[test]
fn variables_are_those_that_the_resource_hands_on() {
    let with =
        |workspace: &str| RUM.replace("workspace: w", &format!("workspace: \"{workspace}\""));
    let (status, out) = check(&wasm_plugin("istio.io", "pluginConfig", &with("${B}")));
    assert_eq!(status, 0, "{out}");
    let (status, out) = check(&wasm_plugin("istio.io", "pluginConfig", &with("${C}")));
    assert_eq!(status, 1, "{out}");
    assert!(out.contains("spec.vmConfig.env"), "{out}");
    let (_, out) = check(&extension_policy(&with("${C}")));
    assert!(out.contains("env.hostKeys"), "{out}");
    // Handed on, and not set here.
    let (_, out) = check(&extension_policy(&with("${A}")));
    assert!(out.contains("variable A is not set"), "{out}");
}

#[test]
fn rules_and_keys_of_the_other_gateway_are_refused() {
    let rules = "  matchRules: [{ domain: [a.example], config: { rum: {} } }]\n";
    let (status, out) = check(&(wasm_plugin("higress.io", "defaultConfig", RUM) + rules));
    assert_eq!(status, 1, "{out}");
    assert!(out.contains("x.yaml:8: matchRules: "), "{out}");
    let (status, out) = check(&wasm_plugin("higress.io", "pluginConfig", RUM));
    assert_eq!(status, 1, "{out}");
    assert!(
        out.contains("pluginConfig: expected defaultConfig"),
        "{out}"
    );
}

#[test]
fn what_holds_requests_has_no_place_in_them() {
    let sign = "mode: sign, sign: { logstores: [app] }, sls: { endpoint: e, project: project, credential: { access_key_id: i, access_key_secret: s } }";
    for (text, instead) in [
        (wasm_plugin("istio.io", "pluginConfig", sign), "EnvoyFilter"),
        (extension_policy(sign), "EnvoyPatchPolicy"),
    ] {
        let (status, out) = check(&text);
        assert_eq!(status, 1, "{out}");
        assert!(
            out.contains("cannot set allow_on_headers_stop_iteration"),
            "{out}"
        );
        assert!(out.contains(instead), "{out}");
    }
}

#[test]
fn every_document_and_every_item_is_read() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: { name: x }\n";
    let bad = wasm_plugin("istio.io", "pluginConfig", "rmu: {}");
    let text = format!("{service}---\n{bad}---\n{}", extension_policy(RUM));
    let (status, out) = check(&text);
    assert_eq!(status, 1, "{out}");
    assert!(out.contains("x.yaml:11: rmu: unknown key"), "{out}");
    assert!(out.contains("sentry_edge_mirror: valid"), "{out}");

    let indented: String = extension_policy(RUM)
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n  -\n{indented}");
    let (status, out) = check(&list);
    assert_eq!(status, 0, "{out}");
    // kubectl reads on after a mistake's document no more than we do.
    let (status, out) = check(&format!("{service}---\na: [\n"));
    assert_eq!(status, 1, "{out}");
}

#[test]
fn an_envoy_file_in_a_config_map_has_the_lines_of_the_map() {
    let plugin = "configuration:
        \"@type\": type.googleapis.com/google.protobuf.Struct
        value:
          rum: { upstream: nobody, authority: a, default: { workspace: w, service_id: s } }";
    let envoy = format!(
        "static_resources:
  clusters: [{{ name: rum }}]
  listeners:
  - name: edge
    config: # where it stands is not looked at
      name: sentry_edge_mirror
      root_id: \"7\"
      vm_config: {{ runtime: envoy.wasm.runtime.v8, code: {{ local: {{ filename: x.wasm }} }} }}
      {plugin}
"
    );
    let indented: String = envoy.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: edge }}\ndata:\n  readme: hello\n  envoy.yaml: |\n{indented}"
    );
    let (status, out) = check(&text);
    assert_eq!(status, 1, "{out}");
    assert!(out.contains("x.yaml:13: root_id: expected a name"), "{out}");
    assert!(
        out.contains(
            "x.yaml:18: rum.upstream: expected a cluster of this file (rum), got \"nobody\""
        ),
        "{out}"
    );
    let good = text.replace("\"7\"", "r").replace("nobody", "rum");
    let (status, out) = check(&good);
    assert_eq!(status, 0, "{out}");
    assert!(
        out.contains("x.yaml:16: sentry_edge_mirror: valid"),
        "{out}"
    );
}

#[test]
fn explain_reads_them_too() {
    let folder = Folder::new("kubernetes-explain");
    let file = folder.file("x.yaml", &extension_policy(RUM));
    let ran = run(&["explain", &file, "POST", "/api/1/envelope/", "-d", "{}"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.out.contains(":path: /rum/sentry/w/s/api/1/envelope/"),
        "{ran:?}"
    );
}
