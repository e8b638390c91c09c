//! Help, completions, exit statuses.

use crate::{run, run_with};

#[test]
fn help_shows_every_command_with_examples_and_the_exit_statuses() {
    let all = run(&["--help"]);
    assert_eq!(all.status, 0);
    for command in [
        "check",
        "explain",
        "import",
        "diagnose",
        "schema",
        "completions",
    ] {
        assert!(all.out.contains(&format!("  {command}")), "{command}");
        let help = run(&["help", command]);
        assert_eq!(help.status, 0, "{help:?}");
        assert!(help.out.contains("Examples:"), "{help:?}");
        assert!(help.out.contains(&format!("sentry-edge-mirror {command}")));
        let longest = help.out.lines().map(str::len).max();
        assert!(longest < Some(126), "{command}: {longest:?}");
        if command != "completions" {
            assert!(help.out.contains("Exit status: 0 "), "{help:?}");
        }
    }
}

#[test]
fn a_wrong_command_line_or_an_unreadable_file_is_status_2() {
    for args in [
        &["chek", "x"][..],
        &["check"],
        &["check", "--env", "X", "envoy/tee.yaml"],
        &["check", "no/such/file.yaml"],
        &["check", "envoy"],
        &["explain", "envoy/tee.yaml", "POST"],
        &["explain", "envoy/tee.yaml", "POST", "/", "-H", "no colon"],
        &["explain", "envoy/tee.yaml", "POST", "/", "--peer", "nobody"],
        &["import", "no/such/nginx.conf"],
        &["diagnose"],
        &["diagnose", "https://127.0.0.1:9901"],
        &["diagnose", "http://user:s3cr3t@127.0.0.1:9901"],
        &["diagnose", "127.0.0.1:1"],
        &["completions", "csh"],
    ] {
        let ran = run(args);
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.starts_with("error: "), "{ran:?}");
    }
    let ran = run(&["diagnose", "http://user:s3cr3t@127.0.0.1:9901"]);
    assert!(!ran.err.contains("s3cr3t"), "{ran:?}");
    let ran = run(&["check", "no/such/file.yaml"]);
    assert!(ran.err.contains("no/such/file.yaml: "), "{ran:?}");
}

#[test]
fn bash_reads_the_completions() {
    for (shell, text) in [
        ("bash", "_sentry__edge__mirror()"),
        ("zsh", "#compdef sentry-edge-mirror"),
        ("fish", "complete -c sentry-edge-mirror"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "edit:completion"),
    ] {
        let ran = run(&["completions", shell]);
        assert_eq!(ran.status, 0);
        assert!(
            ran.out.contains(text) && ran.out.contains("explain"),
            "{shell}"
        );
    }
    let script = run(&["completions", "bash"]).out;
    let syntax = std::process::Command::new("bash")
        .args(["-n", "-c", &script])
        .status()
        .unwrap();
    assert!(syntax.success());
}

#[test]
fn the_version_is_the_modules() {
    let ran = run(&["--version"]);
    let version = env!("CARGO_PKG_VERSION");
    assert!(
        ran.out
            .starts_with(&format!("sentry-edge-mirror {version}")),
        "{ran:?}"
    );
}

#[test]
fn standard_input_is_a_file_too() {
    let json = r#"{"rum": {"upstream": "rum", "authority": "a", "default": {"workspace": "w", "service_id": "s"}}}"#;
    let yaml = "rum: {upstream: rum, authority: a, default: {workspace: w, service_id: s}}\n";
    let nginx = format!(
        "location /x {{ proxy_wasm sentry_edge_mirror '{}'; }}",
        json.replacen('{', r#"{"host": "nginx", "#, 1)
            .replace(r#""upstream": "rum""#, r#""upstream": "rum:80""#)
    );
    for text in [json, yaml, &nginx] {
        let ran = run_with(&["check", "-"], &[], text);
        assert_eq!(ran.status, 0, "{ran:?}");
    }
    let ran = run_with(&["check", "-"], &[], "");
    assert_eq!(ran.status, 1, "{ran:?}");
}
