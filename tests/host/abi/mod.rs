//! The `env` imports of proxy-wasm ABI 0.2.1, as `FOR_ALL_HOST_FUNCTIONS` in proxy-wasm-cpp-host lists them.
//!
//! Every function counts itself, obeys the injected faults, and answers with a status. Arguments are checked as in
//! `exports.cc`. Functions that belong to gRPC, network filters and foreign functions exist, so that a module links,
//! and answer that they are not there.

mod buffers;
mod calls;
mod contexts;
mod maps;
mod metrics;
mod plain;
pub(super) mod shared;

use wasmtime::{Caller, Linker};

use super::fault::What;
use super::rules::{NOT_IMPLEMENTED, Rule};
use super::state::State;

/// `WasmResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status(pub(super) u32);

impl Status {
    pub(super) const OK: Self = Self(0);
    pub(super) const NOT_FOUND: Self = Self(1);
    pub(super) const BAD_ARGUMENT: Self = Self(2);
    pub(super) const INVALID_MEMORY_ACCESS: Self = Self(6);
    pub(super) const CAS_MISMATCH: Self = Self(8);
    pub(super) const INTERNAL_FAILURE: Self = Self(10);
    pub(super) const UNIMPLEMENTED: Self = Self(12);

    /// For the calls that write one result into memory.
    pub(super) fn written(ok: bool) -> Self {
        if ok {
            Self::OK
        } else {
            Self::INVALID_MEMORY_ACCESS
        }
    }
}

/// A status, or a trap.
pub(super) type Answer = wasmtime::Result<Status>;

/// Links each `name(arguments) = function` as `env.<name>`.
macro_rules! link {
    ($linker:ident: $($name:literal ($($arg:ident: $kind:ty),*) = $run:expr;)*) => {$(
        $linker.func_wrap("env", $name, |mut c: Caller<'_, State>, $($arg: $kind),*| -> wasmtime::Result<u32> {
            enter(&mut c, $name, |c| $run(c, $($arg),*))
        })?;
    )*};
}

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link! { linker:
        "proxy_log"(level: u32, text: u32, len: u32) = plain::log;
        "proxy_get_log_level"(out: u32) = plain::get_log_level;
        "proxy_get_current_time_nanoseconds"(out: u32) = plain::get_current_time;
        "proxy_set_tick_period_milliseconds"(period: u32) = plain::set_tick_period;
        "proxy_get_property"(path: u32, len: u32, out: u32, size: u32) = plain::get_property;
        "proxy_set_property"(path: u32, len: u32, value: u32, size: u32) = plain::set_property;
        "proxy_get_status"(code: u32, out: u32, size: u32) = plain::get_status;
        "proxy_call_foreign_function"(name: u32, len: u32, args: u32, n: u32, out: u32, size: u32) =
            plain::call_foreign_function;

        "proxy_get_buffer_bytes"(kind: u32, start: u32, max: u32, out: u32, size: u32) = buffers::get;
        "proxy_set_buffer_bytes"(kind: u32, start: u32, len: u32, data: u32, size: u32) = buffers::set;
        "proxy_get_buffer_status"(kind: u32, out: u32, flags: u32) = buffers::status;

        "proxy_get_header_map_pairs"(kind: u32, out: u32, size: u32) = maps::get_pairs;
        "proxy_set_header_map_pairs"(kind: u32, data: u32, len: u32) = maps::set_pairs;
        "proxy_get_header_map_value"(kind: u32, key: u32, len: u32, out: u32, size: u32) = maps::get_value;
        "proxy_add_header_map_value"(kind: u32, key: u32, n: u32, value: u32, m: u32) = maps::add_value;
        "proxy_replace_header_map_value"(kind: u32, key: u32, n: u32, value: u32, m: u32) = maps::replace_value;
        "proxy_remove_header_map_value"(kind: u32, key: u32, len: u32) = maps::remove_value;
        "proxy_get_header_map_size"(kind: u32, out: u32) = maps::get_size;

        "proxy_http_call"(upstream: u32, n: u32, headers: u32, hn: u32, body: u32, bn: u32, trailers: u32, tn: u32,
            timeout: u32, token: u32) = |c: &mut Caller<'_, State>, upstream, n, headers, hn, body, bn, trailers, tn,
            timeout, token| calls::http_call(c, [(upstream, n), (headers, hn), (body, bn), (trailers, tn)], timeout,
            token);

        "proxy_define_metric"(kind: u32, name: u32, len: u32, out: u32) = metrics::define;
        "proxy_increment_metric"(id: u32, offset: i64) = metrics::increment;
        "proxy_record_metric"(id: u32, value: u64) = metrics::record;
        "proxy_get_metric"(id: u32, out: u32) = metrics::get;

        "proxy_get_shared_data"(key: u32, len: u32, out: u32, size: u32, cas: u32) = shared::get;
        "proxy_set_shared_data"(key: u32, len: u32, value: u32, size: u32, cas: u32) = shared::set;
        "proxy_register_shared_queue"(name: u32, len: u32, token: u32) = unimplemented3;
        "proxy_resolve_shared_queue"(vm: u32, vm_len: u32, name: u32, len: u32, token: u32) =
            |_: &mut Caller<'_, State>, _, _, _, _, _| Ok(Status::UNIMPLEMENTED);
        "proxy_dequeue_shared_queue"(queue: u32, out: u32, size: u32) = unimplemented3;
        "proxy_enqueue_shared_queue"(queue: u32, value: u32, len: u32) = unimplemented3;

        "proxy_continue_stream"(kind: u32) = contexts::continue_stream;
        "proxy_close_stream"(kind: u32) = contexts::close_stream;
        "proxy_send_local_response"(status: u32, details: u32, dn: u32, body: u32, bn: u32, headers: u32, hn: u32,
            grpc: i32) = |c: &mut Caller<'_, State>, status, details, dn, body, bn, headers, hn, _|
            contexts::send_local_response(c, status, [(details, dn), (body, bn), (headers, hn)]);
        "proxy_set_effective_context"(context: u32) = contexts::set_effective_context;
        "proxy_done"() = contexts::done;

        "proxy_grpc_call"(p1: u32, p2: u32, p3: u32, p4: u32, p5: u32, p6: u32, p7: u32, p8: u32, p9: u32,
            p10: u32, p11: u32, p12: u32) = |_: &mut Caller<'_, State>, _, _, _, _, _, _, _, _, _, _, _, _|
            Ok(Status::UNIMPLEMENTED);
        "proxy_grpc_stream"(p1: u32, p2: u32, p3: u32, p4: u32, p5: u32, p6: u32, p7: u32, p8: u32, p9: u32) =
            |_: &mut Caller<'_, State>, _, _, _, _, _, _, _, _, _| Ok(Status::UNIMPLEMENTED);
        "proxy_grpc_send"(token: u32, data: u32, len: u32, end: u32) =
            |_: &mut Caller<'_, State>, _, _, _, _| Ok(Status::UNIMPLEMENTED);
        "proxy_grpc_cancel"(token: u32) = |_: &mut Caller<'_, State>, _| Ok(Status::UNIMPLEMENTED);
        "proxy_grpc_close"(token: u32) = |_: &mut Caller<'_, State>, _| Ok(Status::UNIMPLEMENTED);
    }
    Ok(())
}

