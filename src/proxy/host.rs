//! The calls to the host: only this file and those below it make them and know their signatures.
//!
//! Declared here and not taken from the SDK's wrappers, which panic on an unexpected status and on text that is not UTF-8.
//! Every call can fail, and reports that with `None` or `Err`.
#![allow(unsafe_code)]

mod shared;

pub(super) use shared::{metric, set_shared, shared};

use crate::delivery::call::Call;
use crate::header_list::HeaderList;
use crate::host::HostKind;
use crate::log::Level;
use crate::metric::Kind;
use crate::time::Millis;
use proxy_wasm::types::{BufferType, LogLevel, MapType, MetricType, StreamType};
use std::cell::Cell;
use std::ptr::null_mut;

/// The status of a host call: 0 is success, anything else means that there is no result.
type Status = u32;
const OK: Status = 0;
const NOT_FOUND: Status = 1;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, data: *const u8, size: usize) -> Status;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> Status;
    fn proxy_set_tick_period_milliseconds(period: u32) -> Status;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        max_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> Status;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_set_header_map_pairs(map: u32, data: *const u8, size: usize) -> Status;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> Status;
    fn proxy_continue_stream(stream: u32) -> Status;
    fn proxy_set_effective_context(context: u32) -> Status;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> Status;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> Status;
    fn proxy_http_call(
        upstream: *const u8,
        upstream_size: usize,
        headers: *const u8,
        headers_size: usize,
        body: *const u8,
        body_size: usize,
        trailers: *const u8,
        trailers_size: usize,
        timeout: u32,
        token: *mut u32,
    ) -> Status;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> Status;
    fn proxy_increment_metric(id: u32, offset: i64) -> Status;
    fn proxy_record_metric(id: u32, value: u64) -> Status;
    fn proxy_done() -> Status;
}

/// A header map.
#[derive(Clone, Copy)]
pub(super) enum Map {
    Request,
    Response,
    CallReply,
}

/// A byte buffer.
#[derive(Clone, Copy)]
pub(super) enum Buffer {
    RequestBody,
    CallReplyBody,
    PluginConfiguration,
}

impl Map {
    fn code(self) -> u32 {
        match self {
            Self::Request => MapType::HttpRequestHeaders as u32,
            Self::Response => MapType::HttpResponseHeaders as u32,
            Self::CallReply => MapType::HttpCallResponseHeaders as u32,
        }
    }
}

impl Buffer {
    fn code(self) -> u32 {
        match self {
            Self::RequestBody => BufferType::HttpRequestBody as u32,
            Self::CallReplyBody => BufferType::HttpCallResponseBody as u32,
            Self::PluginConfiguration => BufferType::PluginConfiguration as u32,
        }
    }
}

/// Writes a line to the proxy's log.
pub(super) fn log(level: Level, line: &str) {
    let level = match level {
        Level::Info => LogLevel::Info,
        Level::Warn => LogLevel::Warn,
        Level::Error => LogLevel::Error,
    };
    // If the log fails, there is nowhere to report it.
    let _ = unsafe { proxy_log(level as u32, line.as_ptr(), line.len()) };
}

/// The host's clock. If it fails, the epoch, which the core treats as no time.
pub(super) fn now() -> Millis {
    let mut nanoseconds = 0;
    let status = unsafe { proxy_get_current_time_nanoseconds(&raw mut nanoseconds) };
    match status {
        OK => Millis(nanoseconds / 1_000_000),
        _ => Millis::default(),
    }
}

/// Sets the tick of the current context's root; 0 ends it. `false` if the host refuses.
pub(super) fn set_tick(period_ms: u32) -> bool {
    let status = unsafe { proxy_set_tick_period_milliseconds(period_ms) };
    status == OK
}

/// Takes ownership of what the host put into memory from [`allocate`].
fn take(status: Status, data: *mut u8, size: usize) -> Option<Vec<u8>> {
    if status != OK {
        return None;
    }
    if data.is_null() || size == 0 {
        return Some(Vec::new());
    }
    // The host got the memory from `allocate(size)`: same allocator, same size, alignment 1.
    Some(unsafe { Vec::from_raw_parts(data, size, size) })
}

