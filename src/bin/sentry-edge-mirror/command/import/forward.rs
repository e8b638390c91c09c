//! The location that passes a copy to RUM: to which server, under which name, for how long.

use super::super::finding::Finding;
use super::super::nginx::Directive;
use super::follow::inherited;
use super::passed::Copy;
use super::placeholder::replace;

/// A server at RUM, and how it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: &'static str,
    /// `host:port`
    pub(super) server: String,
    pub(super) authority: String,
    pub(super) timeout_ms: Option<u64>,
}

/// Longest call that the configuration allows.
const MAX_TIMEOUT_MS: u64 = 600_000;

/// What the directives around a copy's `proxy_pass` mean for us.
///
/// # Errors
/// Nothing of it could be mirrored.
pub(super) fn target(
    copy: &Copy<'_>,
    directives: &[&Directive],
    notes: &mut Vec<Finding>,
) -> Result<Target, Finding> {
    let server = server(&copy.name, copy.scheme, copy.pass, directives, notes)?;
    let authority = authority(&copy.scope, &server, copy.pass, notes);
    if let Some(location) = copy.scope.iter().rev().find(|block| block.is("location")) {
        leftovers(location, notes);
    }
    Ok(Target {
        scheme: copy.scheme,
        server,
        authority,
        timeout_ms: timeout(&copy.scope, copy.pass, notes),
    })
}

/// `host:port` of an upstream or of the name itself.
fn server(
    name: &str,
    scheme: &str,
    pass: &Directive,
    directives: &[&Directive],
    notes: &mut Vec<Finding>,
) -> Result<String, Finding> {
    let is_it =
        |directive: &&&Directive| directive.is("upstream") && directive.arg(0) == Some(name);
    let Some(upstream) = directives.iter().find(is_it) else {
        let port = if scheme == "https" { 443 } else { 80 };
        return Ok(with_port(&filled(name, pass, notes), port));
    };
    let has = |server: &Directive, word: &str| server.args.iter().any(|arg| arg.text == word);
    let servers = || upstream.inner().iter().filter(|inner| inner.is("server"));
    let mut up = servers().filter(|server| !has(server, "down"));
    // One that is a backup gets nothing while another one is well.
    let taken = up
        .clone()
        .find(|server| !has(server, "backup"))
        .or_else(|| up.next());
    let Some(taken) = taken else {
        let message = format!(
            "expected a server that is not down in upstream {name}, got none: nothing was mirrored"
        );
        return Err(upstream.finding(message));
    };
    for other in servers().filter(|server| !std::ptr::eq(*server, taken)) {
        notes.push(other.finding(if has(other, "down") {
            "not carried over: this server is down"
        } else {
            "not carried over: one server is taken, the others belong into Envoy's cluster"
        }));
    }
    for parameter in taken.args.iter().skip(1) {
        let message = format!("not carried over: the parameter {:?}", parameter.text);
        notes.push(taken.finding(message));
    }
    let address = taken.arg(0).unwrap_or_default();
    Ok(with_port(&filled(address, taken, notes), 80))
}

fn with_port(host: &str, port: u16) -> String {
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if has_port {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    }
}

/// The value with references for what was never filled in.
pub(super) fn filled(value: &str, directive: &Directive, notes: &mut Vec<Finding>) -> String {
    let (text, variables) = replace(value);
    for variable in variables {
        let message =
            format!("still to be filled in: {value}; set the environment variable {variable}");
        notes.push(directive.finding(message));
    }
    text
}

/// Host of the copy.
fn authority(
    scope: &[&Directive],
    server: &str,
    pass: &Directive,
    notes: &mut Vec<Finding>,
) -> String {
    let headers = inherited(scope, "proxy_set_header");
    let is_host = |header: &&&Directive| {
        header
            .arg(0)
            .is_some_and(|name| name.eq_ignore_ascii_case("host"))
    };
    let host = headers.iter().find(is_host);
    match host.map(|header| (header, header.arg(1).unwrap_or_default())) {
        Some((header, value)) if !value.contains('$') => filled(value, header, notes),
        other => {
            let directive = other.map_or(pass, |(header, _)| header);
            let message =
                format!("rum.authority is the server {server}: no fixed Host header is set");
            notes.push(directive.finding(message));
            server.to_owned()
        }
    }
}

