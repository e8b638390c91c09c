//! A stream context: a request in the proxy, between its callbacks and in them.

use super::host::{self, Buffer, Map};
use super::root::Root;
use crate::header_list::HeaderList;
use crate::header_map::HeaderMap;
use crate::host::HostTraits;
use crate::meter::Meter;
use crate::modes::{self, Flow, Request};
use crate::time::Millis;
use crate::worker::Worker;
use crate::worker::signing::LocalAnswer;
use proxy_wasm::types::Action;
use std::cell::Cell;
use std::num::NonZeroU16;

/// The nginx variable that receives the target of a request that may be proxied. While it is empty, the location answers 204:
/// so nothing leaves unchanged, whatever happens to the filter. It holds the target byte for byte, unlike `$uri` and `$args`
/// (an empty `?`).
const TARGET: &str = "ngx\0sentry_edge_mirror";

/// A stream context.
pub(super) struct Stream {
    /// Its root context.
    pub(super) root: u32,
    request: Request,
    /// It is held once its root context has ended.
    pub(super) is_held: bool,
    /// The status with which it was answered here.
    answered: Option<NonZeroU16>,
}

impl Stream {
    pub(super) fn new(root: u32) -> Self {
        Self {
            root,
            request: Request::default(),
            is_held: false,
            answered: None,
        }
    }

    pub(super) fn headers(&mut self, root: &mut Root, id: u32, end: bool) -> Action {
        self.callback(root, id, |request, worker, stream| {
            request.headers(worker, stream, end)
        })
    }

    pub(super) fn body(&mut self, root: &mut Root, id: u32, size: usize, end: bool) -> Action {
        self.callback(root, id, |request, worker, stream| {
            request.body(worker, stream, size, end)
        })
    }

    pub(super) fn trailers(&mut self, root: &mut Root, id: u32) -> Action {
        self.callback(root, id, |request, worker, stream| {
            request.trailers(worker, stream)
        })
    }

    /// A request callback: its effects are carried out before it returns.
    fn callback(
        &mut self,
        root: &mut Root,
        id: u32,
        run: impl FnOnce(&mut Request, &mut Worker, &mut InHost<'_>) -> Flow,
    ) -> Action {
        let Some(worker) = root.worker() else {
            return self.not_in_force(root);
        };
        let traits = worker.config().host.traits();
        let mut host = InHost::new(id, traits, &mut self.answered);
        let flow = run(&mut self.request, worker, &mut host);
        host.finish(root);
        match flow {
            Flow::Continue => Action::Continue,
            Flow::Hold => Action::Pause,
        }
    }

    /// A request of a root context whose configuration is not in force, since nginx cannot be made to refuse a configuration.
    /// There the location answers what would be held. Elsewhere, where the module only took the host for nginx, we answer.
    fn not_in_force(&mut self, root: &Root) -> Action {
        const UNAVAILABLE: u16 = 503;
        if !root.holds || host::property("ngx\0request_uri").is_some() {
            return Action::Continue;
        }
        answer(&mut self.answered, &LocalAnswer::empty(UNAVAILABLE));
        Action::Pause
    }

    /// The response's headers: of interest only if the request is ours, or is the copy, or we answered it.
    pub(super) fn response(&mut self, root: &mut Root, id: u32) -> Action {
        if let Some(status) = self.answered {
            return own_answer(status);
        }
        if let Some(worker) = root.worker() {
            let traits = worker.config().host.traits();
            let mut host = InHost::new(id, traits, &mut self.answered);
            self.request.response(worker, &mut host);
            host.finish(root);
        }
        Action::Continue
    }

    /// In a tick: the turn of a request that waits for one.
    pub(super) fn turn(&mut self, root: &mut Root, id: u32, meter: &mut Meter) {
        let Some(worker) = root.worker() else { return };
        match host::enter(id) {
            Some(()) => {
                let traits = worker.config().host.traits();
                let mut host = InHost::new(id, traits, &mut self.answered);
                host.in_tick = true;
                self.request.turn(worker, &mut host, meter);
            }
            None => self.request.stuck(worker),
        }
    }

    /// The stream is over, whether or not the request was complete.
    pub(super) fn gone(&mut self, root: &mut Root, id: u32) {
        self.over(root, id, false);
    }

    /// The root context ends before the stream: what is open ends with it.
    pub(super) fn orphaned(&mut self, root: &mut Root, id: u32) {
        if !self.request.is_rewritten() {
            self.is_held = root.hold() == Action::Pause;
        }
        self.over(root, id, true);
    }

    #[inline(never)]
    fn over(&mut self, root: &mut Root, id: u32, is_detached: bool) {
        let Some(worker) = root.worker() else { return };
        let traits = worker.config().host.traits();
        let mut host = InHost::new(id, traits, &mut self.answered);
        host.is_detached = is_detached;
        self.request.gone(worker, &mut host);
        host.finish(root);
    }
}

/// A request in one of the proxy's callbacks.
struct InHost<'a> {
    id: u32,
    traits: &'static HostTraits,
    answered: &'a mut Option<NonZeroU16>,
    /// A tick has to tell the host to let the request go on; in the request's own callback the return value does that.
    in_tick: bool,
    /// In a callback of the root context the host cannot be asked about the stream.
    is_detached: bool,
    now: Cell<Option<Millis>>,
}