thread_local! {
    /// Where the host's next result of exactly this size should go, instead of into newly allocated memory.
    static DESTINATION: Cell<Option<(*mut u8, usize)>> = const { Cell::new(None) };
}

/// Appends the first `size` bytes of a buffer to `bytes`: the host writes them into the vector's own buffer. `None`, with
/// nothing appended, if the host does not have exactly that many.
pub(super) fn append_buffer(buffer: Buffer, size: usize, bytes: &mut Vec<u8>) -> Option<()> {
    bytes.try_reserve(size).ok()?;
    let room = bytes.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    DESTINATION.set(Some((room, size)));
    let (mut data, mut length) = (null_mut(), 0);
    let status =
        unsafe { proxy_get_buffer_bytes(buffer.code(), 0, size, &raw mut data, &raw mut length) };
    // If it is still set, the host did not allocate, or not for this.
    let used = DESTINATION.take().is_none() && data == room;
    if used {
        // The room is ours and `size` long; if the host filled less, it says so.
        return (status == OK && length == size).then(|| unsafe {
            bytes.set_len(bytes.len().saturating_add(size));
        });
    }
    let chunk = take(status, data, length)?;
    (chunk.len() == size).then(|| bytes.extend_from_slice(&chunk))
}

/// The first `size` bytes of a buffer.
pub(super) fn buffer(buffer: Buffer, size: usize) -> Option<Vec<u8>> {
    slice(buffer, 0, size)
}

/// `size` bytes of a buffer from `start`, which nginx ignores.
pub(super) fn slice(buffer: Buffer, start: usize, size: usize) -> Option<Vec<u8>> {
    let (mut data, mut length) = (null_mut(), 0);
    let status = unsafe {
        proxy_get_buffer_bytes(buffer.code(), start, size, &raw mut data, &raw mut length)
    };
    take(status, data, length)
}

/// A whole header map in the host's format, see [`HeaderMap`](crate::header_map::HeaderMap).
pub(super) fn map(map: Map) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    let status = unsafe { proxy_get_header_map_pairs(map.code(), &raw mut data, &raw mut size) };
    take(status, data, size)
}

/// The value of a header. An absent header and an empty one look the same on some hosts.
pub(super) fn header(map: Map, name: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    let status = unsafe {
        proxy_get_header_map_value(
            map.code(),
            name.as_ptr(),
            name.len(),
            &raw mut data,
            &raw mut size,
        )
    };
    take(status, data, size).filter(|value| !value.is_empty())
}

/// Replaces a whole header map. All or nothing.
pub(super) fn set_map(map: Map, headers: &HeaderList) -> Option<()> {
    let mut pairs = Vec::new();
    headers.write(&mut pairs, None);
    let status = unsafe { proxy_set_header_map_pairs(map.code(), pairs.as_ptr(), pairs.len()) };
    (status == OK).then_some(())
}

/// Sets a header to this value; adds it if it is not there.
pub(super) fn replace_header(map: Map, name: &[u8], value: &[u8]) -> Option<()> {
    let status = unsafe {
        proxy_replace_header_map_value(
            map.code(),
            name.as_ptr(),
            name.len(),
            value.as_ptr(),
            value.len(),
        )
    };
    (status == OK).then_some(())
}

/// Answers the request of the current context in place of the target. `false` if the host refuses.
pub(super) fn send_local_response(status: u32, headers: &HeaderList, body: &[u8]) -> bool {
    let mut pairs = Vec::new();
    headers.write(&mut pairs, None);
    /// No gRPC status.
    const NO_GRPC: i32 = -1;
    let status = unsafe {
        proxy_send_local_response(
            status,
            null_mut::<u8>().cast_const(),
            0,
            body.as_ptr(),
            body.len(),
            pairs.as_ptr(),
            pairs.len(),
            NO_GRPC,
        )
    };
    status == OK
}

