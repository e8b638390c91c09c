//! Streams step by step: open, feed, answer, close. [`Host::send`] does all of it at once.

use super::exchange::Exchange;
use super::headers::Headers;
use super::instance::Host;
use super::leg::{Leg, Way};
use super::nginx_uri::decoded;
use super::options::Profile;
use super::request::{Piece, Request, Response};
use super::state::{ContextId, Stream};
use super::trap::Trap;

impl Host {
    /// The whole exchange at once: request, a 200 from the upstream, end of stream.
    pub fn send(&mut self, request: &Request) -> Exchange {
        self.try_send(request).unwrap_or_else(|trap| trap.raise())
    }

    pub fn try_send(&mut self, request: &Request) -> Result<Exchange, Trap> {
        self.try_send_on(self.current_root(), request)
    }

    /// The same on a root context of the test's choice.
    pub fn try_send_on(&mut self, root: ContextId, request: &Request) -> Result<Exchange, Trap> {
        let id = self.try_open_on(root, request)?;
        self.try_body(id)?;
        self.try_respond(id, &Response::status(200))?;
        self.try_close(id)
    }

    /// Opens a stream and lets its headers arrive.
    pub fn open(&mut self, request: &Request) -> ContextId {
        self.try_open_on(self.current_root(), request)
            .unwrap_or_else(|trap| trap.raise())
    }

    pub fn try_open_on(&mut self, root: ContextId, request: &Request) -> Result<ContextId, Trap> {
        let id = self.next_context;
        self.next_context += 1;
        let (map, properties) = self.seen_by_filter(request);
        let mut wire = request.headers.clone();
        if let (Profile::Nginx, Some(_), Some(path)) =
            (self.profile(), &request.mirrored_to, map.get(":path"))
        {
            wire.replace(":path", path);
        }
        let mut leg = Leg::new(map, wire);
        leg.mirror = request.mirrored_to.is_some();
        let exchange = Exchange {
            context: id,
            root,
            request: Some(request.clone()),
            ..Exchange::default()
        };
        let stream = Stream {
            root,
            properties,
            request: leg,
            response: Leg::default(),
            exchange,
        };
        let state = self.state_mut();
        state.streams.insert(id, stream);
        state
            .roots
            .get_mut(&root)
            .unwrap_or_else(|| panic!("there is no root context {root}"))
            .streams += 1;
        self.call_for_stream("proxy_on_context_create", id, &[id, root])?;
        self.feed_headers(id, Way::Request, request.ends_with_headers())?;
        self.settle()?;
        Ok(id)
    }

    /// Headers and properties as this host shows them.
    fn seen_by_filter(&self, request: &Request) -> (Headers, Vec<(String, Vec<u8>)>) {
        let mut map = request.headers.clone();
        let mut properties = request.properties.clone();
        if self.profile() == Profile::Envoy {
            return (map.lowercased(), properties);
        }
        if let Some(peer) = request.peer(Profile::Nginx) {
            properties.retain(|(known, _)| known != "source.address");
            properties.push(("source.address".into(), peer));
        }
        // nginx: `host` is the client's, `:authority` the server's own name.
        if let Some(authority) = map.get(":authority").map(<[u8]>::to_vec) {
            map.replace(":authority", self.state().options.server_name.as_bytes());
            if map.get("host").is_none() {
                map.add("host", authority);
            }
        }
        if let Some(target) = map.get(":path").map(<[u8]>::to_vec) {
            let mut path = decoded(&target);
            // A mirror subrequest shows the internal location with the original arguments.
            if let Some(location) = &request.mirrored_to {
                let query = path.iter().position(|byte| *byte == b'?');
                path = [location.as_bytes(), &path[query.unwrap_or(path.len())..]].concat();
            }
            map.replace(":path", path);
            properties.push(("ngx.request_uri".into(), target.clone()));
            properties.push(("request.path".into(), target));
        }
        (map, properties)
    }

    /// The rest of the scripted request arrives.
    pub fn try_body(&mut self, id: ContextId) -> Result<(), Trap> {
        let request = self
            .state()
            .streams
            .get(&id)
            .and_then(|stream| stream.exchange.request.as_ref());
        let pieces = request.map(Request::pieces).unwrap_or_default();
        pieces
            .into_iter()
            .try_for_each(|piece| self.arrive(id, piece))
    }

    /// A chunk that is not in the script arrives.
    pub fn body(&mut self, id: ContextId, chunk: &[u8], end: bool) {
        self.try_chunk(id, chunk, end)
            .unwrap_or_else(|trap| trap.raise());
    }

    pub fn try_chunk(&mut self, id: ContextId, chunk: &[u8], end: bool) -> Result<(), Trap> {
        if let Some(request) = self
            .state_mut()
            .streams
            .get_mut(&id)
            .and_then(|s| s.exchange.request.as_mut())
        {
            request.chunks.push(chunk.to_vec());
        }
        self.arrive(id, Piece::Data(chunk.to_vec(), end))
    }

