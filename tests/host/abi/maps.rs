//! Header map calls.
//!
//! Envoy: names in lower case, the first value of several, an absent map is an empty list of pairs and BadArgument for
//! anything else; the headers are absent once they went on, until `on_log` ([`Leg::hide`](super::super::leg::Leg)). nginx: `:scheme` and `:authority` are read-only (the call says OK and does nothing); removing a
//! header hides it from filters only, it is still sent upstream, and so is every line but the first of a replaced one; a
//! header added in a mirror subrequest is not sent. A path without arguments leaves the old arguments.

use wasmtime::Caller;

use super::super::headers::Headers;
use super::super::leg::Way;
use super::super::memory::{give, put_u32, read};
use super::super::rules::Rule;
use super::super::state::State;
use super::{Answer, Status};

const REQUEST_HEADERS: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE_HEADERS: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const CALL_RESPONSE_HEADERS: u32 = 6;
const CALL_RESPONSE_TRAILERS: u32 = 7;
/// `WasmHeaderMapType::MAX`.
const MAX_KIND: u32 = 7;

pub(super) fn get_pairs(c: &mut Caller<'_, State>, kind: u32, out: u32, size: u32) -> Answer {
    if kind > MAX_KIND {
        return Ok(Status::BAD_ARGUMENT);
    }
    let pairs = match find(c.data(), kind) {
        Some(map) if map.is_empty() && !c.data().is_nginx() => Ok(Vec::new()),
        Some(map) => Ok(map.serialized()),
        None if c.data().is_nginx() => Err(Status::BAD_ARGUMENT),
        None => Ok(Vec::new()),
    };
    give(c, pairs, out, size)
}

