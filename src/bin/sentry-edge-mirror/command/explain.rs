//! `explain`: what would become of a request.

mod drive;
mod logs;
mod sign;
mod target;

use super::args::Explain;
use super::check::summary;
use super::environment::Environment;
use super::find::{Plugin, find};
use super::judge::judge;
use super::printed::Printed;
use super::source::Source;
use super::status::{Failure, Status};
use drive::{Request, Sent, Trace, drive};
use sentry_edge_mirror::config::{Config, Role};
use sentry_edge_mirror::outcome::SkipReason;
use sentry_edge_mirror::sentry::auth;
use sentry_edge_mirror::sls::credential::Credential;
use sentry_edge_mirror::sls::settings::{CredentialSource, Sls};

pub(super) fn run(args: &Explain, out: &mut Printed) -> Result<Status, Failure> {
    let request = request(args)?;
    let source = Source::read(&args.file).map_err(|error| Failure::read(&args.file, &error))?;
    let found = match find(&source) {
        Ok(found) => found,
        Err(problem) => {
            let _ = writeln!(out, "{problem}");
            return Ok(Status::Problems);
        }
    };
    let environment = Environment::new(&args.env.set);
    let mut status = if found.problems.is_empty() && !found.plugins.is_empty() {
        Status::Good
    } else {
        Status::Problems
    };
    for problem in &found.problems {
        let _ = writeln!(out, "{problem}");
    }
    if found.plugins.is_empty() {
        let name = &source.name;
        let _ = writeln!(
            out,
            "{name}: no plugin configuration in it (see `sentry-edge-mirror help check`)"
        );
    }
    for plugin in &found.plugins {
        let verdict = judge(plugin, &environment, false);
        for problem in &verdict.problems {
            let _ = writeln!(out, "{problem}");
        }
        if !verdict.problems.is_empty() {
            status = Status::Problems;
        } else if let Some(Role::Main(config)) = verdict.role {
            let _ = writeln!(out, "{}", title(plugin, &config));
            let disabled = plugin.disabled.as_ref();
            if disabled.is_some_and(|disabled| disabled.hides(&request.target)) {
                let _ = writeln!(out, "{UNSEEN}");
                continue;
            }
            let request = request.as_received(plugin, &config);
            explain(*config, &request, out);
        }
    }
    if status == Status::Problems && found.plugins.iter().any(has_references) {
        let hint = "A variable of the proxy's environment can be given here: --env NAME=VALUE.";
        let _ = writeln!(out, "{hint}");
    }
    Ok(status)
}

/// A request whose route leaves the filter off.
const UNSEEN: &str = "  it passes: no route turns the filter on for this path (disabled: true), so the module does not see it";

fn has_references(plugin: &Plugin) -> bool {
    matches!(&plugin.content, super::find::Content::Json { text, .. } if text.contains("${"))
}

fn request(args: &Explain) -> Result<Request, Failure> {
    let body = match (&args.data, &args.data_file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(path)) => {
            super::source::bytes(path).map_err(|error| Failure::read(path, &error))?
        }
        (None, None) => Vec::new(),
    };
    let (target, authority) = target::split(&args.target);
    let mut headers = args.headers.clone();
    if let Some(authority) = authority {
        // The host of the target counts, and the header does not: RFC 9112, 3.2.2.
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("host"));
        headers.insert(0, ("Host".to_owned(), authority));
    }
    Ok(Request {
        method: args.method.clone(),
        target,
        headers,
        body,
        peer: args.peer,
    })
}

fn title(plugin: &Plugin, config: &Config) -> String {
    let name = plugin.name.as_deref().unwrap_or("plugin configuration");
    let (file, line) = (&plugin.file, plugin.line);
    format!("{file}:{line}: {name}, {}", summary(config))
}

fn explain(mut config: Config, request: &Request, out: &mut Printed) {
    if let Some(sign) = &config.sign {
        return sign::explain(sign, request, drive::now_ms(), out);
    }
    let reads_bodies = config.sls.is_some();
    if let Some(upstream) = config.sls.as_mut().and_then(stand_in) {
        let _ = writeln!(
            out,
            "  sls: the key of the ECS instance's RAM role is first asked for at upstream {upstream}; not shown here"
        );
    }
    let logs = logs::of(&config, request);
    let keys = keys(&config);
    let mut trace = drive(config, request);
    trace.hide(&keys, HIDDEN);
    write(&trace, request, out);
    logs::write(&logs, out);
    if reads_bodies && request.body.is_empty() && !trace.calls.is_empty() {
        let hint =
            "  sls: logs are made of the body, and none was given: -d TEXT or --data-file FILE";
        let _ = writeln!(out, "{hint}");
    }
}

/// The keys of second Sentries, which the configuration has, and nobody else gets to see.
fn keys(config: &Config) -> Vec<String> {
    let destinations = config.sentries.iter().flat_map(|sentry| {
        let copies = &sentry.copies;
        copies.projects.values().chain(&copies.default)
    });
    let dsns = destinations.filter_map(|to| to.dsn.as_ref());
    let keys = dsns.map(|dsn| dsn.public_key.as_str());
    keys.flat_map(|key| [key.to_owned(), auth::basic(key.as_bytes())])
        .collect()
}

/// Puts a key in the place of one that only the instance's metadata service has. Tells who reaches that service.
fn stand_in(sls: &mut Sls) -> Option<String> {
    let key = Credential::new("role", "role", None).ok()?;
    match std::mem::replace(&mut sls.credential, CredentialSource::Literal(key)) {
        CredentialSource::EcsRamRole { upstream, .. } => Some(upstream),
        literal => {
            sls.credential = literal;
            None
        }
    }
}

