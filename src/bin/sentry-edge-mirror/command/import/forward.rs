//! The locations that pass requests to RUM: a `proxy_pass` of server, prefix and `$request_uri`.

use super::super::finding::Finding;
use super::super::nginx::Directive;
use super::map::Prefix;
use super::placeholder::replace;
use super::probe::compile;

/// A location that passes to RUM, and what its directives mean for us.
#[derive(Debug)]
pub(super) struct Forward<'d> {
    pub(super) location: &'d Directive,
    pub(super) proxy_pass: &'d Directive,
    pub(super) prefix: Prefix<'d>,
    pub(super) scheme: &'static str,
    /// `host:port`
    pub(super) server: String,
    pub(super) authority: String,
    pub(super) timeout_ms: Option<u64>,
}

/// Longest call that the configuration allows.
const MAX_TIMEOUT_MS: u64 = 600_000;

/// Finds them, in the order of the file.
pub(super) fn forwards<'d>(
    directives: &'d [Directive],
    notes: &mut Vec<Finding>,
) -> Vec<Forward<'d>> {
    let mut all = Vec::new();
    walk(directives, &mut Vec::new(), &mut |directive, outer| {
        all.push((directive, outer.to_vec()));
    });
    let mut found = Vec::new();
    for (location, outer) in &all {
        let pass = location.inner().iter().find(|inner| inner.is("proxy_pass"));
        if let Some(pass) = pass.filter(|_| location.is("location"))
            && let Some(forward) = forward(location, pass, outer, &all, notes)
        {
            found.push(forward);
        }
    }
    found
}

/// A directive and the blocks around it, the innermost last.
type Placed<'d> = (&'d Directive, Vec<&'d Directive>);

fn walk<'d>(
    directives: &'d [Directive],
    outer: &mut Vec<&'d Directive>,
    visit: &mut dyn FnMut(&'d Directive, &[&'d Directive]),
) {
    for directive in directives {
        visit(directive, outer);
        outer.push(directive);
        walk(directive.inner(), outer, visit);
        outer.pop();
    }
}

fn forward<'d>(
    location: &'d Directive,
    pass: &'d Directive,
    outer: &[&'d Directive],
    all: &[Placed<'d>],
    notes: &mut Vec<Finding>,
) -> Option<Forward<'d>> {
    // `${name}` and `$name` are the same.
    let value = pass.arg(0)?.replace("${", "$").replace('}', "");
    let (scheme, rest) = value.split_once("://")?;
    let scheme = match scheme {
        "http" => "http",
        "https" => "https",
        _ => return None,
    };
    let rest = rest.strip_suffix("$request_uri")?;
    let (name, written) = rest.split_at_checked(rest.find(['/', '$'])?)?;
    let prefix = match written.strip_prefix('$') {
        Some(_) => {
            let is_it = |(directive, _): &&Placed<'d>| {
                directive.is("map") && directive.arg(1) == Some(written)
            };
            let (map, _) = all.iter().find(is_it)?;
            let to_rum = |entry: &Directive| {
                entry
                    .arg(0)
                    .is_some_and(|value| value.starts_with("/rum/sentry/"))
            };
            map.inner().iter().any(to_rum).then_some(Prefix::Map(map))?
        }
        None if written.starts_with("/rum/sentry/") => Prefix::Fixed(pass, written.to_owned()),
        None => return None,
    };
    let scope: Vec<&Directive> = outer.iter().copied().chain([location]).collect();
    let server = server(name, scheme, pass, all, notes);
    let authority = authority(&scope, &server, pass, notes);
    let forward = Forward {
        location,
        proxy_pass: pass,
        prefix,
        scheme,
        server,
        authority,
        timeout_ms: timeout(&scope, pass, notes),
    };
    leftovers(location, notes);
    mirrors(location, outer, all, notes);
    Some(forward)
}

