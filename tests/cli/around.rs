//! `check` on what stands around a plugin in an Envoy configuration. That Envoy agrees is asked in tests/e2e/test_check.py.

use crate::{Folder, root, run};

/// A bootstrap, with what stands in place of its parts.
struct Bootstrap {
    plugin: &'static str,
    vm: &'static str,
    config: &'static str,
    more: &'static str,
}

const TEE: &str = "rum: { upstream: rum, authority: a, default: { workspace: w, service_id: s } }";
const GOOD: Bootstrap = Bootstrap {
    plugin: "root_id: r",
    vm: "code: { local: { filename: sentry_edge_mirror.wasm } }",
    config: TEE,
    more: "",
};

fn check(bootstrap: &Bootstrap) -> (i32, String) {
    let Bootstrap {
        plugin,
        vm,
        config,
        more,
    } = bootstrap;
    let text = format!(
        "static_resources:
  clusters:
  - name: rum
  - name: sls
  listeners:
  - filters:
    - config:
        {plugin}
        vm_config:
          runtime: envoy.wasm.runtime.v8
          {vm}
        configuration:
          \"@type\": type.googleapis.com/google.protobuf.Struct
          value: {{ {config} }}
{more}"
    );
    // Tests run at the same time.
    let test = std::thread::current().name().unwrap().replace("::", "-");
    let folder = Folder::new(&test);
    let file = folder.file("envoy.yaml", &text);
    let ran = run(&["check", &file]);
    (ran.status, ran.out.replace(&file, "envoy.yaml"))
}

fn problem(bootstrap: &Bootstrap, expected: &str) {
    let (status, out) = check(bootstrap);
    assert_eq!(status, 1, "{out}");
    assert!(out.contains(expected), "{out}");
    assert!(out.ends_with("envoy.yaml: 1 problem\n"), "{out}");
}

#[test]
fn nothing_is_wrong_with_a_good_one() {
    let (status, out) = check(&GOOD);
    assert_eq!(status, 0, "{out}");
    assert!(!out.contains("note"), "{out}");
}

#[test]
fn a_root_id_is_a_name() {
    for plugin in ["root_id: \"1234\"", "root_id: 1234", "rootId: '0'"] {
        problem(
            &Bootstrap { plugin, ..GOOD },
            "envoy.yaml:8: root_id: expected a name, got a number",
        );
    }
}

#[test]
fn variables_are_strings_and_stand_once() {
    const CODE: &str = "code: { local: { filename: x.wasm } }";
    for (list, expected) in [
        (
            "{ key_values: { A: true } }",
            "key_values.A: expected a string",
        ),
        (
            "{ key_values: { A: 1 } }",
            "key_values.A: expected a string",
        ),
        (
            "{ key_values: { A: 'x' }, host_env_keys: [A] }",
            "key_values: A stands in host_env_keys too",
        ),
        (
            "{ host_env_keys: [A, A] }",
            "host_env_keys: A stands here twice",
        ),
    ] {
        let vm: &'static str = format!("{CODE}\n          environment_variables: {list}").leak();
        problem(&Bootstrap { vm, ..GOOD }, expected);
    }
}

#[test]
fn an_upstream_is_a_cluster_where_all_clusters_are_known() {
    let config = "rum: { upstream: rom, authority: a, default: { workspace: w, service_id: s } }";
    let expected =
        "envoy.yaml:14: rum.upstream: expected a cluster of this file (rum, sls), got \"rom\"";
    problem(&Bootstrap { config, ..GOOD }, expected);
    let config = "rum: { upstream: rum, authority: a, projects: { 1: { workspace: w, service_id: s, upstream: x } } }";
    problem(
        &Bootstrap { config, ..GOOD },
        "rum.projects.1.upstream: expected a cluster",
    );
    for more in [
        "# sentry-edge-mirror: further clusters (--config-yaml)\n",
        "dynamic_resources: { cds_config: { ads: {} } }\n",
        "dynamic_resources: { cds_config: { path_config_source: { path: nowhere.yaml } } }\n",
    ] {
        let config =
            "rum: { upstream: rom, authority: a, default: { workspace: w, service_id: s } }";
        let (status, out) = check(&Bootstrap {
            config,
            more,
            ..GOOD
        });
        assert_eq!(status, 0, "{out}");
    }
}

#[test]
fn a_static_cluster_has_an_address() {
    let tee = std::fs::read_to_string(root().join("envoy/tee.yaml")).unwrap();
    let folder = Folder::new("a-static-cluster-has-an-address");
    let with = |address: &str, kind: &str| {
        let text = tee.replace("address: 127.0.0.1, port_value: 9100", address);
        let text = text.replace("type: STATIC", &format!("type: {kind}"));
        let ran = run(&["check", &folder.file("envoy.yaml", &text)]);
        (ran.status, ran.out)
    };
    let (status, out) = with("address: rum.example.com, port_value: 80", "STATIC");
    let expected = "envoy.yaml:201: address: expected an IP address, because the cluster is STATIC, got \"rum.example.com\"";
    assert!(status == 1 && out.contains(expected), "{out}");
    for (address, kind) in [
        ("address: '::1', port_value: 80", "STATIC"),
        (
            "resolver_name: x, address: rum.example.com, port_value: 80",
            "STATIC",
        ),
        ("address: rum.example.com, port_value: 80", "STRICT_DNS"),
    ] {
        let (status, out) = with(address, kind);
        assert_eq!(status, 0, "{out}");
    }
}

