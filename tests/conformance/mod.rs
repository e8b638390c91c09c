//! What the core must say to given inputs: tables, a handful of real requests, vectors of an official SDK. No host, no
//! randomness, no files at run time, so that the same tests run natively and on wasm32-unknown-unknown: `#[test]` is
//! there the attribute of the runner in Node. Only the corpus, which is a directory of files, is read natively.

mod capture;
#[path = "../oracles/composed.rs"]
mod composed;
mod config;
#[cfg(not(target_family = "wasm"))]
mod corpus;
mod exchange;
mod first_line;
mod headers;
mod reply;
mod routes;
mod sls;
