//! `import` never mirrors more than the recipe did: what nginx keeps from the mirror is in `rum.exclude`, or nothing is printed.
//! tests/e2e/test_import.py asks the real nginx the same of every recipe here that is in its list.

use crate::{Folder, Ran, run};
use serde_json::{Value, json};

/// The rules of one server, beside the mirror's location and the default.
pub(crate) fn import(name: &str, text: &str, more: &[&str]) -> Ran {
    let folder = Folder::new(&format!("import-safely-{name}"));
    let file = folder.file("nginx.conf", text);
    run(&[&["import", &file], more].concat())
}

/// What was printed, which must be a configuration.
pub(crate) fn config(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

pub(crate) const MIRROR: &str =
    "location = /m { internal; proxy_pass http://rum.example.com$prefix$request_uri;
    proxy_set_header Host rum.example.com; }";
pub(crate) const MAP: &str =
    "map $request_uri $prefix { ~^/api/1/ /rum/sentry/w/one; default /rum/sentry/w/rest; }";

pub(crate) fn server(rules: &str) -> String {
    format!("http {{ {MAP} server {{ listen 80; {MIRROR}\n{rules} }} }}")
}

#[derive(Debug)]
enum Expected {
    /// `rum.exclude`, beside project 1 and the default.
    Excluded(Value),
    /// Only these projects are copied.
    Only(&'static [&'static str]),
    /// Why nothing is printed.
    Problem(&'static str),
}
use Expected::{Excluded, Only, Problem};

