//! Log, time, ticks, properties: the calls that touch no stream.

use wasmtime::Caller;

use super::super::clock::set_period;
use super::super::memory::{give, put_u32, put_u64, read};
use super::super::property::{Found, look_up};
use super::super::rules::Rule;
use super::super::state::State;
use super::{Answer, Status};

/// `LogLevel::Max`.
const MAX_LOG_LEVEL: u32 = 5;

pub(super) fn log(c: &mut Caller<'_, State>, level: u32, text: u32, len: u32) -> Answer {
    if level > MAX_LOG_LEVEL {
        return Ok(Status::BAD_ARGUMENT);
    }
    let Some(text) = read(c, text, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    c.data_mut().log(level, &text);
    Ok(Status::OK)
}

pub(super) fn get_log_level(c: &mut Caller<'_, State>, out: u32) -> Answer {
    let level = c.data().options.log_level;
    Ok(Status::written(put_u32(c, out, level)))
}

pub(super) fn get_current_time(c: &mut Caller<'_, State>, out: u32) -> Answer {
    let now = c.data().clock.wall;
    Ok(Status::written(put_u64(c, out, now)))
}

/// Envoy sets the period of the root context, whoever asks, at any time.
pub(super) fn set_tick_period(c: &mut Caller<'_, State>, period: u32) -> Answer {
    let state = c.data_mut();
    let id = state.root_id();
    if state.is_nginx() {
        // nginx looks at the running context, not at its root.
        if !state.roots.contains_key(&state.current) {
            return Err(state.broken(Rule::TickFromHttp, format_args!("period {period}")));
        }
        if state.stopping {
            return Err(state.broken(Rule::TickWhenStopping, format_args!("period {period}")));
        }
        if period > 0 && state.roots.get(&id).is_some_and(|root| root.ticked_once) {
            return Err(state.broken(Rule::SecondTickPeriod, format_args!("period {period}")));
        }
    }
    let now = state.clock.monotonic;
    if let Some(root) = state.roots.get_mut(&id) {
        root.ticked_once |= period > 0;
        set_period(&mut root.tick, period, now);
    }
    Ok(Status::OK)
}

pub(super) fn get_property(
    c: &mut Caller<'_, State>,
    path: u32,
    len: u32,
    out: u32,
    size: u32,
) -> Answer {
    let Some(path) = read(c, path, len) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let value = match look_up(c.data(), &path) {
        Found::Value(value) => Ok(value),
        Found::Missing => Err(Status::NOT_FOUND),
        Found::Refused if c.data().tolerates(Rule::RootProperty) => Err(Status::INTERNAL_FAILURE),
        Found::Refused => return Err(c.data_mut().broken(Rule::RootProperty, path.escape_ascii())),
        Found::Unsupported if c.data().tolerates(Rule::PropertyUnsupported) => {
            Err(Status::NOT_FOUND)
        }
        Found::Unsupported => {
            let rule = Rule::PropertyUnsupported;
            return Err(c.data_mut().broken(rule, path.escape_ascii()));
        }
    };
    give(c, value, out, size)
}

/// Envoy keeps such values as filter state of the stream; here they become properties of the stream. nginx knows the
/// variables that its configuration declares.
pub(super) fn set_property(
    c: &mut Caller<'_, State>,
    path: u32,
    len: u32,
    value: u32,
    size: u32,
) -> Answer {
    let (Some(path), Some(value)) = (read(c, path, len), read(c, value, size)) else {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    };
    let path = String::from_utf8_lossy(&path)
        .trim_end_matches('\0')
        .replace('\0', ".");
    let state = c.data_mut();
    let id = state.context();
    let declared = state.options.target_variable.as_ref();
    if let (true, Some(name)) = (state.is_nginx(), path.strip_prefix("ngx."))
        && declared.is_none_or(|declared| declared != name)
    {
        return Ok(Status::NOT_FOUND);
    }
    match state.streams.get_mut(&id) {
        Some(stream) => {
            stream.properties.retain(|(known, _)| *known != path);
            stream.properties.push((path, value));
            Ok(Status::OK)
        }
        None => Ok(Status::NOT_FOUND),
    }
}

/// Status of the last call, which Envoy sets when it fails: 11 (broken connection) and "reset".
pub(super) fn get_status(c: &mut Caller<'_, State>, code: u32, out: u32, size: u32) -> Answer {
    let failed = c
        .data()
        .reply
        .as_ref()
        .is_some_and(|reply| reply.headers.is_empty());
    let (number, text) = if failed {
        (11, b"reset".to_vec())
    } else {
        (0, Vec::new())
    };
    if !put_u32(c, code, number) {
        return Ok(Status::INVALID_MEMORY_ACCESS);
    }
    give(c, Ok(text), out, size)
}

pub(super) fn call_foreign_function(
    c: &mut Caller<'_, State>,
    name: u32,
    len: u32,
    _args: u32,
    _args_len: u32,
    _out: u32,
    _size: u32,
) -> Answer {
    let name = read(c, name, len).unwrap_or_default();
    if c.data().is_nginx() {
        return Err(c
            .data_mut()
            .broken(Rule::ForeignFunction, name.escape_ascii()));
    }
    Ok(Status::NOT_FOUND)
}
