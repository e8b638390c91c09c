//! A mutator that knows JSON: blind changes of bytes hardly ever leave a document that is still read to its end.
//!
//! A whole document, or one line of an envelope (whose item header then gets the new length), is parsed, one node of it
//! is replaced, and it is written again.

use oracles::random::Random;
use serde_json::{Map, Value};

/// Keys that something reads, or takes for a secret.
const KEYS: [&str; 47] = [
    "type",
    "length",
    "item_count",
    "content_type",
    "dsn",
    "event_id",
    "sent_at",
    "sdk",
    "trace",
    "trace_id",
    "timestamp",
    "start_timestamp",
    "level",
    "message",
    "formatted",
    "exception",
    "values",
    "stacktrace",
    "frames",
    "user",
    "email",
    "tags",
    "contexts",
    "request",
    "headers",
    "data",
    "items",
    "attributes",
    "value",
    "spans",
    "aggregates",
    "attrs",
    "discarded_events",
    "password",
    "api_key",
    "Authorization",
    "cookies",
    "sls",
    "rum",
    "credential",
    "mode",
    "host",
    "enabled",
    "lanes",
    "lane",
    "sign",
    "fast_ack",
];
/// Text that somebody looks for.
const TEXTS: [&str; 33] = [
    "",
    "0",
    "event",
    "transaction",
    "log",
    "span",
    "sessions",
    "2026-11-21T03:34:36Z",
    "2026-11-21T03:34:36.123456789+23:59",
    "1e400",
    "https://k@o1.example.com/42",
    "x=1&password=2",
    "Bearer abc.def",
    "4111 1111 1111 1111",
    "a:b@c://d:e@f",
    "\u{0}",
    "\\",
    "\"",
    "\u{10ffff}",
    "é",
    "[Filtered]",
    "{\"password\":\"x\"}",
    "[[\"token\",\"x\"]]",
    "${SECRET}",
    "${",
    "-----BEGIN PRIVATE KEY-----",
    "true",
    "9ec79c33ec9942ab8353589fcb2e04dc",
    "nginx",
    "tee",
    "rewrite",
    "sign",
    "42=ws/web@42",
];
const NUMBERS: [&str; 12] = [
    "0",
    "-0.0",
    "-1",
    "1.5",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e-308",
    "1795240000.123456789",
    "253402300800",
];

/// A mutated input of the size `size` in `data`, which has room for `max_size`; gives its new size. Half of the time
/// libFuzzer's own mutations, and always when there is no JSON.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed));
    if random.index(2) == 0
        && let Some(new) = mutated(&data[..size], &mut random)
        && new.len() <= max_size
    {
        data[..new.len()].copy_from_slice(&new);
        return new.len();
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
}

fn mutated(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    if let Some(document) = document(bytes, random) {
        return Some(document);
    }
    let mut lines: Vec<Vec<u8>> = bytes
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let at = random.index(lines.len());
    let new = document(&lines[at], random)?;
    if let Some(before) = at.checked_sub(1)
        && let Ok(mut header) = serde_json::from_slice::<Map<String, Value>>(&lines[before])
        && header.get("length") == Some(&lines[at].len().into())
    {
        header.insert("length".to_owned(), new.len().into());
        lines[before] = serde_json::to_vec(&header).ok()?;
    }
    match random.index(8) {
        // An item once more.
        0 => lines.insert(at, new),
        _ => lines[at] = new,
    }
    Some(lines.join(&b'\n'))
}

fn document(bytes: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    let nodes = count(&value);
    let mut left = random.index(nodes);
    let donor = nth(&value, &mut random.index(nodes)).cloned();
    let node = nth_mut(&mut value, &mut left)?;
    change(node, donor, random);
    serde_json::to_vec(&value).ok()
}

fn change(node: &mut Value, donor: Option<Value>, random: &mut Random) {
    match (random.index(8), &mut *node) {
        (0, Value::Object(members)) => {
            let key = random.index(members.len());
            if let Some(key) = members.keys().nth(key).cloned() {
                members.remove(&key);
            }
        }
        (1 | 2, Value::Object(members)) => {
            let key = random.pick(&KEYS).to_owned();
            members.insert(key, donor.unwrap_or_default());
        }
        (0..=2, Value::Array(values)) => {
            let copies = 1 + random.index(4);
            values.extend(std::iter::repeat_n(donor.unwrap_or_default(), copies));
        }
        (0..=2, Value::String(text)) => {
            let mut at = random.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, random.pick(&TEXTS));
        }
        (3, _) => *node = donor.unwrap_or_default(),
        (4, _) => *node = Value::Array(vec![node.take()]),
        (5, _) => {
            *node = Value::Object(Map::from_iter([(
                random.pick(&KEYS).to_owned(),
                node.take(),
            )]))
        }
        (6, _) => *node = serde_json::from_str(random.pick(&NUMBERS)).unwrap_or_default(),
        _ => {
            *node = match random.index(6) {
                0 => Value::Null,
                1 => Value::Bool(true),
                2 => Value::String("x".repeat(random.index(300))),
                _ => Value::String(random.pick(&TEXTS).to_owned()),
            }
        }
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(values) => Box::new(values.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn count(value: &Value) -> usize {
    1 + children(value).map(count).sum::<usize>()
}

fn nth<'v>(value: &'v Value, left: &mut usize) -> Option<&'v Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    children(value).find_map(|child| nth(child, left))
}

fn nth_mut<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(values) => values.iter_mut().find_map(|child| nth_mut(child, left)),
        Value::Object(members) => members.values_mut().find_map(|child| nth_mut(child, left)),
        _ => None,
    }
}