fn recipes() -> Vec<(&'static str, &'static str, Expected)> {
    vec![
        ("all", "location / { mirror /m; proxy_pass http://relay; }", Excluded(Value::Null)),
        (
            "off",
            "mirror /m; location / { proxy_pass http://relay; } location ^~ /api/7/ { mirror off; proxy_pass http://relay; }",
            Excluded(json!([7])),
        ),
        (
            "another-location",
            "location ~ ^/api/[1-9]\\d*/ { mirror /m; proxy_pass http://relay; } location ^~ /api/7/ { proxy_pass http://relay; }
             location = /api/8/envelope/ { proxy_pass http://relay; }",
            Excluded(json!([7, 8])),
        ),
        (
            // Without `^~` the expression wins over the prefix, and the first expression over the next one.
            "order",
            "location ~ ^/api/(5|6)/ { proxy_pass http://relay; } location ~ ^/api/[1-9]\\d*/ { mirror /m; proxy_pass http://relay; }
             location /api/7/ { proxy_pass http://relay; } location ~ ^/api/9/ { proxy_pass http://relay; }",
            Excluded(json!([5, 6])),
        ),
        (
            "nested",
            "location /api/ { mirror /m; proxy_pass http://relay; location ~ ^/api/3/ { mirror off; proxy_pass http://relay; }
             location /api/4/ { proxy_pass http://relay; } }",
            Excluded(json!([3])),
        ),
        (
            "refused",
            "location /api/ { mirror /m; proxy_pass http://relay; } location /api/7/ { return 403; }
             location /api/8/ { mirror /m; deny all; proxy_pass http://relay; }",
            Excluded(json!([7, 8])),
        ),
        (
            "if",
            "if ($request_uri ~ ^/api/7/) { return 403; } location /api/ { if ($uri ~* ^/API/8/) { return 444; }
             mirror /m; proxy_pass http://relay; }",
            Excluded(json!([7, 8])),
        ),
        (
            "rewritten-away",
            "location /api/ { rewrite ^/api/7/ /quiet last; mirror /m; proxy_pass http://relay; }
             location /quiet { proxy_pass http://relay; }",
            Excluded(json!([7])),
        ),
        (
            "named",
            "location /api/ { mirror /m; proxy_pass http://relay; } location /api/7/ { try_files $uri @quiet; }
             location /api/8/ { try_files $uri @loud; } location /api/9/ { error_page 418 = @quiet; return 418; }
             location @quiet { proxy_pass http://relay; } location @loud { mirror /m; proxy_pass http://relay; }",
            Excluded(json!([7, 9])),
        ),
        (
            "only-some",
            "location ~ ^/api/(1|2)/ { mirror /m; proxy_pass http://relay; } location / { proxy_pass http://relay; }",
            Only(&["1", "2"]),
        ),
        (
            "look-around",
            "location ~ ^/api/(?!7/)\\d+/ { mirror /m; proxy_pass http://relay; } location / { proxy_pass http://relay; }",
            Excluded(json!([7])),
        ),
        (
            "without-end",
            "location /api/ { mirror /m; proxy_pass http://relay; } location ^~ /api/7 { proxy_pass http://relay; }",
            Problem("it keeps 11111 of the projects 1 to 99999 (7, 70, 71, 72, ...) and more from the mirror"),
        ),
        (
            "unreadable",
            "location ~ ^/api/(*COMMIT)7/ { proxy_pass http://relay; } location ~ ^/api/ { mirror /m; proxy_pass http://relay; }",
            Problem("its regular expression cannot be read"),
        ),
        (
            "by-header",
            "location /api/ { if ($http_x_secret) { rewrite ^ /quiet last; } mirror /m; proxy_pass http://relay; }
             location /quiet { proxy_pass http://relay; }",
            Problem("whether a request is mirrored depends on $http_x_secret"),
        ),
        (
            "nowhere",
            "location / { mirror off; proxy_pass http://relay; }",
            Problem("whose `mirror` leads to RUM"),
        ),
    ]
}

#[test]
fn what_nginx_keeps_from_the_mirror_stays_where_it_is() {
    for (name, rules, expected) in recipes() {
        let ran = import(name, &server(rules), &[]);
        match &expected {
            Problem(why) => {
                assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{name}: {ran:?}");
                assert!(ran.err.contains(why), "{name}: {}", ran.err);
            }
            Excluded(ids) => {
                let config: Value =
                    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{name}: {ran:?}"));
                assert_eq!(config["rum"]["exclude"], *ids, "{name}: {ran:?}");
                assert_eq!(config["rum"]["default"]["service_id"], "rest", "{name}");
                assert_eq!(
                    config["rum"]["projects"]["1"]["service_id"], "one",
                    "{name}"
                );
            }
            Only(ids) => {
                let config: Value =
                    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{name}: {ran:?}"));
                assert_eq!(config["rum"].get("default"), None, "{name}");
                let projects: Vec<&String> = config["rum"]["projects"]
                    .as_object()
                    .unwrap()
                    .keys()
                    .collect();
                assert_eq!(projects, *ids, "{name}");
            }
        }
    }
}

#[test]
fn a_map_that_sends_nothing_and_a_mirror_that_ends() {
    for (name, map, mirror, exclude) in [
        (
            "empty",
            "~^/api/7/ ''; default /rum/sentry/w/rest;",
            "",
            json!([7]),
        ),
        (
            "stopped",
            "~^/api/7/ off; default /rum/sentry/w/rest;",
            "if ($prefix = off) { return 204; }",
            json!([7]),
        ),
        (
            "elsewhere",
            "~^/api/7/ /other; /API/8/envelope/ ''; default /rum/sentry/w/rest;",
            "",
            json!([7, 8]),
        ),
    ] {
        let text = format!(
            "http {{ map $request_uri $prefix {{ {map} }} server {{ location / {{ mirror /m; proxy_pass http://relay; }}
             location = /m {{ {mirror} proxy_pass http://rum.example.com$prefix$request_uri; }} }} }}"
        );
        let ran = import(name, &text, &[]);
        let config: Value =
            serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{name}: {ran:?}"));
        assert_eq!(config["rum"]["exclude"], exclude, "{name}: {ran:?}");
    }
}

#[test]
fn maps_in_a_row_and_what_they_cannot_know() {
    let import = |name: &str, maps: &str| {
        let text = format!(
            "http {{ {maps} server {{ {MIRROR} location / {{ mirror /m; proxy_pass http://relay; }} }} }}"
        );
        import(name, &text, &[])
    };
    let ran = import(
        "two-steps",
        "map $request_uri $id { ~^/api/(?<number>\\d+)/ $number; } map $id $prefix { 1 /rum/sentry/w/one; ~^(20|21)$ /rum/sentry/w/two;
         7 ''; default /rum/sentry/w/rest; }",
    );
    let config: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    let service = |id: &str| config["rum"]["projects"][id]["service_id"].as_str();
    assert_eq!(
        [service("1"), service("20"), service("21")],
        [Some("one"), Some("two"), Some("two")]
    );
    assert_eq!(config["rum"]["exclude"], json!([7]));
    assert_eq!(config["rum"]["default"]["service_id"], "rest");

    // In the subrequest $uri is /m.
    let ran = import(
        "uri",
        "map $uri $prefix { ~^/api/1/ /rum/sentry/w/one; default /rum/sentry/w/rest; }",
    );
    let config: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(config["rum"].get("projects"), None, "{ran:?}");
    assert!(
        ran.err
            .contains("in a mirror subrequest $uri is the mirror's own location"),
        "{}",
        ran.err
    );

    for (name, maps, why) in [
        (
            "host",
            "map $host $prefix { a /rum/sentry/w/a; default /rum/sentry/w/rest; }",
            "where the copy goes depends on $host, which the map of $prefix looks up",
        ),
        (
            "two-steps-unknown",
            "map $http_x_tenant $tenant { default a; b b; } map $tenant $prefix { b /rum/sentry/w/b; default /rum/sentry/w/rest; }",
            "$http_x_tenant, which the map of $tenant looks up",
        ),
        (
            "sampled",
            "split_clients $request_id $prefix { 10% /rum/sentry/w/s; * ''; }",
            "where the copy goes depends on $prefix (split_clients)",
        ),
    ] {
        let ran = import(name, maps);
        assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{name}: {ran:?}");
        assert!(ran.err.contains(why), "{name}: {}", ran.err);
    }
}

#[test]
fn servers_must_agree_or_be_named() {
    let one = |head: &str, host: &str, mirror: &str| {
        format!(
            "server {{ {head} location /api/ {{ {mirror} proxy_pass http://relay; }}
             location = /m {{ proxy_pass https://{host}/rum/sentry/w/s$request_uri; }} }}\n"
        )
    };
    let http = |servers: &[String]| format!("http {{\n{}}}\n", servers.concat());
    let a = one(
        "listen 80; server_name sentry.example.com;",
        "a.example.com",
        "mirror /m;",
    );
    let same = one("listen 81;", "a.example.com", "mirror /m;");
    let different = one(
        "listen 82; server_name other.example.com;",
        "b.example.com",
        "mirror /m;",
    );
    let silent = one(
        "listen [::]:443 ssl default_server; server_name internal.example.com;",
        "a.example.com",
        "",
    );
    let redirect = "server { listen 8080; return 301 https://$host$request_uri; }\n".to_owned();

    let ran = import("same", &http(&[a.clone(), same, redirect]), &[]);
    assert_eq!(ran.status, 0, "{ran:?}");

    let both = http(&[a.clone(), different]);
    let ran = import("different", &both, &[]);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.err
            .contains("another way for other.example.com port 82"),
        "{}",
        ran.err
    );
    let ran = import("different-named", &both, &["--server", "OTHER.example.com"]);
    let config: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(config["rum"]["authority"], "b.example.com:443");
    assert!(
        ran.err
            .contains("--server leaves out sentry.example.com port 80"),
        "{}",
        ran.err
    );

    let partly = http(&[a, silent]);
    let ran = import("silent", &partly, &[]);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(
        ran.err
            .contains("got internal.example.com port 443, whose envelopes go on without a copy"),
        "{}",
        ran.err
    );
    let ran = import("silent-named", &partly, &["--server", "80"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let ran = import("nobody", &partly, &["--server", "90"]);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
}

#[test]
fn a_server_that_is_down_gets_nothing() {
    let upstream = |servers: &str| {
        server("location / { mirror /m; proxy_pass http://relay; }").replacen(
            "http {",
            &format!("http {{ upstream rum.example.com {{ {servers} }}"),
            1,
        )
    };
    let ran = import(
        "down",
        &upstream("server a:1 down; server b:2 backup; server c:3 weight=2;"),
        &["--host", "nginx"],
    );
    let config: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    assert_eq!(config["rum"]["upstream"], "c:3");
    assert!(ran.err.contains("this server is down"), "{}", ran.err);
    let ran = import("all-down", &upstream("server a:1 down;"), &[]);
    assert_eq!((ran.status, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("nothing was mirrored"), "{}", ran.err);
}

#[test]
fn projects_with_a_target_of_their_own() {
    let rules = "location / { mirror /m; proxy_pass http://relay; } location /api/9/ { mirror /n; proxy_pass http://relay; }
        location = /n { proxy_pass http://own.example.com/rum/sentry/x/y$request_uri; proxy_set_header Host own.example.com; }";
    let ran = import("own", &server(rules), &[]);
    let config: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    let own = json!({"workspace": "x", "service_id": "y", "upstream": "rum_2", "authority": "own.example.com"});
    assert_eq!(config["rum"]["projects"]["9"], own);
    assert!(
        ran.err.contains("a further cluster \"rum_2\" is needed"),
        "{}",
        ran.err
    );
}