pub(super) fn get_value(
    c: &mut Caller<'_, State>,
    kind: u32,
    key: u32,
    len: u32,
    out: u32,
    size: u32,
) -> Answer {
    if kind > MAX_KIND {
        return Ok(Status::BAD_ARGUMENT);
    }
    let Some(key) = read(c, key, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let value = match find(c.data(), kind) {
        Some(map) => map.get(&key).map(<[u8]>::to_vec).ok_or(Status::NOT_FOUND),
        None if c.data().is_nginx() => Err(Status::NOT_FOUND),
        None => Err(Status::BAD_ARGUMENT),
    };
    give(c, value, out, size)
}

/// Bytes of names and values.
pub(super) fn get_size(c: &mut Caller<'_, State>, kind: u32, out: u32) -> Answer {
    match find(c.data(), kind) {
        Some(map) => {
            let size = map
                .iter()
                .map(|(name, value)| name.len() + value.len())
                .sum::<usize>() as u32;
            Ok(Status::written(put_u32(c, out, size)))
        }
        None => Ok(Status::BAD_ARGUMENT),
    }
}

pub(super) fn set_pairs(c: &mut Caller<'_, State>, kind: u32, data: u32, len: u32) -> Answer {
    let Some(data) = read(c, data, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let new = Headers::deserialized(&data);
    change(c, kind, b"", |map, copy| match copy {
        Copy::Seen => *map = new.clone(),
        Copy::Wire => new.iter().for_each(|(name, value)| map.add(name, value)),
        Copy::MirrorWire => {}
    })
}

pub(super) fn add_value(
    c: &mut Caller<'_, State>,
    kind: u32,
    key: u32,
    n: u32,
    value: u32,
    m: u32,
) -> Answer {
    let (Some(key), Some(value)) = (read(c, key, n), read(c, value, m)) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    change(c, kind, &key, |map, copy| {
        if copy != Copy::MirrorWire {
            map.add(&key, &value);
        }
    })
}

pub(super) fn replace_value(
    c: &mut Caller<'_, State>,
    kind: u32,
    key: u32,
    n: u32,
    value: u32,
    m: u32,
) -> Answer {
    let (Some(key), Some(value)) = (read(c, key, n), read(c, value, m)) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    change(c, kind, &key, |map, copy| match copy {
        Copy::Seen => map.replace(&key, &value),
        _ if key == b":path" => {
            let path = nginx_path(map.get(":path").unwrap_or_default(), &value);
            map.replace(&key, path);
        }
        Copy::Wire if map.get(&key).is_none() => map.add(&key, &value),
        Copy::Wire | Copy::MirrorWire => map.replace_first(&key, &value),
    })
}

/// `$uri$is_args$args` once the path has been set (`ngx_proxy_wasm_maps_set_path`).
fn nginx_path(old: &[u8], new: &[u8]) -> Vec<u8> {
    let arguments = |path: &[u8]| {
        let at = path.iter().position(|byte| *byte == b'?')?;
        Some(path[at + 1..].to_vec())
    };
    let uri = new.split(|byte| *byte == b'?').next().unwrap_or_default();
    match arguments(new)
        .or_else(|| arguments(old))
        .unwrap_or_default()
    {
        empty if empty.is_empty() => uri.to_vec(),
        arguments => [uri, b"?", &arguments].concat(),
    }
}

pub(super) fn remove_value(c: &mut Caller<'_, State>, kind: u32, key: u32, len: u32) -> Answer {
    let Some(key) = read(c, key, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    change(c, kind, &key, |map, copy| {
        if copy == Copy::Seen {
            map.remove(&key);
        }
    })
}

/// Which copy of the map a change is applied to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copy {
    /// What filters see; in Envoy also what is sent.
    Seen,
    /// What nginx sends.
    Wire,
    /// What nginx sends in a mirror subrequest.
    MirrorWire,
}

fn change(
    c: &mut Caller<'_, State>,
    kind: u32,
    key: &[u8],
    act: impl Fn(&mut Headers, Copy),
) -> Answer {
    let state = c.data_mut();
    if state.is_nginx() {
        check_nginx(state, kind, key)?;
        if kind == REQUEST_HEADERS && [b":scheme".as_slice(), b":authority"].contains(&key) {
            return Ok(Status::OK);
        }
    }
    let nginx = state.is_nginx();
    let id = state.context();
    let Some(stream) = state.streams.get_mut(&id) else {
        return Ok(Status::BAD_ARGUMENT);
    };
    let leg = match kind {
        REQUEST_HEADERS | REQUEST_TRAILERS => stream.leg_mut(Way::Request),
        RESPONSE_HEADERS | RESPONSE_TRAILERS => stream.leg_mut(Way::Response),
        _ => return Ok(Status::BAD_ARGUMENT),
    };
    if matches!(kind, REQUEST_TRAILERS | RESPONSE_TRAILERS) {
        let Some(trailers) = leg.trailers.as_mut() else {
            return Ok(Status::BAD_ARGUMENT);
        };
        act(trailers, Copy::Seen);
        return Ok(Status::OK);
    }
    if !leg.shown {
        return Ok(Status::BAD_ARGUMENT);
    }
    act(&mut leg.map, Copy::Seen);
    if nginx {
        let copy = if leg.mirror {
            Copy::MirrorWire
        } else {
            Copy::Wire
        };
        act(&mut leg.wire, copy);
    } else {
        leg.map = std::mem::take(&mut leg.map).lowercased();
    }
    Ok(Status::OK)
}

fn check_nginx(state: &mut State, kind: u32, key: &[u8]) -> wasmtime::Result<()> {
    let allowed: &[&str] = match kind {
        REQUEST_HEADERS => &[
            "proxy_on_request_headers",
            "proxy_on_request_body",
            "proxy_on_http_call_response",
        ],
        RESPONSE_HEADERS => &[
            "proxy_on_request_headers",
            "proxy_on_request_body",
            "proxy_on_response_headers",
            "proxy_on_http_call_response",
        ],
        _ => return Ok(()),
    };
    if !allowed.contains(&state.callback) {
        return Err(state.broken(Rule::HeadersAfterResponse, key.escape_ascii()));
    }
    Ok(())
}

/// The map that a getter reads; `None` when there is none at this moment.
fn find(state: &State, kind: u32) -> Option<Headers> {
    let stream = state.streams.get(&state.context());
    let headers = |way| {
        let leg = stream?.leg(way);
        (leg.shown || (leg.begun && state.callback == "proxy_on_log")).then(|| leg.map.clone())
    };
    let trailers = |way| stream.and_then(|stream| stream.leg(way).trailers.clone());
    match kind {
        REQUEST_HEADERS => headers(Way::Request),
        REQUEST_TRAILERS => trailers(Way::Request),
        RESPONSE_HEADERS => headers(Way::Response),
        RESPONSE_TRAILERS => trailers(Way::Response),
        CALL_RESPONSE_HEADERS => {
            let reply = state.reply.as_ref()?;
            if !state.is_nginx() {
                // A failed call has no response in Envoy.
                return Some(reply.headers.clone()).filter(|headers| !headers.is_empty());
            }
            let mut headers = reply.headers.clone();
            headers.add(":dispatch_status", reply.dispatch_status);
            Some(headers)
        }
        CALL_RESPONSE_TRAILERS => state
            .reply
            .as_ref()
            .map(|reply| reply.trailers.clone())
            .filter(|trailers| !trailers.is_empty()),
        _ => None,
    }
}
