//! A request in mode `rewrite`: it goes on as the copy, or it is kept and answered. What is done says the core, step by
//! step; here it is done.

use super::host::{self, Buffer, Map};
use super::pairs::Pairs;
use super::root::Root;
use super::stream::Stream;
use crate::header_list::HeaderList;
use crate::rum::headers::Head;
use crate::rum::in_place;
use crate::rum::reply::Reply;
use crate::worker::Worker;
use crate::worker::rewrite::{RewriteRequest, Step};
use proxy_wasm::types::Action;

/// What the sender of a copy gets: it does not read it.
const ANSWER: u16 = 204;

/// The nginx variable that gets the target of a request that may be proxied. The location answers 204 while it is empty:
/// so nothing leaves unchanged, whatever becomes of the filter. It holds the target byte for byte, which `$uri` and `$args`
/// do not (an empty `?`).
const TARGET: &str = "ngx\0sentry_edge_mirror";

pub(super) fn headers(root: &mut Root, stream: &mut Stream, end: bool) -> Action {
    let Some(worker) = root.worker() else {
        return Action::Pause;
    };
    let traits = worker.config().host.traits();
    let method = host::header(Map::Request, ":method").unwrap_or_default();
    // In a mirror subrequest of nginx `:path` is the internal location.
    let original = traits.received_target.and_then(host::property);
    let target = original.or_else(|| host::header(Map::Request, ":path"));
    let target = target.unwrap_or_default();
    let (request, step) = match worker.decide(&method, &target) {
        None => (RewriteRequest::unwanted(), Step::Answer),
        Some(plan) => {
            let map = host::map(Map::Request).unwrap_or_default();
            let source = || host::property("source\0address");
            let scheme = traits.client_scheme.and_then(host::property);
            let head = Head {
                method: &method,
                target: &target,
                headers: Pairs::new(&map),
                source: &source,
                scheme: scheme.as_deref(),
            };
            worker.arrive(plan, &head, !end, host::now())
        }
    };
    let action = steps(worker, stream, request, step);
    finish(root);
    action
}

pub(super) fn body(root: &mut Root, stream: &mut Stream, size: usize, end: bool) -> Action {
    let hold = root.hold();
    let (Some(worker), Some(request)) = (root.worker(), stream.request.take()) else {
        // Before its headers, or after its end.
        return hold;
    };
    let now = end.then(host::now);
    let (request, step) = worker.piece(*request, size, now, |body| {
        host::append_buffer(Buffer::RequestBody, size, body)
    });
    let action = steps(worker, stream, request, step);
    finish(root);
    action
}

/// Trailers end the request. Of a held one the whole body is still to be had, of a forwarded one nothing new.
pub(super) fn trailers(root: &mut Root, stream: &mut Stream) -> Action {
    let size = stream.request.as_ref().map_or(0, |request| request.kept());
    body(root, stream, size, true)
}

pub(super) fn response(root: &mut Root, stream: &mut Stream) {
    let (Some(worker), Some(request)) = (root.worker(), stream.request.as_mut()) else {
        return;
    };
    let status = host::header(Map::Response, ":status")
        .and_then(|status| std::str::from_utf8(&status).ok()?.parse().ok());
    let now = host::now();
    let reply = Reply {
        status,
        ..Reply::default()
    };
    worker.response(request, status.unwrap_or_default(), reply.verdict(now), now);
    finish(root);
}

pub(super) fn gone(root: &mut Root, stream: &mut Stream) {
    let (Some(worker), Some(mut request)) = (root.worker(), stream.request.take()) else {
        return;
    };
    worker.leave(&mut request, host::now());
    finish(root);
}

/// Does what is asked for, until the request may go on or has to wait.
fn steps(
    worker: &mut Worker,
    stream: &mut Stream,
    mut request: RewriteRequest,
    mut step: Step,
) -> Action {
    let answers = worker.config().host.traits().answers_requests;
    let action = loop {
        (request, step) = match step {
            Step::Pass => break Action::Continue,
            Step::Wait => break Action::Pause,
            Step::PutInPlace => {
                let done = put_in_place(worker, &request).is_some();
                worker.placed(request, done)
            }
            // A filter's answer there would close the client's connection (measured): the location answers.
            Step::Answer if !answers && is_subrequest() => break Action::Continue,
            Step::Answer => {
                let done = stream.answer(ANSWER, &HeaderList::default(), b"");
                worker.answered_here(request, done, host::now())
            }
        };
    };
    stream.request = Some(Box::new(request));
    action
}

fn put_in_place(worker: &mut Worker, request: &RewriteRequest) -> Option<()> {
    // No request is without a header: what is not seen would leave as it is.
    let map = host::map(Map::Request).filter(|map| !map.is_empty())?;
    let copy = request.headers()?;
    if worker.config().host.traits().replaces_headers {
        let whole = in_place::whole_map(copy, Pairs::new(&map));
        host::set_map(Map::Request, &whole)
    } else {
        for (name, value) in in_place::replacements(copy, Pairs::new(&map)).ok()? {
            host::replace_header(Map::Request, name, value)?;
        }
        // Last: this opens the location.
        if !host::set_property(TARGET, copy.get(b":path")?)? {
            worker.unguarded();
        }
        Some(())
    }
}

/// nginx: whether this may be a request of nginx's own, as `mirror` makes them: its path is the location's. `:path` is
/// decoded, so a client's own request with escapes is taken for one too, and left to the location. So is what is no path.
fn is_subrequest() -> bool {
    let path = host::header(Map::Request, ":path");
    let path = path.filter(|path| path.starts_with(b"/"));
    path.is_none() || path != host::property("ngx\0request_uri")
}

fn finish(root: &mut Root) {
    if root.worker().is_some_and(|worker| worker.has_effects()) {
        root.request_effects(host::now());
    }
}
