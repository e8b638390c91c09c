//! Three things that the module needs to know or have at build time.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use brotli_decompressor::dictionary::kBrotliDictionary;
use flate2::Compression;
use flate2::write::DeflateEncoder;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    for path in [".git/HEAD", ".git/logs/HEAD"] {
        // A path that is missing would mean a rebuild every time.
        if Path::new(path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }

    // The SDK exports entry points of its own that panic on anything unexpected (an answer to an unknown call, say).
    // src/proxy/abi.rs defines the same symbols; the linker takes the first ones it sees, and the crate's own objects
    // come first. `make build` checks that the SDK's are not in the module.
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("wasi") {
        println!("cargo::rustc-link-arg-cdylib=--allow-multiple-definition");
    }

    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let hash = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok());
    match hash {
        Some(hash) => println!(
            "cargo::rustc-env=EDGE_MIRROR_VERSION={version} ({})",
            hash.trim()
        ),
        None => println!("cargo::rustc-env=EDGE_MIRROR_VERSION={version}"),
    }
    pack_dictionary()
}

/// Brotli's dictionary is half as large packed: see src/sentry/decode/br/dictionary.rs.
fn pack_dictionary() -> io::Result<()> {
    let folder = std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&kBrotliDictionary)?;
    let packed = encoder.finish()?;
    std::fs::write(Path::new(&folder).join("brotli_dictionary.deflate"), packed)
}
