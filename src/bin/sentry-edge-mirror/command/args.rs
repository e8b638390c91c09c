//! The command line and the help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

/// Checks, explains and imports configurations of sentry-edge-mirror
///
/// The module sentry_edge_mirror.wasm runs in Envoy or nginx and copies Sentry traffic to Alibaba Cloud RUM. This
/// command answers, before anything is deployed, whether a configuration is good and what would become of a request.
/// It uses the module's own code for both: what it says is what the module does. It changes no file, and but for
/// `diagnose` it connects to nothing.
#[derive(Debug, Parser)]
#[command(
    name = "sentry-edge-mirror",
    version = env!("EDGE_MIRROR_VERSION"),
    verbatim_doc_comment,
    after_long_help = "\
Typical use:
  1. Coming from the nginx recipe (`mirror` and a `map` of project ids)? Make a configuration of it:
       sentry-edge-mirror import /etc/nginx/nginx.conf > plugin.json
  2. Put it into an Envoy or nginx configuration (see envoy/ and nginx/ for complete ones) and check that:
       sentry-edge-mirror check envoy.yaml
  3. See where a request of your SDK would go, and with which headers:
       sentry-edge-mirror explain envoy.yaml POST '/api/42/envelope/?sentry_key=abc' -H 'User-Agent: x'
  4. Is something wrong with an Envoy that runs?
       sentry-edge-mirror diagnose http://127.0.0.1:9901

Exit status: 0 all is well, 1 problems were found, 2 wrong command line or unreadable file.
`sentry-edge-mirror help <command>` tells more about each command."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Check(Check),
    Explain(Explain),
    Import(Import),
    Diagnose(Diagnose),
    Schema(Schema),
    Completions(Completions),
}

/// Validate every plugin configuration in a file
///
/// Prints every problem at once as `file:line: path: what was expected, what is there`.
///
/// FILE is one of
///   - the plugin configuration itself, as JSON (or the same as YAML);
///   - an Envoy configuration in YAML or JSON: bootstrap, LDS resources, or anything that holds them. Every plugin
///     configuration in it is checked, as google.protobuf.Struct, StringValue or BytesValue. Files named by
///     `path_config_source` are followed;
///   - resources for Kubernetes: WasmPlugin, EnvoyExtensionPolicy, EnvoyFilter, a ConfigMap with Envoy's or nginx's file;
///   - an nginx configuration with `proxy_wasm <module> '<json>'` of ngx_wasm_module. `include` is followed;
///   - `-` for standard input.
///
/// Of the wasm plugins in a proxy's configuration those are checked whose name, root id or module file contains
/// `sentry_edge_mirror` (or with `-`), and those whose configuration has a `rum`, `sls` or `sign` object. Others are
/// named in a note. A file without any is a problem: nothing was checked.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
${NAME} in a configuration is taken from the environment of this command, as the module takes it from the proxy's. A proxy
hands on only what its configuration lists (Envoy: vm_config.environment_variables, nginx: `env NAME;`); that is checked too.

Examples:
  sentry-edge-mirror check envoy/tee.yaml nginx/tee.conf
  sentry-edge-mirror check --env RUM_WORKSPACE=w --env RUM_SERVICE_ID=s envoy.yaml
  sentry-edge-mirror check --assume-env envoy.yaml     # in CI, where no secret is set
  sentry-edge-mirror import nginx.conf | sentry-edge-mirror check --assume-env -

Exit status: 0 valid, 1 problems, 2 wrong command line or unreadable file."
)]
pub(super) struct Check {
    /// Plugin, Envoy or nginx configurations
    #[arg(value_name = "FILE", required = true)]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) env: Env,

    /// Take variables that are not set for set, and check all else
    #[arg(long)]
    pub(super) assume_env: bool,

    /// Print problems only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Say what would become of a request: copied where to, with which headers, or skipped why
///
/// The request goes through the module's own code once, for every plugin configuration in FILE (see `check` for what
/// that may be). Printed is each call that would leave, or the outcome by the name of its metric. Every target is
/// taken to answer with 200; nothing is sent.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  sentry-edge-mirror explain envoy/tee.yaml POST '/api/42/envelope/?sentry_key=abc'
  sentry-edge-mirror explain envoy/tee.yaml POST /api/42/envelope/ \\
      -H 'X-Sentry-Auth: Sentry sentry_key=abc' -H 'Cookie: session=1' --data-file event.envelope
  sentry-edge-mirror explain plugin.json POST /api/42/store/      # skipped: not an envelope

Exit status: 0 explained, 1 the configuration has problems, 2 wrong command line or unreadable file."
)]
pub(super) struct Explain {
    /// Plugin, Envoy or nginx configuration
    pub(super) file: PathBuf,

    /// HTTP method, such as POST
    pub(super) method: String,

    /// Request target as it stands in the request line: path and query, or an absolute URL
    pub(super) target: String,

    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(super) headers: Vec<(String, String)>,

    /// The body, as it is
    #[arg(short, long, value_name = "TEXT", conflicts_with = "data_file")]
    pub(super) data: Option<String>,

    /// The body, from a file
    #[arg(long, value_name = "FILE")]
    pub(super) data_file: Option<PathBuf>,

