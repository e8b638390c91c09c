//! `proxy_http_call`: recorded, never sent.
//!
//! Envoy (`Context::httpCall`): the call belongs to the root context whoever makes it; an unknown cluster or a missing
//! `:method`, `:path` or `:authority` is BadArgument; a circuit breaker refuses with InternalFailure (a test injects
//! that as a fault). nginx: see the `Dispatch*` rules.

use wasmtime::Caller;

use super::super::clock::MILLISECOND;
use super::super::dispatch::{Call, Flight};
use super::super::headers::Headers;
use super::super::memory::{put_u32, read};
use super::super::rules::{Rule, check_target};
use super::super::state::State;
use super::{Answer, Status};

/// `parts`: upstream, headers, body, trailers.
pub(super) fn http_call(
    c: &mut Caller<'_, State>,
    parts: [(u32, u32); 4],
    timeout: u32,
    token: u32,
) -> Answer {
    let mut bytes = Vec::new();
    for (pointer, size) in parts {
        match read(c, pointer, size) {
            Some(part) => bytes.push(part),
            None => return Ok(Status::INVALID_MEMORY_ACCESS),
        }
    }
    let [upstream, headers, body, trailers]: [Vec<u8>; 4] = bytes.try_into().unwrap();
    let state = c.data();
    let call = Call {
        token: state.next_token,
        root: state.root_id(),
        context: state.current,
        callback: state.callback,
        upstream: String::from_utf8_lossy(&upstream).into_owned(),
        headers: Headers::deserialized(&headers),
        body,
        trailers: Headers::deserialized(&trailers),
        timeout_ms: timeout,
        at_ms: state.clock.monotonic / MILLISECOND,
    };
    if state.is_nginx() {
        check_nginx(c.data_mut(), &call)?;
    } else if let Some(status) = refused_by_envoy(c.data(), &call) {
        return Ok(status);
    }
    // The memory is tried before the call is made.
    if !put_u32(c, token, call.token) {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    }
    let state = c.data_mut();
    state.next_token += if state.is_nginx() { 1 } else { 4 };
    state.in_flight.insert(
        call.token,
        Flight::new(call.root, state.clock.monotonic, timeout),
    );
    state.calls.push(call);
    Ok(Status::OK)
}

fn refused_by_envoy(state: &State, call: &Call) -> Option<Status> {
    let known = state
        .options
        .clusters
        .as_ref()
        .is_none_or(|clusters| clusters.contains(&call.upstream));
    let complete = [":method", ":path", ":authority"]
        .iter()
        .all(|name| call.headers.get(name).is_some());
    // The timeout is an `int` there.
    let representable = i32::try_from(call.timeout_ms).is_ok();
    (!known || !complete || !representable).then_some(Status::BAD_ARGUMENT)
}

fn check_nginx(state: &mut State, call: &Call) -> wasmtime::Result<()> {
    if state.streams.contains_key(&call.context) {
        return Err(state.broken(Rule::DispatchFromHttp, &call.upstream));
    }
    match call.callback {
        "proxy_on_tick" => {}
        "proxy_on_http_call_response" => {
            return Err(state.broken(Rule::DispatchFromReply, &call.upstream));
        }
        _ => return Err(state.broken(Rule::DispatchOutsideTick, &call.upstream)),
    }
    if let Some((token, _)) = state
        .in_flight
        .iter()
        .find(|(_, flight)| flight.root == call.root)
    {
        let token = *token;
        return Err(state.broken(
            Rule::DispatchInFlight,
            format_args!("call {token} is in flight"),
        ));
    }
    if let Err(why) = check_target(call.upstream.as_bytes()) {
        return Err(state.broken(
            Rule::DispatchTarget,
            format_args!("{:?}: {why}", call.upstream),
        ));
    }
    if [":method", ":path"]
        .iter()
        .any(|name| call.headers.get(name).is_none_or(<[u8]>::is_empty))
    {
        return Err(state.broken(Rule::DispatchHeaders, format_args!("{:?}", call.headers)));
    }
    if call.headers.len() > state.options.max_dispatch_headers {
        return Err(state.broken(
            Rule::DispatchHeaderCount,
            format_args!("{} headers", call.headers.len()),
        ));
    }
    Ok(())
}