#[test]
fn a_mode_that_holds_requests_needs_envoys_leave() {
    let fast_ack = "mode: rewrite, fast_ack: true, rum: { upstream: rum, authority: a, default: { workspace: w, service_id: s } }";
    let sls = "sls: { upstream: sls, endpoint: e.example, project: project, logstore: store, credential: { access_key_id: i, access_key_secret: s } }";
    let logs: &'static str = format!(
        "mode: rewrite, rum: {{ authority: a, default: {{ workspace: w, service_id: s }} }}, {sls}"
    )
    .leak();
    let sign = "mode: sign, sign: { logstores: [app] }, sls: { endpoint: e.example, project: project, credential: { access_key_id: i, access_key_secret: s } }";
    for config in [fast_ack, logs, sign] {
        for (plugin, got) in [
            ("root_id: r", "got nothing"),
            (
                "allow_on_headers_stop_iteration: false",
                "got something else",
            ),
        ] {
            let (status, out) = check(&Bootstrap {
                config,
                plugin,
                ..GOOD
            });
            assert_eq!(status, 1, "{out}");
            let expected =
                format!("expected allow_on_headers_stop_iteration: true beside vm_config, {got}");
            assert!(out.contains(&expected), "{out}");
        }
        let plugin = "allow_on_headers_stop_iteration: true";
        let (status, out) = check(&Bootstrap {
            config,
            plugin,
            ..GOOD
        });
        assert_eq!(status, 0, "{out}");
    }
    // Also where the rest cannot be judged.
    let unset = "mode: sign, sign: { logstores: [app] }, sls: { endpoint: e.example, project: project, credential: { access_key_id: '${NOT}', access_key_secret: s } }";
    let (_, out) = check(&Bootstrap {
        config: unset,
        ..GOOD
    });
    assert!(out.contains("needed by mode sign"), "{out}");
    // What passes at once needs none.
    let tee: &'static str = format!("{TEE}, {sls}").leak();
    let (status, out) = check(&Bootstrap {
        config: tee,
        ..GOOD
    });
    assert_eq!(status, 0, "{out}");
}

#[test]
fn a_module_that_is_fetched_needs_room_for_its_answer() {
    let vm = "code: { remote: { http_uri: { uri: https://x/sentry_edge_mirror.wasm, cluster: sls, timeout: 10s }, sha256: ab } }";
    for more in [
        "layered_runtime: { layers: [{ name: a, static_layer: { http.async_response_buffer_limit: 65536 } }] }\n",
        "layered_runtime: { layers: [{ name: a, static_layer: { http: { async_response_buffer_limit: 65536 } } }] }\n",
    ] {
        problem(
            &Bootstrap { vm, more, ..GOOD },
            "code.remote: the module has more than 1048576 bytes",
        );
    }
    let more = "layered_runtime: { layers: [{ name: a, static_layer: { http.async_response_buffer_limit: 4194304 } }] }\n";
    for more in [more, ""] {
        let (status, out) = check(&Bootstrap { vm, more, ..GOOD });
        assert_eq!(status, 0, "{out}");
    }
}

#[test]
fn envoy_reads_one_document_and_the_last_of_a_key() {
    let more = "---\na: [\n";
    let (status, out) = check(&Bootstrap { more, ..GOOD });
    assert_eq!(status, 0, "{out}");
    assert!(out.contains("Envoy reads the first document"), "{out}");
    let config =
        "rum: {}, rum: { upstream: rum, authority: a, default: { workspace: w, service_id: s } }";
    let (status, out) = check(&Bootstrap { config, ..GOOD });
    assert_eq!(status, 0, "{out}");
    assert!(
        out.contains("rum: the key stands here again below"),
        "{out}"
    );
}

#[test]
fn listener_files_by_their_old_name_and_beside_the_bootstrap() {
    let folder = Folder::new("lds-path");
    folder.file("lds.yaml", "resources: [\n");
    for source in [
        "{ path: lds.yaml }",
        "{ path: /etc/envoy/lds.yaml }",
        "{ path_config_source: { path: /etc/envoy/lds.yaml } }",
    ] {
        let main = folder.file(
            "envoy.yaml",
            &format!("dynamic_resources: {{ lds_config: {source} }}\n"),
        );
        let ran = run(&["check", &main]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.out.contains("lds.yaml:2: expected YAML"), "{ran:?}");
    }
    // A folder ends no run.
    let main = folder.file(
        "envoy.yaml",
        "dynamic_resources: { lds_config: { path: . } }\n",
    );
    assert!(
        run(&["check", &main])
            .out
            .contains("expected a file, got a folder")
    );
}
