//! Mode `sign` as a scenario sees it: requests that wait, go on, or are answered; on the core and in the module.
//!
//! Envoy only: the mode is refused on nginx.

use crate::edge::{Edge, PUBLISH_MS};
use crate::native::Native;
use sentry_edge_mirror::meter::{Meter, TICK};
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::Worker;
use sentry_edge_mirror::worker::signing::{LocalAnswer, REQUEST, Write};
use std::collections::BTreeMap;
use std::task::Poll;
use test_host::{
    Call, Guest, Headers, Host, Options, Profile, Reply, Request, Response, What, When,
};

/// What has become of a request so far; nothing at all while it waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// What went on to the target.
    pub upstream: Option<(Headers, Vec<u8>)>,
    /// What the client was answered by the filter: status, headers, body.
    pub local: Option<(u16, Headers, String)>,
}

impl Seen {
    pub fn is_waiting(&self) -> bool {
        *self == Self::default()
    }

    pub fn upstream(&self) -> &(Headers, Vec<u8>) {
        assert_eq!(self.local, None);
        self.upstream.as_ref().expect("the request went on")
    }

    pub fn local(&self) -> &(u16, Headers, String) {
        let sent = self.upstream.as_ref().map(|(headers, _)| headers);
        assert_eq!(sent, None, "nothing may go on");
        self.local.as_ref().expect("the request was answered")
    }
}

/// A host that does not do what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does not take the new headers.
    Headers,
    /// It does not hand out the body.
    Body,
    /// It does not hand out the headers.
    Map,
    /// It does not let a request go on that it held.
    Continue,
    /// It lets no tick act for a request.
    Enter,
}

pub trait Gate: Sized {
    fn start(config: &str) -> Self;
    /// The headers arrive. Chunks and trailers of the request are not looked at.
    fn open(&mut self, request: &Request) -> u32;
    fn body(&mut self, id: u32, chunk: &[u8], end: bool);
    fn trailers(&mut self, id: u32);
    /// The target's answer.
    fn respond(&mut self, id: u32, response: &Response);
    /// The stream ends; a client that goes away looks the same.
    fn close(&mut self, id: u32);
    fn seen(&self, id: u32) -> Seen;
    /// From now on.
    fn fault(&mut self, fault: Fault);

    fn advance(&mut self, ms: u64);
    fn calls(&mut self) -> Vec<Call>;
    fn reply(&mut self, token: u32, reply: &Reply);
    fn metric(&self, name: &str) -> i64;
    fn logs(&self) -> String;
    fn is_ticking(&self) -> bool;
    fn wall_clock_ms(&self) -> u64;

    /// The whole request; it is left open.
    fn upload(&mut self, request: &Request) -> u32 {
        let id = self.open(request);
        let last = request.chunks.len().wrapping_sub(1);
        for (index, chunk) in request.chunks.iter().enumerate() {
            self.body(
                id,
                chunk,
                index == last && !request.ends_apart && request.trailers.is_none(),
            );
        }
        if request.ends_apart {
            self.body(id, b"", true);
        }
        if request.trailers.is_some() {
            self.trailers(id);
        }
        id
    }

    /// Until a request that is complete has gone on, or was answered.
    fn served(&mut self, id: u32) {
        for _ in 0..10_000 {
            if !self.seen(id).is_waiting() || !self.is_ticking() {
                return;
            }
            self.advance(1);
        }
        panic!("it waits for ever");
    }

    /// A whole exchange with this answer, if the request gets as far.
    fn exchange(&mut self, request: &Request, response: &Response) -> Seen {
        let id = self.upload(request);
        self.served(id);
        if self.seen(id).upstream.is_some() {
            self.respond(id, response);
        }
        let seen = self.seen(id);
        self.close(id);
        seen
    }

    fn count(&mut self, what: &str) -> i64 {
        self.advance(PUBLISH_MS);
        self.metric(&format!("sentry_edge_mirror.sign.{what}"))
    }

