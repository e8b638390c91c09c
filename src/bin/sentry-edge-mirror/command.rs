//! The subcommands, and what becomes of their output.

mod args;
mod check;
mod diagnose;
mod document;
mod environment;
mod explain;
mod find;
mod finding;
#[cfg(test)]
mod hostile;
mod import;
mod judge;
mod nginx;
mod printed;
mod source;
mod status;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use printed::Printed;
use status::{Failure, Status};
use std::io::{self, Write};
use std::process::ExitCode;

/// What a subcommand has to say.
#[derive(Debug, Default)]
struct Output {
    /// The result.
    out: Printed,
    /// What is to be known about it, when the result itself is for a program.
    remarks: Printed,
}

pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::default();
    let status = match &cli.command {
        Command::Check(args) => check::run(args, &mut output.out),
        Command::Explain(args) => explain::run(args, &mut output.out),
        Command::Import(args) => import::run(args, &mut output),
        Command::Diagnose(args) => diagnose::run(args, &mut output),
        Command::Schema(_) => schema(&mut output),
        Command::Completions(args) => completions(args, &mut output),
    };
    let status = status.unwrap_or_else(|failure| {
        let _ = writeln!(output.remarks, "error: {failure}");
        Status::Failed
    });
    // Nobody is left to be told when even this cannot be written.
    let _ = io::stderr().write_all(output.remarks.as_bytes());
    match io::stdout().write_all(output.out.as_bytes()) {
        Ok(()) => status.into(),
        // The reader has seen enough: `| head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => status.into(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: standard output: {error}");
            Status::Failed.into()
        }
    }
}

/// The schema, as it lies beside the samples.
const SCHEMA: &str = include_str!("../../../envoy/schema/plugin.json");

#[allow(clippy::unnecessary_wraps)] // As all subcommands.
fn schema(output: &mut Output) -> Result<Status, Failure> {
    output.out.push_raw(SCHEMA);
    Ok(Status::Good)
}

fn completions(args: &args::Completions, output: &mut Output) -> Result<Status, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "sentry-edge-mirror",
        &mut script,
    );
    output.out.push_raw(&String::from_utf8_lossy(&script));
    Ok(Status::Good)
}