impl<'a> InHost<'a> {
    fn new(id: u32, traits: &'static HostTraits, answered: &'a mut Option<NonZeroU16>) -> Self {
        Self {
            id,
            traits,
            answered,
            in_tick: false,
            is_detached: false,
            now: Cell::new(None),
        }
    }

    /// Most requests have no effects, and then the clock need not be read.
    fn finish(&self, root: &mut Root) {
        if root.worker().is_some_and(|worker| worker.has_effects()) {
            root.request_effects(modes::Stream::now(self));
        }
    }
}

impl modes::Stream for InHost<'_> {
    fn id(&self) -> u32 {
        self.id
    }

    fn now(&self) -> Millis {
        let now = self.now.get().unwrap_or_else(host::now);
        self.now.set(Some(now));
        now
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::new(host::map(Map::Request).unwrap_or_default())
    }

    fn property(&self, path: &str) -> Option<Vec<u8>> {
        if self.is_detached {
            return None;
        }
        host::property(path)
    }

    fn append_body(&mut self, size: usize, body: &mut Vec<u8>) -> Option<()> {
        host::append_buffer(Buffer::RequestBody, size, body)
    }

    fn body(&mut self, start: usize, size: usize) -> Option<Vec<u8>> {
        host::slice(Buffer::RequestBody, start, size)
    }

    fn replace_headers(&mut self, headers: &HeaderList) -> Option<()> {
        host::set_map(Map::Request, headers)?;
        if self.in_tick {
            host::continue_request()?;
        }
        Some(())
    }

    fn replace_header(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        host::replace_header(Map::Request, name, value)
    }

    fn let_leave(&mut self, target: &[u8]) -> Option<bool> {
        host::set_property(TARGET, target)
    }

    /// If a filter answers one of nginx's own requests, such as those of `mirror`, nginx closes the client's connection
    /// (measured). Such a request has the location's path. `:path` is decoded, so a client's own request with escapes is
    /// mistaken for one, and left to the location. So is anything that is not a path.
    fn may_be_answered(&self) -> bool {
        if self.traits.answers_requests {
            return true;
        }
        let path = host::header(Map::Request, ":path");
        let path = path.filter(|path| path.starts_with(b"/"));
        path.is_some() && path == host::property("ngx\0request_uri")
    }

    fn answer(&mut self, local: &LocalAnswer) -> bool {
        answer(self.answered, local)
    }

    fn response_header(&self, name: &str) -> Option<Vec<u8>> {
        host::header(Map::Response, name)
    }
}

fn answer(answered: &mut Option<NonZeroU16>, answer: &LocalAnswer) -> bool {
    let status = answer.status;
    let done = host::send_local_response(status.into(), &answer.headers, answer.body.as_bytes());
    *answered = NonZeroU16::new(status).filter(|_| done);
    done
}

/// Lets our own answer pass. Envoy turns an answer to a gRPC request (`content-type: application/grpc`) into status 200, with
/// the status in other headers. A client that does not speak gRPC would take a refusal for success. What cannot be corrected
/// does not pass.
#[cold]
fn own_answer(status: NonZeroU16) -> Action {
    let status = status.to_string();
    let told = host::header(Map::Response, ":status");
    if told.as_deref() == Some(status.as_bytes()) {
        return Action::Continue;
    }
    match host::replace_header(Map::Response, b":status", status.as_bytes()) {
        Some(()) => Action::Continue,
        None => Action::Pause,
    }
}
