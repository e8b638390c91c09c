//! Lists the files of the module that run for one mirrored request, for one log and for one signed write: `make path`.
//!
//! A reader of the code has to open these, so their number has a limit. The module is built without optimization, so that a
//! function that runs is called; `wasm-opt --log-execution` has each function say so, and the debug information knows the
//! file of each.
//!
//! Usage: path BUILT.wasm TRACED.wasm

mod functions;
mod journeys;

use std::collections::BTreeSet;
use std::process::ExitCode;

use functions::Functions;
use test_host::Guest;

/// The journeys, and how many files each may lead through: no more than when this was last changed. Fewer is better.
const LIMITS: [(journeys::Journey, &str, usize); 3] = [
    (
        journeys::mirrored_request,
        "a mirrored request of 8 KiB, from its headers to the answer of the copy",
        59,
    ),
    (
        journeys::log,
        "an envelope with one log, from its headers to the answer of SLS",
        128,
    ),
    (
        journeys::signed_write,
        "a signed write of 8 KiB, from its headers to its end",
        49,
    ),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [built, traced] = arguments.as_slice() else {
        eprintln!("usage: path BUILT.wasm TRACED.wasm");
        return ExitCode::from(2);
    };
    let read = |path: &str| std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let traced = read(traced);
    let functions = Functions::new(&read(built), &traced);
    let guest = Guest::from_bytes(&traced).unwrap_or_else(|why| panic!("{why}"));
    let mut within = true;
    for (journey, text, limit) in LIMITS {
        let files: BTreeSet<&str> = journey(&guest)
            .into_iter()
            .filter_map(|mark| functions.file(mark))
            .collect();
        println!("{} files (at most {limit}): {text}", files.len());
        for file in &files {
            println!("  {file}");
        }
        within &= files.len() <= limit;
        assert!(files.len() > 5, "the trace is not whole");
    }
    if within {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