/// Lets the request of the current context, which a callback has held, go on. `None` if the host refuses.
pub(super) fn continue_request() -> Option<()> {
    let status = unsafe { proxy_continue_stream(StreamType::HttpRequest as u32) };
    (status == OK).then_some(())
}

/// Until this callback ends, the calls refer to that context. `None` if the host refuses.
// tests/tools/finish.sh counts the places where this call is made.
#[inline(never)]
pub(super) fn enter(context: u32) -> Option<()> {
    let status = unsafe { proxy_set_effective_context(context) };
    (status == OK).then_some(())
}

/// A property; the parts of its path are separated by NUL.
pub(super) fn property(path: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (null_mut(), 0);
    let status =
        unsafe { proxy_get_property(path.as_ptr(), path.len(), &raw mut data, &raw mut size) };
    take(status, data, size)
}

/// The proxy that runs the module. In Envoy `root_id` is set by the operator, and mostly empty. ngx_wasm_module numbers its
/// root contexts, or fails, because it looks for a dot beyond the end of the name. (Nothing else works: Envoy's other
/// properties make nginx write an [alert], and `worker_id` exists in nginx's debug builds only.)
pub(super) fn kind() -> HostKind {
    match property("plugin_root_id") {
        Some(id) if id.is_empty() || !id.iter().all(u8::is_ascii_digit) => HostKind::Envoy,
        _ => HostKind::Nginx,
    }
}

/// Sets a property; the parts of its path are separated by NUL. `Some(false)` if the host has none of this name.
pub(super) fn set_property(path: &str, value: &[u8]) -> Option<bool> {
    let status =
        unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) };
    match status {
        OK => Some(true),
        NOT_FOUND => Some(false),
        _ => None,
    }
}

/// Sends a call. `scratch` is reused for the headers.
pub(super) fn dispatch(
    call: &Call<'_>,
    scheme: Option<&str>,
    scratch: &mut Vec<u8>,
) -> Option<u32> {
    let scheme = scheme.map(|scheme| (&b":scheme"[..], scheme.as_bytes()));
    call.headers.write(scratch, scheme);
    let upstream = call.upstream.as_bytes();
    // An empty map: just its count.
    let trailers = 0_u32.to_le_bytes();
    let mut token = 0;
    let status = unsafe {
        proxy_http_call(
            upstream.as_ptr(),
            upstream.len(),
            scratch.as_ptr(),
            scratch.len(),
            call.body.as_ptr(),
            call.body.len(),
            trailers.as_ptr(),
            trailers.len(),
            call.timeout_ms,
            &raw mut token,
        )
    };
    (status == OK).then_some(token)
}

/// Defines a metric, or finds the one with this name.
pub(super) fn define_metric(kind: Kind, name: &str) -> Option<u32> {
    let kind = match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    };
    let mut id = 0;
    let status =
        unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &raw mut id) };
    (status == OK).then_some(id)
}

/// Adds to a counter, or on Envoy to a gauge.
pub(super) fn add_to_metric(id: u32, amount: i64) {
    // A metric that cannot be counted must not stop traffic.
    let _ = unsafe { proxy_increment_metric(id, amount) };
}

/// Adds a sample to a histogram, or sets a gauge.
pub(super) fn record_metric(id: u32, value: u64) {
    let _ = unsafe { proxy_record_metric(id, value) };
}

/// The root context may be deleted.
pub(super) fn done() {
    let _ = unsafe { proxy_done() };
}

/// Memory for the host to put a result into. Null if there is none: then the host's call fails, not ours.
pub(super) fn allocate(size: usize) -> *mut u8 {
    match DESTINATION.get() {
        Some((room, expected)) if expected == size => {
            DESTINATION.set(None);
            return room;
        }
        _ => {}
    }
    let mut memory = Vec::<u8>::new();
    if memory.try_reserve_exact(size).is_err() {
        return null_mut();
    }
    let pointer = memory.as_mut_ptr();
    std::mem::forget(memory);
    pointer
}