fn write(trace: &Trace, request: &Request, out: &mut Printed) {
    for call in &trace.calls {
        write_call(call, request, out);
    }
    let kept = left_behind(trace, request);
    if !kept.is_empty() {
        let _ = writeln!(out, "  stays behind: {}", kept.join(", "));
    }
    // What the answers to the calls did is made up: every answer was 200.
    let told = trace.counters.iter().filter(|(name, amount)| {
        let (_, what) = name.rsplit_once('.').unwrap_or_default();
        **amount != 0 && !matches!(what, "attempts" | "retries" | "bytes" | "delivered")
    });
    let mut counted = false;
    for (name, amount) in told {
        counted = true;
        let _ = match name.split_once(".skipped.") {
            Some((leg, reason)) => {
                let meaning = meaning(leg, reason);
                let meaning = meaning.unwrap_or_else(|| "by rule".to_owned());
                writeln!(
                    out,
                    "  {leg}: skipped, {reason}: {meaning} (counted as {name})"
                )
            }
            None => writeln!(out, "  counted: {name} +{amount}"),
        };
    }
    for line in &trace.log {
        let _ = writeln!(out, "  log: {line}");
    }
    if trace.answered {
        let _ = writeln!(out, "  it is answered with 204 when it is complete");
    } else if !counted && trace.calls.is_empty() {
        let _ = writeln!(
            out,
            "  no ingest request: it passes, nothing is copied, nothing is counted"
        );
    }
}

fn write_call(call: &Sent, request: &Request, out: &mut Printed) {
    let scheme = call.scheme.as_ref().map(|scheme| format!(" by {scheme}"));
    let (scheme, timeout) = (scheme.unwrap_or_default(), call.timeout_ms);
    let _ = match &call.upstream {
        Some(upstream) => {
            writeln!(
                out,
                "  to upstream {upstream}{scheme}, timeout {timeout} ms:"
            )
        }
        None => writeln!(
            out,
            "  it goes on in place, where the proxy's route leads (nginx: headers as its location says):"
        ),
    };
    for (name, value) in &call.headers {
        let own = request.headers.iter().any(|(_, given)| given == value);
        let value = if SECRETS.contains(&name.as_str()) && !own {
            HIDDEN
        } else {
            value
        };
        let _ = writeln!(out, "    {name}: {}", value.escape_debug());
    }
    let size = call.body.len();
    let _ = match (call.body == request.body, size) {
        (true, 0) => writeln!(out, "    body: none was given; it is copied as received"),
        (true, _) => writeln!(out, "    body: {size} bytes as received"),
        (false, _) => writeln!(out, "    body: {size} bytes, made of the request's"),
    };
}

/// What stands in place of a key of the configuration.
const HIDDEN: &str = "(hidden)";

/// Headers of a call in which a credential of the configuration may stand, unless the request itself has them.
const SECRETS: [&str; 2] = ["authorization", "x-acs-security-token"];

/// Headers of the request that no call carries.
fn left_behind<'r>(trace: &Trace, request: &'r Request) -> Vec<&'r str> {
    if trace.calls.is_empty() {
        return Vec::new();
    }
    // Several lines of a header may have become one.
    let carried = |name: &str, value: &str| {
        let mut headers = trace.calls.iter().flat_map(|call| &call.headers);
        // For a second Sentry the key in it is another.
        headers.any(|(other, copy)| {
            let is_it = other.eq_ignore_ascii_case(name);
            is_it && (copy.contains(value) || copy.contains(HIDDEN))
        })
    };
    // The host writes its own.
    let length = |name: &str| name.eq_ignore_ascii_case("content-length");
    let headers = request.headers.iter();
    headers
        .filter(|(name, value)| !name.starts_with(':') && !carried(name, value) && !length(name))
        .map(|(name, _)| name.as_str())
        .collect()
}

/// Why the core skips a request.
fn meaning(leg: &str, reason: &str) -> Option<String> {
    let reason = SkipReason::ALL
        .iter()
        .find(|known| known.name() == reason)?;
    let text = match reason {
        SkipReason::Route if leg == "sls" => "not POST /api/<project id>/envelope/",
        SkipReason::Route => "not POST /api/<project id>/envelope/, and <leg>.routes is `envelope`",
        SkipReason::Excluded => "the project stands in <leg>.exclude",
        SkipReason::Unmapped => {
            "<leg>.projects does not list the project and there is no <leg>.default"
        }
        SkipReason::Loop => {
            "the path begins with /rum/sentry/ or x-sentry-edge-mirror is among the headers, so it is a copy already"
        }
        SkipReason::TooLarge => {
            "the body is larger than limits.max_body_bytes, or the headers are over 128 KiB or 1000 lines"
        }
        SkipReason::Aborted => "the request ended before it was complete",
        SkipReason::Unreadable => "the proxy did not hand out the body",
        SkipReason::Slow => "the body came too slowly",
        SkipReason::Host => "the request is for a host that is none of `hosts`",
        SkipReason::Sampled => "its trace is not in the project's sample (<leg>.sample)",
        SkipReason::Items => "no item of the envelope goes (<leg>.items), or it cannot be read",
        SkipReason::Unscrubbable => {
            "it cannot be scrubbed (<leg>.scrub): broken, encoded in an unknown way, or too large"
        }
        SkipReason::Limited => "the project is over its rate (<leg>.rate)",
        SkipReason::Refused => "the primary refused the request, and <leg>.only_accepted is true",
    };
    Some(text.replace("<leg>", leg))
}
