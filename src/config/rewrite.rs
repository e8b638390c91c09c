//! What mode `rewrite` adds to the configuration, and what it rules out.
//!
//! A request forwarded in place goes where the proxy's own route leads. So an upstream set here would have no effect. Nor
//! would a project's own authority on nginx, where a filter cannot set Host (manual: hosts, "Removed headers are still
//! sent").

use super::reader::{Field, Object, Reader};
use super::{HostKind, Mode};

/// Reads `fast_ack` and completes the mode with it.
pub(super) fn read(
    reader: &mut Reader<'_>,
    root: &mut Object<'_>,
    mode: Option<Mode>,
    host: Option<HostKind>,
) -> Option<Mode> {
    let Some(field) = root.take("fast_ack") else {
        return mode;
    };
    let fast_ack = reader.boolean(&field)?;
    if fast_ack && host == Some(HostKind::Nginx) {
        let what = "on nginx a filter's answer in a mirror subrequest closes the client's connection; use mode `tee` in the ingest location, which makes nobody wait, got true";
        reader.problem("fast_ack", what);
        return mode;
    }
    match mode? {
        Mode::Rewrite { .. } => Some(Mode::Rewrite { fast_ack }),
        mode if !fast_ack => Some(mode),
        mode => {
            let what =
                "only mode `rewrite` answers requests, so only there it can be true, got true";
            reader.problem("fast_ack", what);
            Some(mode)
        }
    }
}

/// Without a RUM leg nothing could be forwarded.
pub(super) fn check(reader: &mut Reader<'_>, mode: Option<Mode>, has_rum: bool) {
    if matches!(mode, Some(Mode::Rewrite { .. })) && !has_rum {
        let what = "required in mode `rewrite`, whose requests are the copies for RUM, got nothing";
        reader.problem("rum", what);
    }
}

/// Whether the requests themselves are forwarded, so that no upstream is called.
pub(super) fn forwards(mode: Option<Mode>) -> bool {
    mode == Some(Mode::Rewrite { fast_ack: false })
}

/// Reports an upstream where no calls are made.
pub(super) fn no_upstream(reader: &mut Reader<'_>, field: &Field<'_>) {
    let what = format!(
        "not used in mode `rewrite`: the request itself goes on, where the proxy's route leads; remove it, or set fast_ack, got {}",
        field.node
    );
    reader.problem(&field.path, what);
}

/// Reports a project's own authority where the host cannot set it.
pub(super) fn check_authority(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    host: Option<HostKind>,
    forwards: bool,
) {
    if forwards && host == Some(HostKind::Nginx) {
        let what = format!(
            "on nginx the Host of a request that is forwarded in place is that of proxy_set_header, the same for all projects; remove it, or set fast_ack, got {}",
            field.node
        );
        reader.problem(&field.path, what);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Mode};

    fn parse(json: &str) -> Result<Config, Vec<String>> {
        Config::parse(json.as_bytes(), &|_| None)
            .map_err(|error| error.problems.iter().map(ToString::to_string).collect())
    }

    fn rewriting(root: &str, rum: &str, project: &str) -> Result<Config, Vec<String>> {
        parse(&format!(
            r#"{{"mode": "rewrite" {root}, "rum": {{"authority": "rum.example.com" {rum},
                "projects": {{"42": {{"workspace": "w", "service_id": "s" {project}}}}}}}}}"#
        ))
    }

    fn problem(root: &str, rum: &str, project: &str) -> String {
        let problems = rewriting(root, rum, project).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.into_iter().next().unwrap()
    }

    #[test]
    fn the_plain_way_needs_no_upstream_and_fast_ack_does() {
        let plain = rewriting("", "", "").unwrap();
        assert_eq!(plain.mode, Mode::Rewrite { fast_ack: false });
        let fast = rewriting(r#", "fast_ack": true"#, r#", "upstream": "rum""#, "").unwrap();
        assert_eq!(fast.mode, Mode::Rewrite { fast_ack: true });
        assert_eq!(
            problem(r#", "fast_ack": true"#, "", ""),
            "rum.upstream: required by rum.projects.42, got nothing"
        );
    }

    #[test]
    fn an_upstream_that_nobody_calls_is_a_problem() {
        for (rum, project, path) in [
            (r#", "upstream": "rum""#, "", "rum.upstream"),
            ("", r#", "upstream": "own""#, "rum.projects.42.upstream"),
        ] {
            let problem = problem("", rum, project);
            let expected = format!("{path}: not used in mode `rewrite`");
            assert!(problem.starts_with(&expected), "{problem}");
        }
        assert!(rewriting(r#", "fast_ack": false"#, "", "").is_ok());
    }

    #[test]
    fn fast_ack_is_for_rewrite_and_for_envoy() {
        let tee = r#"{"fast_ack": true, "rum": {"upstream": "rum", "authority": "a"}}"#;
        let problems = parse(tee).unwrap_err();
        assert!(
            problems[0].starts_with("fast_ack: only mode `rewrite`"),
            "{problems:?}"
        );
        let fast = r#", "fast_ack": true, "host": "nginx""#;
        let problems = rewriting(fast, "", "").unwrap_err();
        assert!(
            problems[0].starts_with("fast_ack: on nginx"),
            "{problems:?}"
        );
        let problem = problem(r#", "fast_ack": 1"#, "", "");
        assert_eq!(problem, "fast_ack: expected true or false, got 1");
        assert!(parse(&tee.replace("true", "false")).is_ok());
    }

    #[test]
    fn on_nginx_every_project_has_the_one_authority() {
        let own = r#", "authority": "own.example.com""#;
        let problem = problem(r#", "host": "nginx""#, "", own);
        assert!(
            problem.starts_with("rum.projects.42.authority: on nginx"),
            "{problem}"
        );
        assert!(rewriting("", "", own).is_ok());
    }

    #[test]
    fn without_a_rum_leg_there_is_nothing_to_forward() {
        let sls = r#"{"mode": "rewrite", "sls": {"upstream": "sls", "endpoint": "cn-x.log.aliyuncs.com", "project": "p-1",
            "logstore": "s-1", "credential": {"access_key_id": "a", "access_key_secret": "b"}}}"#;
        let problems = parse(sls).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("rum: required in mode `rewrite`"));
        // One problem per mistake.
        let problems = parse(r#"{"mode": "rewrite"}"#).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}
