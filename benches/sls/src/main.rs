//! The Rust contenders in one program, told by `run.py` what to do, a line each:
//!
//! ```text
//! sizes W -            {"envelopes":..,"logs":..,"raw":..,"decoded":..}
//! stages W -           the same, and the wasm instructions of each stage by its name
//! logs W FILE          writes [[time_s, time_ns, [[key, value]...]]...], for the SDK in another language
//! raw W FILE           writes the log group
//! run WHO W N          {"cpu_s":..}: CPU of N times encode, compress, sign by `wasm`, `native` or `rust-sdk`
//! ```
//! A line's words stand between tabs; the answer is a line of JSON. Arguments: the wasm build, then `name=file` for each
//! workload. Before it answers anything it has checked that its three contenders make the same log group of each.

mod sdk;
mod wasm;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use sls_bench::{OwnedLog, Stage, Workload};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead as _, Write as _};

/// A workload as each contender holds it.
struct Loaded {
    native: Workload,
    counted: wasm::Guest,
    timed: wasm::Guest,
    sdk: sdk::Group,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let module = std::fs::read(arguments.next().ok_or("no module given")?)?;
    let mut workloads = BTreeMap::new();
    for argument in arguments {
        let (name, path) = argument.split_once('=').ok_or("expected name=file")?;
        let bytes = std::fs::read(path)?;
        let native = Workload::new(&bytes);
        let mut timed = wasm::Guest::open(&module, &bytes, wasm::Count::No)?;
        let sdk = sdk::Group::new(native.logs());
        if timed.raw()? != native.raw() || sdk.raw() != native.raw() {
            return Err(format!("{name}: the contenders do not make the same log group").into());
        }
        let loaded = Loaded {
            counted: wasm::Guest::open(&module, &bytes, wasm::Count::Instructions)?,
            native,
            timed,
            sdk,
        };
        workloads.insert(name.to_owned(), loaded);
    }
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split('\t').collect();
        let &[_, .., name, _] = &*words else {
            return Err(
                format!("expected a command, a workload and an argument, got {line}").into(),
            );
        };
        let loaded = workloads
            .get_mut(name)
            .ok_or_else(|| format!("no workload {name}"))?;
        let answer = match words[..] {
            ["sizes", _, _] => sizes(&loaded.native),
            ["stages", _, _] => stages(loaded)?,
            ["logs", _, path] => {
                std::fs::write(path, logs(&loaded.native).to_string()).map(|()| json!({}))?
            }
            ["raw", _, path] => std::fs::write(path, loaded.native.raw()).map(|()| json!({}))?,
            ["run", who, _, times] => {
                let cpu_s = run(loaded, who, times.parse()?)?;
                json!({ "cpu_s": cpu_s })
            }
            _ => return Err(format!("unknown command: {line}").into()),
        };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn sizes(native: &Workload) -> Value {
    json!({
        "envelopes": native.envelopes(), "logs": native.logs().len(),
        "raw": native.raw().len(), "decoded": native.decoded_bytes(),
    })
}

fn stages(loaded: &mut Loaded) -> wasmtime::Result<Value> {
    let mut answer = sizes(&loaded.native);
    for stage in Stage::ALL {
        answer[stage.name()] = loaded.counted.instructions(stage)?.into();
    }
    Ok(answer)
}

fn logs(native: &Workload) -> Value {
    let log = |log: &OwnedLog| {
        json!([
            log.time.seconds,
            log.time.nanos,
            log.fields
        ])
    };
    native.logs().iter().map(log).collect()
}

fn run(loaded: &mut Loaded, who: &str, times: u32) -> Result<f64, Box<dyn std::error::Error>> {
    let before = cpu_s();
    match who {
        "wasm" => loaded.timed.run(Stage::Send, times)?,
        "native" => (0..times).for_each(|_| {
            black_box(loaded.native.run(Stage::Send));
        }),
        "rust-sdk" => (0..times).for_each(|_| {
            black_box(loaded.sdk.send());
        }),
        _ => return Err(format!("no contender {who}").into()),
    }
    Ok(cpu_s() - before)
}

#[allow(clippy::cast_precision_loss)]
fn cpu_s() -> f64 {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
