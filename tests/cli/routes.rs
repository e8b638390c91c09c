//! `check` and `explain` on a filter that is disabled and turned on by routes, as in the samples.

use crate::{Folder, root, run};

const ON: &str = "sentry_edge_mirror: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, config: {} }";

/// A sample with something in place of something else, checked: status, and the notes.
fn check(test: &str, sample: &str, changes: &[(&str, &str)]) -> (i32, Vec<String>) {
    let folder = Folder::new(&format!("routes-{test}"));
    let mut text = std::fs::read_to_string(root().join(sample)).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    let file = folder.file("edge.yaml", &text);
    let ran = run(&["check", &file]);
    let notes = ran.lines().into_iter();
    let notes = notes.filter(|line| line.contains(": note: "));
    let place = format!("{file}:");
    let notes = notes.map(|line| line.strip_prefix(&place).unwrap().to_owned());
    (ran.status, notes.collect())
}

fn line(sample: &str, what: &str) -> usize {
    let text = std::fs::read_to_string(root().join(sample)).unwrap();
    let at = text.lines().position(|line| line.trim_start() == what);
    at.unwrap() + 1
}

#[test]
fn a_sample_has_nothing_to_note() {
    for sample in ["envoy/tee.yaml", "envoy/tee-lds/listeners/edge.yaml"] {
        assert_eq!(check("sample", sample, &[]), (0, vec![]), "{sample}");
    }
}

#[test]
fn a_filter_that_no_route_turns_on() {
    const NOTE: &str = "note: disabled: true, and no route turns the filter on (typed_per_filter_config): \
                        the module sees no request, nothing is mirrored";
    for sample in ["envoy/tee.yaml", "envoy/tee-lds/listeners/edge.yaml"] {
        let expected = format!("{}: {NOTE}", line(sample, "disabled: true"));
        // Another filter, and switched off as envoy/updates.md says. Each is valid: it may be meant.
        let another = ON.replace("sentry_edge_mirror", "another");
        let off = ON.replace("config: {}", "disabled: true");
        for to in [another, off] {
            let (status, notes) = check("nowhere", sample, &[(ON, &to)]);
            assert_eq!((status, notes), (0, vec![expected.clone()]), "{to}");
        }
    }
}

#[test]
fn routes_that_turn_it_on_elsewhere() {
    let sample = "envoy/tee.yaml";
    let place = line(sample, "disabled: true");
    let rum = "                            rum:\n";
    let dsn_path = format!("                            dsn_path: /sentry\n{rum}");
    let with_path = [(rum, dsn_path.as_str())];
    assert_eq!(check("anywhere", sample, &with_path), (0, vec![]));
    // Without the route that takes what is behind a path.
    let prefix = "safe_regex: { regex: '/.*/api/.*' }";
    let with_path = [with_path[0], (prefix, "prefix: /other/")];
    let expected = format!(
        "{}: note: disabled: true, and no route turns the filter on for /sentry/api/: nothing is mirrored there",
        place
    );
    assert_eq!(check("path", sample, &with_path), (0, vec![expected]));
    let route = "- match: { prefix: /api/ }";
    let route_of_path = (route, "- match: { prefix: /sentry/api/ }");
    let both = [with_path[0], with_path[1], route_of_path];
    assert_eq!(check("both", sample, &both), (0, vec![]));
    let without = [with_path[1], route_of_path];
    let (status, notes) = check("without", sample, &without);
    assert_eq!((status, notes.len()), (0, 1), "{notes:?}");
    assert!(notes[0].ends_with("for /api/: nothing is mirrored there"));
    // The catch-all stands first.
    let first = "- { match: { prefix: / }, route: { cluster: primary } }\n                        ";
    let (status, notes) = check("first", sample, &[(route, &format!("{first}{route}"))]);
    assert_eq!((status, notes.len()), (0, 1), "{notes:?}");
}

#[test]
fn a_request_that_the_module_does_not_see() {
    const UNSEEN: &str = "  it passes: no route turns the filter on for this path (disabled: true), so the module does not see it";
    for (method, target, seen) in [
        ("GET", "/organizations/", false),
        ("POST", "/sentry/api/1/envelope/", true),
        ("POST", "http://sentry.example.com/x/", false),
        ("POST", "/api/1/envelope/", true),
        ("POST", "//api/1/envelope/", true),
        ("GET", "/api/0/projects/", false),
        ("OPTIONS", "/api/1/envelope/", true),
        ("POST", "/rum/sentry/a/b/api/1/envelope/", true),
    ] {
        let ran = run(&["explain", "envoy/tee.yaml", method, target]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert_eq!(ran.lines().contains(&UNSEEN), !seen, "{ran:?}");
        assert!(seen || ran.lines().len() == 2, "{ran:?}");
    }
}