fn unimplemented3(_: &mut Caller<'_, State>, _: u32, _: u32, _: u32) -> Answer {
    Ok(Status::UNIMPLEMENTED)
}

/// What every host call goes through.
fn enter(
    c: &mut Caller<'_, State>,
    name: &'static str,
    run: impl FnOnce(&mut Caller<'_, State>) -> Answer,
) -> wasmtime::Result<u32> {
    let state = c.data_mut();
    *state.cost.host_calls.entry(name).or_default() += 1;
    // `WasmBase::startVm` restricts what the start functions may call.
    if state.callback == "initialize" && name != "proxy_log" {
        return Err(wasmtime::format_err!(
            "{name} is called during initialization: Envoy allows proxy_log only"
        ));
    }
    if state.is_nginx() && NOT_IMPLEMENTED.contains(&name) {
        return Err(state.broken(Rule::NotImplemented, name));
    }
    let outer = std::mem::replace(&mut state.host_call, name);
    let answer = match state.fault(name) {
        Some(What::Status(status)) => Ok(Status(status)),
        Some(What::Trap) => Err(wasmtime::format_err!("injected fault: {name} traps")),
        Some(What::Nothing) if !is_getter(name) => Ok(Status::OK),
        forced => {
            c.data_mut().forced = forced;
            run(c)
        }
    };
    let state = c.data_mut();
    state.forced = None;
    state.host_call = outer;
    answer.map(|status| status.0)
}

/// Calls that end in `memory::give`.
fn is_getter(name: &str) -> bool {
    matches!(
        name,
        "proxy_get_property"
            | "proxy_get_buffer_bytes"
            | "proxy_get_header_map_pairs"
            | "proxy_get_header_map_value"
            | "proxy_get_shared_data"
            | "proxy_get_status"
    )
}
