//! A request in the proxy: headers, pieces of the body, the end, by mode. In mode `tee` it always goes on at once.

use super::host::{self, Buffer, Map};
use super::pairs::Pairs;
use super::rewrite;
use super::root::Root;
use super::sign::{self, Turn};
use crate::collect::Ticket;
use crate::config::{HostKind, Mode};
use crate::mirror::header_list::HeaderList;
use crate::mirror::headers::Head;
use crate::plugin::Plugin;
use crate::plugin::rewrite::Passage;
use proxy_wasm::types::Action;
use std::num::NonZeroU16;

/// A stream context.
pub(super) struct Stream {
    /// Its root context.
    pub(super) root: u32,
    /// The exchange, while it is being copied.
    exchange: Option<Ticket>,
    /// Mode `sign`: where it is.
    pub(super) turn: Turn,
    /// Mode `rewrite`: where it is.
    pub(super) passage: Option<Box<Passage>>,
    /// Once its root context has ended, it is held.
    pub(super) is_held: bool,
    /// The status that it was answered with here.
    answered: Option<NonZeroU16>,
}

impl Stream {
    pub(super) fn new(root: u32) -> Self {
        Self {
            root,
            exchange: None,
            turn: Turn::default(),
            passage: None,
            is_held: false,
            answered: None,
        }
    }

    /// Answers the request. `false` if the host refuses.
    pub(super) fn answer(&mut self, status: u16, headers: &HeaderList, body: &[u8]) -> bool {
        let done = host::send_local_response(status.into(), headers, body);
        self.answered = NonZeroU16::new(status).filter(|_| done);
        done
    }

    /// Our own answer passes. Envoy turns that to a gRPC request (`content-type: application/grpc`) into status 200, with the
    /// status in other headers: a client that speaks no gRPC would take a refusal for success. What cannot be put right does
    /// not pass.
    #[cold]
    fn own_answer(status: NonZeroU16) -> Action {
        let status = status.to_string();
        let told = host::header(Map::Response, ":status");
        if told.as_deref() == Some(status.as_bytes()) {
            return Action::Continue;
        }
        match host::replace_header(Map::Response, ":status", status.as_bytes()) {
            Some(()) => Action::Continue,
            None => Action::Pause,
        }
    }
}

fn mode(root: &mut Root) -> Option<Mode> {
    root.plugin().map(|plugin| plugin.config().mode)
}

/// A request of a root context whose configuration is not in force: nginx gets no refusal of one. There the location
/// answers what would be held; elsewhere, where the module only took the host for nginx, we do.
fn not_in_force(root: &Root, stream: &mut Stream) -> Action {
    const UNAVAILABLE: u16 = 503;
    if !root.holds || host::property("ngx\0request_uri").is_some() {
        return Action::Continue;
    }
    stream.answer(UNAVAILABLE, &HeaderList::default(), b"");
    Action::Pause
}

pub(super) fn headers(root: &mut Root, stream: &mut Stream, id: u32, end: bool) -> Action {
    // No host says the headers twice; should one do so, nothing goes uncounted.
    gone(root, stream);
    match mode(root) {
        Some(Mode::Sign) => return sign::headers(root, stream, id, end),
        Some(Mode::Rewrite { .. }) => return rewrite::headers(root, stream, end),
        Some(Mode::Tee) => copy_headers(root, stream, end),
        None => return not_in_force(root, stream),
    }
    Action::Continue
}

pub(super) fn body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) -> Action {
    match mode(root) {
        Some(Mode::Sign) => return sign::body(root, stream, size, end),
        Some(Mode::Rewrite { .. }) => return rewrite::body(root, stream, size, end),
        Some(Mode::Tee) => copy_body(root, stream, size, end),
        None => return not_in_force(root, stream),
    }
    Action::Continue
}

/// Trailers are the end of a request that has them.
pub(super) fn trailers(root: &mut Root, stream: &mut Stream) -> Action {
    match mode(root) {
        Some(Mode::Sign) => return sign::trailers(root, stream),
        Some(Mode::Rewrite { .. }) => return rewrite::trailers(root, stream),
        Some(Mode::Tee) => finish(root, stream, true),
        None => return not_in_force(root, stream),
    }
    Action::Continue
}

/// The answer's headers: of interest only where the request is ours, or the copy, or the answer.
pub(super) fn response(root: &mut Root, stream: &mut Stream) -> Action {
    let mode = mode(root);
    if mode == Some(Mode::Tee) {
        return Action::Continue;
    }
    if let Some(status) = stream.answered {
        return Stream::own_answer(status);
    }
    match mode {
        Some(Mode::Sign) => sign::answered(root, stream),
        Some(Mode::Rewrite { .. }) => rewrite::response(root, stream),
        Some(Mode::Tee) | None => {}
    }
    Action::Continue
}

fn copy_headers(root: &mut Root, stream: &mut Stream, end: bool) {
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

fn copy_body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) {
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

/// The stream is over, whether the request was complete or not.
#[inline(never)]
pub(super) fn gone(root: &mut Root, stream: &mut Stream) {
    sign::gone(root, stream);
    if stream.passage.is_some() {
        return rewrite::gone(root, stream);
    }
    let (Some(plugin), Some(exchange)) = (root.plugin(), stream.exchange.take()) else {
        return;
    };
    if was_complete(plugin, exchange) {
        stream.exchange = Some(exchange);
        return finish(root, stream, true);
    }
    plugin.abort(exchange);
    finish(root, stream, false);
}

/// The root context ends before the stream: what is open ends with it.
pub(super) fn orphaned(root: &mut Root, stream: &mut Stream) {
    let passage = stream.passage.as_deref();
    if !passage.is_some_and(Passage::goes_on) {
        stream.is_held = root.hold() == Action::Pause;
    }
    // Without the host's view of the stream, which cannot be asked for here: nothing becomes complete now.
    if let (Some(plugin), Some(exchange)) = (root.plugin(), stream.exchange.take()) {
        plugin.abort(exchange);
    }
    gone(root, stream);
}

/// nginx never says that headers end a request, and has no body callback for a request without a body.
fn was_complete(plugin: &Plugin, ticket: Ticket) -> bool {
    let Some(exchange) = plugin.exchange(ticket) else {
        return false;
    };
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
