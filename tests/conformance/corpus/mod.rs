//! The decoders, the envelope reader and the records against every fixture that carries an expectation.
//! `SENTRY_CORPUS` names a larger corpus of the same form.

mod envelopes;
mod records;

use sentry_edge_mirror::sentry::envelope::{Envelope, Item, Malformed};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const CAP: usize = 32 << 20;

struct Case {
    name: String,
    meta: Value,
    body: Vec<u8>,
}

fn cases(part: &str) -> Vec<Case> {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");
    let corpus = std::env::var_os("SENTRY_CORPUS").unwrap_or_else(|| fixtures.into());
    let corpus = PathBuf::from(corpus).join(part);
    let mut names: Vec<_> = fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.retain(|path| path.to_string_lossy().ends_with(".http.json"));
    names.sort();
    let read = |path: &PathBuf| {
        let meta: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let body = fs::read(corpus.join(meta["body_file"].as_str().unwrap())).unwrap();
        Case {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            meta,
            body,
        }
    };
    names.iter().map(read).collect()
}

fn encoding(meta: &Value) -> String {
    let headers = meta["headers"].as_array().unwrap();
    let found = headers.iter().find(|header| {
        header[0]
            .as_str()
            .unwrap()
            .eq_ignore_ascii_case("content-encoding")
    });
    found.map_or(String::new(), |header| {
        header[1].as_str().unwrap().to_owned()
    })
}

fn read(bytes: &[u8]) -> Result<(Envelope<'_>, Vec<Item<'_>>), Malformed> {
    let envelope = Envelope::read(bytes)?;
    Ok((envelope.clone(), envelope.collect::<Result<_, _>>()?))
}

fn text(value: &Option<std::borrow::Cow<'_, str>>) -> Value {
    value.as_deref().map_or(Value::Null, Value::from)
}