    /// Received, signed, denied and aborted; they add up, and so does what became of the signed ones.
    fn books(&mut self) -> [i64; 4] {
        self.advance(PUBLISH_MS);
        let books = sign_books(|what| self.metric(&format!("sentry_edge_mirror.sign.{what}")));
        [books.received, books.signed, books.denied, books.aborted]
    }
}

/// What has become of the writes.
#[derive(Debug)]
pub struct SignBooks {
    pub received: i64,
    pub signed: i64,
    pub denied: i64,
    pub aborted: i64,
    /// Without an end yet: in the filter, or at the target.
    pub open: i64,
}

/// The books of mode `sign`, which add up.
pub fn sign_books(count: impl Fn(&str) -> i64) -> SignBooks {
    let sum = |of: &str, what: &[&str]| -> i64 {
        what.iter().map(|what| count(&format!("{of}.{what}"))).sum()
    };
    let denied = sum(
        "denied",
        &[
            "forbidden",
            "malformed",
            "too_large",
            "no_room",
            "no_credential",
            "host",
        ],
    );
    let answered = sum("answered", &["2xx", "4xx", "5xx", "other"]);
    let [received, signed, aborted, pending, unanswered, in_flight] = [
        "received",
        "signed",
        "aborted",
        "pending",
        "unanswered",
        "in_flight",
    ]
    .map(&count);
    assert_eq!(received, signed + denied + aborted + pending);
    assert_eq!(signed, answered + unanswered + in_flight);
    let open = pending + in_flight;
    assert_eq!(count("pending_bytes") > 0, open > 0);
    SignBooks {
        received,
        signed,
        denied,
        aborted,
        open,
    }
}

// ---- the module

pub struct ModuleGate {
    host: Host,
}

impl ModuleGate {
    pub fn with(options: Options) -> Self {
        let options = Options {
            allow_on_headers_stop_iteration: true,
            ..options
        };
        let host = Host::new(Profile::Envoy, Guest::sentry_edge_mirror(), options);
        Self { host }
    }

    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }
}

impl Gate for ModuleGate {
    fn start(config: &str) -> Self {
        Self::with(Options {
            buffer_limit: 64 << 20,
            ..Options::new(config)
        })
    }

    fn open(&mut self, request: &Request) -> u32 {
        let head = Request {
            chunks: Vec::new(),
            trailers: None,
            streamed: !request.chunks.is_empty() || request.trailers.is_some() || request.streamed,
            ..request.clone()
        };
        self.host.open(&head)
    }

    fn body(&mut self, id: u32, chunk: &[u8], end: bool) {
        self.host.body(id, chunk, end);
    }

    fn trailers(&mut self, id: u32) {
        self.host
            .trailers(id, &Headers::from_iter([("x-trailer", "1")]));
    }

    fn respond(&mut self, id: u32, response: &Response) {
        self.host.respond(id, response);
        let (down, sent) = (self.host.so_far(id).downstream, response);
        assert_eq!(
            down.headers,
            Some(sent.headers.clone()),
            "the answer is untouched"
        );
        assert_eq!(down.body(), sent.chunks.concat());
    }

    fn close(&mut self, id: u32) {
        self.host.close(id);
    }

    fn seen(&self, id: u32) -> Seen {
        let exchange = self.host.so_far(id);
        let upstream = exchange.upstream;
        if let (Some(_), Some(local)) = (&upstream.headers, &exchange.local_response) {
            panic!("went on and was answered: {local:?}");
        }
        Seen {
            upstream: upstream.headers.clone().map(|headers| {
                assert!(upstream.ended);
                (headers, upstream.body())
            }),
            local: exchange.local_response.map(|local| {
                let body = String::from_utf8(local.body).unwrap();
                (u16::try_from(local.status).unwrap(), local.headers, body)
            }),
        }
    }

