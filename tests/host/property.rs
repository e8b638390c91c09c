//! Properties of contexts.
//!
//! Envoy resolves a property from the request, the connection and the plugin; what it does not know is NotFound. nginx
//! knows `ngx.<variable>` and a few Envoy names in an http context; in a root context every dotted path is an error
//! (`ngx_proxy_wasm_properties_get`: "cannot get scoped properties outside of a request"). What it knows of, but does
//! not have, it also writes to the log. It numbers its root contexts.

use super::options::Profile;
use super::state::{State, Stream};

/// What a look-up ends in.
pub(super) enum Found {
    Value(Vec<u8>),
    Missing,
    /// A dotted path in a root context of nginx.
    Refused,
    /// A property of Envoy that nginx knows by name only.
    Unsupported,
}

/// `nyi` and `not_supported` in `pw2ngx`, as far as they have no dot.
const UNSUPPORTED: [&str; 9] = [
    "plugin_vm_id",
    "node",
    "cluster_name",
    "cluster_metadata",
    "listener_direction",
    "listener_metadata",
    "route_name",
    "route_metadata",
    "upstream_host_metadata",
];

/// `path` as the ABI sends it: segments separated by NUL.
pub(super) fn look_up(state: &State, path: &[u8]) -> Found {
    let path = String::from_utf8_lossy(path)
        .trim_end_matches('\0')
        .replace('\0', ".");
    match path.as_str() {
        "plugin_name" => return Found::Value(state.options.plugin_name.clone().into_bytes()),
        "plugin_root_id" if state.profile == Profile::Nginx => {
            return Found::Value(b"0".to_vec());
        }
        "plugin_root_id" => return Found::Value(state.options.plugin_root_id.clone().into_bytes()),
        "plugin_vm_id" if state.profile == Profile::Envoy => {
            return Found::Value(state.options.plugin_name.clone().into_bytes());
        }
        path if state.profile == Profile::Nginx && UNSUPPORTED.contains(&path) => {
            return Found::Unsupported;
        }
        _ => {}
    }
    let value = match state.streams.get(&state.context()) {
        Some(stream) => of_stream(state.profile, stream, &path),
        None if state.profile == Profile::Nginx && path.contains('.') => return Found::Refused,
        None => None,
    };
    value.map_or(Found::Missing, Found::Value)
}

fn of_stream(profile: Profile, stream: &Stream, path: &str) -> Option<Vec<u8>> {
    if let Some((_, value)) = stream.properties.iter().find(|(known, _)| known == path) {
        return Some(value.clone());
    }
    let header = |name: &str| stream.request.map.get(name).map(<[u8]>::to_vec);
    match (profile, path) {
        (Profile::Envoy, "request.path") => header(":path"),
        (_, "request.url_path") => {
            header(":path").map(|path| path.split(|b| *b == b'?').next().unwrap_or(&[]).to_vec())
        }
        (_, "request.method") | (Profile::Nginx, "ngx.request_method") => header(":method"),
        (_, "request.scheme") | (Profile::Nginx, "ngx.scheme") => header(":scheme"),
        (Profile::Nginx, "ngx.server_protocol") => Some(b"HTTP/1.1".to_vec()),
        (_, "request.host") => header(":authority"),
        (_, "request.useragent") => header("user-agent"),
        (_, "request.referer") => header("referer"),
        // Only the header, in both hosts: nothing makes one up here.
        (_, "request.id") => header("x-request-id"),
        _ => path.strip_prefix("request.headers.").and_then(header),
    }
}
