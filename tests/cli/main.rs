//! The command `sentry-edge-mirror`, run as a program.

mod around;
mod check;
mod diagnose;
mod explain;
mod help;
mod import;
mod import_files;
mod import_safely;
mod kubernetes;
mod printed;
mod readme;
mod routes;
mod samples;
mod security;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run came to.
#[derive(Debug)]
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Ran {
    /// Lines of the output.
    fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// A run in the root of the repository, as in envoy/command.md, with an environment of its own.
fn run(args: &[&str]) -> Ran {
    run_with(args, &[], "")
}

fn run_with(args: &[&str], env: &[(&str, &str)], stdin: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentry-edge-mirror"))
        .args(args)
        .current_dir(root())
        .env_clear()
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input has closed it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran {
        status: output.status.code().expect("it exits by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for the files of one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file and tells its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}