    /// Trailers end the request.
    pub fn trailers(&mut self, id: ContextId, trailers: &Headers) {
        if let Some(request) = self
            .state_mut()
            .streams
            .get_mut(&id)
            .and_then(|s| s.exchange.request.as_mut())
        {
            request.trailers = Some(trailers.clone());
        }
        self.arrive(id, Piece::Trailers(trailers.clone()))
            .unwrap_or_else(|trap| trap.raise());
    }

    fn arrive(&mut self, id: ContextId, piece: Piece) -> Result<(), Trap> {
        self.feed(id, Way::Request, piece)?;
        self.settle()
    }

    /// The upstream answers; nothing happens when the stream was answered already.
    pub fn respond(&mut self, id: ContextId, response: &Response) {
        self.try_respond(id, response)
            .unwrap_or_else(|trap| trap.raise());
    }

    pub fn try_respond(&mut self, id: ContextId, response: &Response) -> Result<(), Trap> {
        let Some(stream) = self
            .state_mut()
            .streams
            .get_mut(&id)
            .filter(|stream| !stream.response.begun)
        else {
            return Ok(());
        };
        stream.exchange.response = Some(response.clone());
        self.send_response(id, response)
    }

    pub(super) fn send_response(&mut self, id: ContextId, response: &Response) -> Result<(), Trap> {
        if let Some(stream) = self.state_mut().streams.get_mut(&id) {
            let map = response.headers.clone().lowercased();
            stream.response = Leg::new(map, response.headers.clone());
        }
        self.feed_headers(id, Way::Response, response.ends_with_headers())?;
        self.settle()?;
        for piece in response.pieces() {
            self.feed(id, Way::Response, piece)?;
            self.settle()?;
        }
        Ok(())
    }

    /// The exchange of an open stream, as far as it has come.
    pub fn so_far(&self, id: ContextId) -> Exchange {
        let streams = &self.state().streams;
        let stream = streams
            .get(&id)
            .unwrap_or_else(|| panic!("stream {id} is not open"));
        Exchange {
            upstream: stream.request.passed.clone(),
            downstream: stream.response.passed.clone(),
            ..stream.exchange.clone()
        }
    }

    /// The stream ends.
    pub fn close(&mut self, id: ContextId) -> Exchange {
        self.try_close(id).unwrap_or_else(|trap| trap.raise())
    }

    /// Envoy: `on_log`, `on_done`, `on_delete`; nginx has `on_done` before `on_log`. A dead instance hears nothing.
    pub fn try_close(&mut self, id: ContextId) -> Result<Exchange, Trap> {
        if !self.is_dead() {
            let order = match self.profile() {
                Profile::Envoy => ["proxy_on_log", "proxy_on_done", "proxy_on_delete"],
                Profile::Nginx => ["proxy_on_done", "proxy_on_log", "proxy_on_delete"],
            };
            for callback in order {
                self.call_for_stream(callback, id, &[id])?;
            }
        }
        let state = self.state_mut();
        let stream = state
            .streams
            .remove(&id)
            .unwrap_or_else(|| panic!("stream {id} is not open"));
        if let Some(root) = state.roots.get_mut(&stream.root) {
            root.streams -= 1;
        }
        let (upstream, downstream) = (stream.request.passed, stream.response.passed);
        let mut exchange = Exchange {
            upstream,
            downstream,
            ..stream.exchange
        };
        // A dead instance fails every stream that still needs it.
        if self.is_dead() && !(exchange.upstream.ended && exchange.downstream.ended) {
            exchange.failed_with.get_or_insert(self.failure_status());
        }
        if !self.is_dead() {
            self.settle()?;
            self.end_if_drained(stream.root)?;
        }
        Ok(exchange)
    }

    /// A callback that is on the stream's bill but decides nothing.
    fn call_for_stream(
        &mut self,
        callback: &'static str,
        id: ContextId,
        args: &[u32],
    ) -> Result<(), Trap> {
        self.call(callback, id, args)?;
        let cost = self.last_cost.clone();
        if let Some(stream) = self.state_mut().streams.get_mut(&id) {
            stream.exchange.cost.add(&cost);
        }
        Ok(())
    }

    /// A request that Envoy answers before it reaches the filter (a malformed one): the stream is created and logged,
    /// and no header callback ever comes (`Context::log`).
    pub fn answered_before_filter(&mut self) -> Exchange {
        let (id, root) = (self.next_context, self.current_root());
        self.next_context += 1;
        let stream = Stream {
            root,
            properties: Vec::new(),
            request: Leg::default(),
            response: Leg::default(),
            exchange: Exchange {
                context: id,
                root,
                ..Exchange::default()
            },
        };
        let state = self.state_mut();
        state.streams.insert(id, stream);
        if let Some(root) = state.roots.get_mut(&root) {
            root.streams += 1;
        }
        self.call_for_stream("proxy_on_context_create", id, &[id, root])
            .unwrap_or_else(|trap| trap.raise());
        self.close(id)
    }

    /// The client goes away before the exchange is over.
    pub fn abort(&mut self, id: ContextId) -> Exchange {
        if let Some(stream) = self.state_mut().streams.get_mut(&id) {
            stream.exchange.aborted = true;
        }
        self.close(id)
    }
}
