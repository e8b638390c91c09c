//! A request in the proxy: headers, pieces of the body, the end. It always goes on at once.

use super::host::{self, Buffer, Map};
use super::pairs::Pairs;
use super::root::Root;
use crate::config::HostKind;
use crate::exchange::Exchange;
use crate::mirror::headers::Head;
use crate::plugin::Plugin;

/// A stream context.
pub(super) struct Stream {
    /// Its root context.
    pub(super) root: u32,
    /// The exchange, while it is being copied.
    exchange: Option<Box<Exchange>>,
}

impl Stream {
    pub(super) fn new(root: u32) -> Self {
        Self {
            root,
            exchange: None,
        }
    }
}

pub(super) fn headers(root: &mut Root, stream: &mut Stream, end: bool) {
    let Some(plugin) = root.plugin() else { return };
    let target = match plugin.config().host {
        HostKind::Envoy => host::header(Map::Request, ":path"),
        // `:path` is decoded there, so not what was received: `%0D%0A` in it would end the copy's request line.
        HostKind::Nginx => host::property("ngx\0request_uri"),
    };
    let Some(target) = target else { return };
    let Some(method) = host::header(Map::Request, ":method") else {
        return;
    };
    if let Some(plan) = plugin.decide(&method, &target) {
        let map = host::map(Map::Request).unwrap_or_default();
        let source = || host::property("source\0address");
        let scheme = match plugin.config().host {
            // Envoy always sets X-Forwarded-Proto itself.
            HostKind::Envoy => None,
            HostKind::Nginx => host::property("ngx\0scheme"),
        };
        stream.exchange = plugin.begin(
            plan,
            &Head {
                method: &method,
                target: &target,
                headers: Pairs::new(&map),
                source: &source,
                scheme: scheme.as_deref(),
            },
        );
    }
    finish(root, stream, end);
}

pub(super) fn body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) {
    let Some(plugin) = root.plugin() else { return };
    let Some(exchange) = stream.exchange.take() else {
        return;
    };
    stream.exchange = match size {
        0 => Some(exchange),
        _ => plugin.chunk(exchange, size, |body| {
            host::append_buffer(Buffer::RequestBody, size, body)
        }),
    };
    finish(root, stream, end);
}

pub(super) fn end(root: &mut Root, stream: &mut Stream) {
    finish(root, stream, true);
}

/// The stream is over, whether the request was complete or not.
pub(super) fn gone(root: &mut Root, stream: &mut Stream) {
    let (Some(plugin), Some(exchange)) = (root.plugin(), stream.exchange.take()) else {
        return;
    };
    if was_complete(plugin, &exchange) {
        stream.exchange = Some(exchange);
        return finish(root, stream, true);
    }
    plugin.abort(&exchange);
    finish(root, stream, false);
}

/// nginx never says that headers end a request, and has no body callback for a request without a body.
fn was_complete(plugin: &Plugin, exchange: &Exchange) -> bool {
    plugin.config().host == HostKind::Nginx
        && !exchange.has_body()
        && (exchange.has_no_body() || exchange.announces_no_body() && is_http_1())
}

fn is_http_1() -> bool {
    host::property("ngx\0server_protocol").is_some_and(|protocol| protocol.starts_with(b"HTTP/1"))
}

fn finish(root: &mut Root, stream: &mut Stream, end: bool) {
    let Some(plugin) = root.plugin() else { return };
    let exchange = if end { stream.exchange.take() } else { None };
    if exchange.is_none() && !plugin.has_effects() {
        return;
    }
    let now = host::now();
    if let Some(exchange) = exchange {
        plugin.end(exchange, now);
    }
    if plugin.has_effects() {
        root.request_effects(now);
    }
}
