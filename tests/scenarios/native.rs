//! The core without a module: the same callbacks in the same order, on a proxy that is not there.

use crate::edge::{Edge, Refusal, for_host_with};
use crate::seen::Seen;
use sentry_edge_mirror::config::{Config, Mode};
use sentry_edge_mirror::drive::{Driver, Header, Passing, Sent, turns};
use sentry_edge_mirror::time::Millis;
use sentry_edge_mirror::worker::lanes::Lanes;
use std::collections::BTreeMap;
use test_host::{Call, Headers, Profile, Reply, Request, Response};

/// The core in the worker of a host; on nginx with so many root contexts, of which the others are lanes.
pub struct NativeWith<const LANES: u8> {
    profile: Profile,
    pub driver: Driver,
    requests: BTreeMap<u32, Passing>,
    calls: Vec<Call>,
    /// Which root context waits for which call.
    in_flight: BTreeMap<u32, u32>,
    lanes: Lanes,
}

pub type Native = NativeWith<1>;

/// The root context of the worker; the lanes have the numbers after it.
const ROOT: u32 = 1;

fn owned(headers: &Headers) -> Vec<Header> {
    let headers = headers.iter();
    headers
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

fn borrowed(headers: &[Header]) -> Headers {
    Headers::from_iter(
        headers
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice())),
    )
}

impl<const LANES: u8> NativeWith<LANES> {
    /// A callback of a request.
    fn callback(&mut self, stream: u32, run: impl FnOnce(&mut Passing, &mut Driver)) {
        run(self.requests.get_mut(&stream).unwrap(), &mut self.driver);
        self.took_calls(ROOT);
    }

    /// The calls that left in a callback of a root context.
    fn took_calls(&mut self, root: u32) {
        for sent in std::mem::take(&mut self.driver.written.calls) {
            if self.profile == Profile::Nginx {
                let other = self.in_flight.insert(root, sent.token);
                assert_eq!(other, None, "one call in flight in root context {root}");
                self.lanes.took(root, sent.token, ROOT);
            }
            self.calls.push(call(sent, root));
        }
    }

    fn tick(&mut self) {
        turns(&mut self.driver, &mut self.requests);
        self.driver.worker.tick(self.lanes.is_free(ROOT));
        self.driver.carry_out();
        self.took_calls(ROOT);
        // The lanes tick for themselves, with the same period.
        for lane in ROOT + 1..ROOT + u32::from(LANES) {
            if self.lanes.is_free(lane) && self.driver.worker.has_ready() {
                self.driver.worker.tick_for_lane();
                self.driver.carry_out();
                self.took_calls(lane);
            }
        }
    }

    /// Nothing of its answer matters.
    fn only_watches(&self) -> bool {
        let config = self.driver.worker.config();
        let sentries = config.sentries.iter().map(|sentry| &sentry.copies);
        let copies = config.rum.iter().chain(sentries);
        let mut destinations =
            copies.flat_map(|copies| copies.projects.values().chain(&copies.default));
        config.mode == Mode::Tee && !destinations.any(|to| to.rules.only_accepted)
    }
}

fn call(sent: Sent, root: u32) -> Call {
    Call {
        token: sent.token,
        root,
        context: root,
        callback: "proxy_on_tick",
        headers: borrowed(&sent.headers),
        upstream: sent.upstream,
        body: sent.body,
        trailers: Headers::new(),
        timeout_ms: sent.timeout_ms,
        at_ms: sent.at.0,
    }
}

impl<const LANES: u8> Edge for NativeWith<LANES> {
    const LANES: u8 = LANES;

    fn start(profile: Profile, config: &str) -> Self {
        let config = for_host_with(profile, LANES, config);
        let config = Config::parse(config.as_bytes(), &|_| None).unwrap();
        Self {
            profile,
            driver: Driver::new(config, Millis(1_767_225_600_000), "test"),
            requests: BTreeMap::new(),
            calls: Vec::new(),
            in_flight: BTreeMap::new(),
            lanes: Lanes::default(),
        }
    }

