//! `import`: the recipe and its variants. Every result must pass `check`, and `explain` must send a request where nginx
//! would have sent it.

use crate::{Folder, Ran, run, run_with};
use serde_json::{Value, json};

/// The configuration, after `check` has passed it.
fn imported(args: &[&str]) -> (Value, Ran) {
    let ran = run(&[&["import"], args].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let checked = run_with(&["check", "--assume-env", "-"], &[], &ran.out);
    assert_eq!(checked.status, 0, "{checked:?}");
    (serde_json::from_str(&ran.out).unwrap(), ran)
}

/// A configuration with a map of these entries, and lines of the location beyond the usual ones.
fn recipe(entries: &str, location: &str) -> String {
    format!(
        "http {{
    map $request_uri $forwarder_path {{
{entries}
    }}
    server {{
        location ~ ^/api/[1-9]\\d*/ {{ mirror /rum_mirror; }}
        location = /rum_mirror {{
            proxy_pass http://rum.example.com$forwarder_path$request_uri;
            proxy_set_header Host rum.example.com;
            proxy_read_timeout 5s;
            {location}
        }}
    }}
}}"
    )
}

/// `rum` of what was imported, and what was remarked, by line.
fn rum(test: &str, entries: &str, location: &str) -> (Value, Vec<String>) {
    let folder = Folder::new(&format!("import-{test}"));
    let file = folder.file("nginx.conf", &recipe(entries, location));
    let (config, ran) = imported(&[&file]);
    let remarks = ran.err.lines();
    let remarks = remarks.map(|line| line.strip_prefix(&format!("{file}:")).unwrap().to_owned());
    (config["rum"].clone(), remarks.collect())
}

fn has(remarks: &[String], line: usize, text: &str) -> bool {
    let start = format!("{line}: ");
    remarks
        .iter()
        .any(|remark| remark.starts_with(&start) && remark.contains(text))
}

#[test]
fn the_recipe_as_published() {
    let file = "tests/cli/fixtures/recipe/nginx.conf";
    let (config, ran) = imported(&[file]);
    let filled_in = json!({"workspace": "${RUM_WORKSPACE}", "service_id": "${RUM_SERVICE_ID}"});
    assert_eq!(
        config,
        json!({"rum": {"upstream": "rum", "authority": "${RUM_ENDPOINT}", "default": filled_in, "timeout_ms": 5000}})
    );
    for (line, text) in [
        (21, "set the environment variable RUM_ENDPOINT"),
        (25, "set the environment variable RUM_WORKSPACE"),
        (34, "rum.routes: all"),
        (37, "nginx copied every header"),
        (39, "its address is to be ${RUM_ENDPOINT}:80, without TLS"),
        (43, "x-request-id"),
    ] {
        let found = ran
            .err
            .lines()
            .any(|remark| remark.starts_with(&format!("{file}:{line}: ")) && remark.contains(text));
        assert!(found, "{line} {text}: {}", ran.err);
    }
    // Both servers do the same: nothing is lost.
    assert!(!ran.err.contains("not carried over"), "{}", ran.err);

    let (config, _) = imported(&["--host", "nginx", file]);
    assert_eq!(config["host"], "nginx");
    assert_eq!(config["rum"]["upstream"], "${RUM_ENDPOINT}:80");
    assert_eq!(config["rum"]["scheme"], "http");
}

#[test]
fn what_was_imported_sends_requests_where_the_recipe_did() {
    let folder = Folder::new("import-explain");
    let (_, ran) = imported(&["tests/cli/fixtures/recipe/nginx.conf"]);
    let file = folder.file("plugin.json", &ran.out);
    let set = [
        "--env",
        "RUM_ENDPOINT=e.example.com",
        "--env",
        "RUM_WORKSPACE=w",
        "--env",
        "RUM_SERVICE_ID=s@1",
    ];
    let ran = run(&[
        &["explain", &file, "POST", "/api/9/envelope/?sentry_key=k"],
        &set[..],
    ]
    .concat());
    assert!(
        ran.out
            .contains(":path: /rum/sentry/w/s@1/api/9/envelope/?sentry_key=k"),
        "{ran:?}"
    );
    assert!(ran.out.contains(":authority: e.example.com"), "{ran:?}");
}

#[test]
fn only_a_default() {
    let (rum, _) = rum("default", "default /rum/sentry/w/s@1;", "");
    assert_eq!(
        rum,
        json!({"upstream": "rum", "authority": "rum.example.com", "timeout_ms": 5000,
            "default": {"workspace": "w", "service_id": "s@1"}})
    );
}