    fn fault(&mut self, fault: Fault) {
        const INTERNAL_FAILURE: u32 = 10;
        let call = match fault {
            Fault::Headers => "proxy_set_header_map_pairs",
            Fault::Body => "proxy_get_buffer_bytes",
            Fault::Map => "proxy_get_header_map_pairs",
            Fault::Continue => "proxy_continue_stream",
            Fault::Enter => "proxy_set_effective_context",
        };
        self.host
            .fault(call, When::Always, What::Status(INTERNAL_FAILURE));
    }

    fn advance(&mut self, ms: u64) {
        self.host.advance(ms);
    }

    fn calls(&mut self) -> Vec<Call> {
        self.host.take_calls()
    }

    fn reply(&mut self, token: u32, reply: &Reply) {
        self.host.reply(token, reply);
    }

    fn metric(&self, name: &str) -> i64 {
        self.host.metric(name)
    }

    fn logs(&self) -> String {
        let lines: Vec<&str> = self
            .host
            .logs()
            .iter()
            .map(|log| log.text.as_str())
            .collect();
        lines.join("\n")
    }

    fn is_ticking(&self) -> bool {
        self.host.is_ticking()
    }

    fn wall_clock_ms(&self) -> u64 {
        Options::new("").wall_clock_ms + self.host.now_ms()
    }
}

// ---- the core

#[derive(Default)]
struct Open {
    head: Headers,
    body: Vec<u8>,
    write: Option<Box<Write>>,
    /// It did not go on in the callback that completed it.
    waited: bool,
    seen: Seen,
}

pub struct NativeGate {
    edge: Native,
    streams: BTreeMap<u32, Open>,
    faults: Vec<Fault>,
}

impl NativeGate {
    fn end(&mut self, id: u32, meter: &mut Meter) {
        let now = self.edge.now;
        let open = self.streams.get_mut(&id).unwrap();
        open.end(&mut self.edge.plugin, now, meter, &self.faults);
    }
}

/// What a tick does for the writes that wait.
fn turns(edge: &mut Native, streams: &mut BTreeMap<u32, Open>, faults: &[Fault]) {
    if !edge.plugin.turns_begin(edge.now) {
        return;
    }
    let mut meter = Meter::new(TICK);
    while let Some(id) = edge.plugin.next_turn(&mut meter) {
        let open = streams.get_mut(&id).unwrap();
        let Some(mut write) = open.write.take() else {
            continue;
        };
        // What cannot act for it cannot answer it either.
        if faults.contains(&Fault::Enter) {
            edge.plugin.write_stuck(&mut write);
            continue;
        }
        let (body, unreadable) = (&open.body, faults.contains(&Fault::Body));
        let read =
            |start: usize, size: usize| (!unreadable).then(|| body[start..start + size].to_vec());
        let turn = edge.plugin.write_turn(&mut write, read, &mut meter);
        open.write = Some(write);
        match turn {
            Ok(true) => open.end(&mut edge.plugin, edge.now, &mut meter, faults),
            Ok(false) => {}
            Err(answer) => open.answer(&answer),
        }
    }
    edge.plugin.turns_end(edge.now, edge.now);
}

impl Open {
    /// The request is complete, and hashed if it waited.
    fn end(&mut self, plugin: &mut Worker, now: Millis, meter: &mut Meter, faults: &[Fault]) {
        let Some(write) = &mut self.write else { return };
        match plugin.write_ends(write, self.head.iter(), now, meter) {
            Poll::Pending => self.waited = true,
            Poll::Ready(Ok(_))
                if faults.contains(&Fault::Headers)
                    || (self.waited && faults.contains(&Fault::Continue)) =>
            {
                let answer = plugin.write_stuck(write);
                self.answer(&answer);
            }
            Poll::Ready(Ok(headers)) => {
                plugin.write_left(write);
                let headers = Headers::from_iter(headers.iter());
                self.seen.upstream = Some((headers, self.body.clone()));
            }
            Poll::Ready(Err(answer)) => self.answer(&answer),
        }
    }

    fn answer(&mut self, answer: &LocalAnswer) {
        let headers = Headers::from_iter(answer.headers.iter());
        self.seen.local = Some((answer.status, headers, answer.body.clone()));
        self.write = None;
    }
}

