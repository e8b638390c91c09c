//! Tiny guests in the text format, for tests of the host itself and of things no real filter should do.
//!
//! [`Guest::wat`] adds to the functions of the test: a memory with a bump allocator, every callback the test did not
//! write (they return 0, and 1 where that means "fine"), the imports and these helpers:
//!
//! | helper | does |
//! | --- | --- |
//! | `$say (i32)` | logs a number at info level |
//! | `$period (i32)` | sets the tick period |
//! | `$dispatch (pointer i32, length i32) (result i32)` | POST / to this upstream, timeout 1000 ms, gives the status |
//! | `$metric (kind i32) (result i32)` | defines the metric `m` of this kind, gives its id |
//! | `$zero (result i32)`, `$one (result i32)` | constants, to end a callback with |
//!
//! Memory: 0-63 scratch (`$dispatch` leaves the token at 0), 64-1023 for the data of the test, from 1024 on taken.

use super::guest::Guest;
use super::headers::Headers;

/// Callbacks, their parameters, and what the default returns.
const CALLBACKS: [(&str, usize, Option<u32>); 18] = [
    ("proxy_on_context_create", 2, None),
    ("proxy_on_vm_start", 2, Some(1)),
    ("proxy_on_configure", 2, Some(1)),
    ("proxy_on_tick", 1, None),
    ("proxy_on_request_headers", 3, Some(0)),
    ("proxy_on_request_body", 3, Some(0)),
    ("proxy_on_request_trailers", 2, Some(0)),
    ("proxy_on_response_headers", 3, Some(0)),
    ("proxy_on_response_body", 3, Some(0)),
    ("proxy_on_response_trailers", 2, Some(0)),
    ("proxy_on_http_call_response", 5, None),
    ("proxy_on_done", 1, Some(1)),
    ("proxy_on_log", 1, None),
    ("proxy_on_delete", 1, None),
    ("proxy_on_queue_ready", 2, None),
    ("proxy_on_foreign_function", 3, None),
    ("_initialize", 0, None),
    ("proxy_abi_version_0_2_1", 0, None),
];

/// Imports by their short names.
const IMPORTS: [(&str, &str); 25] = [
    ("proxy_log", "i32 i32 i32"),
    ("proxy_get_log_level", "i32"),
    ("proxy_set_tick_period_milliseconds", "i32"),
    ("proxy_get_current_time_nanoseconds", "i32"),
    ("proxy_get_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("proxy_set_buffer_bytes", "i32 i32 i32 i32 i32"),
    ("proxy_get_header_map_pairs", "i32 i32 i32"),
    ("proxy_set_header_map_pairs", "i32 i32 i32"),
    ("proxy_get_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_add_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_replace_header_map_value", "i32 i32 i32 i32 i32"),
    ("proxy_remove_header_map_value", "i32 i32 i32"),
    ("proxy_http_call", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32"),
    ("proxy_define_metric", "i32 i32 i32 i32"),
    ("proxy_increment_metric", "i32 i64"),
    ("proxy_record_metric", "i32 i64"),
    ("proxy_get_metric", "i32 i32"),
    ("proxy_get_property", "i32 i32 i32 i32"),
    ("proxy_set_property", "i32 i32 i32 i32"),
    ("proxy_get_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_set_shared_data", "i32 i32 i32 i32 i32"),
    ("proxy_continue_stream", "i32"),
    (
        "proxy_send_local_response",
        "i32 i32 i32 i32 i32 i32 i32 i32",
    ),
    ("proxy_set_effective_context", "i32"),
    ("proxy_done", ""),
];

const HELPERS: &str = r#"
    (memory (export "memory") 4)
    (data (i32.const 1016) "m")
    (global $heap (mut i32) (i32.const 65536))
    (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (global.get $heap))
        (global.set $heap (i32.add (global.get $heap) (local.get $size)))
        (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
            (then (drop (memory.grow (i32.add (i32.div_u (local.get $size) (i32.const 65536)) (i32.const 1))))))
        (local.get $at))
    (func $zero (result i32) (i32.const 0))
    (func $one (result i32) (i32.const 1))
    (func $say (param $n i32)
        (local $at i32)
        (local.set $at (i32.const 2060))
        (loop $digit
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (i32.store8 (local.get $at) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
            (local.set $n (i32.div_u (local.get $n) (i32.const 10)))
            (br_if $digit (local.get $n)))
        (drop (call $proxy_log (i32.const 2) (local.get $at) (i32.sub (i32.const 2060) (local.get $at)))))
    (func $period (param $ms i32) (drop (call $proxy_set_tick_period_milliseconds (local.get $ms))))
    (func $metric (param $kind i32) (result i32)
        (drop (call $proxy_define_metric (local.get $kind) (i32.const 1016) (i32.const 1) (i32.const 32)))
        (i32.load (i32.const 32)))
"#;

impl Guest {
    /// A guest from functions in the text format.
    pub fn wat(functions: &str) -> Self {
        let mut text = String::from("(module\n");
        for (name, parameters) in IMPORTS {
            text += &format!(
                r#"(import "env" "{name}" (func ${name} (param {parameters}) (result i32)))"#
            );
        }
        text += HELPERS;
        let headers = Headers::from_iter([
            (":method", "POST"),
            (":path", "/"),
            (":authority", "a.test"),
        ])
        .serialized();
        let bytes: String = headers.iter().map(|byte| format!("\\{byte:02x}")).collect();
        text += &format!(
            r#"(data (i32.const 1024) "{bytes}")
            (func $dispatch (param $at i32) (param $len i32) (result i32)
                (call $proxy_http_call (local.get $at) (local.get $len) (i32.const 1024) (i32.const {})
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 0)))"#,
            headers.len()
        );
        for (name, parameters, result) in CALLBACKS {
            if !functions.contains(&format!("\"{name}\"")) {
                let parameters = "i32 ".repeat(parameters);
                let (kind, value) = match result {
                    Some(value) => ("(result i32)", format!("(i32.const {value})")),
                    None => ("", String::new()),
                };
                text += &format!(r#"(func (export "{name}") (param {parameters}) {kind} {value})"#);
            }
        }
        text += functions;
        text += ")";
        Self::from_bytes(&text).unwrap_or_else(|why| panic!("{why}"))
    }
}
