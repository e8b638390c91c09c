//! The proxies that run the module, and what each of them does differently.
//!
//! Code asks for a trait, never for a proxy, so a third proxy is one more row in this file. What was measured, and how, is in
//! the manual (hosts).

/// A proxy that runs the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostKind {
    /// Envoy.
    #[default]
    Envoy,
    /// nginx with ngx_wasm_module.
    Nginx,
}

/// The traits in which proxies differ.
#[derive(Debug)]
pub struct HostTraits {
    /// As named in the configuration.
    pub name: &'static str,
    /// Calls leave only in ticks, one at a time for each root context: a call from anywhere else kills the worker, and a
    /// second one leaks a connection. More root contexts, the lanes, make more calls.
    pub calls_in_ticks: bool,
    /// The end of every call is reported, however late. Elsewhere an answer may be lost, and a call ends at its deadline.
    pub tells_every_end: bool,
    /// One tick period for the life of an instance, of this many milliseconds. Elsewhere it may be changed at any time.
    pub fixed_tick_ms: Option<u32>,
    /// A gauge is set, and the next instance inherits its value. Elsewhere it is added to: workers share it.
    pub sets_gauges: bool,
    /// Instances share data, and see each other's metrics.
    pub shares_data: bool,
    /// A body arrives in pieces as it is received. Elsewhere it arrives whole, when the request is complete.
    pub streams_bodies: bool,
    /// A filter may answer a request. Elsewhere that closes the client's connection if the request is one of the proxy's own,
    /// such as those of `mirror`.
    pub answers_requests: bool,
    /// Where to find the target as received, if `:path` is something else.
    pub received_target: Option<&'static str>,
    /// The header that names the host the client asked for.
    pub authority: &'static [u8],
    /// Where to find the scheme of the client's connection, if the proxy does not set X-Forwarded-Proto itself.
    pub client_scheme: Option<&'static str>,
    /// X-Forwarded-For already ends with the peer.
    pub appends_peer: bool,
    /// The whole list of headers can be replaced. Elsewhere headers are replaced one by one, and none can be removed.
    pub replaces_headers: bool,
    /// A configuration may be refused, and the old one stays in force. Elsewhere refusing one kills the worker for good.
    pub may_refuse: bool,
    /// Each call chooses its scheme. Elsewhere the cluster decides.
    pub calls_have_schemes: bool,
    /// The status of an answer is included in its header count.
    pub counts_status: bool,
    /// The end of a request without a body is reported with its headers. Elsewhere it is not reported.
    pub tells_empty_bodies: bool,
}

static ENVOY: HostTraits = HostTraits {
    name: "envoy",
    calls_in_ticks: false,
    tells_every_end: false,
    fixed_tick_ms: None,
    sets_gauges: false,
    shares_data: true,
    streams_bodies: true,
    answers_requests: true,
    received_target: None,
    authority: b":authority",
    client_scheme: None,
    appends_peer: true,
    replaces_headers: true,
    may_refuse: true,
    calls_have_schemes: false,
    counts_status: true,
    tells_empty_bodies: true,
};

static NGINX: HostTraits = HostTraits {
    name: "nginx",
    calls_in_ticks: true,
    tells_every_end: true,
    // 1 ms would cost 2 % of a core when idle, 4 ms costs half a percent.
    fixed_tick_ms: Some(4),
    sets_gauges: true,
    shares_data: false,
    streams_bodies: false,
    answers_requests: false,
    received_target: Some("ngx\0request_uri"),
    // `:authority` is the server's own name there.
    authority: b"host",
    client_scheme: Some("ngx\0scheme"),
    appends_peer: false,
    replaces_headers: false,
    may_refuse: false,
    calls_have_schemes: true,
    counts_status: false,
    tells_empty_bodies: false,
};

impl HostKind {
    /// Its traits.
    #[must_use]
    pub fn traits(self) -> &'static HostTraits {
        match self {
            Self::Envoy => &ENVOY,
            Self::Nginx => &NGINX,
        }
    }

    /// As named in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.traits().name
    }
}