    fn profile(&self) -> Profile {
        self.profile
    }

    fn send(&mut self, request: &Request) {
        let stream = self.upload(request);
        self.close(stream);
    }

    fn abort(&mut self, stream: u32) {
        self.close(stream);
    }

    fn headers(&mut self, request: &Request, end: bool) -> u32 {
        let stream = u32::try_from(self.requests.len()).unwrap();
        let mut headers = owned(&request.headers);
        if self.profile == Profile::Nginx {
            // There `:authority` is the server's own name, and `host` the client's.
            let authority = headers.iter_mut().find(|(name, _)| name == b":authority");
            if let Some((name, _)) = authority {
                *name = b"Host".to_vec();
            }
        }
        let mut passing = Passing::new(stream, headers);
        passing.stream.peer = request.peer(self.profile);
        self.requests.insert(stream, passing);
        self.callback(stream, |request, driver| request.headers(driver, end));
        stream
    }

    fn body(&mut self, stream: u32, chunk: &[u8], end: bool) {
        // A host asks nobody about a request that was answered.
        if self.requests[&stream].stream.answered.is_some() {
            return;
        }
        self.callback(stream, |request, driver| request.piece(driver, chunk, end));
        if end && self.only_watches() {
            self.close(stream);
        }
    }

    fn trailers(&mut self, stream: u32) {
        self.callback(stream, Passing::trailers);
    }

    fn respond(&mut self, stream: u32, response: &Response) {
        let headers = owned(&response.headers);
        self.callback(stream, |request, driver| request.respond(driver, headers));
    }

    fn close(&mut self, stream: u32) {
        self.callback(stream, Passing::gone);
    }

    fn seen(&self, stream: u32) -> Seen {
        let stream = &self.requests[&stream].stream;
        let local = stream.answered.as_ref().map(|answer| {
            let headers = Headers::from_iter(answer.headers.iter());
            (answer.status, headers, answer.body.clone())
        });
        Seen {
            headers: stream.goes_on.then(|| borrowed(&stream.headers)),
            body: stream.passed.clone(),
            ended: stream.goes_on && stream.ended,
            local,
        }
    }

    fn fault(&mut self, refusal: Refusal, times: u32) {
        self.driver.refusals.get_mut().insert(refusal, times);
    }

    fn advance(&mut self, ms: u64) {
        let until = self.driver.written.now.after(ms);
        while self.driver.written.next_tick(until) {
            self.tick();
        }
        self.driver.written.now = until;
    }

    fn calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    fn reply(&mut self, token: u32, reply: &Reply) {
        if let Some((root, _)) = self.in_flight.iter().find(|(_, known)| **known == token) {
            let root = *root;
            self.in_flight.remove(&root);
            assert_eq!(self.lanes.answered(root, token), ROOT);
        }
        let status = reply.headers.text(":status");
        let status = status.and_then(|status| status.parse().ok());
        let header = |name: &str| reply.headers.text(name);
        self.driver.answer(token, status, &header, &reply.body);
        self.took_calls(ROOT);
    }

    fn refuse(&mut self, count: u32) {
        self.driver.written.refuses = count;
    }

    fn metric(&self, name: &str) -> i64 {
        let metrics = &self.driver.written.metrics;
        metrics.get(name).copied().unwrap_or_default()
    }

    fn is_ticking(&self) -> bool {
        self.driver.written.is_ticking()
    }

    fn log_lines(&self) -> String {
        let lines = self.driver.written.log.iter();
        let lines: Vec<&str> = lines.map(|(_, line)| line.as_str()).collect();
        lines.join("\n")
    }

    fn wall_clock_ms(&self) -> u64 {
        self.driver.written.now.0
    }

    fn drain(&mut self) {
        self.driver.drain();
        self.took_calls(ROOT);
    }

    fn is_gone(&self) -> bool {
        self.driver.is_over
    }
}
