//! A request in the proxy: headers, pieces of the body, the end, by mode. In mode `tee` it always goes on at once.

use super::host::{self, Buffer, Map};
use super::pairs::Pairs;
use super::rewrite;
use super::root::Root;
use super::sign;
use super::stream::Stream;
use crate::config::Mode;
use crate::header_list::HeaderList;
use crate::rum::headers::Head;
use crate::worker::Worker;
use crate::worker::collect::Ticket;
use crate::worker::rewrite::RewriteRequest;
use proxy_wasm::types::Action;

fn mode(root: &mut Root) -> Option<Mode> {
    root.worker().map(|worker| worker.config().mode)
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
    let Some(worker) = root.worker() else { return };
    let traits = worker.config().host.traits();
    let target = match traits.received_target {
        None => host::header(Map::Request, ":path"),
        // `:path` is decoded there: `%0D%0A` in it would end the copy's request line.
        Some(property) => host::property(property),
    };
    let Some(target) = target else { return };
    let Some(method) = host::header(Map::Request, ":method") else {
        return;
    };
    if let Some(plan) = worker.decide(&method, &target) {
        let map = host::map(Map::Request).unwrap_or_default();
        let source = || host::property("source\0address");
        let scheme = traits.client_scheme.and_then(host::property);
        stream.exchange = worker.begin(
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
    let Some(worker) = root.worker() else { return };
    let Some(exchange) = stream.exchange.take() else {
        return;
    };
    stream.exchange = match size {
        0 => Some(exchange),
        _ => worker.chunk(exchange, size, |body| {
            host::append_buffer(Buffer::RequestBody, size, body)
        }),
    };
    finish(root, stream, end);
}

/// The stream is over, whether the request was complete or not.
#[inline(never)]
pub(super) fn gone(root: &mut Root, stream: &mut Stream) {
    sign::gone(root, stream);
    if stream.request.is_some() {
        return rewrite::gone(root, stream);
    }
    let (Some(worker), Some(exchange)) = (root.worker(), stream.exchange.take()) else {
        return;
    };
    if was_complete(worker, exchange) {
        stream.exchange = Some(exchange);
        return finish(root, stream, true);
    }
    worker.abort(exchange);
    finish(root, stream, false);
}

/// The root context ends before the stream: what is open ends with it.
pub(super) fn orphaned(root: &mut Root, stream: &mut Stream) {
    let request = stream.request.as_deref();
    if !request.is_some_and(RewriteRequest::is_rewritten) {
        stream.is_held = root.hold() == Action::Pause;
    }
    // Without the host's view of the stream, which cannot be asked for here: nothing becomes complete now.
    if let (Some(worker), Some(exchange)) = (root.worker(), stream.exchange.take()) {
        worker.abort(exchange);
    }
    gone(root, stream);
}

/// nginx never says that headers end a request, and has no body callback for a request without a body.
fn was_complete(worker: &Worker, ticket: Ticket) -> bool {
    let Some(exchange) = worker.exchange(ticket) else {
        return false;
    };
    !worker.config().host.traits().tells_empty_bodies
        && !exchange.has_body()
        && (exchange.has_no_body() || exchange.announces_no_body() && is_http_1())
}

fn is_http_1() -> bool {
    host::property("ngx\0server_protocol").is_some_and(|protocol| protocol.starts_with(b"HTTP/1"))
}

fn finish(root: &mut Root, stream: &mut Stream, end: bool) {
    let Some(worker) = root.worker() else { return };
    let exchange = if end { stream.exchange.take() } else { None };
    if exchange.is_none() && !worker.has_effects() {
        return;
    }
    let now = host::now();
    if let Some(exchange) = exchange {
        worker.end(exchange, now);
    }
    if worker.has_effects() {
        root.request_effects(now);
    }
}
