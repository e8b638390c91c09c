//! What the fuzz targets share beside the oracles of the property tests: the forms of inputs, and a mutator that keeps JSON
//! valid.
//!
//! Inputs are text as far as they can be, so that a fixture is a seed (`seeds.py`) and a finding can be read.

use std::str;

pub mod json;
pub mod script;

/// `name: value` in each line; bytes that are neither a colon nor a line feed go anywhere.
pub fn header_lines(bytes: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            // A pseudo header begins with a colon.
            let colon = line.iter().skip(1).position(|byte| *byte == b':');
            let (name, value) = line.split_at(colon.map_or(line.len(), |at| at + 1));
            let value = value.strip_prefix(b":").unwrap_or(value);
            (
                name.to_vec(),
                value.strip_prefix(b" ").unwrap_or(value).to_vec(),
            )
        })
        .collect()
}

/// The first line, and the rest.
pub fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    (line, rest.strip_prefix(b"\n").unwrap_or(rest))
}

/// What stands before the first empty line, and what after it.
pub fn head_and_body(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    (head, rest.get(2..).unwrap_or_default())
}

/// The last header of a name, as text.
pub fn header(headers: &[(Vec<u8>, Vec<u8>)], name: &str) -> Option<String> {
    let mut found = headers.iter().filter(|(own, _)| own == name.as_bytes());
    let (_, value) = found.next_back()?;
    str::from_utf8(value).ok().map(str::to_owned)
}