/// `host:port` of an upstream or of the name itself.
fn server(
    name: &str,
    scheme: &str,
    pass: &Directive,
    all: &[Placed<'_>],
    notes: &mut Vec<Finding>,
) -> String {
    let is_it =
        |(directive, _): &&Placed<'_>| directive.is("upstream") && directive.arg(0) == Some(name);
    let Some((upstream, _)) = all.iter().find(is_it) else {
        let port = if scheme == "https" { 443 } else { 80 };
        return with_port(&filled(name, pass, notes), port);
    };
    let mut servers = upstream.inner().iter().filter(|inner| inner.is("server"));
    let first = servers.next();
    for other in servers {
        let message =
            "not carried over: one server is taken, the others belong into Envoy's cluster";
        notes.push(other.finding(message));
    }
    match first {
        Some(server) => {
            for parameter in server.args.iter().skip(1) {
                let message = format!("not carried over: the parameter {:?}", parameter.text);
                notes.push(server.finding(message));
            }
            let address = server.arg(0).unwrap_or_default();
            with_port(&filled(address, server, notes), 80)
        }
        None => with_port(name, 80),
    }
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
fn filled(value: &str, directive: &Directive, notes: &mut Vec<Finding>) -> String {
    let (text, variables) = replace(value);
    for variable in variables {
        let message =
            format!("still to be filled in: {value}; set the environment variable {variable}");
        notes.push(directive.finding(message));
    }
    text
}

/// The directives of a name in the innermost block that has any: nginx inherits all of them or none.
fn inherited<'d>(scope: &[&'d Directive], name: &str) -> Vec<&'d Directive> {
    let in_block = |block: &&'d Directive| -> Vec<&'d Directive> {
        let inner = block.inner().iter();
        inner.filter(|directive| directive.is(name)).collect()
    };
    let mut blocks = scope.iter().rev().map(in_block);
    blocks.find(|found| !found.is_empty()).unwrap_or_default()
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
    const COVERED: [&str; 10] = [
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

/// Looks at the locations whose requests are mirrored to this one.
fn mirrors(
    location: &Directive,
    outer: &[&Directive],
    all: &[Placed<'_>],
    notes: &mut Vec<Finding>,
) {
    let Some(uri) = location.args.last().map(|word| word.text.as_str()) else {
        return;
    };
    let server = outer.iter().rev().find(|block| block.is("server"));
    let mut any = false;
    for (mirror, around) in all {
        let same_server = around
            .iter()
            .rev()
            .find(|block| block.is("server"))
            .map(|block| std::ptr::from_ref(*block))
            == server.map(|block| std::ptr::from_ref(*block));
        if !mirror.is("mirror") || mirror.arg(0) != Some(uri) || !same_server {
            continue;
        }
        any = true;
        notes.push(mirror.finding(
            "nginx mirrored every request of this place; now only envelopes are copied, all that RUM takes (rum.routes: all \
             mirrors every route)",
        ));
        let place = around.iter().rev().find(|block| block.is("location"));
        if let Some(place) = place.filter(|place| !takes_every_project(place)) {
            notes.push(place.finding(format!(
                "not carried over: {} has not the envelopes of every project; rum.projects and rum.default decide alone now",
                place.head()
            )));
        }
    }
    if !any {
        notes.push(
            location
                .finding("no `mirror` leads to this location; its rules are taken all the same"),
        );
    }
}

fn takes_every_project(location: &Directive) -> bool {
    let targets = [1_u64, 7, 10, 42, 999, 12_345, 4_505_000_000_000_001]
        .map(|id| format!("/api/{id}/envelope/"));
    let pattern = location.args.last().map(|word| word.text.as_str());
    let pattern = pattern.unwrap_or_default();
    match (location.args.len(), location.arg(0)) {
        (1, _) | (_, Some("^~")) => targets.iter().all(|target| target.starts_with(pattern)),
        (_, Some(modifier @ ("~" | "~*"))) => {
            compile(pattern, modifier == "~*").is_ok_and(|regex| {
                targets
                    .iter()
                    .all(|target| regex.is_match(target.as_bytes()))
            })
        }
        _ => false,
    }
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
