//! The headers that the core makes for the copy of one request.

use sentry_edge_mirror::copies::decide::Target;
use sentry_edge_mirror::copies::headers::{CopyHeaders, Head, compose};
use sentry_edge_mirror::copies::rules::Rules;
use sentry_edge_mirror::copies::settings::Destination;
use sentry_edge_mirror::header_map::Pair;
use sentry_edge_mirror::host::HostKind;
use std::rc::Rc;

/// From a peer with the address 192.0.2.7, for project 42 at `/rum/sentry/ws/web@42`.
pub(crate) fn composed<'a>(
    host: HostKind,
    target: &'a [u8],
    headers: impl Iterator<Item = Pair<'a>> + Clone,
    scheme: Option<&'a [u8]>,
) -> CopyHeaders {
    let destination = Destination {
        upstream: "rum".to_owned(),
        share: 0,
        authority: "rum.example.com".to_owned(),
        path_prefix: "/rum/sentry/ws/web@42".to_owned(),
        dsn: None,
        rules: Rules::default(),
        is_ruled: false,
    };
    let decided = Target {
        project: 42,
        destination: Rc::new(destination),
        is_envelope: true,
        category: 0,
    };
    // `source.address`: nginx has no port in it.
    let source: &dyn Fn() -> Option<Vec<u8>> = match host {
        HostKind::Envoy => &|| Some(b"192.0.2.7:50000".to_vec()),
        HostKind::Nginx => &|| Some(b"192.0.2.7".to_vec()),
    };
    let head = Head {
        method: b"POST",
        target,
        headers,
        source,
        scheme,
    };
    compose(host, &decided, &head)
}