/// The longest of nginx's timeouts, which are for a step each; ours is for the whole call.
fn timeout(scope: &[&Directive], pass: &Directive, notes: &mut Vec<Finding>) -> Option<u64> {
    let names = [
        "proxy_connect_timeout",
        "proxy_send_timeout",
        "proxy_read_timeout",
    ];
    let mut longest = None;
    for directive in names.iter().flat_map(|name| inherited(scope, name)) {
        match directive.arg(0).and_then(milliseconds) {
            Some(ms) if (1..=MAX_TIMEOUT_MS).contains(&ms) => longest = longest.max(Some(ms)),
            _ => notes.push(directive.finding(format!(
                "not carried over: {}, a call may take from 1 ms to 10 min",
                directive.head()
            ))),
        }
    }
    if longest.is_none() {
        notes
            .push(pass.finding("rum.timeout_ms is left at its default of 5000: no timeout is set"));
    }
    longest
}

/// nginx's notation of a time: `5s`, `500ms`, `1m`, `5`.
fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|character: char| !character.is_ascii_digit());
    let (number, unit) = text.split_at_checked(digits.unwrap_or(text.len()))?;
    let number: u64 = number.parse().ok()?;
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// Names what a location says beyond the recipe.
fn leftovers(location: &Directive, notes: &mut Vec<Finding>) {
    // The module does what these ask for, or has no need of it.
    const COVERED: [&str; 14] = [
        // What becomes of a request because of them was followed.
        "set",
        "if",
        "rewrite",
        "return",
        "internal",
        "proxy_pass",
        "proxy_connect_timeout",
        "proxy_send_timeout",
        "proxy_read_timeout",
        "proxy_ignore_client_abort",
        "proxy_http_version",
        "proxy_pass_request_body",
        "access_log",
        "log_not_found",
    ];
    const HEADERS: [&str; 6] = [
        "host",
        "connection",
        "content-length",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-original-uri",
    ];
    for directive in location.inner() {
        let name = directive.name.text.as_str();
        let message = match (name, directive.arg(0).map(str::to_ascii_lowercase)) {
            ("proxy_pass_request_body", Some(value)) if value == "off" => {
                "not carried over: proxy_pass_request_body off, a copy has its body".to_owned()
            }
            ("proxy_set_header", Some(header)) if header == "x-request-id" => {
                "the x-request-id of a copy is the request's own, if it has one; nginx wrote its own".to_owned()
            }
            ("proxy_set_header", Some(header)) if HEADERS.contains(&header.as_str()) => continue,
            (name, _) if COVERED.contains(&name) => continue,
            ("proxy_set_header", _) => {
                format!("not carried over: {}, a copy has a fixed list of headers", directive.head())
            }
            _ => format!("not carried over: {}", directive.head()),
        };
        notes.push(directive.finding(message));
    }
    let message = "nginx copied every header, cookies and foreign credentials too; now those of a list (see README.md)";
    notes.push(location.finding(message));
}

#[cfg(test)]
mod tests {
    use super::{milliseconds, with_port};

    #[test]
    fn times() {
        for (text, ms) in [
            ("5s", Some(5_000)),
            ("500ms", Some(500)),
            ("7", Some(7_000)),
            ("2m", Some(120_000)),
            ("1h", Some(3_600_000)),
            ("1d", None),
            ("s", None),
            ("", None),
        ] {
            assert_eq!(milliseconds(text), ms, "{text}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(with_port("a", 80), "a:80");
        assert_eq!(with_port("a:8080", 80), "a:8080");
        assert_eq!(with_port("[::1]", 443), "[::1]:443");
        assert_eq!(with_port("[::1]:9", 443), "[::1]:9");
        assert_eq!(with_port("${RUM_ENDPOINT}", 80), "${RUM_ENDPOINT}:80");
    }
}
