//! The rules of nginx with ngx_wasm_module: what a filter must not do there.
//!
//! Most of them end the worker or the instance on the real host, some only lose memory or connection slots, which no
//! functional test would notice. So here a broken rule fails the test with its text.

/// One rule. [`Rule::text`] is what a failing test prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    SecondTickPeriod,
    TickFromHttp,
    TickWhenStopping,
    DispatchFromHttp,
    DispatchFromReply,
    DispatchOutsideTick,
    DispatchInFlight,
    DispatchTarget,
    DispatchHeaders,
    DispatchHeaderCount,
    HistogramRead,
    MetricKind,
    MetricUnknown,
    SharedDataZone,
    ConfigureRefused,
    BodyStart,
    BodyOutsideRequest,
    HeadersAfterResponse,
    LocalResponseInMirror,
    RootProperty,
    PropertyUnsupported,
    ForeignFunction,
    NotImplemented,
    MissingExport,
}

impl Rule {
    pub fn text(self) -> &'static str {
        match self {
            Self::SecondTickPeriod => {
                "the tick period is set once, in on_configure: a second non-zero period traps"
            }
            Self::TickFromHttp => "the tick period cannot be set from an http context: it traps",
            Self::TickWhenStopping => {
                "the tick period cannot be set while the worker stops: it traps"
            }
            Self::DispatchFromHttp => {
                "no dispatch from an http context: the worker crashes, or the primary request is sent twice"
            }
            Self::DispatchFromReply => {
                "no dispatch from on_http_call_response: the worker crashes; start it from a later tick"
            }
            Self::DispatchOutsideTick => {
                "a root context may dispatch from on_tick only: elsewhere it traps"
            }
            Self::DispatchInFlight => {
                "one dispatch in flight per root context: a second one leaks a connection slot"
            }
            Self::DispatchTarget => {
                "a dispatch target is host:port with a port of 1 to 65535: a bad one leaks a connection slot"
            }
            Self::DispatchHeaders => {
                "a dispatch needs :method and :path: without them the call fails and leaks a connection slot"
            }
            Self::DispatchHeaderCount => {
                "few headers in a dispatch: their memory is never freed (Options::max_dispatch_headers)"
            }
            Self::HistogramRead => "get_metric on a histogram traps",
            Self::MetricKind => {
                "counters are incremented, gauges and histograms are recorded: the other way round traps"
            }
            Self::MetricUnknown => "an unknown metric id traps",
            Self::SharedDataZone => "shared data without a shm_kv zone traps",
            Self::ConfigureRefused => {
                "on_configure must not return false: the worker is dead for good, also on reload"
            }
            Self::BodyStart => "the body getter ignores `start`: read (0, size) only",
            Self::BodyOutsideRequest => {
                "the request body can be read in on_request_headers, on_request_body and on_log only: else it traps"
            }
            Self::HeadersAfterResponse => {
                "request headers can be changed before the response only, response headers before its body: else it traps"
            }
            Self::LocalResponseInMirror => {
                "no local response in a mirror subrequest: it is finalized twice, and the client's connection closed"
            }
            Self::RootProperty => {
                "a root context has the properties plugin_name and plugin_root_id only"
            }
            Self::PropertyUnsupported => {
                "ngx_wasm_module knows this property by name only: each look-up writes an [alert] or [error] to the log"
            }
            Self::ForeignFunction => "an unknown foreign function traps",
            Self::NotImplemented => {
                "this host call is not implemented in ngx_wasm_module: it traps"
            }
            Self::MissingExport => {
                "the module must export every callback: ngx_wasm_module calls them without looking, a missing one \
                 crashes the worker"
            }
        }
    }
}

/// Callbacks that ngx_wasm_module calls through a function reference which it never checks for null
/// (`ngx_wavm_instance_call_funcref`); only `proxy_on_tick` is checked.
pub(super) const NEEDED_EXPORTS: [&str; 11] = [
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_http_call_response",
    "proxy_on_log",
    "proxy_on_done",
    "proxy_on_delete",
];

/// ABI functions that exist in ngx_wasm_module so that a module links, and trap when called (`hfuncs_nop`).
pub(super) const NOT_IMPLEMENTED: [&str; 11] = [
    "proxy_get_log_level",
    "proxy_done",
    "proxy_close_stream",
    "proxy_get_status",
    "proxy_resolve_shared_queue",
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_register_shared_queue",
];

/// `host:port` as nginx needs it, or why not. Bracketed IPv6 is accepted.
pub(super) fn check_target(target: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(target).map_err(|_| "not text".to_owned())?;
    let (host, port) = text.rsplit_once(':').ok_or("no port")?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty()
        || host.contains(|c: char| c.is_whitespace() || c == '/')
        || (host.contains(':') && !bracketed)
    {
        return Err(format!("bad host {host:?}"));
    }
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => Err(format!("bad port {port:?}")),
    }
}