#[test]
fn regular_expressions_in_nginxs_order_and_exact_entries() {
    let (rum, remarks) = rum(
        "regex",
        r#""~^/api/1/envelope/" /rum/sentry/w/one;
        ~^/api/(2|3)/ /rum/sentry/w/two_three;
        "~*^/API/[34]/envelope" '/rum/sentry/w/four';
        ~^/api/5/envelope/$ /rum/sentry/w/five;
        ~^/api/6/store/ /rum/sentry/w/six;
        ~^/api/7 /rum/sentry/w/seven;
        ~^/api/(?=8/)8/ /rum/sentry/w/eight;
        ~^/api/9/ /rum/sentry/$1/nine;
        /api/10/envelope/ /rum/sentry/w/ten;
        /api/1/envelope/ /rum/sentry/w/never;
        /api/11/store/ /rum/sentry/w/eleven;
        ~^/api/12/ "";
        ~^/api/13/ /elsewhere;
        ~^/api/14/ /rum/sentry/w/fourteen/;
        default /rum/sentry/w/rest;"#,
        "",
    );
    let service = |id: &str| rum["projects"][id]["service_id"].as_str();
    for (id, expected) in [
        ("1", Some("one")),
        ("2", Some("two_three")),
        ("3", Some("two_three")),
        ("4", Some("four")),
        ("5", Some("five")),
        ("6", None),
        ("7", None),
        ("8", Some("eight")),
        ("9", None),
        ("10", Some("ten")),
        ("11", None),
        ("13", None),
        ("14", Some("fourteen")),
    ] {
        assert_eq!(service(id), expected, "{id}");
    }
    assert_eq!(rum["exclude"], json!([9, 12, 13]));
    assert_eq!(rum["default"]["service_id"], "rest");
    for (line, text) in [
        (6, "left out requests with a query"),
        (7, "not carried over: no envelope request matches"),
        (
            8,
            "not carried over: it matches 11111 of the projects 1 to 99999 (7, 70, 71, 72, ...)",
        ),
        (10, "got \"/rum/sentry//nine\": now they are not copied"),
        (11, "now every envelope of project 10"),
        (13, "not carried over: it is no envelope request"),
        (14, "now they are not copied (rum.exclude has 12)"),
        (15, "got \"/elsewhere\": now they are not copied"),
        (16, "slash at the end"),
    ] {
        assert!(has(&remarks, line, text), "{line} {text}: {remarks:#?}");
    }
    assert!(has(&remarks, 3, "requests without a query"), "{remarks:#?}");
    assert!(
        !remarks.iter().any(|remark| remark.starts_with("4: ")),
        "{remarks:#?}"
    );
}

#[test]
fn an_expression_for_every_project_is_the_default() {
    let (rum, remarks) = rum(
        "all",
        r"~^/api/1/ /rum/sentry/w/one;
        ~^/api/\d+/envelope/ /rum/sentry/w/all;
        ~^/api/2/ /rum/sentry/w/never;
        default /rum/sentry/w/rest;",
        "",
    );
    assert_eq!(rum["default"]["service_id"], "all");
    assert_eq!(
        rum["projects"],
        json!({"1": {"workspace": "w", "service_id": "one"}})
    );
    assert!(has(&remarks, 5, "never had an effect"), "{remarks:#?}");
    assert!(has(&remarks, 6, "never had an effect"), "{remarks:#?}");
}

#[test]
fn without_a_default_only_the_listed_projects() {
    let (rum, remarks) = rum("none", "~^/api/1/ /rum/sentry/w/one;\n~^/api/2/ '';", "");
    assert_eq!(rum.get("default"), None);
    assert_eq!(rum.get("exclude"), None);
    assert!(
        has(
            &remarks,
            2,
            "projects that are not in rum.projects are not copied"
        ),
        "{remarks:#?}"
    );
}

#[test]
fn includes_quotes_and_comments() {
    let (config, ran) = imported(&["tests/cli/fixtures/included/nginx.conf"]);
    let web = json!({"workspace": "shop", "service_id": "web@1"});
    assert_eq!(
        config,
        json!({"rum": {"upstream": "rum", "authority": "rum.example.com", "timeout_ms": 60000,
            "projects": {"11": web, "12": web}, "default": {"workspace": "shop", "service_id": "rest@0"}}})
    );
    assert!(
        ran.err
            .contains("conf.d/10-upstream.conf:3: not carried over: one server is taken")
    );
    assert!(
        ran.err
            .contains("its address is to be rum.example.com:8443, with TLS")
    );
    let (config, _) = imported(&["--host", "nginx", "tests/cli/fixtures/included/nginx.conf"]);
    assert_eq!(config["rum"]["upstream"], "rum.example.com:8443");
    assert_eq!(config["rum"]["scheme"], "https");
}

#[test]
fn what_the_location_says_beyond_the_recipe() {
    let (_, remarks) = rum(
        "location",
        "default /rum/sentry/w/s;",
        "proxy_set_header X-Tenant t;\n proxy_ssl_verify on;\n proxy_send_timeout 2d;",
    );
    assert!(has(
        &remarks,
        11,
        "not carried over: proxy_set_header X-Tenant t"
    ));
    assert!(has(&remarks, 12, "not carried over: proxy_ssl_verify on"));
    assert!(
        has(&remarks, 13, "not carried over: proxy_send_timeout 2d"),
        "{remarks:#?}"
    );
}

#[test]
fn without_a_recipe_there_is_nothing_to_import() {
    let folder = Folder::new("import-nothing");
    for (text, message) in [
        (
            "http { server { location / { proxy_pass http://a$request_uri; } } }",
            "whose `mirror` leads to RUM",
        ),
        (
            // What is left of a recipe that was switched off.
            "http { server { location / { proxy_pass http://a; }
             location /m { proxy_pass http://b/rum/sentry/w/s$request_uri; } } }",
            "whose `mirror` leads to RUM",
        ),
        ("http {", "expected the `}` of `http`"),
        (
            // A name that no path can hold: the core's own verdict.
            "location /m { proxy_pass http://a.example.com/rum/sentry/w%20/s$request_uri; }",
            "rum.default.workspace: expected letters",
        ),
    ] {
        let file = folder.file("nginx.conf", text);
        let ran = run(&["import", &file]);
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
        assert!(ran.err.contains(message), "{ran:?}");
    }
}
