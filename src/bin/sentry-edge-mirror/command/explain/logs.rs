//! The logs that a request makes, read back from the write to SLS.

use super::super::printed::Printed;
use super::drive::{Request, drive};
use prost::encoding::{WireType, decode_key, decode_varint};
use sentry_edge_mirror::config::Config;
use sentry_edge_mirror::sls::compress::Compression;

/// A longer value is cut: the whole item may be one.
const SHOWN: usize = 200;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// Unix seconds.
    time: u64,
    nanoseconds: u32,
    fields: Vec<(String, String)>,
}

/// What the core writes for this request, uncompressed for once.
pub(super) fn of(config: &Config, request: &Request) -> Vec<Log> {
    let mut config = config.clone();
    match &mut config.sls {
        Some(sls) => sls.compression = Compression::None,
        None => return Vec::new(),
    }
    let trace = drive(config, request);
    let is_write = |path: &str| path.starts_with("/logstores/");
    let writes = trace.calls.iter().filter(|call| {
        let mut headers = call.headers.iter();
        headers.any(|(name, value)| name == ":path" && is_write(value))
    });
    writes
        .filter_map(|call| read(&call.body))
        .flatten()
        .collect()
}

pub(super) fn write(logs: &[Log], out: &mut Printed) {
    for (number, log) in logs.iter().enumerate() {
        let number = number.saturating_add(1);
        let Log {
            time, nanoseconds, ..
        } = log;
        let _ = writeln!(
            out,
            "  log {number} of {}, at {time}.{nanoseconds:09}:",
            logs.len()
        );
        for (key, value) in &log.fields {
            let _ = match value.char_indices().nth(SHOWN) {
                Some((end, _)) => {
                    let shown = value.get(..end).unwrap_or_default();
                    writeln!(out, "    {key}: {shown}... ({} bytes)", value.len())
                }
                None => writeln!(out, "    {key}: {value}"),
            };
        }
    }
}

/// A field of a protobuf message.
enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The fields of a message, by number. `None` when it is none.
fn fields(mut message: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let (number, kind) = decode_key(&mut message).ok()?;
        let value = match kind {
            WireType::Varint => Value::Number(decode_varint(&mut message).ok()?),
            WireType::ThirtyTwoBit => {
                let (bytes, rest) = message.split_first_chunk()?;
                message = rest;
                Value::Number(u32::from_le_bytes(*bytes).into())
            }
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut message).ok()?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        fields.push((number, value));
    }
    Some(fields)
}

/// The logs of a `LogGroup`.
fn read(group: &[u8]) -> Option<Vec<Log>> {
    let logs = fields(group)?.into_iter().filter_map(|field| match field {
        (1, Value::Bytes(log)) => Some(read_log(log)),
        _ => None,
    });
    logs.collect()
}

fn read_log(log: &[u8]) -> Option<Log> {
    let mut read = Log::default();
    for field in fields(log)? {
        match field {
            (1, Value::Number(time)) => read.time = time,
            (2, Value::Bytes(pair)) => read.fields.push(pair_of(pair)?),
            (4, Value::Number(part)) => read.nanoseconds = u32::try_from(part).ok()?,
            _ => {}
        }
    }
    Some(read)
}

fn pair_of(pair: &[u8]) -> Option<(String, String)> {
    let mut of = (String::new(), String::new());
    for field in fields(pair)? {
        match field {
            (1, Value::Bytes(key)) => of.0 = String::from_utf8_lossy(key).into_owned(),
            (2, Value::Bytes(value)) => of.1 = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
    }
    Some(of)
}