    /// The client's address and port, for X-Forwarded-For: 192.0.2.7:50000 or [2001:db8::7]:50000
    #[arg(long, value_name = "ADDRESS")]
    pub(super) peer: Option<std::net::SocketAddr>,

    #[command(flatten)]
    pub(super) env: Env,
}

/// Make a plugin configuration of nginx's `mirror` recipe
///
/// Reads a main configuration in which a location passes to RUM with a prefix by project, as in
///   map $request_uri $forwarder_path { default /rum/sentry/<workspace>/<service_id>; "~^/api/1/envelope/" ...; }
///   location = /rum_mirror { proxy_pass http://rum_forwarder$forwarder_path$request_uri; proxy_set_header Host ...; }
/// and prints the plugin configuration in JSON on standard output. What could not be carried over, or means something
/// else now, is named on standard error with its line. `include` is followed. Names do not matter, the form does.
///
/// Envelope requests of every project that the file may treat unlike others are followed through it, by nginx's own rules:
/// server, locations, `if`, `mirror`, maps. What the recipe does not mirror is not mirrored: it is in rum.exclude, or a
/// problem is named and nothing is printed. So it is with servers: all that pass envelopes on must mirror, and in one way, or
/// --server says which are meant; their requests alone are then to reach the module. Text in angle brackets, as the
/// recipe has it to be filled in, becomes a reference to the environment: <endpoint> ${RUM_ENDPOINT}, <workspace_name>
/// ${RUM_WORKSPACE}, <rum_service_id> ${RUM_SERVICE_ID}, others by their own name.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  sentry-edge-mirror import /etc/nginx/nginx.conf > plugin.json
  sentry-edge-mirror import --host nginx /etc/nginx/nginx.conf     # for the module inside nginx
  sentry-edge-mirror import --server sentry.example.com /etc/nginx/nginx.conf

Exit status: 0 a configuration was printed (read standard error all the same), 1 none could be made, 2 wrong command line or
unreadable file."
)]
pub(super) struct Import {
    /// Main nginx configuration
    pub(super) file: PathBuf,

    /// The proxy that will run the module
    #[arg(long, value_enum, default_value_t = Host::Envoy)]
    pub(super) host: Host,

    /// A server that is meant, by its name or its port; may be given several times. All, if none is given
    #[arg(long, value_name = "NAME|PORT")]
    pub(super) server: Vec<String>,
}

/// Say what is wrong with a running Envoy, by its admin endpoint
///
/// Reads /stats twice, /server_info and /config_dump, and says in the words of the runbook (envoy/metrics.md) what is lost and
/// why: a target that is away, refuses or throttles, a full budget, a missing credential, a trap, a wrong clock, an Envoy that
/// is too old. Each second Sentry is called as its metrics are (sentry.<name>). It changes nothing. It connects to the address
/// that is given, in plain HTTP, and to nothing else. Of Envoy's configuration, which may hold secrets, it prints nothing but
/// names of clusters and targets.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_long_help = "\
Examples:
  sentry-edge-mirror diagnose http://127.0.0.1:9901
  sentry-edge-mirror diagnose --recent --seconds 30 127.0.0.1:9901     # for scripts: only what happens now

Exit status: 0 nothing is wrong (there may be notes), 1 problems, 2 wrong command line or no answer from Envoy."
)]
pub(super) struct Diagnose {
    /// Envoy's admin endpoint: [http://]host:port
    pub(super) url: String,

    /// Watch for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) seconds: u64,

    /// Leave out what was lost before
    #[arg(long)]
    pub(super) recent: bool,
}

/// Print the JSON Schema of the plugin configuration
#[derive(Debug, Args)]
#[command(after_long_help = "\
It is for editors and for whatever writes configurations. `check` knows more: what belongs together, and what the place of a
configuration decides. envoy/schema/envoy.json is a schema for Envoy's files that finds the plugin configurations in them.

Examples:
  sentry-edge-mirror schema > plugin.schema.json

Exit status: 0 always.")]
pub(super) struct Schema {}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  sentry-edge-mirror completions bash > ~/.local/share/bash-completion/completions/sentry-edge-mirror
  sentry-edge-mirror completions zsh  > ~/.zfunc/_sentry-edge-mirror
  sentry-edge-mirror completions fish > ~/.config/fish/completions/sentry-edge-mirror.fish")]
pub(super) struct Completions {
    /// The shell
    pub(super) shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct Env {
    /// Set a variable that the configuration names as ${NAME}; may be given several times
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(super) set: Vec<(String, String)>,
}

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Host {
    /// The upstream is the name of a cluster
    Envoy,
    /// ngx_wasm_module: the upstream is host:port
    Nginx,
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// As HTTP has it: a name that is a token, white space around the value dropped.
fn header(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("expected `Name: value`".to_owned());
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err("expected a name of letters, digits and `-` before the colon".to_owned());
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Cli, header, variable};
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err() && variable("=b").is_err());
        assert_eq!(
            header("X-A:  b: c "),
            Ok(("X-A".to_owned(), "b: c".to_owned()))
        );
        assert!(header("X A: b").is_err() && header("X-A").is_err() && header(": b").is_err());
    }
}
