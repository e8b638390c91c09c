//! `explain`: what the core does with a request, as it is printed.

use crate::{Folder, run};

const CONFIG: &str = r#"{"rum": {"upstream": "rum", "authority": "rum.example.com", "exclude": [7],
    "projects": {"42": {"workspace": "shop", "service_id": "web@1"},
                 "43": {"workspace": "shop", "service_id": "api@2", "upstream": "other", "authority": "o.example.com"}}},
    "limits": {"max_body_bytes": 10}}"#;

fn explain(test: &str, args: &[&str]) -> Vec<String> {
    let folder = Folder::new(&format!("explain-{test}"));
    let file = folder.file("plugin.json", CONFIG);
    let ran = run(&[&["explain", &file], args].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let mut lines = ran.lines().into_iter().map(|line| line.trim().to_owned());
    assert_eq!(
        lines.next().unwrap(),
        format!("{file}:1: plugin configuration, host envoy, mode tee")
    );
    lines.collect()
}

#[test]
fn a_copy_with_its_headers() {
    let lines = explain(
        "copy",
        &[
            "POST",
            "/api/42/envelope/?sentry_key=abc",
            "-H",
            "User-Agent: sdk/1",
            "-H",
            "Cookie: session=secret",
            "-H",
            "X-Forwarded-For: 198.51.100.1",
            "-d",
            "{}",
        ],
    );
    assert_eq!(
        lines,
        [
            "to upstream rum, timeout 5000 ms:",
            ":method: POST",
            ":path: /rum/sentry/shop/web@1/api/42/envelope/?sentry_key=abc",
            ":authority: rum.example.com",
            "x-sentry-edge-mirror: 1",
            "user-agent: sdk/1",
            "x-forwarded-for: 198.51.100.1",
            "body: 2 bytes as received",
            "stays behind: Cookie",
            "counted: rum.captured +1",
        ]
    );
    let lines = explain(
        "other",
        &["POST", "/api/43/envelope/", "--peer", "[2001:db8::7]:9"],
    );
    assert_eq!(lines[0], "to upstream other, timeout 5000 ms:");
    assert!(lines.contains(&":authority: o.example.com".to_owned()));
    assert!(lines.contains(&"x-forwarded-for: 2001:db8::7".to_owned()));
}

#[test]
fn every_skip_by_the_name_of_its_metric() {
    for (reason, args) in [
        ("route", &["POST", "/api/42/store/"][..]),
        ("route", &["PUT", "/api/42/envelope/"]),
        ("excluded", &["POST", "/api/7/envelope/"]),
        ("unmapped", &["POST", "/api/8/envelope/"]),
        ("loop", &["POST", "/rum/sentry/w/s/api/42/envelope/"]),
        (
            "loop",
            &["POST", "/api/42/envelope/", "-H", "X-Sentry-Edge-Mirror: 1"],
        ),
        (
            "too_large",
            &["POST", "/api/42/envelope/", "-d", "12345678901"],
        ),
        (
            "too_large",
            &["POST", "/api/42/envelope/", "-H", "Content-Length: 11"],
        ),
    ] {
        let lines = explain("skip", args);
        assert!(
            lines[0].starts_with(&format!("rum: skipped, {reason}: "))
                && lines[0].ends_with(&format!("(counted as rum.skipped.{reason})")),
            "{lines:?}"
        );
        assert!(!lines.iter().any(|line| line.starts_with("to upstream")));
    }
    for args in [&["GET", "/"], &["OPTIONS", "/api/42/envelope/"]] {
        let lines = explain("other-traffic", args);
        assert_eq!(
            lines,
            ["no ingest request: it passes, nothing is copied, nothing is counted"]
        );
    }
}

#[test]
fn in_nginx_the_call_leaves_on_a_tick() {
    let ran = run(&["explain", "nginx/tee.conf", "POST", "/api/1/envelope/"]);
    assert_eq!(ran.status, 0);
    assert!(
        ran.out
            .contains("to upstream rum.example.com:443 by https, timeout 5000 ms:"),
        "{ran:?}"
    );
}

#[test]
fn every_configuration_of_the_file_and_none_that_is_bad() {
    let ran = run(&[
        "explain",
        "envoy/tee-lds/bootstrap.yaml",
        "POST",
        "/api/1/envelope/",
    ]);
    assert!(
        ran.out
            .contains(":path: /rum/sentry/shop/web@aaaa1111/api/1/envelope/"),
        "{ran:?}"
    );
    let ran = run(&[
        "explain",
        "tests/cli/fixtures/check/bad.yaml",
        "POST",
        "/api/1/envelope/",
    ]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.out.contains(":24: rum.authority: ") && !ran.out.contains("to upstream"),
        "{ran:?}"
    );
    assert!(ran.out.contains("--env NAME=VALUE"), "{ran:?}");
}

#[test]
fn header_values_cannot_write_to_the_terminal() {
    let lines = explain(
        "escape",
        &["POST", "/api/42/envelope/", "-H", "User-Agent: a\u{1b}[2Jb"],
    );
    assert!(
        lines.contains(&r"user-agent: a\u{1b}[2Jb".to_owned()),
        "{lines:?}"
    );
}

const BOTH: &str = r#"{"rum": {"upstream": "rum", "authority": "rum.example.com", "default": {"workspace": "w", "service_id": "s"}},
    "sls": {"upstream": "sls", "endpoint": "cn-hangzhou.log.aliyuncs.com", "project": "logs", "logstore": "sentry",
            "credential": CREDENTIAL}}"#;