impl Gate for NativeGate {
    fn start(config: &str) -> Self {
        Self {
            edge: Native::start(Profile::Envoy, config),
            streams: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    fn open(&mut self, request: &Request) -> u32 {
        let id = u32::try_from(self.streams.len()).unwrap();
        let mut open = Open {
            head: request.headers.clone(),
            ..Open::default()
        };
        let head = if self.faults.contains(&Fault::Map) {
            Headers::new()
        } else {
            request.headers.clone()
        };
        let pairs: Vec<_> = head.iter().collect();
        let pairs = pairs.iter().copied();
        match self.edge.plugin.write_begins(id, pairs, 1_000) {
            Ok(write) => open.write = Some(write),
            Err(answer) => open.answer(&answer),
        }
        self.streams.insert(id, open);
        let more = !request.chunks.is_empty() || request.streamed;
        if !more && !request.ends_apart && request.trailers.is_none() {
            self.end(id, &mut Meter::new(REQUEST));
        }
        self.edge.finish();
        id
    }

    fn body(&mut self, id: u32, chunk: &[u8], end: bool) {
        let (open, plugin) = (self.streams.get_mut(&id).unwrap(), &mut self.edge.plugin);
        let Some(write) = &mut open.write else { return };
        open.body.extend_from_slice(chunk);
        let (body, unreadable) = (&open.body, self.faults.contains(&Fault::Body));
        let read =
            |start: usize, size: usize| (!unreadable).then(|| body[start..start + size].to_vec());
        let mut meter = Meter::new(REQUEST);
        if let Err(answer) = plugin.write_grows(write, body.len(), read, &mut meter) {
            open.answer(&answer);
        } else if end {
            self.end(id, &mut meter);
        }
        self.edge.finish();
    }

    fn trailers(&mut self, id: u32) {
        self.end(id, &mut Meter::new(REQUEST));
        self.edge.finish();
    }

    fn respond(&mut self, id: u32, response: &Response) {
        let now = self.edge.now;
        let open = self.streams.get_mut(&id).unwrap();
        let status = response
            .headers
            .text(":status")
            .and_then(|status| status.parse().ok());
        if let Some(write) = &mut open.write {
            let header = |name: &str| response.headers.text(name);
            self.edge
                .plugin
                .write_answered(write, status, &header, || now);
        }
        self.edge.finish();
    }

    fn close(&mut self, id: u32) {
        if let Some(mut write) = self.streams.get_mut(&id).unwrap().write.take() {
            self.edge.plugin.write_gone(&mut write);
        }
        self.edge.finish();
    }

    fn seen(&self, id: u32) -> Seen {
        self.streams[&id].seen.clone()
    }

    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn advance(&mut self, ms: u64) {
        let (streams, faults) = (&mut self.streams, &self.faults);
        self.edge
            .advance_with(ms, |edge| turns(edge, streams, faults));
    }

    fn calls(&mut self) -> Vec<Call> {
        Edge::calls(&mut self.edge)
    }

    fn reply(&mut self, token: u32, reply: &Reply) {
        Edge::reply(&mut self.edge, token, reply);
    }

    fn metric(&self, name: &str) -> i64 {
        Edge::metric(&self.edge, name)
    }

    fn logs(&self) -> String {
        self.edge.logs.join("\n")
    }

    fn is_ticking(&self) -> bool {
        Edge::is_ticking(&self.edge)
    }

    fn wall_clock_ms(&self) -> u64 {
        self.edge.now.0
    }
}

/// Runs scenarios, functions over any [`Gate`], on the core and in the module.
#[macro_export]
macro_rules! at_the_gate {
    ($($scenario:ident),+ $(,)?) => {
        mod core {
            $(#[test] fn $scenario() { super::$scenario::<$crate::gate::NativeGate>(); })+
        }
        mod module_in_envoy {
            $(#[test] fn $scenario() { super::$scenario::<$crate::gate::ModuleGate>(); })+
        }
    };
}
