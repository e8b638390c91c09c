//! How a run ends, as scripts see it.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

/// The exit statuses that the help documents. 2 is also what clap gives for a wrong command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    Problems,
    Failed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status::Good => Self::SUCCESS,
            Status::Problems => Self::from(1),
            Status::Failed => Self::from(2),
        }
    }
}

/// What kept the command from doing its work.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

impl Failure {
    pub(super) fn read(path: &Path, error: &io::Error) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