#[test]
fn both_legs_and_no_secret() {
    let folder = Folder::new("explain-both");
    let key = r#"{"access_key_id": "${ID}", "access_key_secret": "${SECRET}", "security_token": "${TOKEN}"}"#;
    let file = folder.file("plugin.json", &BOTH.replace("CREDENTIAL", key));
    let args = [
        "explain",
        &file,
        "POST",
        "/api/1/envelope/",
        "-H",
        "Authorization: Basic dTpw",
    ];
    let event = "{}\n{\"type\":\"event\"}\n{\"message\":\"hello\"}\n";
    let set = [
        "-d",
        event,
        "--env",
        "ID=the-id",
        "--env",
        "SECRET=the-secret",
        "--env",
        "TOKEN=the-token",
    ];
    let ran = run(&[&args[..], &set[..]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    for line in [
        "to upstream rum, ",
        "to upstream sls, ",
        ":path: /logstores/sentry/shards/lb",
        ":authority: logs.cn-hangzhou.log.aliyuncs.com",
        "authorization: (hidden)",
        "x-acs-security-token: (hidden)",
        "stays behind: Authorization",
        "counted: rum.captured +1",
        "counted: sls.captured +1",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert!(!ran.out.contains("the-"), "{}", ran.out);

    let unset = run(&args);
    assert_eq!(unset.status, 1);
    assert!(
        unset
            .out
            .contains(":3: sls.credential.access_key_secret: environment variable SECRET"),
        "{unset:?}"
    );
    let ran = run(&["check", "--assume-env", &file]);
    assert_eq!((ran.status, ran.lines().len()), (0, 4), "{ran:?}");

    let ran = run(&[
        "explain",
        &file,
        "POST",
        "/api/1/store/",
        "--env",
        "ID=i",
        "--env",
        "SECRET=s",
        "--env",
        "TOKEN=t",
    ]);
    assert!(
        ran.out.contains("sls: skipped, route: ") && ran.out.contains("rum: skipped, route: "),
        "{ran:?}"
    );
}

#[test]
fn the_key_of_a_ram_role_is_not_asked_for() {
    let folder = Folder::new("explain-role");
    let role = r#"{"ecs_ram_role": {"upstream": "metadata"}}"#;
    let file = folder.file("plugin.json", &BOTH.replace("CREDENTIAL", role));
    let ran = run(&["explain", &file, "POST", "/api/1/envelope/"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(
        ran.out
            .contains("RAM role is first asked for at upstream metadata"),
        "{ran:?}"
    );
    assert!(
        ran.out.contains("to upstream sls, ") && !ran.out.contains("to upstream metadata"),
        "{ran:?}"
    );
    assert!(ran.out.contains("none was given"), "{ran:?}");
}

#[test]
fn a_write_in_mode_sign_is_shown_signed_or_answered() {
    let explain = |target: &str, more: &[&str]| {
        let mut args = vec!["explain", "--env", "SLS_ACCESS_KEY_ID=LTAIhidden"];
        args.extend([
            "--env",
            "SLS_ACCESS_KEY_SECRET=hunter2",
            "envoy/sign.yaml",
            "POST",
            target,
        ]);
        args.extend(more);
        let ran = run(&args);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(
            !ran.out.contains("LTAIhidden") && !ran.out.contains("hunter2"),
            "{ran:?}"
        );
        ran.out
    };
    let out = explain(
        "/logstores/app-log",
        &["-d", "body", "-H", "Authorization: LOG theirs"],
    );
    for line in [
        "goes on to the proxy's route, signed:",
        ":authority: my-log-project.cn-hangzhou.log.aliyuncs.com",
        ":path: /logstores/app-log",
        "x-log-bodyrawsize: 4",
        "authorization: (hidden)",
        "body: 4 bytes as received",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(!out.contains("theirs"), "{out}");
    let out = explain("/logstores/other", &[]);
    assert!(out.contains("answered here: 403 Forbidden: "), "{out}");
    assert!(out.contains("(counted as sign.denied.forbidden)"), "{out}");
}

#[test]
fn an_absolute_target_and_a_host_header_say_the_host() {
    let folder = Folder::new("explain-host");
    for host in ["envoy", "nginx"] {
        let upstream = if host == "nginx" { "rum:80" } else { "rum" };
        let text = format!(
            r#"{{"host": "{host}", "hosts": ["s.example"], "rum": {{"upstream": "{upstream}", "authority": "a", "default": {{"workspace": "w", "service_id": "s"}}}}}}"#
        );
        let file = folder.file("plugin.json", &text);
        let path = ":path: /rum/sentry/w/s/api/1/envelope/?x\n";
        for (target, header, copied) in [
            (
                "http://s.example:80/api/1/envelope/?x",
                "Host: other.example",
                true,
            ),
            (
                "http://other.example/api/1/envelope/?x",
                "Host: s.example",
                false,
            ),
            ("/api/1/envelope/?x", "Host: s.example", true),
            ("/api/1/envelope/?x", "Host: other.example", false),
        ] {
            let ran = run(&["explain", &file, "POST", target, "-H", header, "-d", "{}"]);
            assert_eq!(
                ran.out.contains(path),
                copied,
                "{host} {target} {header} {ran:?}"
            );
            assert_eq!(ran.out.contains("rum.skipped.host"), !copied, "{ran:?}");
        }
    }
}

#[test]
fn the_peer_is_appended_as_the_proxy_does_it() {
    let folder = Folder::new("explain-peer");
    let text = std::fs::read_to_string(crate::root().join("envoy/tee.yaml")).unwrap();
    let told = folder.file("told.yaml", &text);
    let trusting = folder.file(
        "trusting.yaml",
        &text.replace("use_remote_address: true", "use_remote_address: false"),
    );
    for (file, chain) in [(&told, "1.2.3.4,192.0.2.7"), (&trusting, "1.2.3.4")] {
        let args = ["explain", file, "POST", "/api/1/envelope/", "-d", "{}"];
        let more = ["-H", "X-Forwarded-For: 1.2.3.4", "--peer", "192.0.2.7:5000"];
        let ran = run(&[&args[..], &more[..]].concat());
        assert!(
            ran.out.contains(&format!("x-forwarded-for: {chain}\n")),
            "{ran:?}"
        );
        let ran = run(&[&args[..], &more[2..]].concat());
        assert!(ran.out.contains("x-forwarded-for: 192.0.2.7\n"), "{ran:?}");
    }
}

#[test]
fn the_logs_of_a_request_are_shown_with_their_fields() {
    let folder = Folder::new("explain-logs");
    let file = folder.file(
        "plugin.json",
        &BOTH.replace(
            "CREDENTIAL",
            r#"{"access_key_id": "i", "access_key_secret": "s"}"#,
        ),
    );
    let body = "{\"event_id\":\"9ec79c33ec9942ab8353589fcb2e04dc\"}\n{\"type\":\"event\"}\n{\"message\":\"hello\",\"level\":\"error\"}\n{\"type\":\"session\"}\n{\"sid\":\"1\"}\n";
    let ran = run(&["explain", &file, "POST", "/api/7/envelope/", "-d", body]);
    assert_eq!(ran.status, 0, "{ran:?}");
    for line in [
        "  log 1 of 2, at ",
        "  log 2 of 2, at ",
        "    sentry.project_id: 7",
        "    sentry.item_type: event",
        "    sentry.message: hello",
        "    event_id: 9ec79c33ec9942ab8353589fcb2e04dc",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
}

#[test]
fn what_a_rule_does() {
    let shown = |rules: &str, body: &str| -> Vec<String> {
        let folder = Folder::new("explain-rules");
        let file = folder.file(
            "plugin.json",
            &CONFIG
                .replace(r#""exclude": [7],"#, &format!("{rules},"))
                .replace(": 10}", ": 1000}"),
        );
        let ran = run(&[
            "explain",
            &file,
            "POST",
            "/api/42/envelope/",
            "-H",
            "X-Forwarded-For: 198.51.100.1",
            "-d",
            body,
        ]);
        assert_eq!(ran.status, 0, "{ran:?}");
        let lines = ran.lines().into_iter();
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let envelope = "{\"event_id\":\"771a43a4192642f0b136d5159a501700\"}\n{\"type\":\"event\"}\n{}\n{\"type\":\"log\"}\n{}\n";
    let has = |lines: &[String], line: &str| {
        assert!(lines.iter().any(|known| known == line), "{lines:#?}");
    };
    let lines = shown(r#""sample": 0.1"#, envelope);
    has(
        &lines,
        "rum: skipped, sampled: its trace is not in the project's sample (rum.sample) (counted as rum.skipped.sampled)",
    );
    let lines = shown(r#""items": ["event"], "client_ip": "truncated""#, envelope);
    has(&lines, "x-forwarded-for: 198.51.100.0");
    has(&lines, "stays behind: X-Forwarded-For");
    has(&lines, "body: 68 bytes, made of the request's");
    let lines = shown(r#""items": ["transaction"]"#, envelope);
    has(
        &lines,
        "rum: skipped, items: no item of the envelope goes (rum.items), or it cannot be read (counted as rum.skipped.items)",
    );
    let lines = shown(
        r#""only_accepted": true, "rate": {"copies_per_s": 1}"#,
        envelope,
    );
    has(&lines, "counted: rum.captured +1");
}
