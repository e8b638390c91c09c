//! Calls that steer a stream or a context. What they start happens after the callback, as in Envoy.

use wasmtime::Caller;

use super::super::exchange::LocalResponse;
use super::super::headers::Headers;
use super::super::leg::Way;
use super::super::memory::read;
use super::super::rules::Rule;
use super::super::state::{Later, Life, State};
use super::{Answer, Status};

/// `WasmStreamType`: 0 request, 1 response, 2 downstream, 3 upstream.
pub(super) fn continue_stream(c: &mut Caller<'_, State>, kind: u32) -> Answer {
    let way = match kind {
        0 => Way::Request,
        1 => Way::Response,
        2 | 3 => return Ok(Status::UNIMPLEMENTED),
        _ => return Ok(Status::BAD_ARGUMENT),
    };
    let state = c.data_mut();
    let id = state.context();
    if !state.streams.contains_key(&id) {
        return Ok(Status::BAD_ARGUMENT);
    }
    state.later.push(Later::Resume(id, way));
    Ok(Status::OK)
}

/// Envoy closes HTTP streams without answering; a filter of ours has no use for it.
pub(super) fn close_stream(_: &mut Caller<'_, State>, _: u32) -> Answer {
    Ok(Status::UNIMPLEMENTED)
}

/// `parts`: details, body, headers.
pub(super) fn send_local_response(
    c: &mut Caller<'_, State>,
    status: u32,
    parts: [(u32, u32); 3],
) -> Answer {
    let [details, body, headers] = parts.map(|(pointer, size)| read(c, pointer, size));
    let (Some(details), Some(body), Some(headers)) = (details, body, headers) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let state = c.data_mut();
    let id = state.context();
    let mirror = state
        .streams
        .get(&id)
        .is_some_and(|stream| stream.request.mirror);
    if state.is_nginx() && mirror {
        return Err(state.broken(Rule::LocalResponseInMirror, status));
    }
    let Some(stream) = state.streams.get_mut(&id) else {
        return Ok(Status::BAD_ARGUMENT);
    };
    if stream.exchange.local_response.is_none() {
        stream.exchange.local_response = Some(LocalResponse {
            status,
            details: String::from_utf8_lossy(&details).into_owned(),
            headers: Headers::deserialized(&headers),
            body,
        });
        state.later.push(Later::LocalResponse(id));
    }
    Ok(Status::OK)
}

pub(super) fn set_effective_context(c: &mut Caller<'_, State>, context: u32) -> Answer {
    let state = c.data_mut();
    if !state.is_nginx()
        && !state.roots.contains_key(&context)
        && !state.streams.contains_key(&context)
    {
        return Ok(Status::BAD_ARGUMENT);
    }
    state.effective = context;
    Ok(Status::OK)
}

/// Only a root context whose `on_done` returned false has anything to be done with (`WasmBase::done`).
pub(super) fn done(c: &mut Caller<'_, State>) -> Answer {
    let state = c.data_mut();
    let root = state.root_id();
    match state.roots.get(&root) {
        Some(known) if known.life == Life::PendingDone => {
            state.later.push(Later::Done(root));
            Ok(Status::OK)
        }
        _ => Ok(Status::NOT_FOUND),
    }
}
