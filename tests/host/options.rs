//! Which host is played, and the parts of its configuration that a filter can feel.

use super::fault::{Hits, What, When};
use super::rules::Rule;

/// The host that is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    Envoy,
    Nginx,
}

/// Everything has a default that suits most tests: `Options { seed: 7, ..Options::new(CONFIG) }`.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker configuration of the first root context.
    pub config: Vec<u8>,
    /// `vm_config.configuration` in Envoy, the module's configuration in nginx.
    pub vm_config: Vec<u8>,
    /// Properties `plugin_name` and `plugin_root_id` (nginx has a number for the latter).
    pub plugin_name: String,
    pub plugin_root_id: String,
    /// What WASI's `environ_get` gives: Envoy shows only the keys listed in its configuration.
    pub env: Vec<(String, String)>,
    /// Seeds `random_get` and the faults that come by chance.
    pub seed: u64,
    /// Wall clock at the start, in milliseconds since 1970. The monotonic clock starts at 0.
    pub wall_clock_ms: u64,
    /// What `proxy_get_log_level` says (0 trace .. 5 critical).
    pub log_level: u32,
    /// A callback that burns more traps: an endless loop becomes a failed test instead of a hanging one.
    pub fuel_per_callback: u64,
    /// Host calls that misbehave from the very start, the configuration included ([`Host::fault`](super::Host::fault)).
    pub faults: Vec<(&'static str, When, What)>,
    /// Where the faults that hit are counted. A test that keeps it can look also when the instance did not start.
    pub hits: Hits,
    /// What callbacks are told instead of any size or count: of headers, bodies, replies, the configuration.
    pub claimed_size: Option<u32>,
    /// Calls end by themselves when their timeout passes, as in the real hosts. Off, "never" means never.
    pub enforce_timeouts: bool,

    /// Envoy: known clusters; a call to another one is refused with BadArgument. `None`: every name is known.
    pub clusters: Option<Vec<String>>,
    /// Envoy: `allow_on_headers_stop_iteration`: body callbacks come although the headers callback paused.
    pub allow_on_headers_stop_iteration: bool,
    /// Envoy: `per_connection_buffer_limit_bytes`; a paused body that outgrows it is answered with 413.
    pub buffer_limit: usize,

    /// nginx: what `:authority` says whatever the client sent (`server_name:port`).
    pub server_name: String,
    /// nginx: `client_body_buffer_size`. Larger bodies go to a file and cannot be read by the filter.
    pub client_body_buffer_size: usize,
    /// nginx: a `shm_kv` zone is configured.
    pub shm_zone: bool,
    /// nginx: the most headers a dispatched call may have; each call's headers are leaked in host memory.
    pub max_dispatch_headers: usize,
    /// nginx: the variable that is set to nothing in `server`. A location that is mirrored to answers 204 while it is
    /// empty, and else proxies by it. It is the only one that a filter can set.
    pub target_variable: Option<String>,
    /// nginx: rules that do not fail the test. The host then does what nginx does: it traps, refuses or ignores.
    pub tolerate: Vec<Rule>,
}

impl Options {
    pub fn new(config: impl AsRef<[u8]>) -> Self {
        Self {
            config: config.as_ref().to_vec(),
            vm_config: Vec::new(),
            plugin_name: "sentry_edge_mirror".into(),
            plugin_root_id: "sentry_edge_mirror".into(),
            env: Vec::new(),
            seed: 1,
            wall_clock_ms: 1_767_225_600_000, // 2026-01-01T00:00:00Z
            log_level: 2,
            fuel_per_callback: 10_000_000_000,
            faults: Vec::new(),
            hits: Hits::default(),
            claimed_size: None,
            enforce_timeouts: false,
            clusters: None,
            allow_on_headers_stop_iteration: false,
            buffer_limit: 1024 * 1024, // Envoy's default
            server_name: "edge.test:80".into(),
            client_body_buffer_size: usize::MAX,
            shm_zone: false,
            max_dispatch_headers: 32,
            target_variable: None,
            tolerate: Vec::new(),
        }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }
}
