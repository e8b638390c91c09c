//! Buffer calls: bodies and configurations.
//!
//! Envoy: the request body is the current chunk, or everything buffered so far when the filter pauses. The plugin
//! configuration exists during `on_configure` only. nginx: the whole body, `start` is ignored, a body that was spilled
//! to a file is NotFound.

use wasmtime::Caller;

use super::super::leg::Way;
use super::super::memory::{give, put_u32, read};
use super::super::options::Profile;
use super::super::rules::Rule;
use super::super::state::State;
use super::{Answer, Status};

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const CALL_RESPONSE_BODY: u32 = 4;
const VM_CONFIGURATION: u32 = 6;
const PLUGIN_CONFIGURATION: u32 = 7;
/// `WasmBufferType::MAX`.
const MAX_KIND: u32 = 8;

pub(super) fn get(
    c: &mut Caller<'_, State>,
    kind: u32,
    start: u32,
    max: u32,
    out: u32,
    size: u32,
) -> Answer {
    check_nginx(c.data_mut(), kind, start)?;
    let value = find(c.data(), kind).and_then(|bytes| slice(c.data().profile, &bytes, start, max));
    // Nothing to hand out: Envoy writes nulls, nginx leaves the guest's variables alone; the SDK reads both as None.
    if value.as_ref().is_ok_and(Vec::is_empty) && c.data().is_nginx() && c.data().forced.is_none() {
        return Ok(Status::OK);
    }
    give(c, value, out, size)
}

pub(super) fn status(c: &mut Caller<'_, State>, kind: u32, out: u32, flags: u32) -> Answer {
    match find(c.data(), kind) {
        Ok(bytes) => Ok(Status::written(
            put_u32(c, out, bytes.len() as u32) && put_u32(c, flags, 0),
        )),
        Err(status) => Ok(status),
    }
}

/// Replaces `len` bytes from `start`: (0, 0) prepends, (0, at least the size) replaces, (size, _) appends, as
/// `Buffer::copyFrom` does. Anything in between is BadArgument there.
pub(super) fn set(
    c: &mut Caller<'_, State>,
    kind: u32,
    start: u32,
    len: u32,
    data: u32,
    size: u32,
) -> Answer {
    let Some(new) = read(c, data, size) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let way = match kind {
        REQUEST_BODY => Way::Request,
        RESPONSE_BODY => Way::Response,
        _ => return Ok(Status::BAD_ARGUMENT),
    };
    let state = c.data_mut();
    let id = state.context();
    let body = state
        .streams
        .get_mut(&id)
        .and_then(|stream| stream.leg_mut(way).visible.as_mut());
    let Some(body) = body else {
        return Ok(Status::NOT_FOUND);
    };
    match (start as usize, len as usize) {
        (0, 0) => body.splice(0..0, new).for_each(drop),
        (0, len) if len >= body.len() => *body = new,
        (start, _) if start >= body.len() => body.extend(new),
        _ => return Ok(Status::BAD_ARGUMENT),
    }
    Ok(Status::OK)
}

fn find(state: &State, kind: u32) -> Result<Vec<u8>, Status> {
    let body = |way| {
        let leg = state.streams.get(&state.context())?.leg(way);
        leg.visible.as_ref().filter(|_| !leg.spilled).cloned()
    };
    let found = match kind {
        REQUEST_BODY => body(Way::Request),
        RESPONSE_BODY => body(Way::Response),
        CALL_RESPONSE_BODY => match &state.reply {
            Some(reply) if reply.cut_short => return Err(Status::BAD_ARGUMENT),
            Some(reply) if reply.body.is_empty() && state.is_nginx() => None,
            reply => reply.as_ref().map(|reply| reply.body.clone()),
        },
        VM_CONFIGURATION => Some(state.options.vm_config.clone()),
        PLUGIN_CONFIGURATION if state.is_nginx() || state.callback == "proxy_on_configure" => state
            .roots
            .get(&state.root_id())
            .map(|root| root.config.clone()),
        kind if kind > MAX_KIND => return Err(Status::BAD_ARGUMENT),
        _ => None,
    };
    found.ok_or(Status::NOT_FOUND)
}

fn slice(profile: Profile, bytes: &[u8], start: u32, max: u32) -> Result<Vec<u8>, Status> {
    let end = start.checked_add(max).ok_or(Status::BAD_ARGUMENT)? as usize;
    let start = if profile == Profile::Nginx {
        0
    } else {
        start as usize
    };
    let end = if profile == Profile::Nginx {
        max as usize
    } else {
        end
    };
    let end = end.min(bytes.len());
    Ok(bytes.get(start..end).unwrap_or_default().to_vec())
}

fn check_nginx(state: &mut State, kind: u32, start: u32) -> wasmtime::Result<()> {
    if !state.is_nginx() || !matches!(kind, REQUEST_BODY | RESPONSE_BODY | CALL_RESPONSE_BODY) {
        return Ok(());
    }
    if start != 0 && !state.tolerates(Rule::BodyStart) {
        return Err(state.broken(Rule::BodyStart, format_args!("start {start}")));
    }
    let readable = matches!(
        state.callback,
        "proxy_on_request_headers" | "proxy_on_request_body" | "proxy_on_log"
    );
    if kind == REQUEST_BODY && !readable {
        return Err(state.broken(Rule::BodyOutsideRequest, "request body"));
    }
    Ok(())
}
