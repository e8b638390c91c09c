//! The compiled module in the wasmtime host.

use crate::edge::{Edge, for_host_with, lane};
use test_host::{Call, Guest, Host, Options, Profile, Reply, Request, What, When};

/// The module in a host; on nginx with so many root contexts, of which the others are lanes.
pub struct ModuleWith<const LANES: u8> {
    pub host: Host,
    root: u32,
}

pub type Module = ModuleWith<1>;

impl<const LANES: u8> ModuleWith<LANES> {
    pub fn from_host(host: Host) -> Self {
        let root = host.current_root();
        Self { host, root }
    }
}

impl<const LANES: u8> Edge for ModuleWith<LANES> {
    const LANES: u8 = LANES;

    fn start(profile: Profile, config: &str) -> Self {
        let options = Options::new(for_host_with(profile, LANES, config));
        let mut host = Host::new(profile, Guest::sentry_edge_mirror(), options);
        for number in 1..LANES {
            host.add_root(lane(number));
        }
        Self::from_host(host)
    }

    fn profile(&self) -> Profile {
        self.host.profile()
    }

    fn send(&mut self, request: &Request) {
        self.host.send(request).assert_untouched();
    }

    fn open(&mut self, request: &Request) -> u32 {
        self.host.open(&request.clone().streamed())
    }

    fn body(&mut self, stream: u32, chunk: &[u8], end: bool) {
        self.host.body(stream, chunk, end);
        if end {
            self.host.close(stream);
        }
    }

    fn abort(&mut self, stream: u32) {
        self.host.abort(stream).assert_untouched();
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

    fn refuse(&mut self, count: u32) {
        const INTERNAL_FAILURE: u32 = 10;
        self.host.fault(
            "proxy_http_call",
            When::Next(count),
            What::Status(INTERNAL_FAILURE),
        );
    }

    fn metric(&self, name: &str) -> i64 {
        self.host.metric(name)
    }

    fn is_ticking(&self) -> bool {
        self.host.is_ticking()
    }

    fn drain(&mut self) {
        self.host.drain();
    }

    fn is_gone(&self) -> bool {
        self.host.is_gone(self.root)
    }
}
