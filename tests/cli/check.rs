//! `check`: what is found, where, and what is said.

use crate::{Folder, run, run_with};

const GOOD: &str = r#"{"rum": {"upstream": "rum", "authority": "a", "default": {"workspace": "w", "service_id": "s"}}}"#;

/// The lines of problems, without what was expected.
fn problems(out: &str, file: &str) -> Vec<String> {
    out.lines()
        .filter_map(|line| line.strip_prefix(file)?.strip_prefix(':'))
        .filter(|line| line.starts_with(|first: char| first.is_ascii_digit()))
        .filter(|line| !line.contains(": note: "))
        .map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn every_problem_of_every_plugin_in_an_envoy_configuration() {
    let file = "tests/cli/fixtures/check/bad.yaml";
    let ran = run(&["check", file]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(
        problems(&ran.out, file),
        [
            "24 rum.authority",
            "26 rum.projects.42.workspace",
            "28 rum.projects.43.workspace",
            "29 rum.projects.43.service_id",
            "32 rum.exclude[1]",
            "35 retry.max_attemps",
            // A JSON string in a block scalar.
            "45 host",
            "49 rum.default.service_id",
            "61 configuration",
        ]
    );
    assert!(ran.out.contains("add it to host_env_keys"), "{ran:?}");
    assert!(
        ran.out
            .contains("33: note: timeout_ms: the key stands here again below")
    );
    assert!(ran.out.contains("69: note: plugin \"somebody_elses\""));
    assert!(ran.out.ends_with(&format!("{file}: 9 problems\n")));
}

#[test]
fn every_problem_of_every_plugin_in_an_nginx_configuration() {
    let file = "tests/cli/fixtures/check/bad.conf";
    let ran = run(&["check", file]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert_eq!(
        problems(&ran.out, file),
        [
            "14 rum.upstream",
            "16 rum.default.service_id",
            "22 host",
            "26 host",
            "26 rum",
        ]
    );
    // A default hides that the variable never arrives.
    assert!(
        ran.out
            .contains("11: note: ${ABSENT} is always its default"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("${LISTED"), "{ran:?}");
}

#[test]
fn variables_come_from_the_environment_or_from_the_command_line() {
    let file = "tests/cli/fixtures/check/bad.yaml";
    let unset = "28: rum.projects.43.workspace: environment variable LISTED is not set";
    assert!(run(&["check", file]).out.contains(unset));
    let ran = run(&["check", file, "--env", "LISTED=w"]);
    assert!(!ran.out.contains(":28: "), "{ran:?}");
    let ran = run_with(&["check", file], &[("LISTED", "w")], "");
    assert!(!ran.out.contains(":28: "), "{ran:?}");
    let ran = run(&["check", file, "--env", "LISTED=a/b"]);
    assert!(
        ran.out
            .contains("28: rum.projects.43.workspace: expected letters")
    );
    assert!(
        !ran.out
            .contains("got \"a/b\"\ntests/cli/fixtures/check/bad.yaml:29"),
        "no value is printed"
    );

    // What is not set is assumed; what the proxy keeps to itself, and all else, is still a problem.
    let ran = run(&["check", file, "--assume-env"]);
    assert!(
        ran.out
            .contains(":28: note: rum.projects.43.workspace: LISTED is assumed to be set")
    );
    assert!(
        ran.out
            .contains(":29: rum.projects.43.service_id: environment variable NOT_LISTED")
    );
    assert!(ran.out.ends_with("8 problems\n"), "{ran:?}");
}

#[test]
fn assuming_makes_the_rest_checkable() {
    let folder = Folder::new("assume");
    let text = GOOD.replace(r#""a""#, r#""${RUM_AUTHORITY}""#);
    let file = folder.file("plugin.json", &text);
    assert_eq!(run(&["check", &file]).status, 1);
    let ran = run(&["check", "--assume-env", &file]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let file = folder.file("plugin.json", &text.replace(r#""s""#, r#""s/""#));
    let ran = run(&["check", "--assume-env", "--quiet", &file]);
    assert_eq!((ran.status, ran.lines().len()), (1, 1), "{ran:?}");
}

#[test]
fn plain_configurations() {
    let folder = Folder::new("plain");
    let good = folder.file("good.json", GOOD);
    let ran = run(&["check", &good]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(run(&["check", "-q", &good]).out, "");
    // A slip in the only section must not make the file somebody else's.
    let bad = folder.file("bad.json", "{\n\"rmu\": {}\n}");
    let ran = run(&["check", &good, &bad]);
    assert_eq!(ran.status, 1);
    assert_eq!(problems(&ran.out, &bad), ["1 rum", "2 rmu"]);
    let broken = folder.file("broken.json", "{\n\"rum\": {}\n");
    assert_eq!(problems(&run(&["check", &broken]).out, &broken).len(), 1);
}

#[test]
fn nothing_to_check_is_a_problem() {
    let folder = Folder::new("nothing");
    for (name, text) in [
        ("envoy.yaml", "static_resources: {}\n"),
        ("nginx.conf", "http {}\n"),
        ("empty.yaml", ""),
        ("discovery.json", r#"{"resources": []}"#),
    ] {
        let file = folder.file(name, text);
        let ran = run(&["check", &file]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.out.contains("got none"), "{ran:?}");
    }
    for (name, text) in [("a.yaml", "a: [1"), ("a.conf", "http {"), ("a.json", "{")] {
        let file = folder.file(name, text);
        let ran = run(&["check", &file]);
        assert_eq!((ran.status, ran.lines().len()), (1, 2), "{ran:?}");
    }
}

#[test]
fn memory_is_told_and_what_does_not_fit_is_refused() {
    let folder = Folder::new("memory");
    let with = |limits: &str| GOOD.replacen('{', &format!("{{\n\"limits\": {{{limits}}}, "), 1);
    let file = folder.file("good.json", GOOD);
    let ran = run(&["check", &file]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.out.contains("at most 103 MiB of memory a worker"),
        "{ran:?}"
    );
    assert!(!ran.out.contains("note: "), "{ran:?}");

    // Half of it is less than a body may have: valid, and hardly meant so.
    let file = folder.file("small.json", &with(r#""max_pending_bytes": 20000000"#));
    let ran = run(&["check", &file]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let note = ":2: note: limits.max_pending_bytes: bodies that are being received may hold 10000000 bytes";
    assert!(ran.out.contains(note), "{ran:?}");

    let large = with(r#""max_pending_bytes": 805306368, "max_body_bytes": 268435456"#);
    let file = folder.file("large.json", &large);
    let ran = run(&["check", &file]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let problem =
        ":2: limits.max_pending_bytes: expected that a worker needs at most 1073741824 bytes";
    assert!(ran.out.contains(problem), "{ran:?}");
    assert!(
        ran.out.contains("limits.max_body_bytes 268435456, "),
        "{ran:?}"
    );
}

#[test]
fn the_ways_to_write_a_configuration_in_envoy() {
    let folder = Folder::new("envoy");
    let string = serde_json::to_string(GOOD).unwrap();
    let bytes = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(GOOD)
    };
    let plugin = |kind: &str, value: &str| {
        format!(
            r#"{{"resources": [{{"x": [{{"config": {{"rootId": "r", "vmConfig": {{"code": {{}}}},
                "configuration": {{"@type": "type.googleapis.com/google.protobuf.{kind}", "value": {value}}}}}}}]}}]}}"#
        )
    };
    for (kind, value) in [
        ("Struct", GOOD),
        ("StringValue", string.as_str()),
        ("BytesValue", &format!("\"{bytes}\"")),
    ] {
        let file = folder.file("lds.json", &plugin(kind, value));
        let ran = run(&["check", &file]);
        assert_eq!(ran.status, 0, "{kind} {ran:?}");
        assert!(ran.out.contains(": r: valid, host envoy"), "{ran:?}");
    }
    // Named as ours, it must be right.
    let ours = |text: String| text.replace("\"r\"", "\"sentry-edge-mirror\"");
    for (kind, value, message) in [
        (
            "Struct",
            "5",
            "expected the object of a google.protobuf.Struct",
        ),
        ("StringValue", "{}", "expected a string that holds JSON"),
        ("BytesValue", "\"?\"", "in Base64"),
        (
            "Duration",
            "\"1s\"",
            "expected type.googleapis.com/google.protobuf.Struct or StringValue, got Duration",
        ),
    ] {
        let file = folder.file("lds.json", &ours(plugin(kind, value)));
        let ran = run(&["check", &file]);
        assert_eq!(ran.status, 1, "{ran:?}");
        assert!(ran.out.contains(message), "{ran:?}");
    }
    // Without a configuration the module gets an empty one.
    let file = folder.file(
        "none.yaml",
        "config: {name: sentry_edge_mirror, vm_config: {runtime: x}}\n",
    );
    assert!(run(&["check", &file]).out.contains(":1: rum: "));
}

#[test]
fn aliases_and_yaml_scalars_are_read_as_envoy_reads_them() {
    let folder = Folder::new("yaml");
    let text = "\
x: &one {workspace: w, service_id: s}
c:
  name: sentry_edge_mirror
  vm_config: {runtime: v8}
  configuration:
    '@type': type.googleapis.com/google.protobuf.Struct
    value:
      rum:
        upstream: rum
        authority: a
        default: *one
        projects: {1: *one, 010: *one}
        exclude: [3000000000, 7]
        timeout_ms: TIMEOUT
";
    for (timeout, status) in [("5000", 0), ("0x10", 0), ("1e3", 1), ("yes", 1)] {
        let file = folder.file("envoy.yaml", &text.replace("TIMEOUT", timeout));
        let ran = run(&["check", &file]);
        assert_eq!(ran.status, status, "{timeout} {ran:?}");
    }
}

#[test]
fn includes_and_listener_files_are_followed() {
    let folder = Folder::new("follow");
    folder.file(
        "conf.d/edge.conf",
        "location /x {\n proxy_wasm renamed '{\"host\": \"nginx\",\n \"rum\": {\"upstream\": \"x\"}}';\n}\n",
    );
    let main = folder.file(
        "nginx.conf",
        "events {}\nhttp { include conf.d/*.conf; include gone.conf; }\n",
    );
    let ran = run(&["check", &main]);
    assert!(
        ran.out.contains("conf.d/edge.conf:3: rum.upstream: "),
        "{ran:?}"
    );
    assert!(ran.out.contains("nginx.conf:2: note: include: "), "{ran:?}");

    folder.file("lds.yaml", "resources: [\n");
    let main = folder.file(
        "bootstrap.yaml",
        "dynamic_resources: {lds_config: {path_config_source: {path: lds.yaml}}}\n",
    );
    let ran = run(&["check", &main]);
    assert_eq!(ran.status, 1);
    assert!(ran.out.contains("lds.yaml:2: expected YAML"), "{ran:?}");
}

/// An nginx configuration with these plugin configurations, a location each, from line 4 on.
fn nginx(plugins: &[&str]) -> String {
    let mut text = "events {}\nhttp {\n  server {\n".to_owned();
    for (index, plugin) in plugins.iter().enumerate() {
        text += &format!(
            "    location = /{index} {{ proxy_wasm sentry_edge_mirror '{plugin}'; return 204; }}\n"
        );
    }
    text + "  }\n}\n"
}

#[test]
fn the_lanes_of_a_file_are_looked_at_together() {
    let rum = r#""rum": {"upstream": "rum:80", "authority": "a", "default": {"workspace": "w", "service_id": "s"}}"#;
    let main = |lanes: &str| format!(r#"{{"host": "nginx", {lanes} {rum}}}"#);
    let lane = |number: u8| format!(r#"{{"host": "nginx", "lane": {number}}}"#);
    let (three, one, zero) = (main(r#""lanes": 3,"#), main(""), main(r#""lanes": 0,"#));
    let [lane_1, lane_2] = [1, 2].map(lane);
    let more = r#"{"host": "nginx", "lane": 1, "rum": {}}"#;
    for (plugins, expected) in [
        (&[&*lane_1, &*three, &*lane_2][..], &[][..]),
        (&[&*one][..], &[][..]),
        // Two locations share them.
        (&[&*three, &*lane_1, &*three, &*lane_2][..], &[][..]),
        (&[&*three, &*lane_1][..], &["4 lanes"][..]),
        (&[&*lane_1, &*lane_2, &*one][..], &["6 lanes"][..]),
        (&[&*three, &*lane_1, &*lane_1][..], &["6 lane"][..]),
        (&[&*zero, &*lane_1][..], &["4 lanes"][..]),
        (&[&*three, &*lane_2, more][..], &["6 rum"][..]),
        (&[&*lane_1][..], &[][..]),
    ] {
        let folder = Folder::new("lanes");
        let file = folder.file("nginx.conf", &nginx(plugins));
        let ran = run(&["check", "--quiet", &file]);
        assert_eq!(problems(&ran.out, &file), expected, "{ran:?}");
        assert_eq!(ran.status, i32::from(!expected.is_empty()));
    }
    // A part of a configuration, whose other parts may have them.
    let folder = Folder::new("lanes");
    let part = folder.file(
        "part.conf",
        &format!("proxy_wasm sentry_edge_mirror '{three}';\n"),
    );
    assert_eq!(run(&["check", &part]).status, 0);
}

#[test]
fn what_is_missing_or_double_is_said_with_its_place() {
    let lane = r#"{"host": "nginx", "lane": 7}"#;
    let folder = Folder::new("double-lane");
    let file = folder.file("nginx.conf", &nginx(&[lane, lane]));
    let ran = run(&["check", &file]);
    let line = format!("{file}:5: lane: lane 7 stands at {file}:4 already, got 7\n");
    assert!(ran.out.contains(&line), "{ran:?}");
    assert!(
        ran.out
            .contains(":4: sentry_edge_mirror: valid, host nginx, lane 7\n")
    );
}
